"""Selection by a determinantal point process: the most probable set, found greedily."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.optimal_design import RIDGE
from scipy.spatial.distance import pdist

N_PROBES = 500
"""Configurations whose distances set the bandwidth: 125,000 pairs."""
MOST_VALUES = 1 << 27
"""Values of the Cholesky factor held at once, 1 GB: one for each pair of a candidate and a picked one."""


def dpp(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration that most increases det(K + λ) of the picked ones.

    Greedy maximum of a determinantal point process (Chen 2018, arXiv 1709.05135, algorithm 1) with a fixed
    number of picks. K is Gaussian, of the median distance between configurations as bandwidth; λ = 10⁻⁶
    keeps copies apart from rounding. A linear kernel would be `d_optimal` without offset. Given ones count
    as picked before; the generator shuffles the configurations: it decides the first pick, and draws
    those that the bandwidth is found from. O(n m (k + m)), memory n m; larger budgets contain smaller ones.

    Raises
    ------
    ValueError
        If n m is more than `MOST_VALUES`.
    """
    order, begun = candidates.shuffled(rng)
    points = candidates.points()[order]
    n_all = len(begun) + n_chosen
    if len(points) * n_all > MOST_VALUES:
        raise ValueError(
            f"dpp: {n_all} of {len(points)} configurations need {len(points) * n_all:.1e} values, at most "
            f"{MOST_VALUES:.1e}; choose fewer, or by 'd_optimal'"
        )
    bandwidth = median_distance(points[:N_PROBES])
    squares = np.einsum("ij,ij->i", points, points)
    gains = np.full(len(points), 1.0 + RIDGE)
    factor = np.empty((n_all, len(points)))  # of Cholesky, one row per pick
    picked = begun.tolist()
    for step in range(n_all):
        if step == len(picked):
            picked.append(int(np.argmax(gains)))
        best = picked[step]
        distances = np.maximum(squares + squares[best] - 2.0 * (points @ points[best]), 0.0)
        row = np.exp(-0.5 / bandwidth**2 * distances)
        row -= factor[:step, best] @ factor[:step]
        factor[step] = row / np.sqrt(gains[best])
        gains -= np.square(factor[step])
        gains[best] = -np.inf
    chosen: IntArray = order[picked[len(begun) :]]
    return chosen


def median_distance(points: FloatArray) -> float:
    """Return the median distance between pairs of distinct points; 1 where there are none."""
    distances = pdist(points)
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 1.0
