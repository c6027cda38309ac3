"""Choice of sparse points: the environments that the chosen ones so far predict worst."""

from __future__ import annotations

import numpy as np
from crossprune.adapters.gap.environments import similarity
from crossprune.harness.contract import FloatArray, IntArray


def pivots(points: FloatArray, count: int, *, zeta: float, tolerance: float) -> IntArray:
    """Choose up to ``count`` points by pivoted Cholesky factorisation of their SOAP kernel.

    Each next point is the one of largest variance given those before it; the first is the one least
    like the mean. Foster et al. 2009, J. Mach. Learn. Res. 10, 857, section 4 (no DOI). Nothing is
    random, and nothing but ``points`` matters.

    Parameters
    ----------
    points
        SOAP vectors of unit length, shape (n_points, n_features).
    count
        How many to choose at most.
    zeta
        Power of the kernel.
    tolerance
        A point whose variance, relative to δ², is not above this adds nothing: duplicates are left out.

    Returns
    -------
    IntArray
        Indices in the order of choice, shape (at most count,).
    """
    count = min(count, len(points))
    variance = np.ones(len(points))
    factor = np.empty((count, len(points)))
    chosen: list[int] = []
    pick = int(np.argmin(points @ points.mean(axis=0)))
    while len(chosen) < count and variance[pick] > tolerance:
        n = len(chosen)
        column = similarity(points, points[pick]) ** zeta - factor[:n, pick] @ factor[:n]
        factor[n] = column / np.sqrt(variance[pick])
        variance -= factor[n] ** 2
        chosen.append(pick)
        variance[chosen] = 0.0
        pick = int(np.argmax(variance))
    return np.array(chosen, dtype=np.int64)


__all__ = ["pivots"]
