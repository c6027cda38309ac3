"""Fit radial functions by variable projection: the linear coefficients are solved for at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossprune.adapters.mtp.kernels import evaluate
from crossprune.adapters.mtp.model import Radial, tables_of
from crossprune.adapters.mtp.plan import Plan
from crossprune.adapters.mtp.radial import orthonormal
from crossprune.adapters.mtp.rows import derivatives, radial_gradient
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.composition import determined
from crossprune.harness.errors import DataError
from scipy.linalg import qr
from scipy.optimize import minimize

BUFFER = 4096
"""Rows that are gathered before they are compressed."""
RELATIVE_CHANGE = 1e-5
"""Of the loss in one step of L-BFGS: less ends the fit; errors change by half of it."""
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class Target:
    """A structure's labels with their weights, and its pairs as kernels read them."""

    pairs: tuple[IntArray, IntArray, IntArray, FloatArray]
    counts: FloatArray
    """Atoms per element that an offset is sought for, shape (n_offsets,)."""
    energy: float
    """eV."""
    energy_weight: float
    """Of the whole energy, 1/eV."""
    forces: FloatArray
    """eV/Å, shape (n_atoms, 3)."""
    force_weights: FloatArray
    """1/(eV/Å), shape (n_atoms,); 0 for atoms whose forces do not count."""
    stress: FloatArray | None
    """eV/Å³, shape (6,), or None if it does not count."""
    stress_weight: float
    volume: float
    """Å³."""


def fit_radial(
    plan: Plan, start: Radial, targets: Sequence[Target], *, ridge: float, iterations: int
) -> tuple[Radial, dict[str, float]]:
    """Fit the radial coefficients to weighted labels; what it returns depends on nothing else.

    Golub and Pereyra 1973, doi:10.1137/0710036: with the linear coefficients ξ(c) that minimise
    ½ ‖A(c) ξ - y‖² + ½ Σ ridge_α ξ_α², the gradient of the minimum by c is the partial one at fixed ξ.
    Ridges are relative to the squared norms of the columns at the start. L-BFGS (Liu and Nocedal 1989,
    doi:10.1007/BF01589116) works in the orthonormal functions of `orthonormal`.

    Parameters
    ----------
    plan, start
        Invariants, and the radial functions to begin with.
    targets
        The chosen structures.
    ridge
        Strength, relative to squared norms of columns.
    iterations
        Most steps.

    Returns
    -------
    tuple
        The radial functions, and facts: ``radial_steps``, and ``radial_loss``, the loss over that at the
        start.

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    functions = orthonormal(start.min_distance, start.cutoff, start.coefficients.shape[3])
    first = start.coefficients @ np.linalg.inv(functions)
    problem = _Problem(plan, start, targets, ridge)
    begin = problem.loss(start.coefficients)[0]
    if not begin > 0.0:
        return start, {"radial_steps": 0.0, "radial_loss": 1.0}

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = problem.loss(flat.reshape(first.shape) @ functions)
        return value / begin, (gradient @ functions.T).ravel() / begin

    found = minimize(
        loss,
        first.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": iterations, "ftol": RELATIVE_CHANGE, "gtol": 0.0, "maxcor": 20},
    )
    coefficients = np.ascontiguousarray(found.x.reshape(first.shape) @ functions)
    facts = {"radial_steps": float(found.nit), "radial_loss": float(found.fun)}
    return Radial(coefficients, start.min_distance, start.cutoff), facts


class _Problem:
    """The loss at given radial coefficients."""

    def __init__(self, plan: Plan, start: Radial, targets: Sequence[Target], ridge: float) -> None:
        self._targets, self._ridge = targets, ridge
        self._lengths = (start.min_distance, start.cutoff)
        self._tables = tables_of(plan, start.coefficients)
        counts = np.array([target.counts for target in targets])
        used = np.array([target.energy_weight > 0 for target in targets])
        self._basis = determined(counts * used[:, None]) if counts.shape[1] else np.zeros((0, 0))
        self._norms: FloatArray | None = None

    def loss(self, radial: FloatArray) -> tuple[float, FloatArray]:
        """Return the loss (no unit) and its gradient by the radial coefficients (Å²)."""
        solution, penalty = self._solve(radial)
        n_columns = self._tables.n_columns
        coefficients, offsets = solution[:n_columns], self._basis @ solution[n_columns:]
        total, gradient = penalty, np.zeros_like(radial)
        for target in self._targets:
            total += self._residuals(target, radial, coefficients, offsets, gradient)
        return total, gradient

    def _residuals(
        self,
        target: Target,
        radial: FloatArray,
        coefficients: FloatArray,
        offsets: FloatArray,
        gradient: FloatArray,
    ) -> float:
        """Return a structure's part of the loss and add its part of the gradient."""
        references = np.zeros(len(radial))
        energies, forces, virial = evaluate(
            self._tables, radial, *self._lengths, coefficients, references, *target.pairs
        )
        error = float(energies.sum() + target.counts @ offsets) - target.energy
        pulled = target.force_weights[:, None] * (forces - target.forces)
        total = 0.5 * (target.energy_weight * error) ** 2 + 0.5 * float(np.sum(pulled**2))
        strain = np.zeros((3, 3))
        if target.stress is not None:
            for place, (a, b) in enumerate(VOIGT):
                stress = (virial[a, b] + virial[b, a]) / (2 * target.volume)
                strained = target.stress_weight * (stress - target.stress[place])
                total += 0.5 * strained**2
                strain[a, b] += target.stress_weight * strained / (2 * target.volume)
                strain[b, a] += target.stress_weight * strained / (2 * target.volume)
        weight = target.energy_weight**2 * error
        moved = -target.force_weights[:, None] * pulled
        radial_gradient(
            self._tables,
            radial,
            *self._lengths,
            coefficients,
            weight,
            moved,
            strain,
            *target.pairs,
            gradient,
        )
        return total

    def _solve(self, radial: FloatArray) -> tuple[FloatArray, float]:
        """Return the best linear coefficients with the offsets that are sought, and the penalty."""
        triangle = self._triangle(radial)
        design, goal = triangle[:, :-1], triangle[:, -1]
        n_columns = self._tables.n_columns
        if self._norms is None:
            norms = np.linalg.norm(design, axis=0)
            self._norms = np.where(norms > 0, norms, 1.0)
        held = np.zeros((n_columns, design.shape[1]))
        held[:, :n_columns] = np.sqrt(self._ridge) * np.eye(n_columns)
        system = np.vstack([design / self._norms, held])
        scaled = np.linalg.lstsq(system, np.concatenate([goal, np.zeros(n_columns)]), rcond=None)[0]
        penalty = 0.5 * self._ridge * float(np.sum(scaled[:n_columns] ** 2))
        return scaled / self._norms, penalty

    def _triangle(self, radial: FloatArray) -> FloatArray:
        """Compress all weighted rows, with their labels as the last column."""
        width = self._tables.n_columns + self._basis.shape[1] + 1
        triangle, waiting, n_waiting = np.zeros((0, width)), [], 0
        for target in self._targets:
            rows = self._rows(target, radial, width)
            waiting.append(rows)
            n_waiting += len(rows)
            if n_waiting > BUFFER:
                triangle, waiting, n_waiting = _compressed([triangle, *waiting]), [], 0
        return _compressed([triangle, *waiting])

    def _rows(self, target: Target, radial: FloatArray, width: int) -> FloatArray:
        n_columns = self._tables.n_columns
        energy, forces, virial = derivatives(self._tables, radial, *self._lengths, *target.pairs)
        n_forces = len(forces)
        rows = np.zeros((1 + n_forces + (0 if target.stress is None else 6), width))
        rows[0, :n_columns] = energy
        rows[0, n_columns:-1] = target.counts @ self._basis
        rows[0, -1] = target.energy
        rows[0] *= target.energy_weight
        weights = np.repeat(target.force_weights, 3)
        rows[1 : 1 + n_forces, :n_columns] = forces * weights[:, None]
        rows[1 : 1 + n_forces, -1] = target.forces.ravel() * weights
        if target.stress is not None:
            for place, (a, b) in enumerate(VOIGT):
                row: Any = rows[1 + n_forces + place]
                row[:n_columns] = (virial[3 * a + b] + virial[3 * b + a]) / (2 * target.volume)
                row[-1] = target.stress[place]
                row *= target.stress_weight
        return rows


def _compressed(parts: Sequence[FloatArray]) -> FloatArray:
    """Return R of the QR factorisation of stacked rows."""
    rows = np.concatenate(parts)
    if not np.isfinite(rows).all():
        raise DataError(
            "a design row or a label is not finite; look for NaN or overlapping atoms in the data"
        )
    triangle: FloatArray = np.asarray(qr(rows, mode="r", overwrite_a=True, check_finite=False)[0])
    return triangle[: rows.shape[1]]
