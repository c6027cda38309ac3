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
    potentials, Podryabinkin & Shapeev 2017, doi:10.1016/j.commatsci.2017.08.031). The gain of row x
    is 1 + xᵀA⁻¹x (matrix determinant lemma); A⁻¹ follows by Sherman-Morrison, O(n k) a pick. The
    generator breaks ties; larger budgets contain smaller ones.
    """
    order = rng.permutation(candidates.n_configurations)
    rows = with_offset(candidates.points())[order]
    ridge = RIDGE * float(np.square(rows).sum()) / (len(rows) * rows.shape[1])
    inverse = np.eye(rows.shape[1]) / ridge
    gains = np.square(rows).sum(axis=1) / ridge
    picked: list[int] = []
    for _ in range(n_chosen):
        best = int(np.argmax(gains))
        picked.append(best)
        direction = inverse @ rows[best]
        scale = 1.0 + rows[best] @ direction
        inverse -= np.outer(direction, direction) / scale
        gains -= np.square(rows @ direction) / scale
        gains[best] = -np.inf
    return order[picked]


def with_offset(points: FloatArray) -> FloatArray:
    """Add a column of ones."""
    return np.column_stack([np.ones(len(points)), points])
