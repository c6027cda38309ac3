"""Intervals by resampled configurations: definitions, limits, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from crossprune.harness.evaluation.softening import intervals as module
from crossprune.harness.evaluation.softening.intervals import (
    FEWEST,
    median_interval,
    n_effective,
    pooled_interval,
)
from crossprune.harness.evaluation.softening.slopes import scale
from scipy import stats


def sums_like(Ff, ff):
    """Sums of configurations of which only those of a scale matter."""
    rest = np.ones_like(Ff)
    return np.stack([rest, rest, rest, rest, Ff, ff], axis=-1)


def test_the_same_seed_draws_the_same_and_another_others():
    values = np.random.default_rng(0).normal(1.0, 0.1, 40)
    assert median_interval(values, 500, 0) == median_interval(values, 500, 0)
    assert median_interval(values, 500, 0) != median_interval(values, 500, 1)


def test_draws_in_pieces_are_the_same(monkeypatch):
    values = np.random.default_rng(0).normal(1.0, 0.1, 41)
    sums = sums_like(values, np.ones(41))
    at_once = median_interval(values, 500, 0), pooled_interval(sums, scale, sums[:, 5], 500, 0)
    monkeypatch.setattr(module, "AT_ONCE", 41 * 7)
    assert (median_interval(values, 500, 0), pooled_interval(sums, scale, sums[:, 5], 500, 0)) == at_once


def test_of_many_configurations_they_are_percentiles():
    rng = np.random.default_rng(3)
    ff = rng.uniform(1.0, 2.0, 400)
    Ff = ff * rng.normal(1.1, 0.2, 400)
    sums = sums_like(Ff, ff)

    def ratio(a, b, axis):
        return a.sum(axis=axis) / b.sum(axis=axis)

    known = stats.bootstrap(
        (Ff, ff), ratio, paired=True, vectorized=True, method="percentile", n_resamples=4000, rng=rng
    )
    found = pooled_interval(sums, scale, np.ones(400), 4000, 0)
    ends = (known.confidence_interval.low, known.confidence_interval.high)
    assert found == pytest.approx(ends, abs=3e-3)  # ends are known to a twentieth of the width, 0.04


def test_too_few_have_no_interval():
    values = np.linspace(0.9, 1.1, FEWEST - 1)
    sums = sums_like(values, np.ones(FEWEST - 1))
    assert all(map(math.isnan, median_interval(values, 100, 0)))
    assert all(map(math.isnan, pooled_interval(sums, scale, sums[:, 5], 100, 0)))
    assert 2 * 0.5 ** (FEWEST - 1) > 1 - module.CONFIDENCE >= 2 * 0.5**FEWEST  # all on one side of the median


def test_configurations_of_unequal_weight_count_as_fewer():
    assert n_effective(np.full(9, 0.3)) == pytest.approx(9)
    assert n_effective(np.array([1.0, 0.0, 0.0])) == pytest.approx(1)
    assert n_effective(np.zeros(3)) == 0.0
    rng = np.random.default_rng(1)
    weights = np.where(np.arange(40) < 2, 100.0, 1.0)
    sums = sums_like(weights * rng.normal(1.0, 0.1, 40), weights)
    widths = [np.diff(pooled_interval(sums, scale, one, 1000, 0)) for one in (weights, np.ones(40))]
    assert widths[0] > widths[1]


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 30])
@pytest.mark.parametrize("statistic", ["median", "pooled"])
def test_they_hold_the_truth_about_as_often_as_they_say(n, statistic):
    rng, hits, repeats = np.random.default_rng(n), 0, 400
    for repeat in range(repeats):
        weights = np.exp(rng.normal(0.0, 0.7, n))  # forces of hot and cold configurations
        values = 1.1 + rng.normal(0.0, 0.1, n) * np.exp(rng.normal(0.0, 0.5, n))
        if statistic == "median":
            low, high = median_interval(values, 1000, repeat)
        else:
            low, high = pooled_interval(sums_like(weights * values, weights), scale, weights, 1000, repeat)
        hits += low <= 1.1 <= high
    assert 0.91 < hits / repeats < 0.99  # 0.94 to 0.97 over 800 repeats; here known to 0.011


def test_weights_of_any_size_count_the_same():
    weights = np.array([1.0, 2.0, 3.0])
    assert n_effective(weights) == pytest.approx(36 / 14)
    for size in (1e-200, 1e200):
        assert n_effective(size * weights) == pytest.approx(36 / 14)
    assert n_effective(np.zeros(3)) == 0.0
