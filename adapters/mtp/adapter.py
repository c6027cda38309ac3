"""MTP: moment tensor potentials, with radial functions that are fixed or fitted to each subset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearFitter, Rows, stress_rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.mtp.fitting import Target, fit_radial
from crossprune.adapters.mtp.kernels import values
from crossprune.adapters.mtp.model import Model, Radial, tables_of
from crossprune.adapters.mtp.options import MOST_INVARIANTS, MtpOptions
from crossprune.adapters.mtp.plan import plan_of, repeated
from crossprune.adapters.mtp.potential import MtpPotential, pairs_of
from crossprune.adapters.mtp.radial import size_of, unfitted
from crossprune.adapters.mtp.rows import derivatives
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    GroupWeight,
    IntArray,
    Potential,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)
from crossprune.harness.data.frames import element_counts, energy_of, forces_of, group_of, stress_of
from crossprune.harness.errors import DataError, StudyError, TooFewFrames

CUTOFF, MIN_DISTANCE = 1.85, 0.7
"""Over the spacing of atoms; see docs/tuning.md."""


class Mtp(Descriptor[MtpOptions], LinearFitter[MtpOptions]):
    """Contractions of moment tensors as latent space and as the basis of a model.

    Parameters
    ----------
    elements, options, isolated_atom_energies
        As for every adapter.
    radial
        Radial functions other than those that the options give.
    """

    name = "mtp"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True)
    options_type = MtpOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"level": 10, "radial_step": 4, "cutoff": 4.5}
    potential_type = MtpPotential
    fit_options = LinearFitter.fit_options | {"iterations"}
    blocks = False  # condition numbers reach 1e16: products of rows would keep no digit

    def __init__(
        self,
        elements: Sequence[str],
        options: MtpOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
        *,
        radial: Radial | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        given, n_elements = self.options, len(self.elements)
        by_centre = given.radial == "fixed" and n_elements > 1
        step = given.radial_step or _step(given, n_elements)
        plan = plan_of(given.level, step)
        self._plan = repeated(plan, n_elements) if by_centre else plan
        if self.n_columns > MOST_INVARIANTS:
            raise StudyError(
                f"adapter 'mtp': {self.n_columns} invariants with level {given.level} and radial_step "
                f"{step} for {n_elements} elements, at most {MOST_INVARIANTS}; lower the level, or "
                "raise radial_step (to 4 at most)"
            )
        self._radial = radial or unfitted(
            n_elements,
            plan.n_radial,
            size_of(given.n_chebyshev, plan.n_radial, n_elements),
            min_distance=given.min_distance,
            cutoff=given.cutoff,
            by_centre=by_centre,
        )
        self._tables = tables_of(self._plan, self._radial.coefficients)

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the lengths with the spacing of atoms, Å."""
        return {"cutoff": round(CUTOFF * spacing, 2), "min_distance": round(MIN_DISTANCE * spacing, 2)}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Many radial functions or few, three cutoffs, weak and strong energies."""
        kinds = ({"level": 12, "radial_step": 1}, {"level": 16, "radial_step": 2})
        return [
            {**kind, "cutoff": round(factor * spacing, 2), "energy_weight": weight}
            for kind in kinds
            for factor in (1.7, 1.85, 2.0)
            for weight in (100.0, 300.0)
        ]

    @property
    def n_columns(self) -> int:
        """Number of coefficients ξ."""
        return len(self._plan.scalars)

    def column_kinds(self) -> IntArray:
        """Return how many moments each invariant is a product of."""
        return self._plan.n_factors()

    def features(self, atoms: Atoms) -> FloatArray:
        """Return each atom's invariants by the fixed radial functions (no unit).

        With fixed radial functions those of an alloy have columns of their own for each element of the
        atom, 0 elsewhere.
        """
        found: FloatArray = values(self._tables, *self._functions, *self._pairs(atoms))
        return found

    def rows(self, atoms: Atoms) -> Rows:
        """Compute energy, force and stress rows in one pass; see `derivatives`."""
        energy, forces, virial = derivatives(self._tables, *self._functions, *self._pairs(atoms))
        stress = None
        if atoms.pbc.all():
            stress = stress_rows(virial.reshape(3, 3, -1) / atoms.get_volume())
        return Rows(energy, forces, stress)

    def potential(self, solution: Solution) -> MtpPotential:
        """Make the potential from its coefficients."""
        model = Model(self._plan, self._radial, solution.coefficients, solution.offsets)
        return MtpPotential(self.elements, model, {"n_invariants": float(self.n_columns)})

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame; keep the frames only if each fit has its own."""
        if self.options.radial == "fixed":
            return super().prepare(frames, workspace=workspace)
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'mtp'")
        return Prepared(frames)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> MtpPotential:
        """Solve the weighted linear problem, with own radial functions if asked; ``rng`` is not used."""
        if self.options.radial == "fixed":
            return _mtp(super().fit(prepared, subset, weights=weights, rng=rng))
        own, alone, facts = self._with_own_radial(prepared, np.sort(subset), None, weights)
        fitted = own.fit(alone, np.arange(len(subset)), weights=weights, rng=rng)
        fitted.info.update(facts)
        return fitted

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> MtpPotential:
        """Fit to the forces of ``kept`` and all energies; radial functions, too, see nothing else."""
        if self.options.radial == "fixed":
            return _mtp(super().fit_masked(prepared, subset, kept, weights=weights, rng=rng))
        order = np.argsort(subset)
        kept = [kept[place] for place in order.tolist()]
        own, alone, facts = self._with_own_radial(prepared, subset[order], kept, weights)
        fitted = own.fit_masked(alone, np.arange(len(subset)), kept, weights=weights, rng=rng)
        fitted.info.update(facts)
        return fitted

    def group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        """Choose weights of each group's energies and forces."""
        if self.options.radial == "fitted":
            raise StudyError(
                "adapter 'mtp': group weights with radial = 'fitted' would cost a fit for each trial"
            )
        return super().group_weights(prepared, subset, folds)

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows, or anew if these belong to other radial functions."""
        if self.options.radial == "fitted" or not self._has_rows_of(potential):
            return potential.predict_many([prepared.frames[index] for index in indices])
        return super().predict(potential, prepared, indices)

    def _has_rows_of(self, potential: Potential) -> bool:
        return (
            isinstance(potential, MtpPotential)
            and potential.elements == self.elements
            and np.array_equal(potential.model.radial.coefficients, self._radial.coefficients)
            and np.array_equal(potential.model.plan.scalars, self._plan.scalars)
        )

    @property
    def _functions(self) -> tuple[FloatArray, float, float]:
        return self._radial.coefficients, self._radial.min_distance, self._radial.cutoff

    def _pairs(self, atoms: Atoms) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        return pairs_of(atoms, self.elements, self._radial.cutoff, "adapter 'mtp'")

    def _with_own_radial(
        self, prepared: Prepared, subset: IntArray, kept: Sequence[IntArray] | None, weights: Weights
    ) -> tuple[_Fitted, Prepared, dict[str, float]]:
        """Fit radial functions to the chosen frames: an adapter that has them, and what it prepares."""
        if len(subset) == 0:
            raise TooFewFrames("adapter 'mtp' cannot be fitted to an empty subset")
        frames = [prepared.frames[index] for index in subset]
        targets = [
            self._target(atoms, weights, None if kept is None else kept[place])
            for place, atoms in enumerate(frames)
        ]
        if self.options.stress_weight and kept is None and all(one.stress is None for one in targets):
            raise DataError(
                f"stress_weight is {self.options.stress_weight}, but no chosen frame has a stress label"
            )
        radial, facts = fit_radial(
            self._plan,
            self._radial,
            targets,
            ridge=self.options.ridge,
            iterations=self.options.iterations,
        )
        facts["n_radial_parameters"] = float(radial.coefficients.size)
        own = _Fitted(self.elements, self.options, self.isolated_atom_energies, radial=radial)
        return own, own.prepare(frames), facts

    def _target(self, atoms: Atoms, weights: Weights, kept: IntArray | None) -> Target:
        group, options = weights.get(group_of(atoms), GroupWeight()), self.options
        counts = element_counts([atoms], self.elements)[0].astype(np.float64)
        energy = energy_of(atoms)
        if self.isolated_atom_energies:
            energy -= float(counts @ [self.isolated_atom_energies[one] for one in self.elements])
            counts = counts[:0]
        force_weights = np.full(len(atoms), options.force_weight * group.forces)
        if kept is not None:
            force_weights[np.setdiff1d(np.arange(len(atoms)), kept)] = 0.0
        with_stress = options.stress_weight * group.stress > 0 and kept is None
        return Target(
            pairs=self._pairs(atoms),
            counts=counts,
            energy=energy,
            energy_weight=options.energy_weight * group.energy / len(atoms),
            forces=np.where(force_weights[:, None] > 0, forces_of(atoms), 0.0),
            force_weights=force_weights,
            stress=stress_of(atoms) if with_stress else None,
            stress_weight=options.stress_weight * group.stress,
            volume=float(atoms.cell.volume),
        )


def _step(options: MtpOptions, n_elements: int) -> int:
    """Return what a unit of μ counts where the options leave it open."""
    if options.radial == "fitted":
        return 4
    fit = (one for one in (2, 3) if n_elements * len(plan_of(options.level, one).scalars) <= MOST_INVARIANTS)
    return next(fit, 4)


class _Fitted(Mtp):
    """The linear step after a fit of radial functions: these are fixed now."""

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows."""
        return LinearFitter.prepare(self, frames, workspace=workspace)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> MtpPotential:
        """Solve the weighted linear problem."""
        return _mtp(LinearFitter.fit(self, prepared, subset, weights=weights, rng=rng))

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> MtpPotential:
        """Solve the weighted linear problem of the rows that are kept."""
        return _mtp(LinearFitter.fit_masked(self, prepared, subset, kept, weights=weights, rng=rng))


def _mtp(potential: Potential) -> MtpPotential:
    assert isinstance(potential, MtpPotential)
    return potential
