"""Designs by determinants against their definitions, of more configurations than features and of fewer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from crossprune.harness.selection import determinantal, local_design
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.determinantal import dpp
from crossprune.harness.selection.local_design import atom_clusters, local_grade
from crossprune.harness.selection.maxvol import active_set, independent, maxvol
from crossprune.harness.selection.optimal_design import d_optimal, d_optimal_exchange

SHAPES = [(25, 4), (12, 30)]
"""Configurations and features; in the second n < k."""


def generator():
    return np.random.default_rng(3)


def sample(n, k, seed=5, **changes):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Candidates(rng.normal(size=(lengths.sum(), k)), offsets, **changes)


def determinant(candidates):
    """Return log det(XᵀX + λ) of a set of configurations, as a function of the set."""
    points = candidates.points()
    rows = np.column_stack([np.ones(len(points)), points])
    ridge = 1e-6 * np.square(rows).mean() * np.eye(rows.shape[1])
    return lambda chosen: np.linalg.slogdet(rows[list(chosen)].T @ rows[list(chosen)] + ridge)[1]


def greedy(value, chosen, n, allowed):
    """Add what raises ``value`` of the set most, ``n`` times."""
    for _ in range(n):
        left = [i for i in allowed if i not in chosen]
        chosen = [*chosen, max(left, key=lambda i: value([*chosen, i]))]
    return chosen


@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_d_optimal(n, k):
    candidates = sample(n, k)
    expected = greedy(determinant(candidates), [], 8, range(n))
    assert d_optimal(candidates, 8, generator()).tolist() == expected


def naive_exchange(value, chosen, fixed, candidates):
    """Swap each chosen one in turn for the best other one, until a pass changes nothing."""
    before = None
    while before != chosen:
        before = list(chosen)
        for place in range(fixed, len(chosen)):
            rest = chosen[:place] + chosen[place + 1 :]
            best = max((i for i in candidates if i not in chosen), key=lambda i: value([*rest, i]))
            if value([*rest, best]) > value(chosen) + 1e-4:
                chosen = [*chosen[:place], best, *chosen[place + 1 :]]
    return chosen


@pytest.mark.parametrize("given", [[], [3, 1]])
@pytest.mark.parametrize(("n", "k", "n_chosen"), [(40, 6, 12), (12, 30, 5)])
def test_d_optimal_exchange(n, k, n_chosen, given):
    changed = 0
    for seed in range(8):
        candidates = sample(n, k, seed, given=np.array(given, dtype=np.int64))
        value = determinant(candidates)
        first = greedy(value, given, n_chosen, range(n))
        chosen = naive_exchange(value, first, len(given), range(n))
        changed += chosen != first
        found = d_optimal_exchange(candidates, n_chosen, generator()).tolist()
        assert found == greedy(value, given, n_chosen, chosen)[len(given) :]  # the order is greedy again
    assert changed > 0 or n < k  # of fewer rows than columns, the greedy ones were the best


@pytest.mark.parametrize(("n", "k"), [(60, 8), (60, 90)])
def test_exchange_ends_where_no_swap_raises_the_determinant(n, k):
    candidates = sample(n, k, seed=1)
    value = determinant(candidates)
    chosen = d_optimal_exchange(candidates, 15, generator()).tolist()
    assert value(chosen) >= value(d_optimal(candidates, 15, generator()).tolist())
    for old, new in itertools.product(chosen, set(range(n)) - set(chosen)):
        assert (
            value([new if i == old else i for i in chosen]) < value(chosen) + 1.1e-4
        )  # as given by LEAST_GAIN


def naive_maxvol(rows):
    """Start with what is farthest from the span of the rows before; then swap by determinants."""
    left, active = rows.copy(), []
    for _ in range(rows.shape[1]):
        active.append(int(np.argmax(np.linalg.norm(left, axis=1))))
        direction = left[active[-1]] / np.linalg.norm(left[active[-1]])
        left -= np.outer(left @ direction, direction)
    while True:
        volume = abs(np.linalg.det(rows[active]))
        swaps = {}
        for place, new in itertools.product(range(len(active)), range(len(rows))):
            if new not in active:
                other = [*active[:place], new, *active[place + 1 :]]
                swaps[place, new] = abs(np.linalg.det(rows[other])) / volume
        if not swaps or max(swaps.values()) <= 1.01:
            return active
        place, new = max(swaps, key=swaps.get)
        active[place] = new


@pytest.mark.parametrize("seed", range(5))
def test_active_set(seed):
    rows = np.random.default_rng(seed).normal(size=(30, 5))
    active, coefficients = active_set(rows.copy())
    assert active.tolist() == naive_maxvol(rows)
    np.testing.assert_allclose(coefficients, rows @ np.linalg.inv(rows[active]), atol=1e-9)
    assert np.abs(coefficients).max() <= 1.01  # the extrapolation grade of every atom


@pytest.mark.parametrize(("n", "k", "n_chosen"), [(25, 4, 12), (25, 4, 3), (12, 60, 9)])
def test_maxvol(n, k, n_chosen):
    """Configurations by how many atoms of the active set they hold, then by the largest determinant."""
    candidates = sample(n, k)
    owners = np.repeat(np.arange(n), candidates.sizes)
    rows = independent(candidates.environments())
    order = generator().permutation(n)
    shuffled = np.concatenate([np.flatnonzero(owners == i) for i in order])  # the seed decides ties
    active = shuffled[naive_maxvol(rows[shuffled])].tolist()
    held = [owners[atom] for atom in active]
    picked = sorted([i for i in order if i in held], key=lambda i: -held.count(i))  # ties go by seed
    while len(picked) < n_chosen:
        left = [atom for atom in range(len(rows)) if owners[atom] not in picked]
        best = max(
            left, key=lambda atom: np.linalg.slogdet(rows[[*active, atom]].T @ rows[[*active, atom]])[1]
        )
        active.append(best)
        picked.append(owners[best])
    assert maxvol(candidates, n_chosen, generator()).tolist() == picked[:n_chosen]


def test_maxvol_does_not_depend_on_units():
    candidates = sample(25, 4)
    skewed = Candidates(candidates.features @ np.diag([1e-3, 1, 7, 40]) + 3.0, candidates.offsets)
    for scaling in ("none", "standard", "whitened"):
        other = Candidates(skewed.features, skewed.offsets, scaling=scaling)
        np.testing.assert_array_equal(maxvol(other, 10, generator()), maxvol(candidates, 10, generator()))


@pytest.mark.parametrize("given", [[], [3, 1]])
@pytest.mark.parametrize(("n", "k"), SHAPES)
def test_dpp(n, k, given):
    candidates = sample(n, k, given=np.array(given, dtype=np.int64))
    points = candidates.points()
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    bandwidth = np.median(distances[np.triu_indices(n, 1)])
    kernel = np.exp(-np.square(distances) / (2 * bandwidth**2)) + 1e-6 * np.eye(n)

    def value(chosen):
        return np.linalg.slogdet(kernel[np.ix_(chosen, chosen)])[1]

    start = given or [generator().permutation(n)[0]]
    expected = greedy(value, start, 9 - (not given), range(n))
    assert dpp(candidates, 9, generator()).tolist() == expected[len(given) :]


def test_dpp_refuses_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(determinantal, "MOST_VALUES", 100)
    with pytest.raises(ValueError, match=r"5 of 25 configurations need 1.2e\+02 values, at most 1.0e\+02"):
        dpp(sample(25, 4), 5, generator())


@pytest.mark.parametrize(("n", "k"), [*SHAPES, (60, 2)])
def test_local_grades(n, k):
    """Every pick holds the atom of the largest γ in its own cluster; the last shape has five of these."""
    candidates = sample(n, k)
    picked = local_grade(candidates, 10, generator()).tolist()
    rng = generator()
    rng.permutation(n)
    points, owners = candidates.environments(), np.repeat(np.arange(n), candidates.sizes)
    labels = atom_clusters(points, rng)
    assert labels.max() == (4 if n == 60 else 0)
    for step in range(10):
        best = np.full(n, -np.inf)
        for number in range(labels.max() + 1):
            here = labels == number
            part = points[here] - points[here].mean(axis=0)
            rows = np.column_stack([np.ones(here.sum()), part / part.std(axis=0)])
            design = rows[np.isin(owners[here], picked[:step])]
            ridge = 1e-6 * np.square(rows).mean() * np.eye(k + 1)
            grades = np.einsum("ij,jk,ik->i", rows, np.linalg.inv(design.T @ design + ridge), rows)
            np.maximum.at(best, owners[here], grades)
        best[picked[:step]] = -np.inf
        assert picked[step] == np.argmax(best)


def test_a_dense_cluster_has_grades_of_its_own(monkeypatch):
    """A narrow cloud between two wide ones extrapolates in no global design, and spans its own columns."""
    rng = np.random.default_rng(0)
    wide, narrow = 5 * rng.normal(size=(400, 2)), 1e-3 * rng.normal(size=(200, 2))
    wide[:200] += 60.0
    wide[200:] -= 60.0
    candidates = Candidates(np.concatenate([wide, narrow]), np.arange(601), scaling="none")
    counts = []
    for most in (10, 1):
        monkeypatch.setattr(local_design, "MOST_CLUSTERS", most)
        counts.append((local_grade(candidates, 30, np.random.default_rng(0)) >= 400).sum())
    assert counts[0] >= 3 > counts[1]
