"""ChIMES: Chebyshev polynomials of transformed distances, summed over clusters of two to four atoms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.chimes.model import KCAL_PER_MOL, Model
from crossprune.adapters.chimes.options import (
    ChimesOptions,
    distances_by_radii,
    empty_model,
    with_lengths_of,
)
from crossprune.adapters.chimes.potential import ChimesPotential
from crossprune.adapters.chimes.solvers import solve_by
from crossprune.adapters.linear.blocks import WeightedRows
from crossprune.adapters.linear.fitter import LinearFitter, Rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    Potential,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)
from crossprune.harness.errors import StudyError

CUTOFF = 2.2
"""Cutoff of pairs over the spacing of atoms; see docs/tuning.md."""


class Chimes(Descriptor[ChimesOptions], LinearFitter[ChimesOptions]):
    """Chebyshev cluster terms as latent space and as the basis of a linear model."""

    name = "chimes"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True, prior=True)
    options_type = ChimesOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "scikit-learn", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"order_2b": 8, "order_3b": 4, "cutoff": 5.0, "cutoff_3b": 4.0}
    potential_type = ChimesPotential
    fit_options = LinearFitter.fit_options | {"solver", "svd_smallest", "path_end"}
    n_known = 1

    def __init__(
        self,
        elements: Sequence[str],
        options: ChimesOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        distances = distances_by_radii(self.elements, self.options)
        self._model = Model(empty_model(self.elements, self.options, distances))

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoffs with the spacing of atoms, Å."""
        return _cutoffs(CUTOFF * spacing)

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three sets of cutoffs with weak and strong energies and a weak and a strong ridge."""
        return [
            {**_cutoffs(factor * spacing), "energy_weight": weight, "ridge": ridge}
            for factor in (2.0, 2.2, 2.4)
            for weight in (100.0, 300.0)
            for ridge in (1e-8, 1e-6)
        ]

    @property
    def n_columns(self) -> int:
        """Number of unique coefficients, and the penalty."""
        return self._model.n_columns

    def features(self, atoms: Atoms) -> FloatArray:
        """Return each atom's share of the terms of its clusters (no unit), a block per element of the atom.

        Lengths follow from the options and the elements, whatever ``from_subset`` says: features must
        be comparable between structures.
        """
        require_elements(atoms, self.elements, "adapter 'chimes'")
        return self._model.features(atoms)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Add up the shares of each coefficient, whatever the element of the atom."""
        return self._model.terms(features)

    def rows(self, atoms: Atoms) -> Rows:
        """Compute the design rows; the last column is the penalty."""
        return self._model.rows(atoms)

    def column_kinds(self) -> IntArray:
        """Return the number of atoms of each column's clusters: each factor of a term has its own cutoff."""
        kinds = np.zeros(self.n_columns, dtype=np.int64)
        for body, tables in self._model.tables.items():
            kinds[int(tables.first[0]) : int(tables.first[-1])] = body
        return kinds

    def potential(self, solution: Solution) -> ChimesPotential:
        """Make the potential from its coefficients (eV), the penalty's not among them."""
        return ChimesPotential(
            self._model.parameters.with_coefficients(
                solution.coefficients / KCAL_PER_MOL, (solution.offsets / KCAL_PER_MOL).tolist()
            )
        )

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame; with ``from_subset`` keep the frames only."""
        if not self.options.from_subset:
            return super().prepare(frames, workspace=workspace)
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'chimes'")
        return Prepared(frames)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> ChimesPotential:
        """Solve the weighted problem of the chosen rows; ``rng`` is not used."""
        if self.options.from_subset and len(subset):
            own, alone = self._of(prepared, subset)
            return own.fit(alone, np.arange(len(subset)), weights=weights, rng=rng)
        return _counted(super().fit(prepared, subset, weights=weights, rng=rng))

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> ChimesPotential:
        """Solve the weighted problem of the rows that are kept; lengths ``from_subset`` are of all atoms."""
        if self.options.from_subset and len(subset):
            own, alone = self._of(prepared, subset)
            return own.fit_masked(alone, np.arange(len(subset)), kept, weights=weights, rng=rng)
        return _counted(super().fit_masked(prepared, subset, kept, weights=weights, rng=rng))

    @classmethod
    def can_start(cls, options: ChimesOptions) -> bool:
        """A ridge has coefficients to be held to, of columns that do not change with the subset."""
        return options.solver == "ridge" and not options.from_subset

    def fit_from(
        self,
        prepared: Prepared,
        subset: IntArray,
        earlier: Potential,
        *,
        tuned: bool,
        weights: Weights,
        rng: np.random.Generator,
    ) -> ChimesPotential:
        """Fit towards an earlier potential."""
        return _counted(super().fit_from(prepared, subset, earlier, tuned=tuned, weights=weights, rng=rng))

    def _of(self, prepared: Prepared, subset: IntArray) -> tuple[Chimes, Prepared]:
        """Return an adapter with the lengths of the chosen frames, and what it prepares of them."""
        frames = [prepared.frames[index] for index in subset]
        options = with_lengths_of(frames, self.elements, self.options)
        own = Chimes(self.elements, options, self.isolated_atom_energies)
        return own, own.prepare(frames)

    def solve(self, rows: WeightedRows) -> Solution:
        """Solve by the chosen solver."""
        options = self.options
        if options.solver == "ridge":
            return super().solve(rows)
        return solve_by(options.solver, *rows.stacked(), rows.n_offsets, options.strength)

    def group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        """Choose weights of each group's energies and forces."""
        if self.options.from_subset:
            own, alone = self._of(prepared, subset)
            return own.group_weights(alone, np.arange(len(subset)), folds)
        return super().group_weights(prepared, subset, folds)

    @classmethod
    def tuned_inside(cls, options: Any) -> Any:
        """Take the ridge of greatest evidence; the other solvers have a strength of their own."""
        if options.solver != "ridge":
            raise StudyError(f"adapter 'chimes': the solver {options.solver!r} has no ridge to re-estimate")
        return super().tuned_inside(options)

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows, or from scratch with ``from_subset``."""
        if self.options.from_subset:
            return potential.predict_many([prepared.frames[index] for index in indices])
        return super().predict(potential, prepared, indices)


def _cutoffs(pairs: float) -> dict[str, float]:
    """Return the cutoffs of pairs, triplets and quadruplets, Å, in the ratio of the defaults."""
    return {
        "cutoff": round(pairs, 2),
        "cutoff_3b": round(pairs * 5.5 / 6, 2),
        "cutoff_4b": round(0.75 * pairs, 2),
    }


def _counted(potential: Potential) -> ChimesPotential:
    """Say how many coefficients are not zero."""
    assert isinstance(potential, ChimesPotential)
    potential.info["n_coefficients"] = float(np.count_nonzero(potential.coefficients[:-1]))
    return potential
