"""The verdict on pools whose worth is planted: copies with jitter, noise, trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.analysis.spaces.worth import FEWEST, MOST_BLOCKS, covering_fraction, radii, verdict_on
from scipy.spatial.distance import cdist


def verdict(points, groups=(), seed=0, n_all=0):
    return verdict_on(points, list(groups), np.random.default_rng(seed), n_all)


def repeated(m, r, k, seed, jitter=0.003):
    rng = np.random.default_rng(seed)
    return np.repeat(rng.normal(size=(m, k)), r, axis=0) + jitter * rng.normal(size=(m * r, k))


def trajectory(n, k, time, rng):
    """Return frames whose correlation falls to 1/e within ``time`` frames."""
    kept = np.exp(-1 / time)
    frames = rng.normal(size=(n, k))
    for index in range(1, n):
        frames[index] = kept * frames[index - 1] + np.sqrt(1 - kept**2) * frames[index]
    return frames


@pytest.mark.parametrize(("m", "r", "k"), [(40, 5, 3), (20, 10, 10), (100, 2, 50), (10, 20, 30)])
def test_repeated_points_are_worth_one_of_each(m, r, k):
    found = verdict(repeated(m, r, k, seed=m))
    assert found.pruning == "worth it"
    assert found.keep == pytest.approx(1 / r, rel=0.03)
    assert found.low <= 1 / r * 1.01
    assert found.high >= 1 / r * 0.97
    assert found.effective_size == pytest.approx(m, rel=0.02)
    assert found.remark.startswith(f"worth pruning: to about {100 * found.keep:.0f} %")


@pytest.mark.parametrize(("n", "k"), [(200, 3), (100, 20), (60, 100), (200, 300)])
def test_noise_is_not_worth_pruning(n, k):
    found = verdict(np.random.default_rng(k).normal(size=(n, k)))
    assert found.pruning == "not worth it"
    assert found.keep > 0.93
    assert found.redundancy < 0.15
    assert found.remark.startswith("not worth pruning")


def test_columns_that_are_correlated_are_no_redundancy():
    """Permuting raw columns would make a cloud of forty dimensions of one of four."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 40))
    assert verdict(points).pruning == "not worth it"


def test_neither_units_nor_a_rotation_matter():
    rng = np.random.default_rng(0)
    points = repeated(30, 4, 6, seed=1)
    turned = 1e3 * points @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 5.0
    one, other = verdict(points), verdict(turned)
    assert (one.keep, one.effective_size) == pytest.approx((other.keep, other.effective_size), rel=1e-6)


def test_a_correlated_trajectory_is_worth_pruning_and_an_independent_one_is_not():
    rng = np.random.default_rng(0)
    found = [verdict(trajectory(300, 10, time, rng)) for time in (0.01, 12.0, 40.0)]
    assert [one.pruning for one in found] == ["not worth it", "worth it", "worth it"]
    assert found[2].keep < found[1].keep < 0.75


def test_the_interval_is_over_groups_where_there_are_enough():
    """Ten trajectories of very unequal worth: blocks of single frames would know the mean of these only."""
    wider, groups = [], np.repeat([f"run {one}" for one in range(10)], 30)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        times = np.repeat([5.0, 200.0], 5)
        points = np.concatenate([trajectory(30, 8, time, rng) + 3 * rng.normal(size=8) for time in times])
        over_groups, over_frames = verdict(points, groups), verdict(points)
        assert (over_groups.over, over_frames.over) == ("10 groups", "configurations")
        assert over_groups.keep == over_frames.keep
        width, narrow = (np.log(one.high / one.low) for one in (over_groups, over_frames))
        wider.append(width / narrow)
    assert np.mean(wider) > 1.5
    many = np.repeat([f"run {one}" for one in range(100)], 3)
    assert len(many) / 3 > MOST_BLOCKS
    assert np.isfinite(verdict(points, many).high)


def test_what_cannot_be_known_is_not():
    rng = np.random.default_rng(0)
    line = np.column_stack([rng.normal(size=100), 1e-3 * rng.normal(size=100)])
    for points, why in [
        (rng.normal(size=(FEWEST - 1, 3)), "too few"),
        (line, "one direction"),
        (np.ones((50, 0)), "nothing varies"),
        (np.ones((50, 3)), "one direction"),
    ]:
        found = verdict(points)
        assert found.pruning == "not known"
        assert np.isnan([found.keep, found.low, found.high]).all()
        assert why in found.remark


def test_a_sample_says_so():
    assert "a sample of 5000" in verdict(repeated(30, 4, 6, seed=1), n_all=5000).remark


def test_radii_are_those_of_the_definition():
    points = np.random.default_rng(0).normal(size=(40, 5))
    distances, picked = cdist(points, points), [int(np.argmin(np.square(points).sum(axis=1)))]
    expected = [np.inf]
    while len(picked) < len(points):
        nearest = distances[:, picked].min(axis=1)
        picked.append(int(nearest.argmax()))
        expected.append(nearest.max())
    np.testing.assert_allclose(radii(points), expected, rtol=1e-6)
    middle = expected[20]
    assert covering_fraction(points, middle * 1.001) == 20 / 40
    assert distances[:, picked[:20]].min(axis=1).max() <= middle * 1.001


@pytest.mark.slow
def test_noise_is_called_worth_pruning_in_few_of_many_pools():
    """Of 20 exchangeable pools one is the least by chance; and a tenth must be saved on top of that."""
    rng = np.random.default_rng(0)
    shapes = [(50, 3), (80, 8), (60, 200)]
    found = [verdict(rng.normal(size=shapes[one % 3]), seed=one).pruning for one in range(90)]
    assert found.count("worth it") <= 2


@pytest.mark.slow
def test_the_interval_holds_what_other_pools_of_the_same_kind_need():
    """Twelve trajectories of random lengths of correlation: new ones need what the interval says."""

    def pool(seed):
        rng = np.random.default_rng(seed)
        times = np.exp(rng.normal(2.5, 0.7, size=12))
        return np.concatenate([trajectory(15, 6, time, rng) + 2 * rng.normal(size=6) for time in times])

    groups = np.repeat([str(one) for one in range(12)], 15)
    found = [verdict(pool(seed), groups, seed=seed) for seed in range(60)]
    truth = float(np.mean([one.keep for one in found]))
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert held >= 0.85
    assert np.median([one.high / one.low for one in found]) < 4


def test_one_group_that_is_most_of_a_pool_is_not_left_out():
    """Leaving it out leaves nothing, and NaN is no verdict."""
    rng = np.random.default_rng(0)
    points = np.repeat(rng.normal(size=(30, 4)), 10, axis=0) + 1e-6 * rng.normal(size=(300, 4))
    groups = ["long"] * 260 + [f"short {one % 4}" for one in range(40)]
    for found in (verdict_on(points, groups, rng), verdict_on(points[:21], [], rng)):
        assert np.isfinite([found.low, found.high]).all()
    assert verdict_on(points, groups, rng).pruning == "worth it"


def test_the_order_of_a_file_plays_no_part():
    rng = np.random.default_rng(3)
    points = np.repeat(rng.normal(size=(60, 3)), 2, axis=0) + 0.05 * rng.normal(size=(120, 3))
    groups = [f"group {one // 20}" for one in range(120)]
    found = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(120)
        found.append(verdict_on(points[order], [groups[one] for one in order], np.random.default_rng(0)))
    assert len({(one.keep, one.pruning, round(one.high, 9), one.effective_size) for one in found}) == 1
