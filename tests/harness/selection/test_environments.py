"""Single environments: what they cost, which are chosen, and one order for all fractions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from crossprune.harness.contract.environments import (
    by_frame,
    environments_of,
    frames_of,
    sizes_of,
    spent,
    within,
)
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import greedy_farthest
from crossprune.harness.selection.gathering import Pool, gather, n_labels, order
from crossprune.harness.selection.methods import METHODS

ABLE = [*(name for name, method in METHODS.items() if method.masks), "fps_atoms@groups"]
SMALLER = (0.05, 0.1, 0.17, 0.3)


@pytest.fixture(scope="module", params=[True, False], ids=["with stress", "without"])
def silicon(request):
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True, use_stress=request.param))
    return dataset, np.random.default_rng(0).normal(size=(int(dataset.sizes.sum()), 5))


def ordered(silicon, method, fraction, seed=7):
    dataset, features = silicon
    vectors = features if METHODS[method.partition("@")[0]].described else None
    candidates = gather(dataset, dataset.indices("train"), vectors, space="atoms" if method else "")
    rng = np.random.default_rng(seed)
    return order(
        dataset, candidates, method=method, fraction=fraction, budget="labels", mask="atoms", rng=rng
    )


def test_an_atom_costs_three_labels_and_the_first_of_a_configuration_one_more():
    picked = np.array([[4, 1], [2, 0], [4, 0], [4, 2], [7, 3], [2, 5]])
    np.testing.assert_array_equal(spent(picked), [4, 8, 11, 14, 18, 21])
    for limit, n in ((0.0, 1), (7.9, 1), (8.0, 2), (13.99, 3), (14.0, 4), (99.0, 6)):
        assert len(within(picked, limit)) == n


def test_frames_and_their_atoms():
    picked = np.array([[4, 1], [2, 0], [4, 0], [7, 3], [2, 5]])
    np.testing.assert_array_equal(frames_of(picked), [2, 4, 7])
    np.testing.assert_array_equal(frames_of(np.array([5, 3])), [3, 5])
    frames, kept = by_frame(picked)
    np.testing.assert_array_equal(frames, [2, 4, 7])
    assert [one.tolist() for one in kept] == [[0, 5], [0, 1], [3]]
    np.testing.assert_array_equal(
        environments_of(np.array([3, 5]), np.array([2, 1])), [[3, 0], [3, 1], [5, 0]]
    )


def test_labels_of_a_mask_are_an_energy_and_the_chosen_forces():
    sizes, labels = np.array([2, 8, 8]), np.array([13, 31, 31])
    assert sizes_of(np.array([0, 2]), sizes, labels) == {
        "n_configurations": 2,
        "n_atoms": 10,
        "n_labels": 44,
    }
    masked = sizes_of(np.array([[0, 1], [2, 0], [2, 7]]), sizes, labels)
    assert masked == {"n_configurations": 2, "n_atoms": 3, "n_labels": 2 + 9}


@pytest.mark.parametrize("method", ABLE)
def test_masked_fractions_come_out_of_one_order(silicon, method):
    dataset, _ = silicon
    picked = ordered(silicon, method, 0.4)
    assert len(np.unique(picked, axis=0)) == len(picked)
    assert set(picked[:, 0]) <= set(dataset.indices("train"))
    assert (picked[:, 1] < dataset.sizes[picked[:, 0]]).all()
    pool = Pool.of(dataset, "labels")
    for fraction in SMALLER:
        alone = ordered(silicon, method, fraction)
        np.testing.assert_array_equal(alone, picked[: len(alone)])
        np.testing.assert_array_equal(pool.subset(picked, fraction), np.unique(alone, axis=0))


@pytest.mark.parametrize("method", ABLE)
@pytest.mark.parametrize("fraction", SMALLER)
def test_a_mask_has_the_labels_that_whole_configurations_have(silicon, method, fraction):
    dataset, _ = silicon
    total = sum(n_labels(dataset.frames[index]) for index in dataset.indices("train"))
    labels = spent(ordered(silicon, method, fraction))[-1]
    assert fraction * total - 4 < labels <= fraction * total  # one more atom would not fit


def test_all_environments_are_the_full_set(silicon):
    dataset, _ = silicon
    train = dataset.indices("train")
    everything = environments_of(train, dataset.sizes[train])
    np.testing.assert_array_equal(ordered(silicon, "fps_atoms", 1.0), everything)
    subset = Pool.of(dataset, "labels").subset(ordered(silicon, "fps_atoms", 0.1), 1.0)
    np.testing.assert_array_equal(subset, everything)


def test_fps_of_environments_is_farthest_points_among_atoms(silicon):
    dataset, features = silicon
    train = dataset.indices("train")
    candidates = gather(dataset, train, features)
    every = environments_of(train, dataset.sizes[train])
    points = candidates.environments()
    shuffle = np.random.default_rng(7).permutation(len(points))
    expected = shuffle[greedy_farthest(points[shuffle], np.zeros(1, dtype=np.int64), 20)]
    np.testing.assert_array_equal(ordered(silicon, "fps_atoms", 0.4)[:20], every[expected])


def test_environments_keep_their_space_and_groups():
    candidates = Candidates(np.arange(10.0).reshape(5, 2), np.array([0, 2, 5]), ["a", "b"], np.ones(2))
    candidates = replace(candidates, given=np.array([1]))
    alone = candidates.apart()
    np.testing.assert_array_equal(alone.environments(), candidates.environments())
    assert alone.n_configurations == 5
    assert alone.groups == ["a", "a", "b", "b", "b"]
    assert alone.given.tolist() == [2, 3, 4]
    assert alone.mean_forces is None
