"""Splits: fractions, whole groups, contiguous stretches, and draws that do not depend on other groups."""

from collections import Counter

import numpy as np
import pytest
from crossprune.harness.data.splits import (
    DROPPED,
    block_split,
    group_split,
    random_split,
    smoke_indices,
    stratified_split,
)
from hypothesis import given
from hypothesis import strategies as st

GROUPS = ["bulk"] * 50 + ["surface"] * 9 + ["vacancy"] * 7 + ["ground state"]


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_stratified_shares_follow_the_group_sizes(sizes, fraction, seed):
    groups = [str(index) for index, size in enumerate(sizes) for _ in range(size)]
    parts = stratified_split(groups, test_fraction=fraction, seed=seed)
    tested = Counter(group for group, part in zip(groups, parts, strict=True) if part == "test")
    for index, size in enumerate(sizes):
        assert abs(tested[str(index)] - fraction * size) <= 1
        if size > 1:
            assert tested[str(index)] < size


def test_stratified_total_is_the_fraction():
    assert stratified_split(GROUPS, test_fraction=0.2, seed=0).count("test") == 13
    assert random_split(67, test_fraction=0.2, seed=0).count("test") == 13


@pytest.mark.parametrize("split", [stratified_split, group_split])
def test_seed_decides(split):
    draws = {tuple(split(GROUPS, test_fraction=0.3, seed=seed)) for seed in (0, 0, 1, 2, 3)}
    assert 1 < len(draws) <= 4


def test_a_group_is_drawn_without_regard_to_the_others():
    alone = stratified_split(["bulk"] * 50, test_fraction=0.2, seed=3)
    assert stratified_split(["bulk"] * 50 + ["other"] * 10, test_fraction=0.2, seed=3)[:50] == alone


def test_groups_stay_whole():
    parts = group_split(GROUPS, test_fraction=0.1, seed=1)
    assert {part for group, part in set(zip(GROUPS, parts, strict=True)) if group == "bulk"} != {
        "train",
        "test",
    }
    assert len({*zip(GROUPS, parts, strict=True)}) == len(set(GROUPS))
    assert {"train", "test"} <= set(parts)


def test_one_group_cannot_be_split_by_groups():
    assert set(group_split(["bulk"] * 5, test_fraction=0.5, seed=0)) == {"train"}


@pytest.mark.parametrize("seed", range(5))
def test_block_is_one_stretch_in_time_and_the_gap_surrounds_it(seed):
    rng = np.random.default_rng(seed)
    steps = rng.permutation(40).astype(float)
    parts = block_split(["hot"] * 40, steps, test_fraction=0.25, seed=seed, gap=2)
    in_time = [parts[index] for index in np.argsort(steps)]
    test = [step for step, part in enumerate(in_time) if part == "test"]
    assert test == list(range(test[0], test[0] + 10))
    for step, part in enumerate(in_time):
        distance = max(test[0] - step, step - test[-1])
        assert (part == DROPPED) == (0 < distance <= 2)


def test_short_trajectories_have_no_test_stretch():
    assert block_split(["a", "b", "b"], [0, 0, 1], test_fraction=0.2, seed=0) == ["train"] * 3


def test_smoke_subset_shows_every_part_and_group_before_repeating_one():
    parts = stratified_split(GROUPS, test_fraction=0.2, seed=0)
    kinds = list(zip(parts, GROUPS, strict=True))
    chosen = smoke_indices(GROUPS, parts, len(set(kinds)))
    assert {kinds[index] for index in chosen} == set(kinds)
