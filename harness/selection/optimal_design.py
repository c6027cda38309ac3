"""Selection for linear models: D-optimal designs."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates

RIDGE = 1e-6
"""Regularisation of the information matrix, relative to its mean diagonal; it starts the greedy design."""


def d_optimal(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration that most increases det(XᵀX + λ).

    Greedy D-optimal design (Fedorov 1972; as MaxVol it drives active learning of moment tensor
    potentials, Podryabinkin & Shapeev 2017, doi:10.1016/j.commatsci.2017.08.031), O(n k) a pick. Rows of
    given configurations are in X from the start. The generator breaks ties; larger budgets contain
    smaller ones.
    """
    order, begun = candidates.shuffled(rng)
    rows = with_offset(candidates.points())[order]
    return order[grow(rows, begun, n_chosen, ridge_of(rows))]


def grow(rows: FloatArray, begun: IntArray, n_chosen: int, ridge: float) -> IntArray:
    """Pick rows of a D-optimal design one by one, after those in ``begun``; ties go to the first.

    The gain of row x is 1 + xᵀA⁻¹x (matrix determinant lemma); A⁻¹ follows by Sherman-Morrison.

    Parameters
    ----------
    rows
        Shape (n, k).
    begun
        Rows in the design from the start; not among the picked ones.
    n_chosen
        How many to pick, at most what is left.
    ridge
        The information matrix A begins with as much on its diagonal.
    """
    inverse = np.eye(rows.shape[1]) / ridge
    gains = np.square(rows).sum(axis=1) / ridge
    picked = begun.tolist()
    for step in range(len(begun) + n_chosen):
        if step == len(picked):
            picked.append(int(np.argmax(gains)))
        row = rows[picked[step]]
        direction = inverse @ row
        scale = 1.0 + row @ direction
        inverse -= np.outer(direction, direction) / scale
        gains -= np.square(rows @ direction) / scale
        gains[picked[step]] = -np.inf
    return np.array(picked[len(begun) :], dtype=np.int64)


def ridge_of(rows: FloatArray) -> float:
    """Return λ: `RIDGE` of the mean diagonal of the rows' information matrix, per row."""
    return RIDGE * float(np.square(rows).sum()) / rows.size


def with_offset(points: FloatArray) -> FloatArray:
    """Add a column of ones."""
    return np.column_stack([np.ones(len(points)), points])
