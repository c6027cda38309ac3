"""Pools: the same frames and sizes, other train and test parts, copies on one side, labels without a say."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.harness.data.cards import DataOptions, card_folder, load_dataset, load_pools
from crossprune.harness.data.files.formats import read_file
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import DataSet, energy_of
from crossprune.harness.data.partition import pool_ids, replicate
from crossprune.harness.data.records import Record
from crossprune.harness.data.splits import redraw, stretches_of
from crossprune.harness.data.structures import duplicates
from crossprune.harness.data.twins import twins
from crossprune.harness.errors import StudyError
from hypothesis import given
from hypothesis import strategies as st

N_POOLS = 6


@pytest.fixture(scope="module")
def silicon():
    return load_pools("si-pbe", N_POOLS)


def n_tested(dataset):
    return Counter(group for group, part in zip(dataset.groups, dataset.split, strict=True) if part == "test")


def test_pool_0_is_the_data_set(silicon):
    alone = load_dataset("si-pbe")
    assert (silicon[0].name, silicon[0].split) == ("si-pbe", alone.split)
    assert load_pools("si-pbe", 1)[0].split == alone.split


def test_sizes_strata_ood_and_frames_are_those_of_the_own_split(silicon):
    own = silicon[0]
    for pool in silicon[1:]:
        assert pool.frames is own.frames
        assert n_tested(pool) == n_tested(own)
        assert np.array_equal(pool.indices("ood"), own.indices("ood"))
        assert Counter(pool.split) == Counter(own.split)
        assert not pool.notes
    assert len({pool.split for pool in silicon}) == N_POOLS


def test_copies_lie_on_one_side(silicon):
    copy_of = np.array(twins(silicon[0].frames))
    assert (copy_of != np.arange(len(copy_of))).any()
    for pool in silicon[1:]:
        train, test = (set(copy_of[pool.indices(part)].tolist()) for part in ("train", "test"))
        assert not train & test


def test_trajectories_of_silicon_give_stretches_as_in_its_own_split(silicon):
    path = card_folder("si-pbe") / "frames.extxyz.gz"
    step = np.array([record.order for record in read_file(path, Keys(order="step")).records])
    for pool in silicon:
        for group in ("md-600K", "md-1200K", "md-2000K", "md-3000K", "md-4500K"):
            chosen = [index for index in pool.indices("test") if pool.groups[index] == group]
            assert np.ptp(step[chosen]) == len(chosen) - 1 == 3


def test_more_pools_change_none(silicon):
    assert [one.split for one in load_pools("si-pbe", 3)] == [one.split for one in silicon[:3]]


def test_the_seed_of_the_split_gives_other_pools(silicon):
    other = load_pools("si-pbe", 2, options=DataOptions(seed=1))
    assert other[0].split == silicon[0].split
    assert other[1].split != silicon[1].split


strata_parts_copies = st.integers(4, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
        st.lists(st.sampled_from(["train", "train", "test", "ood"]), min_size=n, max_size=n),
        st.lists(st.integers(0, n - 1), min_size=n, max_size=n),
        st.sets(st.sampled_from("abc")),
        st.integers(0, 999),
    )
)


@given(strata_parts_copies)
def test_a_draw_parts_no_copies_and_moves_no_ood(case):
    strata, parts, copies, stretches, seed = case
    copy_of = [min(one, index) for index, one in enumerate(copies)]
    copy_of = [copy_of[one] for one in copy_of]
    copy_of = [one if copy_of[one] == one else index for index, one in enumerate(copy_of)]
    rng = np.random.default_rng(seed)
    found = redraw(strata, stretches, range(len(strata)), parts, copy_of, rng)
    assert [part == "ood" for part in found] == [part == "ood" for part in parts]
    for root in set(copy_of):
        mine = {found[index] for index, one in enumerate(copy_of) if one == root}
        assert not {"train", "test"} <= mine
    for stratum in set(strata) - stretches:
        n_found, n_own = (
            sum(part == "test" for part, one in zip(side, strata, strict=True) if one == stratum)
            for side in (found, parts)
        )
        if len(set(copy_of)) == len(copy_of):
            assert n_found == n_own


def test_every_frame_of_a_group_is_as_likely_to_be_tested():
    strata, parts = ["a"] * 20 + ["b"] * 10, (["test"] * 4 + ["train"] * 16) + ["test"] * 3 + ["train"] * 7
    n = 4000
    rng = np.random.default_rng(0)
    counts = np.zeros(30)
    for _ in range(n):
        counts += np.array(redraw(strata, (), range(30), parts, range(30), rng)) == "test"
    share = np.repeat([0.2, 0.3], [20, 10])
    assert (np.abs(counts / n - share) < 5 * np.sqrt(share * (1 - share) / n)).all()


def test_a_trajectory_gives_one_stretch_in_the_order_of_its_steps():
    order = np.random.default_rng(1).permutation(12)
    parts = np.where((order >= 3) & (order < 7), "test", "train").tolist()
    assert stretches_of(["md"] * 12, order, parts) == {"md"}
    starts = set()
    for seed in range(60):
        found = np.array(redraw(["md"] * 12, {"md"}, order, parts, range(12), np.random.default_rng(seed)))
        steps = np.sort(order[found == "test"])
        assert np.array_equal(steps, steps[0] + np.arange(4))
        starts.add(int(steps[0]))
    assert starts == set(range(9)), "every stretch comes up"


def test_a_stretch_parts_no_copies_where_it_need_not():
    parts = ["test"] * 3 + ["train"] * 7 + ["test"] * 3 + ["train"] * 7
    strata, copy_of = ["one"] * 10 + ["two"] * 10, list(range(20))
    copy_of[14] = 4  # the middle of both paths
    seen = set()
    for seed in range(60):
        found = redraw(strata, {"one", "two"}, range(20), parts, copy_of, np.random.default_rng(seed))
        assert found.count("test") == 6
        assert found[4] == found[14]
        seen.add(found[4])
    assert seen == {"train", "test"}


@pytest.mark.parametrize(
    ("parts", "is_one"),
    [("rreeerr", True), ("rrerere", False), ("rreer", False), ("eee", False), ("rrr", False)],
)
def test_a_stretch_is_three_frames_side_by_side(parts, is_one):
    names = {"r": "train", "e": "test"}
    found = stretches_of(["md"] * len(parts), range(len(parts)), [names[one] for one in parts])
    assert found == ({"md"} if is_one else set())


def test_what_has_a_copy_in_ood_stays_where_it_is():
    parts, copy_of = (
        ["ood", "train", "ood", "test", "train", "test", "train", "train"],
        [0, 0, 2, 2, 4, 5, 6, 7],
    )
    for seed in range(20):
        found = redraw(["a"] * 8, (), range(8), parts, copy_of, np.random.default_rng(seed))
        assert found[:4] == ["ood", "train", "ood", "test"]
        assert found.count("test") == 2


def made(tmp_path, n_frames=30, moved=None, name="in.xyz", groups="ab"):
    """Write frames of copper; ``moved`` is a frame that gets another energy."""
    rng, frames = np.random.default_rng(3), []
    for index in range(n_frames):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        energy = float(rng.normal()) + (0.5 if index == moved else 0.0)
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=rng.normal(0, 0.1, (4, 3)))
        atoms.info["group"] = groups[index % len(groups)]
        atoms.info["part"] = {"a": "train", "b": "test"}[atoms.info["group"]]
        frames.append(atoms)
    write(tmp_path / name, frames)
    return tmp_path / name


def test_labels_have_no_say(tmp_path):
    before = load_pools(made(tmp_path), 4)
    after = load_pools(made(tmp_path, moved=7), 4)
    assert energy_of(before[0].frames[7]) != energy_of(after[0].frames[7])
    assert [one.split for one in before] == [one.split for one in after]


def test_exact_copies_that_are_kept_lie_on_one_side(tmp_path):
    path = made(tmp_path)
    frames = read(path, ":")
    copy = frames[4].copy()
    copy.calc = SinglePointCalculator(copy, energy=9.0, forces=frames[4].get_forces())
    write(path, [*frames, copy])
    pools = load_pools(path, 8, options=DataOptions(duplicates="keep"))
    assert duplicates(pools[0].frames) == [(4, 30)]
    assert twins(pools[0].frames)[30] == 30, "its energy is another's"
    assert all(pool.split[4] == pool.split[30] for pool in pools[1:])


def test_a_smoke_subset_has_pools(tmp_path):
    pools = load_pools("si-pbe", 3, options=DataOptions(smoke=True))
    assert {len(pool.frames) for pool in pools} == {30}
    assert len({pool.split for pool in pools}) == 3


@pytest.mark.parametrize("split", ["blocks", "stratified", "random"])
def test_drawn_splits_have_pools(tmp_path, split):
    pools = load_pools(made(tmp_path), 5, options=DataOptions(split=split))
    assert len({tuple(sorted(Counter(one.split).items())) for one in pools}) == 1
    if split == "blocks":
        for pool in pools:
            places = np.flatnonzero([part == "test" for part in pool.split[::2]])
            assert np.ptp(places) == len(places) - 1, "a stretch of the trajectory a"


def test_more_pools_than_differ_are_refused(tmp_path):
    path = made(tmp_path, n_frames=5, groups="a")
    assert len({one.split for one in load_pools(path, 5)}) == 5, "each frame is tested once"
    with pytest.raises(
        StudyError, match="5 pools can be drawn that differ, and 6 are asked for; set pools = 5"
    ):
        load_pools(path, 6)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (DataOptions(split="groups"), "cannot be drawn by whole groups.*set pool_split"),
        (
            DataOptions(split="blocks", block_gap=2),
            "block_gap = 2 leaves out other frames.*set block_gap = 0",
        ),
    ],
)
def test_splits_that_cannot_be_drawn_again_are_refused(tmp_path, options, match):
    path = made(tmp_path)
    assert len(load_pools(path, 1, options=options)) == 1
    with pytest.raises(StudyError, match=match):
        load_pools(path, 2, options=options)


def test_each_group_is_held_out_in_turn():
    own, *left_out = load_pools("si-pbe", 1, each=True)
    ids = pool_ids(own, 1, each=True)
    groups = sorted(set(own.groups))
    assert ids == [(0, ""), *((1001 + number, group) for number, group in enumerate(groups))]
    assert pool_ids(own, 5, each=True)[5:] == ids[1:], "their numbers do not depend on the others"
    copy_of = np.array(twins(own.frames))
    for group, pool in zip(groups, left_out, strict=True):
        parts, mine = pool.parts, np.array(own.groups) == group
        assert pool.name == f"si-pbe without {group}"
        assert (parts[mine] == "ood").all()
        extra = (parts == "ood") & ~mine
        assert np.isin(copy_of[extra], copy_of[mine]).all(), "only copies of its frames beside it"
        assert not set(copy_of[parts == "train"]) & set(copy_of[parts == "ood"])
        kept = (parts != "ood") & (own.parts != "ood")
        assert np.array_equal(parts[kept], own.parts[kept])
        freed = (parts != "ood") & (own.parts == "ood")
        if freed.sum() > 20:
            assert np.mean(parts[freed] == "test") == pytest.approx(62 / 319, abs=0.05)


def test_a_group_without_which_nothing_is_left_is_named(tmp_path):
    path = made(tmp_path)
    with pytest.raises(StudyError, match="without the group 'a' nothing is left to train on, or to test"):
        load_pools(path, 1, each=True, options=DataOptions(split="given", split_key="part"))


def test_a_trajectory_named_like_a_group_is_not_taken_for_it():
    frames = load_dataset("si-pbe").frames[:20]
    parts = ("test",) * 3 + ("train",) * 7 + ("train", "test") * 5
    for atoms in frames:
        atoms.info["group"] = "md"
    own = DataSet("x", frames, parts)
    names = ["md"] * 10 + [f"other {index}" for index in range(10)]
    records = [
        Record(atoms, "", name, index) for index, (atoms, name) in enumerate(zip(frames, names, strict=True))
    ]
    for pool in replicate(own, records, DataOptions(), 6, given=True)[1:]:
        places = pool.indices("test")
        first, second = places[places < 10], places[places >= 10]
        assert (len(first), np.ptp(first), len(second)) == (3, 2, 5)
