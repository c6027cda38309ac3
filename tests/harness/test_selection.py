from __future__ import annotations

import itertools

import numpy as np
import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.selection import METHODS, budget, farthest_point, pool_mean, standardise
from hypothesis import given, settings
from hypothesis import strategies as st


def sample(n_configurations=25, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, n_configurations)
    return rng.normal(size=(lengths.sum(), n_features)), np.concatenate([[0], np.cumsum(lengths)])


def brute_force_fps(points, start, n_chosen):
    chosen = [start]
    while len(chosen) < n_chosen:
        distances = [min(np.sum((point - points[j]) ** 2) for j in chosen) for point in points]
        chosen.append(int(np.argmax(distances)))
    return chosen


def test_farthest_point_equals_its_definition():
    features, offsets = sample()
    points = standardise(pool_mean(features, offsets))
    picked = farthest_point(features, offsets, 9, np.random.default_rng(3))
    start = np.random.default_rng(3).permutation(len(points))[0]
    assert picked.tolist() == brute_force_fps(points, start, 9)


def test_pooling_averages_the_atoms_of_each_configuration():
    features, offsets = sample()
    expected = [features[a:b].mean(axis=0) for a, b in itertools.pairwise(offsets)]
    np.testing.assert_allclose(pool_mean(features, offsets), expected, rtol=1e-13)


def test_standardise_drops_constant_columns():
    points = np.column_stack([np.full(5, 3.3), np.arange(5.0)])
    scaled = standardise(points)
    assert scaled.shape == (5, 1)
    assert scaled.std() == pytest.approx(1.0)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 25), seed=st.integers(0, 5))
def test_every_method_returns_distinct_indices_and_nested_sets(method, n, seed):
    features, offsets = sample()
    picked = METHODS[method](features, offsets, n, np.random.default_rng(seed))
    assert len(set(picked.tolist())) == n
    assert picked.min() >= 0
    assert picked.max() < 25
    smaller = METHODS[method](features, offsets, max(1, n - 3), np.random.default_rng(seed))
    assert set(smaller.tolist()) <= set(picked.tolist())


def test_identical_configurations_are_chosen_by_seed():
    offsets = np.arange(9)
    picks = {tuple(farthest_point(np.ones((8, 2)), offsets, 2, np.random.default_rng(s))) for s in range(6)}
    assert len(picks) > 1


@pytest.mark.parametrize(("fraction", "expected"), [(0.05, 10), (0.001, 1), (0.5, 97), (1.0, 194)])
def test_budget_rounds_to_nearest_and_keeps_one(fraction, expected):
    assert budget(fraction, 194) == expected


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_fractions_outside_the_range_are_refused(fraction):
    with pytest.raises(StudyError, match=r"is not in \(0, 1\]"):
        budget(fraction, 10)
