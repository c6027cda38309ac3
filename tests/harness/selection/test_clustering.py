"""Selection by clusters against definitions, the authors' picks, and what their order is for."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.selection import direct as directs
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.clustering import kmeans
from crossprune.harness.selection.diagnostics import coverage
from crossprune.harness.selection.direct import direct, weighted_components
from sklearn.cluster import Birch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler


def generator():
    return np.random.default_rng(3)


def space_of(method, candidates):
    """Return the points whose distances the method looks at."""
    return candidates.points() if method is kmeans else weighted_components(candidates.points())


def singles(points):
    return Candidates(points, np.arange(len(points) + 1))


def clustered(seed):
    """Six clusters of 20 to 119 points, every fifth seed in up to 150 dimensions; and how many to pick."""
    rng = np.random.default_rng(seed)
    n_all, k = int(rng.integers(20, 120)), int(rng.integers(2, 150 if seed % 5 == 0 else 12))
    centres = 3 * rng.normal(size=(6, k))
    points = centres[rng.integers(6, size=n_all)] + rng.normal(size=(n_all, k))
    return points, n_all // int(rng.integers(3, 8))


@pytest.mark.parametrize("method", [kmeans, direct])
def test_one_configuration_from_each_well_separated_cluster(method):
    rng = np.random.default_rng(0)
    centres = 40 * rng.normal(size=(6, 3))
    points = np.concatenate([centre + rng.normal(size=(20, 3)) for centre in centres])
    picked = method(Candidates(points, np.arange(121)), 6, generator())
    assert sorted(picked // 20) == list(range(6))
    for index in picked:  # the nearest to the centre of its cluster
        members = points[index // 20 * 20 :][:20]
        distances = np.linalg.norm((members - members.mean(axis=0)) / points.std(axis=0), axis=1)
        if method is kmeans:
            assert np.argmin(distances) == index % 20


@pytest.mark.parametrize("method", [kmeans, direct])
def test_clusters_of_identical_points_are_filled_up(method):
    points = np.repeat([[0.0, 1.0], [5.0, 2.0]], 10, axis=0)
    picked = method(Candidates(points, np.arange(21)), 7, generator())
    assert len(set(picked.tolist())) == 7
    assert set(picked[:2] // 10) == {0, 1}


def naive_direct(components, n):
    """DIRECT step by step, cluster by cluster (Qi 2024, and maml 2025.4.3 where the paper is silent)."""
    threshold = 0.5
    while True:
        tree = Birch(n_clusters=None, threshold=threshold, branching_factor=50).fit(components)
        if len(tree.subcluster_centers_) >= n:
            break
        threshold = threshold * len(tree.subcluster_centers_) / n
    tree.set_params(n_clusters=n).partial_fit()  # the global step alone, on the centres
    picked = []
    for cluster in range(n):
        subclusters = np.flatnonzero(tree.subcluster_labels_ == cluster)
        centre = tree.subcluster_centers_[subclusters[-1]]
        members = [
            index
            for index, point in enumerate(components)
            if np.argmin(np.linalg.norm(tree.subcluster_centers_ - point, axis=1)) in subclusters
        ]
        distances = np.array([np.linalg.norm(components[index] - centre) for index in members])
        picked.append(members[np.flatnonzero(distances <= distances.min() + 1e-9 * np.ptp(components))[0]])
    return picked


@pytest.mark.parametrize("seed", range(50))
def test_direct(seed):
    points, n = clustered(seed)
    candidates = singles(points)
    picked = direct(candidates, n, generator())
    assert sorted(picked) == sorted(naive_direct(weighted_components(candidates.points()), n))


AUTHORS = {
    2: [0, 20, 24, 25, 31, 34, 38, 46, 72, 73, 80, 83, 99, 102],
    30: [16, 17, 18, 22, 24],
    35: [1, 7, 13, 15, 18, 22, 28],
    43: [10, 11, 24, 25, 43, 44, 58, 59, 62, 69],
    60: [5, 9, 13, 15, 17, 23, 26, 28, 29],
    63: [3, 16, 21, 22, 26, 30, 31, 39, 48, 49, 50, 51, 62],
    125: [0, 8, 15, 18, 19, 23, 40, 45, 56],
    127: [0, 9, 16, 25, 38, 42, 45, 51, 55, 64, 68],
    190: [8, 9, 11, 13, 26, 29, 36],
    197: [17, 27, 32, 35, 36, 40, 45, 49, 53, 55, 66, 75, 77, 93, 96, 97],
}
"""What scaler, PCA, BIRCH and selection of maml 2025.4.3 pick (scikit-learn 1.8.0), by seed of `clustered`.

Inputs on which relative noise of 1e-13 changes none of the authors' picks: elsewhere rounding decides which
of two members is nearer to their mean, or which half of a split node comes last.
"""


@pytest.mark.parametrize("seed", AUTHORS)
def test_direct_picks_what_the_authors_code_picks(seed):
    points, n = clustered(seed)
    assert sorted(direct(singles(points), n, generator())) == AUTHORS[seed]


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_components_of_direct_are_the_published_ones(seed):
    points, _ = clustered(seed)
    scaled = StandardScaler().fit_transform(points)
    model = PCA().fit(scaled)
    kept = model.explained_variance_ > 1
    expected = model.transform(scaled)[:, kept] * model.explained_variance_ratio_[kept]
    found = weighted_components(singles(points).points())
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)  # axes have no sign


def test_direct_refuses_to_merge_too_many(monkeypatch):
    monkeypatch.setattr(directs, "MOST_SUBCLUSTERS", 30)
    points = 100 * np.random.default_rng(0).normal(size=(60, 3))
    with pytest.raises(ValueError, match=r"subclusters to merge into 40, at most 30; choose"):
        direct(singles(points), 40, generator())


@pytest.mark.parametrize("method", [kmeans, direct])
def test_the_beginning_of_a_list_covers_better_than_its_largest_clusters(method):
    """Four large clusters in the middle, eight small ones far away: a budget of labels cuts the list."""
    rng = np.random.default_rng(0)
    inner, outer = rng.normal(size=(4, 4)), rng.normal(size=(8, 4))
    outer *= 30 / np.linalg.norm(outer, axis=1)[:, None]
    centres = np.repeat(np.concatenate([4 * inner, outer]), [50] * 4 + [3] * 8, axis=0)
    points = centres + 0.3 * rng.normal(size=centres.shape)
    candidates = singles(points)
    picked = method(candidates, 12, generator())
    scaled = space_of(method, candidates)
    nearest = np.linalg.norm(scaled[:, None] - scaled[picked], axis=2).argmin(axis=1)
    by_size = picked[np.argsort(-np.bincount(nearest, minlength=12), kind="stable")]
    reached, before = (
        np.array([coverage(scaled, one[:n])[0] for n in range(2, 11)]) for one in (picked, by_size)
    )
    assert (reached <= before).all()
    assert reached.mean() < 0.85 * before.mean()


@pytest.mark.parametrize("method", [kmeans, direct])
def test_clusters_come_in_the_order_of_farthest_points(method):
    rng = np.random.default_rng(1)
    centres = 40 * rng.normal(size=(6, 3))
    points = np.concatenate([centre + 1e-6 * rng.normal(size=(20, 3)) for centre in centres])
    scaled = space_of(method, singles(points))
    picked = method(singles(points), 6, generator())
    for step in range(1, 6):
        reached = np.linalg.norm(scaled[picked][:, None] - scaled[picked[:step]], axis=2).min(axis=1)
        assert reached.argmax() == step or np.isclose(reached.max(), reached[step])
    assert np.linalg.norm(scaled[picked], axis=1).argmin() == 0
