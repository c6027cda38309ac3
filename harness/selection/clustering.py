"""Selection by clusters: one configuration from each, by k-means or BIRCH."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre
from crossprune.harness.selection.candidates import Candidates

THRESHOLD = 0.5
"""First radius of a BIRCH subcluster, as DIRECT publishes it (in weighted principal components)."""
SHRINK = 0.7
"""Factor on that radius while there are too few subclusters."""


def kmeans(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Cut the points into ``n_chosen`` clusters and take the configuration nearest to each centre.

    Lloyd's algorithm from one k-means++ start (scikit-learn); O(n n_chosen k) a sweep. The generator
    gives the start. Budgets are *not* nested: every budget is a design of its own.
    """
    points = candidates.points()
    if points.shape[1] == 0 or n_chosen >= len(points):
        return rng.permutation(len(points))[:n_chosen].astype(np.int64)
    return _representatives(points, _labels(points, n_chosen, rng, None), n_chosen, rng)


def birch(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Select as DIRECT does (Qi 2024, doi:10.1038/s41524-024-01227-4), with linear memory.

    Principal components with more than the mean variance (1 for standardised features), each
    weighted by its explained variance; BIRCH, its radius shrunk until there are ``n_chosen``
    subclusters; the configuration nearest to each cluster's centre. Surplus subclusters are merged by
    k-means, weighted by their members: the published agglomeration needs memory ∝ their number
    squared. Not nested.
    """
    points = candidates.points()
    components = weighted_components(points)
    if components.shape[1] == 0 or n_chosen >= len(components):
        return rng.permutation(len(points))[:n_chosen].astype(np.int64)
    centres, labels = _subclusters(components, n_chosen)
    weights = np.bincount(labels, minlength=len(centres)).astype(np.float64)
    if len(centres) > n_chosen:
        labels = _labels(centres, n_chosen, rng, weights)[labels]
    return _representatives(components, labels, n_chosen, rng)


def weighted_components(points: FloatArray) -> FloatArray:
    """Project on the principal axes above the mean variance and weight by explained variance."""
    centred = centre(points)
    if centred.shape[1] == 0:
        return centred
    values, axes = np.linalg.eigh(centred.T @ centred / max(1, len(centred) - 1))
    kept = values > values.mean() * (1 - 1e-9)  # equal variances all count
    projected: FloatArray = centred @ axes[:, kept] * (values[kept] / values.sum())
    return projected


def _subclusters(points: FloatArray, n_chosen: int) -> tuple[FloatArray, IntArray]:
    """Shrink the radius until there are enough subclusters; return their centres and members."""
    from sklearn.cluster import Birch

    n_chosen = min(n_chosen, len(np.unique(points, axis=0)))
    threshold = THRESHOLD
    while True:
        tree = Birch(threshold=threshold, n_clusters=None).fit(points)
        centres = np.asarray(tree.subcluster_centers_, dtype=np.float64)
        if len(centres) >= n_chosen or threshold < 1e-12:
            return centres, np.asarray(tree.labels_, dtype=np.int64)
        threshold *= SHRINK


def _labels(
    points: FloatArray, n_chosen: int, rng: np.random.Generator, weights: FloatArray | None
) -> IntArray:
    """Cluster by k-means; identical points can leave clusters empty, so there may be fewer."""
    from sklearn.cluster import KMeans

    n_clusters = min(n_chosen, len(np.unique(points, axis=0)))
    model = KMeans(n_clusters, n_init=1, random_state=int(rng.integers(2**31)))
    return np.asarray(model.fit(points, sample_weight=weights).labels_, dtype=np.int64)


def _representatives(
    points: FloatArray, labels: IntArray, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Take the member nearest to each cluster's centre, large clusters first; fill up at random."""
    order = rng.permutation(len(points))  # ties go by seed
    names, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    centres = np.zeros((len(names), points.shape[1]))
    np.add.at(centres, members, points)
    distances = np.square(points - (centres / counts[:, None])[members]).sum(axis=1)
    distances = np.round(distances / (distances.max() or 1.0), 9)  # two members are equally near: a tie
    ranked = order[np.lexsort((distances[order], members[order]))]
    nearest = ranked[np.concatenate([[0], np.cumsum(counts)[:-1]])]
    picked = nearest[np.argsort(-counts, kind="stable")]
    rest = order[~np.isin(order, picked)]
    return np.concatenate([picked, rest])[:n_chosen].astype(np.int64)
