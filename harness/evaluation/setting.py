"""The crystal of a data set and how its reference values were computed, for the properties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.harness.data.crystals import FACES, Crystal, Slab


@dataclass(frozen=True)
class Setting:
    """The crystal of a data set and the cells in which its reference values were computed."""

    crystal: Crystal
    vacancy_cell: Literal["conventional", "primitive"] = "conventional"
    vacancy_repeat: int = 0
    """0 takes 54 (bcc), 108 (fcc) or 64 (diamond) atoms."""
    phonon_repeat: int = 2
    """Cubes along each edge of the supercell for phonons."""
    slabs: tuple[Slab, ...] = FACES
    elastic_strain: float = 0.0
    """Strain of the reference's elastic constants; 0 where there is none."""
    reference_lattice_parameter: float = 0.0
    """Å; 0 where there is none."""
    reference_volumes: tuple[tuple[str, float], ...] = ()
    """Competing phase and its reference volume, Å³/atom."""
    compared_faces: tuple[str, ...] = ()
    """Faces with a reference energy, of relaxed or unrelaxed slabs."""
