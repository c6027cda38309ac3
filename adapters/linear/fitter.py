"""Weighted ridge regression on design rows: shared by all families that are linear in their coefficients."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.blocks import (
    WeightedRows,
    block_of,
    has_block,
    n_packed,
    solve_blocks,
    views,
)
from crossprune.adapters.linear.evidence import HIGHEST, OFF, ard_ridges, evidence_ridge
from crossprune.adapters.linear.gathering import force_starts, weighted_rows
from crossprune.adapters.linear.least_squares import Solution, compress, solve
from crossprune.adapters.linear.metric import ridge_metric
from crossprune.adapters.linear.options import LinearOptions
from crossprune.adapters.linear.potentials import LinearPotential, Rows, RowsPotential, stress_rows
from crossprune.adapters.linear.reweighting import best_weights, folds_by_group, multiplied
from crossprune.harness.contract import (
    ENERGY_ROW,
    FORCE_ROW,
    Fitter,
    FloatArray,
    IntArray,
    Potential,
    Predictions,
    Prepared,
    Weights,
    allocate,
    require_elements,
)
from crossprune.harness.data.frames import (
    element_counts,
    group_of,
    offsets,
)
from crossprune.harness.errors import StudyError, TooFewFrames

AnyLinearOptions = TypeVar("AnyLinearOptions", bound=LinearOptions)


class LinearFitter(Fitter[AnyLinearOptions], Generic[AnyLinearOptions]):
    """Prepare design rows once; fit and predict any subset by linear algebra."""

    fit_options = frozenset(
        {"energy_weight", "force_weight", "stress_weight", "ridge", "regularisation", "reweight"}
    )
    blocks: ClassVar[bool] = True
    """Whether refits sum products of rows; False where the design is too ill-conditioned for them."""
    n_known: int = 0
    """How many columns, the last ones, have a coefficient that is known to be 1."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of coefficients, offsets not counted."""

    @abstractmethod
    def rows(self, atoms: Atoms) -> Rows:
        """Compute the design rows of one structure."""

    def design_rows(self, atoms: Atoms) -> FloatArray:
        """Stack the energy row per atom and the force rows of the columns that are fitted."""
        rows, n_free = self.rows(atoms), self.n_columns - self.n_known
        return np.vstack([rows.energy[:n_free] / len(atoms), rows.forces[:, :n_free]])

    def prior(self) -> FloatArray:
        """Return how much stronger each coefficient is held down, shape (n_columns,); override if unequal."""
        return np.ones(self.n_columns)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Return what each atom adds to an energy row, from its features; override if these differ.

        Shape (n_atoms, n_columns less the known ones); ``kinds`` are the atoms' elements.
        """
        return features

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Weight rows as the fit does, and each column by its prior; see `ridge_metric`."""
        return ridge_metric(self._as_in_fits(vectors, kinds), self.prior()[: self.n_columns - self.n_known])

    def _as_in_fits(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Return the columns that are fitted, of features or of rows, with the weights of the fit."""
        rows = self.terms(vectors, kinds) if (kinds >= 0).all() else vectors
        weights = np.ones(len(kinds))
        weights[kinds == ENERGY_ROW] = self.options.energy_weight
        weights[kinds == FORCE_ROW] = self.options.force_weight
        return rows * weights[:, None]

    @abstractmethod
    def potential(self, solution: Solution) -> LinearPotential:
        """Make the potential from its coefficients."""

    def column_kinds(self) -> IntArray:
        """Return each column's kind, see `crossprune.harness.contract.vanishing`; override for products."""
        return np.zeros(self.n_columns, dtype=np.int64)

    def column_scales(self) -> FloatArray:
        """Return sizes that rounding is judged against; override where rows without neighbours are not 0.

        Shape (n_columns,), in units of energy rows per atom; see `crossprune.harness.contract.vanishing`.
        """
        return np.zeros(self.n_columns)

    def alone(self) -> FloatArray | None:
        """Return the energy rows of an atom alone, shape (n_elements, n_columns); None where they are zero.

        Offsets then are the energies of isolated atoms less what these rows give.
        """
        return None

    def solve(self, rows: WeightedRows) -> Solution:
        """Solve the weighted problem, each column held down by the prior; override for another solver."""
        if self.options.regularisation != "ridge":
            design, target = compress(*rows.stacked())
            return solve(design, target, rows.n_offsets, self._strengths(rows, design, target))
        ridge = self.prior()[: self.n_columns - self.n_known] * self.options.ridge
        found = solve_blocks(rows, ridge) if self.blocks else None
        return solve(*rows.stacked(), rows.n_offsets, ridge) if found is None else found

    def _strengths(
        self, rows: WeightedRows, design: FloatArray, target: FloatArray, highest: float = HIGHEST
    ) -> FloatArray:
        """Return the ridge of each column, of greatest evidence; ARD begins there and gives each its own."""
        prior, n_offsets = self.prior()[: self.n_columns - self.n_known], rows.n_offsets
        n_rows = rows.n_rows or len(rows.dense) + sum(map(len, rows.forces))
        ridge = evidence_ridge(design, target, n_offsets, prior, n_rows=n_rows, highest=highest)
        strengths = prior * ridge
        if self.options.regularisation == "ard":
            strengths = ard_ridges(design, target, n_offsets, strengths, n_rows=n_rows)
        return strengths

    def solve_difference(self, rows: WeightedRows, *, tuned: bool) -> Solution:
        """Solve for what is added to an earlier model; ``tuned``: as strongly held down as the evidence says.

        Override for another penalty, with what it holds coefficients to at zero.
        """
        if not tuned:
            return self.solve(rows)
        design, target = compress(*rows.stacked())
        return solve(design, target, rows.n_offsets, self._strengths(rows, design, target, OFF))

    def _solver_of(self, rows: WeightedRows) -> Callable[[WeightedRows], Solution]:
        """Return a solver whose strengths are chosen once, on ``rows``."""
        strengths = self._strengths(rows, *compress(*rows.stacked()))
        return lambda others: solve(*others.stacked(), others.n_offsets, strengths)

    @classmethod
    def tuned_inside(cls, options: Any) -> Any:
        """Take the strength of greatest evidence on each subset, where a fixed one was asked for."""
        return replace(options, regularisation="evidence") if options.regularisation == "ridge" else options

    @classmethod
    def can_mask(cls, options: Any) -> bool:
        """Weights chosen by validation would see the forces that a mask hides."""
        return cls.capabilities.masks and not options.reweight

    def group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        """Choose weights of each group's energies and forces; see `best_weights`.

        A strength that the evidence chooses is chosen once, on all frames with equal weights.
        """
        return self._group_weights(prepared, subset, folds)

    def _group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        def gather(places: IntArray) -> WeightedRows:
            return weighted_rows(self, prepared, subset[places], {})

        solver: Callable[[WeightedRows], Solution] = self.solve
        if self.options.regularisation != "ridge":
            solver = self._solver_of(gather(np.arange(len(subset))).determined()[0])
        groups = [group_of(prepared.frames[index]) for index in subset]
        return best_weights(solver, gather, groups, folds)

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame, each for itself, and their products where small."""
        starts = offsets(frames)
        n_free = self.n_columns - self.n_known
        slopes = allocate(workspace, "slopes", (len(frames), self.n_columns))
        wanted = [self.blocks and has_block(len(atoms), n_free) for atoms in frames]
        place = np.where(wanted, np.cumsum(wanted) - 1, -1).astype(np.int64)
        energy = allocate(workspace, "energy", (len(frames), self.n_columns))
        forces = allocate(workspace, "forces", (3 * int(starts[-1]), self.n_columns))
        stress = allocate(workspace, "stress", (6 * len(frames), self.n_columns))
        blocks = allocate(workspace, "blocks", (sum(wanted), n_packed(n_free)))
        for index, atoms in enumerate(frames):
            require_elements(atoms, self.elements, f"adapter {self.name!r}")
            rows = self.rows(atoms)
            energy[index] = rows.energy
            forces[3 * starts[index] : 3 * starts[index + 1]] = rows.forces
            slopes[index] = np.abs(rows.forces).max(axis=0, initial=0.0)
            stress[6 * index : 6 * index + 6] = np.nan if rows.stress is None else rows.stress
            if wanted[index]:
                blocks[place[index]] = block_of(rows.forces[:, :n_free])
        arrays = {"energy": energy, "forces": forces, "stress": stress, "blocks": blocks, "block": place}
        return Prepared(frames, {**arrays, "slopes": slopes, "counts": element_counts(frames, self.elements)})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the chosen rows; ``rng`` is not used."""
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        subset = np.sort(subset)  # sums of the same numbers in another order would differ in the last bits
        weights = self._own_weights(prepared, subset, weights)
        return self._solved(weighted_rows(self, prepared, subset, weights))

    def _own_weights(self, prepared: Prepared, subset: IntArray, weights: Weights) -> Weights:
        if not self.options.reweight:
            return weights
        folds = folds_by_group([group_of(prepared.frames[index]) for index in subset])
        return multiplied(weights, self._group_weights(prepared, subset, folds))

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
        """Hold the coefficients to those of ``earlier``: a ridge on the difference, which is what is fitted.

        With x₀ its coefficients, min ‖A x − y‖² + Σ λ_j (x_j − x₀_j)² has x = x₀ + d, where d solves the same
        problem for y − A x₀, held to zero. So this is the fit of a difference on top of a model as well.
        """
        if not self.can_start(self.options):
            return super().fit_from(prepared, subset, earlier, tuned=tuned, weights=weights, rng=rng)  # type: ignore[return-value]
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        assert isinstance(earlier, LinearPotential)
        subset = np.sort(subset)
        weights = self._own_weights(prepared, subset, weights)
        rows = weighted_rows(self, prepared, subset, weights)
        coefficients = earlier.coefficients[: self.n_columns - self.n_known]
        start = Solution(coefficients, earlier.offsets, 1.0)
        left = rows.beyond(coefficients, earlier.offsets[: rows.n_offsets])
        return self._solved(left, lambda one: self.solve_difference(one, tuned=tuned), start)

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the force rows of ``kept`` and all energy rows."""
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        if self.options.reweight:
            raise StudyError(
                f"adapter {self.name!r}: reweight chooses by whole frames, and masks hide forces"
            )
        order = np.argsort(subset)
        atoms = [np.sort(kept[place]) for place in order.tolist()]
        return self._solved(weighted_rows(self, prepared, subset[order], weights, atoms))

    def _solved(
        self,
        weighted: WeightedRows,
        solve: Callable[[WeightedRows], Solution] | None = None,
        start: Solution | None = None,
    ) -> LinearPotential:
        """Solve for the coefficients, or for what is added to those of ``start``, and make the potential."""
        rows, basis = weighted.determined()
        solution = (solve or self.solve)(rows)
        if rows.vanishing is not None:
            solution = replace(solution, coefficients=np.where(rows.vanishing, 0.0, solution.coefficients))
        if basis.shape[1] < len(basis):  # otherwise these are the offsets, to the last bit
            solution = replace(solution, offsets=basis @ solution.offsets)
        if start is not None:
            coefficients = start.coefficients + solution.coefficients
            offsets_found = start.offsets + (solution.offsets if rows.n_offsets else 0.0)
            solution = Solution(coefficients, offsets_found, solution.condition_number)
        if self.isolated_atom_energies:
            known = np.array([self.isolated_atom_energies[element] for element in self.elements])
            if (alone := self.alone()) is not None:
                known = known - alone @ np.append(solution.coefficients, np.ones(self.n_known))
            solution = Solution(solution.coefficients, known, solution.condition_number)
        potential = self.potential(solution)
        potential.info["condition_number"] = solution.condition_number
        potential.info["n_parameters"] = float(np.count_nonzero(solution.coefficients))
        return potential

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows."""
        if not isinstance(potential, LinearPotential):
            return super().predict(potential, prepared, indices)
        arrays, coefficients = prepared.arrays, potential.coefficients
        frames = np.arange(len(prepared.frames) + 1)
        forces = views(arrays["forces"], force_starts(prepared), indices)
        stress = views(arrays["stress"], 6 * frames, indices)
        return Predictions(
            energies=arrays["energy"][indices] @ coefficients + arrays["counts"][indices] @ potential.offsets,
            forces=_times(forces, coefficients).reshape(-1, 3),
            stresses=_times(stress, coefficients).reshape(-1, 6),
        )


def _times(pieces: Sequence[FloatArray], coefficients: FloatArray) -> FloatArray:
    return np.concatenate([np.empty(0), *(rows @ coefficients for rows in pieces)])


__all__ = [
    "LinearFitter",
    "LinearOptions",
    "LinearPotential",
    "Rows",
    "RowsPotential",
    "Solution",
    "solve",
    "stress_rows",
]
