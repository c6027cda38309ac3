"""DIRECT sampling: principal components, BIRCH, and the configuration nearest to each cluster's centre."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.clustering import filled, nearest_members, spread

THRESHOLD = 0.5
"""First radius of a BIRCH subcluster, as published (in weighted principal components)."""
BRANCHING = 50
"""Subclusters in each node of the tree, as published."""
MOST_SUBCLUSTERS = 20_000
"""More are not merged: the distances between so many take 1.6 GB."""


def direct(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Select as DIRECT does (Qi 2024, doi:10.1038/s41524-024-01227-4; maml's DIRECTSampler).

    `weighted_components`; BIRCH in the order of the data, its radius lowered until there are enough
    subclusters; their centres, each counted once, merged into ``n_chosen`` clusters by Ward's
    agglomeration; from each the member nearest to its centre, the first of equally near ones. As in the
    authors' code, the centre of a cluster is that of the last of its subclusters. Clusters come in the
    order of `spread`; the generator fills up clusters without members. Not nested.

    Raises
    ------
    ValueError
        If there are more than `MOST_SUBCLUSTERS` subclusters to merge: memory goes with their square.
    """
    points = candidates.points()
    components = weighted_components(points)
    order = rng.permutation(len(points))
    if components.shape[1] == 0 or n_chosen >= len(components):
        return order[:n_chosen].astype(np.int64)
    centres, labels = _clusters(components, n_chosen)
    nearest = nearest_members(components, labels, centres)
    return filled(nearest[spread(centres, components)], n_chosen, order)


def weighted_components(points: FloatArray) -> FloatArray:
    """Project on principal axes above the mean variance, weighted by explained variance, shape (n, m).

    Kaiser's rule as published: n - 1 in the variances of axes and n in those of columns, which are 1
    where features are standardised.
    """
    from sklearn.decomposition import PCA

    if points.shape[1] == 0 or len(points) < 2:
        return points[:, :0]
    model = PCA().fit(points)
    kept = model.explained_variance_ > np.square(centre(points)).mean()
    weighted: FloatArray = model.transform(points)[:, kept] * model.explained_variance_ratio_[kept]
    return weighted


def _clusters(points: FloatArray, n_clusters: int) -> tuple[FloatArray, IntArray]:
    """Return a centre for each cluster that has members, and the cluster of each point, without gaps."""
    from sklearn.cluster import AgglomerativeClustering

    n_clusters = min(n_clusters, len(np.unique(points, axis=0)))
    subclusters, members = _subclusters(points, n_clusters)
    if len(subclusters) > MOST_SUBCLUSTERS:
        raise ValueError(
            f"direct: {len(subclusters)} subclusters to merge into {n_clusters}, at most {MOST_SUBCLUSTERS}; "
            "choose from fewer configurations, or by 'kmeans'"
        )
    merged = np.arange(len(subclusters))
    if len(subclusters) > n_clusters:
        merged = AgglomerativeClustering(n_clusters).fit_predict(subclusters)
    last = np.empty(int(merged.max()) + 1, dtype=np.int64)
    last[merged] = np.arange(len(merged))  # of equal labels the last is kept
    names, labels = np.unique(merged[members], return_inverse=True)
    return subclusters[last[names]], labels.astype(np.int64)


def _subclusters(points: FloatArray, n_clusters: int) -> tuple[FloatArray, IntArray]:
    """Lower the radius in proportion to what is missing; return centres and the nearest of each point."""
    from sklearn.cluster import Birch

    threshold = THRESHOLD
    while True:
        tree = Birch(threshold=threshold, branching_factor=BRANCHING, n_clusters=None).fit(points)
        centres = np.asarray(tree.subcluster_centers_, dtype=np.float64)
        if len(centres) >= n_clusters or threshold < 1e-12:
            return centres, np.asarray(tree.labels_, dtype=np.int64)
        threshold *= len(centres) / n_clusters
