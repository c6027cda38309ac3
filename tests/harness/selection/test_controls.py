"""Choices that need no descriptor: by labels, and at random with a chooser's shares of groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from crossprune.harness.data.frames import DataSet, beyond_composition, label
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.gathering import gather
from crossprune.harness.selection.methods import METHODS, choose, method_of

SPREADS = {"energy_spread": "energies", "force_spread": "mean_forces"}


def sample(n=40):
    rng = np.random.default_rng(0)
    return Candidates(
        rng.normal(size=(n, 3)),
        np.arange(n + 1),
        groups=["abcc"[one % 4] for one in range(n)],
        mean_forces=rng.uniform(size=n),
        energies=rng.normal(size=n),
    )


def pick(method, n, candidates, seed=1):
    return method_of(method).choose(candidates, n, np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize(("method", "label"), SPREADS.items())
def test_labels_are_spread_as_farthest_points_of_one_column(method, label):
    candidates = sample()
    values = getattr(candidates, label)
    picked = pick(method, 12, candidates)
    for step in range(1, 12):
        distances = np.abs(values[:, None] - values[picked[:step]]).min(axis=1)
        assert picked[step] == np.argmax(distances)
    assert not METHODS[method].described
    with pytest.raises(ValueError, match="these candidates have none"):
        pick(method, 2, replace(candidates, **{label: None}))


@pytest.mark.parametrize(("method", "sign"), [("force_highest", -1), ("force_lowest", 1)])
def test_forces_are_taken_by_size_whatever_the_seed(method, sign):
    candidates = sample()
    expected = np.argsort(sign * candidates.mean_forces)
    for seed in range(3):
        assert pick(method, 40, candidates, seed) == expected.tolist()
        assert pick(method, 7, candidates, seed) == expected[:7].tolist()
    completed = pick(method, 5, replace(candidates, given=expected[:3]))
    assert completed == expected[3:8].tolist()
    with pytest.raises(ValueError, match="these candidates have none"):
        pick(method, 2, replace(candidates, mean_forces=None))


def test_equal_forces_are_drawn_at_random():
    """Perfect crystals, whose forces are zero by symmetry, are not taken in the order of the file."""
    candidates = replace(sample(), mean_forces=np.repeat([0.0, 1.0], 20))
    draws = [pick("force_lowest", 10, candidates, seed) for seed in range(200)]
    assert max(map(max, draws)) < 20
    counts = np.bincount(np.concatenate(draws), minlength=20)
    assert abs(counts - 100).max() < 35  # five deviations of a binomial


def test_energies_are_spread_beyond_what_composition_explains():
    """Of two elements at −5 and −9 eV, strain decides and not composition."""
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 6, (30, 2)).astype(float)
    strain = rng.normal(size=30)
    energies = counts @ [-5.0, -9.0] + 0.01 * strain * counts.sum(axis=1)
    found = beyond_composition(energies, counts)
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.T @ found, 0.0, atol=1e-12)
    assert np.corrcoef(found, strain)[0, 1] > 0.95
    one = beyond_composition(np.array([-8.0, -12.0, -17.0]), np.array([[2.0], [3.0], [4.0]]))
    np.testing.assert_allclose(one, [0.0 + 1 / 12, 1 / 12, -1 / 6])


def test_energies_are_those_of_the_part_only():
    """An energy of the test part moves no choice."""
    frames = [
        label(
            Atoms("Si2", cell=[4, 4, 4], pbc=True), energy=e, forces=np.zeros((2, 3)), stress=None, group="a"
        )
        for e in (-10.0, -10.5, -11.5, 99.0)
    ]
    dataset = DataSet("x", frames, ["train"] * 3 + ["test"])
    found = gather(dataset, dataset.indices("train"), np.zeros((8, 1)))
    np.testing.assert_allclose(found.energies, np.array([2.0, 0.5, -2.5]) / 6)


@pytest.mark.parametrize("method", ["fps", "d_optimal", "kmeans", "fps_atoms", "local_grade"])
def test_a_control_copies_shares_pick_by_pick_and_nothing_else(method):
    candidates = sample()
    groups = np.array(candidates.groups)
    overlaps = []
    for seed in range(40):
        plain, control = pick(method, 12, candidates, seed), pick(f"{method}@shares", 12, candidates, seed)
        assert groups[plain].tolist() == groups[control].tolist()
        assert len(set(control)) == 12
        overlaps.append(len({*plain} & {*control}))
    counts = Counter(groups[plain])
    expected = sum(count**2 / (groups == group).sum() for group, count in counts.items())
    assert np.mean(overlaps) == pytest.approx(expected, abs=1.0)  # as chance has it


def test_a_control_is_nested_and_completes_where_the_method_does():
    candidates = replace(sample(), given=np.array([3, 8, 20]))
    picked = choose("fps@shares", candidates, 1.0, np.random.default_rng(1)).tolist()
    assert sorted(picked) == sorted(set(range(40)) - {3, 8, 20})
    assert pick("fps@shares", 9, candidates) == picked[:9]
    assert method_of("fps@shares").nested
    assert not method_of("kmeans@shares").nested
    with pytest.raises(ValueError, match="needs the group"):
        pick("fps@shares", 3, replace(sample(), groups=()))
