"""Selection by statistical leverage: rows of CUR."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre, principal_axes
from crossprune.harness.selection.candidates import Candidates


def leverage(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Draw configurations without replacement with probability ∝ leverage, as CUR does with rows.

    One exponential key per configuration gives the whole order (Efraimidis & Spirakis 2006,
    doi:10.1016/j.ipl.2005.11.003), so larger budgets contain smaller ones. Cost O(n k²).
    """
    scores = leverage_scores(candidates.points())
    keys = rng.exponential(size=len(scores)) / np.maximum(scores, np.finfo(np.float64).tiny)
    return np.argsort(keys, kind="stable")[:n_chosen].astype(np.int64)


def leverage_scores(points: FloatArray) -> FloatArray:
    """Return each row's squared length in the space of the leading left singular vectors, shape (n,).

    Mahoney & Drineas 2009, doi:10.1073/pnas.0803205106, eq. 3, times the rank: of the centred points, on the
    principal axes with more than the mean variance of all axes that vary. On every axis the scores of
    fewer points than columns are all 1, and say nothing. 1/n is that of the offset of a linear model;
    the scores add up to the number of axes and 1.
    """
    centred = centre(points)
    variances, axes = principal_axes(centred)
    kept = variances >= (1 - 1e-9) * variances.sum() / max(1, len(variances))  # equal ones all count
    left = centred @ (axes[:, kept] / np.sqrt(variances[kept] * len(points)))
    scores: FloatArray = np.square(left).sum(axis=1) + 1.0 / len(points)
    return scores
