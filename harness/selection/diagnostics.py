"""Diagnostics of latent spaces and of what is chosen in them: arrays in, numbers out."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre
from crossprune.harness.selection.farthest import lower_to
from scipy import stats

N_NEIGHBOURS = 10
"""Neighbours compared by `neighbourhood_overlap`: as many as a first shell, roughly."""
EQUAL = 1e-3
"""Distance in standardised units below which two environments are the same one."""


def jaccard(first: IntArray, second: IntArray) -> float:
    """Return |A ∩ B| / |A ∪ B| of two sets of indices."""
    shared = len(np.intersect1d(first, second))
    return shared / (len(np.union1d(first, second)) or 1)


def expected_jaccard(n_all: int, n_first: int, n_second: int) -> float:
    """Return the mean Jaccard overlap of two random sets of these sizes (hypergeometric)."""
    shared = np.arange(max(0, n_first + n_second - n_all), min(n_first, n_second) + 1)
    chances = stats.hypergeom.pmf(shared, n_all, n_first, n_second)
    return float((chances * shared / (n_first + n_second - shared)).sum())


def coverage(points: FloatArray, chosen: IntArray) -> tuple[float, float]:
    """Return the largest and the mean distance from an unchosen environment to the nearest chosen one.

    Parameters
    ----------
    points
        Scaled features of all environments, shape (n, k).
    chosen
        Indices of the chosen environments, not empty.

    Returns
    -------
    tuple[float, float]
        In units of the scaled space; 0 if everything is chosen. Memory is linear.
    """
    rest = np.setdiff1d(np.arange(len(points)), chosen)
    if len(rest) == 0:
        return 0.0, 0.0
    centred = centre(points)
    others, nearest = centred[rest], np.full(len(rest), np.inf)
    squares = np.einsum("ij,ij->i", others, others)
    for first in range(0, len(chosen), 1024):
        lower_to(nearest, others, squares, centred[chosen[first : first + 1024]])
    distances = np.sqrt(nearest)
    return float(distances.max()), float(distances.mean())


def two_nn(points: FloatArray) -> float:
    """Estimate the intrinsic dimension from the ratio μ of the two nearest distances.

    TwoNN (Facco 2017, doi:10.1038/s41598-017-11873-y): the slope through 0 of −log(1 − F(μ)) on log μ
    over the smaller 90 % of the ratios. Points equal to `EQUAL` are counted once, because atoms equal
    by symmetry differ by rounding. NaN for fewer than 10 distinct points.

    Parameters
    ----------
    points
        Scaled features, shape (n, k).
    """
    from sklearn.neighbors import NearestNeighbors

    _, first = np.unique(np.round(points / EQUAL), axis=0, return_index=True)
    distinct = points[np.sort(first)]
    if len(distinct) < 10 or distinct.shape[1] == 0:
        return float("nan")
    distances, _ = NearestNeighbors(n_neighbors=3).fit(distinct).kneighbors(distinct)
    apart = distances[:, 1] > EQUAL  # rounding can cut between equal points
    ratios = np.sort(np.log(distances[apart, 2] / distances[apart, 1]))
    kept = ratios[: int(0.9 * len(ratios))]
    cumulative = -np.log1p(-np.arange(1, len(kept) + 1) / len(ratios))
    return float(kept @ cumulative / (kept @ kept))


def linear_cka(first: FloatArray, second: FloatArray) -> float:
    """Return the linear centred kernel alignment of two descriptions of the same environments.

    |YᵀX|² / (|XᵀX| |YᵀY|), Frobenius norms of centred features (Kornblith 2019, arXiv 1905.00414,
    eq. 3): 1 for the same up to rotation and scale, 0 for unrelated ones. O(n k²).
    """
    x, y = centre(first), centre(second)
    cross = np.square(np.linalg.norm(y.T @ x))
    return float(cross / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def neighbourhood_overlap(
    first: FloatArray, second: FloatArray, n_neighbours: int = N_NEIGHBOURS
) -> tuple[float, float]:
    """Return the mean share of nearest neighbours that two descriptions have in common, and chance.

    Doimo 2020 (arXiv 2007.03506). Chance is n_neighbours / (n − 1).
    """
    found = [_neighbours(points, n_neighbours) for points in (first, second)]
    shared = [len(np.intersect1d(a, b)) for a, b in zip(*found, strict=True)]
    return float(np.mean(shared)) / n_neighbours, n_neighbours / (len(first) - 1)


def _neighbours(points: FloatArray, n_neighbours: int) -> IntArray:
    """Return the indices of each point's nearest others, shape (n, n_neighbours)."""
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=n_neighbours).fit(points)
    return np.asarray(model.kneighbors(return_distance=False), dtype=np.int64)


def reconstruction_error(source: FloatArray, target: FloatArray, rng: np.random.Generator) -> float:
    """Return how much of ``target`` a linear map of ``source`` misses, 0 (nothing) to 1.

    Global feature reconstruction error (Goscinski 2021, doi:10.1088/2632-2153/abdaf7; scikit-matter):
    a ridge map fitted on half of the environments, its error on the other half.
    """
    from skmatter.metrics import global_reconstruction_error

    order = rng.permutation(len(source))
    train, test = np.array_split(order, 2)
    return float(global_reconstruction_error(source, target, train_idx=train, test_idx=test))
