"""POD: proper orthogonal descriptors as latent space and linear model, run by LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearFitter, Rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.pod.files import Coefficients
from crossprune.adapters.pod.options import PodOptions
from crossprune.adapters.pod.potential import PodPotential
from crossprune.adapters.pod.rows import Describer
from crossprune.adapters.programs.lammps import require_lammps
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, IntArray, require_elements

CUTOFF = 1.83
"""Cutoff over the spacing of atoms; see docs/tuning.md."""
INNER_CUTOFF = 0.4
"""Inner cutoff over the spacing of atoms: below the distances of all data at hand."""


class Pod(Descriptor[PodOptions], LinearFitter[PodOptions]):
    """Proper orthogonal descriptors as latent space and as the basis of a linear model."""

    name = "pod"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True)
    options_type = PodOptions
    distributions: ClassVar[tuple[str, ...]] = ("lammps", "numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {
        "cutoff": 4.5,
        "twobody_radial_functions": 5,
        "threebody_radial_functions": 3,
        "threebody_angular_degree": 3,
        "fourbody_radial_functions": 2,
        "fourbody_angular_degree": 2,
    }
    potential_type = PodPotential

    def __init__(
        self,
        elements: Sequence[str],
        options: PodOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        require_lammps(self.name)
        super().__init__(elements, options, isolated_atom_energies)
        self.basis = self.options.basis(self.elements)
        self._describer = Describer(self.basis)

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoffs with the spacing of atoms, Å."""
        return {"cutoff": round(CUTOFF * spacing, 2), "inner_cutoff": round(INNER_CUTOFF * spacing, 2)}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three cutoffs, each with weak and strong energies."""
        return [
            {"cutoff": round(factor * spacing, 2), "energy_weight": weight}
            for factor in (1.7, 1.83, 1.96)
            for weight in (100.0, 300.0)
        ]

    @property
    def n_columns(self) -> int:
        """Number of coefficients of all elements."""
        return len(self.elements) * self.basis.n_per_element

    def column_kinds(self) -> IntArray:
        """Return each column's body order, counted from 0."""
        kinds = np.repeat(np.arange(len(self.basis.sizes)), self.basis.sizes)
        return np.tile(kinds.astype(np.int64), len(self.elements))

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the descriptors of each atom (no unit)."""
        require_elements(atoms, self.elements, "adapter 'pod'")
        return self._describer.features(atoms)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Put an atom's descriptors into the columns of its element."""
        own = kinds[:, None] == np.arange(len(self.elements))
        found: FloatArray = (own[:, :, None] * features[:, None, :]).reshape(len(features), -1)
        return found

    def rows(self, atoms: Atoms) -> Rows:
        """Read the design rows off ``compute pod/global``: energy, forces and virial in one pass."""
        return self._describer.rows(atoms)

    def potential(self, solution: Solution) -> PodPotential:
        """Write the coefficients in LAMMPS's format, 17 digits each."""
        model = solution.coefficients.reshape(len(self.elements), -1)
        return PodPotential.of(self.basis, Coefficients(solution.offsets, model, np.empty(0)))
