"""Folds of cross-validation: parts of the training part that no trajectory and no copy leaks between."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.data.cards import DataOptions, load_dataset, load_pools
from crossprune.harness.data.splits import folds
from crossprune.harness.errors import StudyError


def test_each_training_frame_is_tested_once_and_no_other_frame_is_there():
    whole = load_dataset("si-pbe")
    pools = load_pools("si-pbe", 4, options=DataOptions(folds=4))
    assert [len(pool.frames) for pool in pools] == [len(whole.indices("train"))] * 4
    tested = np.array([[part == "test" for part in pool.split] for pool in pools])
    assert (tested.sum(axis=0) == 1).all()
    assert tested.sum(axis=1).min() > 0.8 * tested.sum(axis=1).max()
    kept = {atoms.positions.tobytes() for atoms in pools[0].frames}
    assert not kept & {whole.frames[index].positions.tobytes() for index in whole.indices("test")}


def test_a_long_trajectory_is_cut_into_stretches_and_short_groups_are_dealt():
    sequences = ["md"] * 30 + ["a"] * 4 + ["b"] * 6
    groups = ["md"] * 30 + ["elastic"] * 10
    order = [*np.random.default_rng(0).permutation(30).tolist(), *range(4), *range(6)]
    found = np.array(folds(groups, sequences, order, list(range(40)), 5))
    in_time = found[:30][np.argsort(order[:30])]
    assert np.count_nonzero(np.diff(in_time)) == 4
    assert np.bincount(found[30:], minlength=5).tolist() == [2] * 5


def test_copies_are_on_one_side():
    copy_of = [*range(20), *range(20)]
    found = folds(["a"] * 40, ["a"] * 40, [*range(40)], copy_of, 5)
    assert found[:20] == found[20:]


def test_more_pools_than_folds_are_refused():
    with pytest.raises(StudyError, match="no more pools than folds"):
        load_pools("si-pbe", 4, options=DataOptions(folds=3))
    with pytest.raises(StudyError, match="at least 2"):
        DataOptions(folds=1)
