"""Selection by clusters: one configuration from each of as many k-means clusters as are asked for."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import greedy_farthest


def kmeans(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Cut the points into ``n_chosen`` clusters and take the configuration nearest to each centre.

    Lloyd's algorithm from one k-means++ start (scikit-learn); O(n n_chosen k) a sweep. The generator
    gives the start and breaks ties; clusters come in the order of `spread`. Budgets are *not* nested:
    every budget is a design of its own.
    """
    points = candidates.points()
    if points.shape[1] == 0 or n_chosen >= len(points):
        return rng.permutation(len(points))[:n_chosen].astype(np.int64)
    labels = kmeans_labels(points, n_chosen, rng)
    centres = centroids(points, labels)
    order = rng.permutation(len(points))  # ties go by seed
    nearest = order[nearest_members(points[order], labels[order], centres)]
    return filled(nearest[spread(centres, points)], n_chosen, order)


def kmeans_labels(points: FloatArray, n_clusters: int, rng: np.random.Generator) -> IntArray:
    """Number each point's k-means cluster, without gaps, shape (n,).

    Identical points can leave clusters empty, so there may be fewer than ``n_clusters``.
    """
    from sklearn.cluster import KMeans

    n_clusters = min(n_clusters, len(np.unique(points, axis=0)))
    model = KMeans(n_clusters, n_init=1, random_state=int(rng.integers(2**31))).fit(points)
    return np.asarray(np.unique(model.labels_, return_inverse=True)[1], dtype=np.int64)


def centroids(points: FloatArray, labels: IntArray) -> FloatArray:
    """Average the points of each cluster; shape (n_clusters, k)."""
    counts = np.bincount(labels)
    centres = np.zeros((len(counts), points.shape[1]))
    np.add.at(centres, labels, points)
    return centres / counts[:, None]


def nearest_members(points: FloatArray, labels: IntArray, centres: FloatArray) -> IntArray:
    """Return the member nearest to the centre of its cluster, shape (n_clusters,); ties go to the first.

    Distances equal to 10⁻⁹ of the largest are ties: two members are equally far from their mean.
    """
    distances = np.linalg.norm(points - centres[labels], axis=1)
    distances = np.round(distances / (distances.max() or 1.0), 9)
    ranked = np.lexsort((distances, labels))
    return ranked[np.searchsorted(labels[ranked], np.arange(len(centres)))]


def spread(centres: FloatArray, points: FloatArray) -> IntArray:
    """Order clusters so that the first few cover the space, shape (n_clusters,).

    The one nearest to the mean of all points first, then always the centre farthest from those before:
    where a budget of labels cuts the list, it does not cut off what is rare.
    """
    mean = points.mean(axis=0)
    start = np.argmin(np.square(centres - mean).sum(axis=1), keepdims=True)
    return greedy_farthest(centres - mean, start, len(centres))


def filled(picked: IntArray, n_chosen: int, order: IntArray) -> IntArray:
    """Fill up from ``order`` where there are fewer clusters than configurations to choose."""
    rest = order[~np.isin(order, picked)]
    return np.concatenate([picked, rest])[:n_chosen].astype(np.int64)
