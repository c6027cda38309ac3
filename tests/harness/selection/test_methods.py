from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.axes import SCALINGS, scaling_of
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import METHODS, budget, choose, stratified
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

NESTED = [name for name, method in METHODS.items() if method.nested]


def sample(n_configurations=25, n_features=4, seed=0, **changes):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, n_configurations)
    return Candidates(
        features=rng.normal(size=(lengths.sum(), n_features)),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        groups=[("a", "b", "b", "c")[i % 4] for i in range(n_configurations)],
        mean_forces=rng.uniform(0.1, 1.0, n_configurations),
        energies=rng.normal(size=n_configurations),
        **changes,
    )


def pick(method, n, seed, candidates=None):
    return METHODS[method].choose(candidates or sample(), n, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 25), seed=st.integers(0, 5))
def test_every_method_returns_distinct_indices_by_seed(method, n, seed):
    picked = pick(method, n, seed)
    assert len(picked) == len(set(picked)) == n
    assert set(picked) <= set(range(25))
    assert picked == pick(method, n, seed)


@pytest.mark.parametrize("method", NESTED)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 25), seed=st.integers(0, 5))
def test_larger_budgets_contain_smaller_ones(method, n, seed):
    assert pick(method, n, seed)[: n - 1] == pick(method, n - 1, seed)


@pytest.mark.parametrize("method", METHODS)
def test_identical_configurations_are_chosen_by_seed(method):
    features = np.ones((8, 2))
    same = Candidates(features, np.arange(9), ["a"] * 8, np.ones(8), np.zeros(8))
    picks = {tuple(pick(method, 2, seed, same)) for seed in range(6)}
    assert len(picks) > 1
    assert all(len(set(one)) == 2 for one in picks)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_global_is_drawn_and_nothing_is_changed(method):
    candidates = sample()
    before = candidates.features.copy()
    np.random.seed(1)  # noqa: NPY002 — the global state is what this test is about
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    pick(method, 5, 0, candidates)
    assert np.random.random() == expected  # noqa: NPY002
    np.testing.assert_array_equal(candidates.features, before)


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.described])
@pytest.mark.parametrize("scaling", ["standard", "whitened"])
def test_units_of_features_do_not_matter_once_scaled(method, scaling):
    plain = sample(scaling=scaling)
    scaled = Candidates(
        plain.features * [1e-3, 7.0, 1.0, 40.0],
        plain.offsets,
        plain.groups,
        plain.mean_forces,
        scaling=scaling,
    )
    assert pick(method, 8, 1, plain) == pick(method, 8, 1, scaled)


@pytest.mark.parametrize("n", range(1, 26))
def test_stratified_keeps_the_share_of_every_group(n):
    candidates = sample()
    groups = np.array(candidates.groups)
    for seed in range(3):
        chosen = groups[stratified(candidates, n, np.random.default_rng(seed))]
        for name, count in zip(*np.unique(groups, return_counts=True), strict=True):
            assert abs((chosen == name).sum() - n * count / 25) < 2


def test_stratified_needs_groups():
    with pytest.raises(ValueError, match="needs the group"):
        stratified(Candidates(np.ones((3, 1)), np.arange(4)), 1, np.random.default_rng(0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("fraction", [0.05, 0.2, 0.5, 0.9])
def test_a_budget_of_atoms_is_used_up_but_not_exceeded(method, fraction):
    candidates = sample()
    sizes = candidates.sizes
    picked = choose(method, candidates, fraction, np.random.default_rng(0), sizes)
    assert len(set(picked.tolist())) == len(picked) >= 1
    spent, limit = sizes[picked].sum(), fraction * sizes.sum()
    assert spent <= max(limit, sizes[picked[0]])
    assert spent > limit - sizes.max()


@pytest.mark.parametrize("method", NESTED)
def test_a_budget_of_atoms_takes_the_beginning_of_the_order(method):
    candidates = sample()
    picked = choose(method, candidates, 0.4, np.random.default_rng(2), candidates.sizes).tolist()
    assert picked == pick(method, len(picked), 2)


@pytest.mark.parametrize(("fraction", "expected"), [(0.05, 10), (0.001, 1), (0.5, 97), (1.0, 194)])
def test_budget_rounds_to_nearest_and_keeps_one(fraction, expected):
    assert budget(fraction, 194) == expected


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_fractions_outside_the_range_are_refused(fraction):
    with pytest.raises(StudyError, match=r"is not in \(0, 1\]"):
        budget(fraction, 10)


@pytest.mark.parametrize(("pooling", "reduce"), [("mean", np.mean), ("sum", np.sum), ("max", np.max)])
def test_pooling_reduces_the_atoms_of_each_configuration(pooling, reduce):
    candidates = sample(pooling=pooling, scaling="none")
    pairs = itertools.pairwise(candidates.offsets)
    expected = np.array([reduce(candidates.features[a:b], axis=0) for a, b in pairs])
    np.testing.assert_allclose(candidates.points(), expected - expected.mean(axis=0), atol=1e-13)


def test_standard_scaling_drops_constant_columns():
    features = np.column_stack([np.full(5, 3.3), np.arange(5.0)])
    scaled = Candidates(features, np.arange(6)).points()
    assert scaled.shape == (5, 1)
    assert scaled.std() == pytest.approx(1.0)


def test_whitened_points_have_unit_covariance_and_no_redundant_axis():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 3)) @ rng.normal(size=(3, 5))
    white = Candidates(features, np.arange(20_001), scaling="whitened").points()
    np.testing.assert_allclose(white.T @ white / 20_000, np.eye(3), atol=2e-3)


def test_whitening_fewer_points_than_columns_keeps_distances():
    """Mahalanobis's distances of 20 points in 50 columns are all alike: chance would choose."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 50)) * np.geomspace(1.0, 1e-3, 50) @ rng.normal(size=(50, 50))
    white, plain = (
        pdist(Candidates(features, np.arange(21), scaling=one).points()) for one in ("whitened", "standard")
    )
    assert white.std() / white.mean() > 0.1
    assert np.corrcoef(white, plain)[0, 1] > 0.5


def test_principal_axes_are_those_of_largest_variance():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 6)) @ rng.normal(size=(6, 6))
    points, plain = (
        Candidates(features, np.arange(31), scaling=one).points() for one in ("pca:2", "standard")
    )
    values = np.linalg.eigvalsh(plain.T @ plain / 30)
    np.testing.assert_allclose(points.T @ points / 30, np.diag(values[:-3:-1]), atol=1e-9)
    every = Candidates(features, np.arange(31), scaling="pca:99").points()
    np.testing.assert_allclose(pdist(every), pdist(plain))  # a rotation


@pytest.mark.parametrize("name", ["pca:", "pca:0", "pca:-1", "pca:2.5", "pca", "whitened ", "pca:²"])
def test_a_scaling_of_no_known_name_is_refused(name):
    with pytest.raises(ValueError, match=r"principal axes|unknown scaling"):
        scaling_of(name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean_forces": np.ones(99)}, "25 configurations, 25 groups, 99 mean forces, 25 energies"),
        ({"energies": np.ones(99)}, "99 energies"),
        ({"groups": ["a"]}, "1 groups"),
        ({"given": np.array([1, 1])}, "distinct numbers from 0 to 24"),
        ({"given": np.array([25])}, "distinct numbers from 0 to 24"),
    ],
)
def test_what_is_not_of_these_configurations_is_refused(changes, words):
    """A benchmark gave forces of atoms, of which the first few were taken for those of configurations."""
    with pytest.raises(ValueError, match=words):
        replace(sample(), **changes)


def test_deviations_and_both_halves():
    candidates = sample(pooling="mean_std", scaling="none")
    pairs = list(itertools.pairwise(candidates.offsets))
    parts = [np.array([f(candidates.features[a:b], axis=0) for a, b in pairs]) for f in (np.mean, np.std)]
    expected = np.hstack(parts)
    np.testing.assert_allclose(candidates.points(), expected - expected.mean(axis=0), atol=1e-13)


def test_noise_counts_only_where_all_columns_are_asked_to():
    """Means of force rows are zero by Newton's third law: 3e-15, which unit deviation makes a column of."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=40), 1e-15 * rng.normal(size=40), np.full(40, 2.0)])
    points = {one: Candidates(features, np.arange(41), scaling=one).points() for one in SCALINGS}
    assert points["standard"].shape[1] == points["whitened"].shape[1] == 1
    assert points["standard_all"].shape[1] == 2
    np.testing.assert_allclose(points["standard_all"].std(axis=0), 1.0)
