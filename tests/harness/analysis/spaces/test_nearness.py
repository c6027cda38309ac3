"""The leakage meter: what is planted is found, and a split that does not leak is left in peace."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.analysis.spaces.leakage import judged
from crossprune.harness.analysis.spaces.nearness import nearness
from crossprune.harness.data.splits import group_split, random_split
from scipy.spatial.distance import cdist


def measured(points, is_tested, groups=(), seed=0):
    return nearness(points, np.asarray(is_tested), list(groups), np.random.default_rng(seed))


def level(found, copies=0.0):
    return judged("test", found, copies, blind=not found.tells)[0]


def split(groups, *, by_group, seed=0):
    parts = (
        group_split(groups, test_fraction=0.2, seed=seed)
        if by_group
        else random_split(len(groups), test_fraction=0.2, seed=seed)
    )
    return np.array(parts) == "test"


def walks(rng, n_runs=15, n_frames=20, k=8):
    """Return frames of random walks from starts of their own, and which walk each is of."""
    starts = 4.0 * rng.normal(size=(n_runs, 1, k))
    points = (starts + 0.3 * np.cumsum(rng.normal(size=(n_runs, n_frames, k)), axis=1)).reshape(-1, k)
    return points, [f"run {one}" for one in range(n_runs) for _ in range(n_frames)]


def test_the_numbers_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    points, is_tested = rng.normal(size=(60, 4)), np.arange(60) % 4 == 0
    groups = [f"{one % 5}" for one in range(60)]
    found = measured(points, is_tested, groups)
    distances = cdist(points, points)
    np.fill_diagonal(distances, np.inf)
    tested, train = (distances[mask][:, ~is_tested].min(axis=1) for mask in (is_tested, ~is_tested))
    assert found.nearer == pytest.approx((tested[:, None] < train[None, :]).mean())
    distances[np.equal.outer(np.array(groups), np.array(groups))] = np.inf
    elsewhere = distances[is_tested][:, ~is_tested].min(axis=1)
    assert found.of_group_split == pytest.approx(np.median(tested) / np.median(elsewhere))
    assert (found.n_tested, found.n_train, found.twins) == (15, 45, 0)


def test_a_random_split_of_trajectories_leaks_and_one_by_groups_does_not():
    points, groups = walks(np.random.default_rng(0))
    random = measured(points, split(groups, by_group=False), groups)
    assert random.of_group_split < 0.4 < random.by_chance
    assert random.redrawn_low < random.nearer < random.redrawn_high, "it is a random draw"
    assert level(random) == "warning"
    by_group = measured(points, split(groups, by_group=True), groups)
    assert by_group.of_group_split == 1.0
    assert by_group.nearer < by_group.redrawn_low
    assert level(by_group) == "note"


def test_groups_that_mean_nothing_are_no_leak():
    rng = np.random.default_rng(1)
    points, groups = rng.normal(size=(200, 6)), [f"{one % 8}" for one in range(200)]
    found = measured(points, split(groups, by_group=False), groups)
    assert found.by_chance <= found.of_group_split <= 1.0
    assert level(found) == "note"


def test_twins_are_counted_and_copies_on_top_of_a_group_split_are_a_leak():
    rng = np.random.default_rng(2)
    points, groups = walks(rng)
    is_tested = split(groups, by_group=True)
    places = rng.permutation(np.flatnonzero(is_tested))[:4]
    points[places] = points[np.flatnonzero(~is_tested)[:4]] + 1e-6 * rng.normal(size=(4, 8))
    found = measured(points, is_tested, groups)
    assert found.twins == 4
    assert level(found) == "warning"
    assert "4 of 60 are as good as in train" in judged("test", found, 0.0, blind=False)[1]


def test_a_part_of_copies_is_nearer_than_a_random_draw():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(150, 5))
    points = np.concatenate([points, points[:40] + 0.05 * rng.normal(size=(40, 5))])
    found = measured(points, np.arange(190) >= 150)
    assert found.nearer > found.redrawn_high
    assert found.twins == 0
    assert np.isnan(found.of_group_split)
    assert level(found) == "warning"


def test_a_space_that_tells_nothing_cannot_say():
    points = np.repeat(np.random.default_rng(0).normal(size=(5, 3)), 20, axis=0)
    found = measured(points, np.arange(100) % 5 == 0)
    assert not found.tells
    assert judged("test", found, float("nan"), blind=True)[0] == "note"
    assert judged("test", found, 2.0, blind=True)[0] == "warning", "copies are copies whatever the space"


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match="0 tested and 5 training"):
        measured(np.eye(5), np.zeros(5, dtype=bool))
    with pytest.raises(ValueError, match="4 tested and 1 training"):
        measured(np.eye(5), np.arange(5) > 0)


@pytest.mark.slow
def test_independent_frames_are_rarely_called_leaky():
    """A random draw of independent frames lies beyond its 95 % as often as that says."""
    rng = np.random.default_rng(0)
    beyond, leaky, n = 0, 0, 100
    for seed in range(n):
        points, groups = rng.normal(size=(100, 1 + seed % 7 * 3 + 1)), [f"{one % 6}" for one in range(100)]
        found = measured(points, split(groups, by_group=False, seed=seed), groups, seed)
        beyond += not found.redrawn_low <= found.nearer <= found.redrawn_high
        leaky += found.of_group_split < found.by_chance
    assert beyond <= 11
    assert leaky <= 8
