from __future__ import annotations

import itertools

import numpy as np
import pytest
from crossprune.harness.analysis.outcomes.survival import restricted_mean, survival, survivors, wilson
from scipy import stats
from scipy.optimize import brentq


def by_definition(times, failed, at):
    """Multiply, over the times of failure, the share of the runs still followed that does not fail."""
    share = 1.0
    for moment in sorted({time for time, one in zip(times, failed, strict=True) if one and time <= at}):
        followed = sum(time >= moment for time in times)
        lost = sum(one and time == moment for time, one in zip(times, failed, strict=True))
        share *= 1 - lost / followed
    return share


@pytest.mark.parametrize("times", [(0.2, 0.2, 0.5, 1.0), (0.1, 0.3, 0.3, 0.7), (1.0, 1.0, 0.4, 0.4)])
def test_share_and_mean_are_the_definition_on_every_small_sample(times):
    for failed in itertools.product([False, True], repeat=4):
        arrays = np.array(times), np.array(failed)
        for at in (0.1, 0.2, 0.35, 0.7, 1.0):
            assert survivors(*arrays, at) == pytest.approx(by_definition(times, failed, at), abs=1e-12)
        fine = (np.arange(2000) + 0.5) / 2000
        area = np.mean([by_definition(times, failed, at) for at in fine])
        assert restricted_mean(*arrays, 1.0) == pytest.approx(area, abs=1e-9)


def one(times, failed, models=None, length=1.0):
    models = np.arange(len(times)) if models is None else np.array(models)
    return survival(np.array(times), np.array(failed, dtype=bool), models, length)


def test_a_run_that_its_budget_cut_is_no_survivor():
    found = one([0.04], [False], length=10.0)
    assert np.isnan([found.share, found.share_low, found.share_high]).all()
    assert (found.mean_ps, found.followed_ps, found.n_cut) == (0.04, 0.04, 1)


def test_a_run_that_was_cut_before_its_first_step_says_nothing():
    found = one([0.0], [False])
    assert np.isnan([found.share, found.mean_ps, found.mean_low_ps]).all()
    assert (found.followed_ps, found.n_cut) == (0.0, 1)


def test_cut_runs_count_as_long_as_they_were_followed():
    found = one([0.5, 0.2, 1.0, 1.0], [True, False, False, False])
    assert found.share == pytest.approx(2 / 3)  # one of the three that were followed to 0.5 failed there
    assert found.mean_ps == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert (found.n_runs, found.n_failed, found.n_cut, found.followed_ps) == (4, 1, 1, 1.0)


def test_whole_runs_of_different_models_have_wilsons_interval():
    found = one([1.0] * 7 + [0.5] * 3, [False] * 7 + [True] * 3)
    assert (found.share_low, found.share_high) == pytest.approx(wilson(7 / 10, 10), abs=1e-9)
    found = one([1.0] * 3, [False] * 3)
    assert (found.share_low, found.share_high) == pytest.approx(wilson(3 / 3, 3), abs=1e-9)
    assert (found.mean_low_ps, found.mean_high_ps) == pytest.approx(wilson(3 / 3, 3), abs=1e-9)


def test_repeats_of_one_model_are_no_models():
    times, failed = [1.0] * 6 + [0.5] * 3, [False] * 6 + [True] * 3
    alike = one(
        times, failed, np.repeat([0, 1, 2], 3)
    )  # two models whose runs survive, one that always fails
    mixed = one(times, failed, np.tile([0, 1, 2], 3))
    assert alike.share == mixed.share
    assert alike.share_low < mixed.share_low - 0.1
    assert alike.mean_low_ps < mixed.mean_low_ps
    assert alike.n_models == 3


def test_runs_of_one_model_stand_for_themselves():
    times, failed = [1.0, 1.0, 0.4], [False, False, True]
    alone, each = one(times, failed, [5, 5, 5]), one(times, failed)
    assert alone.n_models == 1
    assert (alone.share_low, alone.mean_low_ps) == (each.share_low, each.mean_low_ps)


def test_models_that_all_fail_alike_have_no_point_for_an_interval():
    found = one([0.3, 0.3], [True, True])
    assert (found.share, found.mean_ps) == (0.0, 0.3)
    assert found.mean_low_ps < 0.3 < found.mean_high_ps
    assert found.share_high == pytest.approx(wilson(0 / 2, 2)[1])


SCATTER = 1.0
"""Standard deviation over models of the log rate of failure."""


def mean_of(log_rate):
    rates = np.exp(log_rate + SCATTER * np.random.default_rng(0).normal(size=20000))
    return float(np.mean((1 - np.exp(-rates)) / rates))


def coverage(n_studies, n_models, mean, n_velocities=3):
    """Return how often the interval of the mean covers it: models that differ, a fifth of the runs cut."""
    log_rate = brentq(lambda one: mean_of(one) - mean, -8, 8)
    covered = []
    for study in range(n_studies):
        source = np.random.default_rng([study, n_models])
        models = np.repeat(np.arange(n_models), n_velocities)
        rates = np.exp(log_rate + SCATTER * source.normal(size=n_models))[models]
        times = source.exponential(size=len(models)) / rates
        cuts = np.where(source.uniform(size=len(models)) < 0.2, source.uniform(size=len(models)), 1.0)
        found = survival(np.minimum(times, cuts), times < cuts, models, 1.0)
        covered.append(found.mean_low_ps <= mean <= found.mean_high_ps)
    return float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize("n_models", [3, 5, 10])
def test_intervals_of_the_mean_cover_it(n_models):
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200) < coverage(200, n_models, 0.5)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("n_models", [3, 5, 10])
def test_intervals_of_the_mean_cover_it_to_a_per_cent(n_models):
    found = coverage(2000, n_models, 0.5)
    print(n_models, found)
    assert 0.93 < found < 0.98


def test_survival_interval_is_wilsons():
    # Wilson 1927, doi:10.2307/2276774; Newcombe 1998 table I: 81 of 263 gives 0.2553-0.3662
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = wilson(3 / 3, 3)
    assert low == pytest.approx(0.4385, abs=1e-4)
    assert high == 1.0
    low, high = stats.binomtest(7, 10).proportion_ci(method="wilson")
    assert wilson(0.7, 10) == pytest.approx((low, high))
