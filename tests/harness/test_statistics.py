from __future__ import annotations

import itertools

import numpy as np
import pytest
from crossprune.harness import statistics
from crossprune.harness.statistics import effect, friedman, holm, seed_means, seeds_needed, sign_flip
from scipy import stats


def rng():
    return np.random.default_rng(0)


def test_seed_means_average_settings_within_a_seed():
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(seed_means(values), values.mean(axis=0))


def test_a_lost_pair_does_not_shift_its_seed():
    values = np.add.outer([0.0, 5.0], [-1.0, 0.0, 1.0])
    values[1, 2] = np.nan  # the setting with the large ratio is missing for the last seed
    assert np.ptp(seed_means(values)) < 2.1


def test_one_data_set_gives_students_interval():
    unit = np.array([0.1, 0.2, 0.35, 0.15])
    found = effect([unit], rng())
    expected = stats.t.interval(0.95, 3, loc=unit.mean(), scale=stats.sem(unit))
    np.testing.assert_allclose(np.log([found.low, found.high]), expected, atol=1e-3)
    assert found.ratio == pytest.approx(np.exp(0.2))
    assert np.isnan(found.low_anywhere)


def test_seeds_that_repeat_each_other_decide_nothing():
    assert np.isnan(effect([np.array([0.3, 0.3, 0.3])], rng()).low)
    assert np.isnan(effect([np.array([0.3])], rng()).low)


def test_test_configurations_widen_the_interval():
    unit = [np.array([0.1, 0.12, 0.11])]
    noise = [rng().normal(0.0, 0.2, statistics.N_RESAMPLES)]
    alone, both = effect(unit, rng()), effect(unit, rng(), noise)
    assert both.low < alone.low < alone.high < both.high
    assert np.log(both.high / both.low) == pytest.approx(2 * 1.96 * 0.2, rel=0.1)


def test_other_data_sets_need_three():
    units = [np.array([0.1, 0.11]) + shift for shift in (0.0, 0.1, -0.1)]
    found = effect(units, rng())
    assert found.low_anywhere < found.low
    means = [unit.mean() for unit in units]
    expected = stats.t.interval(0.95, 2, loc=np.mean(means), scale=stats.sem(means))
    np.testing.assert_allclose(np.log([found.low_anywhere, found.high_anywhere]), expected)


def test_sign_flip_equals_enumeration():
    values = rng().normal(0.3, 1.0, 7)
    reached = [
        abs(np.dot(s, values)) >= abs(values.sum()) - 1e-12 for s in itertools.product((1, -1), repeat=7)
    ]
    assert sign_flip(values, rng()) == pytest.approx((np.mean(reached), 2 / 2**7))


def test_many_units_are_flipped_at_random():
    values = rng().normal(0.0, 1.0, 30)
    p, smallest = sign_flip(values, rng())
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.03)
    assert smallest < 1e-3


def test_holm_by_hand():
    corrected = holm(np.array([0.01, 0.04, np.nan, 0.03]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, np.nan, 0.06])


def test_friedman_ranks_by_hand():
    errors = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [0.5, 0.7, 0.9], [4.0, 5.0, 6.0]])
    found = friedman(errors)
    np.testing.assert_allclose(found.ranks, [1.0, 2.25, 2.75])
    assert found.p == pytest.approx(stats.friedmanchisquare(*errors.T).pvalue)
    assert found.critical_difference == pytest.approx(
        2.343 * np.sqrt(3 * 4 / (6 * 4)), rel=1e-3
    )  # Demšar, table 5


def power_of(n, deviation):
    units = rng().normal(np.log(0.9), deviation, size=(4000, n))
    return (stats.ttest_1samp(units, 0, axis=1).pvalue < 0.05).mean()


def test_seeds_needed_are_the_fewest_with_the_power_they_promise():
    n = seeds_needed(0.15, np.log(0.9))
    assert power_of(n, 0.15) > 0.78 > power_of(n - 2, 0.15)
    assert seeds_needed(0.15, np.log(0.95)) > 3 * n
    assert seeds_needed(0.15, np.log(0.9), n_data_sets=4) < n / 2
    assert seeds_needed(0.0, np.log(0.9)) == 2


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize("n_data_sets", [1, 2, 4])
def test_intervals_cover_what_they_claim(n_seeds, n_data_sets):
    source = np.random.default_rng(n_seeds * 10 + n_data_sets)
    scales = [0.05, 0.2, 0.1, 0.02][:n_data_sets]
    missed = 0
    for _ in range(400):
        found = effect([source.normal(0.0, scale, n_seeds) for scale in scales], source)
        missed += not found.low <= 1 <= found.high
    assert missed / 400 < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 400)
