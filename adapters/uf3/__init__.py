"""Ultra-fast force fields, B-splines of two and three bodies: adapter `uf3`, files of uf3 and LAMMPS."""

import crossprune.adapters.uf3.compiled  # noqa: F401  # first: it says what this family lacks
from crossprune.adapters.uf3.adapter import Uf3
from crossprune.adapters.uf3.options import Uf3Options
from crossprune.adapters.uf3.potential import Uf3Potential, read_potential

__all__ = ["Uf3", "Uf3Options", "Uf3Potential", "read_potential"]
