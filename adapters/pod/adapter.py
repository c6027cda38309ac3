"""POD: proper orthogonal descriptors as latent space and linear model, run by LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearFitter, LinearPotential, Rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.pod.files import Coefficients
from crossprune.adapters.pod.options import PodOptions
from crossprune.adapters.pod.potential import PodPotential
from crossprune.adapters.pod.rows import Describer
from crossprune.adapters.programs.lammps import require_lammps
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    Potential,
    Prepared,
    Weights,
    allocate,
    have_weight,
    require_elements,
)
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import group_of
from crossprune.harness.errors import StudyError

CUTOFF = 1.83
"""Cutoff over the spacing of atoms; see docs/tuning.md."""
INNER_CUTOFF = 0.4
"""Inner cutoff over the spacing of atoms: below the distances of all data at hand."""


class Pod(Descriptor[PodOptions], LinearFitter[PodOptions]):
    """Proper orthogonal descriptors as latent space and as the basis of a linear model."""

    name = "pod"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True, prior=True)
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

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame, and its shortest distance below the inner cutoff."""
        prepared = super().prepare(frames, workspace=workspace)
        shortest = allocate(workspace, "shortest", (len(frames),))
        for index, atoms in enumerate(frames):
            distances = find_neighbours(atoms, self.options.inner_cutoff).distances
            shortest[index] = distances.min(initial=np.inf)
        return Prepared(frames, {**prepared.arrays, "shortest": shortest})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the chosen rows; ``rng`` is not used.

        Raises
        ------
        StudyError
            If atoms of a chosen frame that counts are nearer than the inner cutoff.
        """
        self._require_reach(prepared, subset, weights)
        return super().fit(prepared, subset, weights=weights, rng=rng)

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the force rows of ``kept`` and all energy rows; see `fit`."""
        self._require_reach(prepared, subset, weights)
        return super().fit_masked(prepared, subset, kept, weights=weights, rng=rng)

    def fit_from(
        self,
        prepared: Prepared,
        subset: IntArray,
        earlier: Potential,
        *,
        tuned: bool,
        weights: Weights,
        rng: np.random.Generator,
    ) -> LinearPotential:
        """Fit towards an earlier potential; see `fit`."""
        self._require_reach(prepared, subset, weights)
        return super().fit_from(prepared, subset, earlier, tuned=tuned, weights=weights, rng=rng)

    def _require_reach(self, prepared: Prepared, subset: IntArray, weights: Weights) -> None:
        """Refuse what radial functions cannot describe: they oscillate ever faster below the inner cutoff."""
        counted = [index for index in subset if have_weight([group_of(prepared.frames[index])], weights)]
        shortest = float(prepared.arrays["shortest"][counted].min(initial=np.inf))
        if shortest < self.options.inner_cutoff:
            raise StudyError(
                f"adapter 'pod': atoms of the chosen frames are {shortest:.3f} Å apart, and inner_cutoff is "
                f"{self.options.inner_cutoff} Å, below which the radial functions fit nothing; give it as "
                f"{0.9 * shortest:.2f} or less"
            )

    def potential(self, solution: Solution) -> PodPotential:
        """Write the coefficients in LAMMPS's format, 17 digits each."""
        model = solution.coefficients.reshape(len(self.elements), -1)
        return PodPotential.of(self.basis, Coefficients(solution.offsets, model, np.empty(0)))
