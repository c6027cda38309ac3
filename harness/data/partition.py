"""How a data set is divided into train, test and ood."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from crossprune.harness.data.frames import SPLITS, DataSet, group_of, structures_hash
from crossprune.harness.data.names import pool_name
from crossprune.harness.data.records import Record
from crossprune.harness.data.schema import DataOptions
from crossprune.harness.data.splits import (
    block_split,
    group_split,
    random_split,
    redraw,
    stratified_split,
    stretches_of,
)
from crossprune.harness.data.twins import copies_of
from crossprune.harness.errors import DataError, StudyError, unknown_name

PoolId = tuple[int, str]
"""Number of a pool, and the group that it holds out as ood if it is one of those; else empty."""
MOST_POOLS = 1000
"""They overlap, so that many more tell nothing new; numbers above are of pools that hold out a group."""
MOST_DRAWS = 1000
"""Draws of a pool before it is taken that there is no other; of ten possible ones each comes up 100 times."""
ENOUGH_DRAWS = 20
"""New draws among which one is sought that has the right sizes: where copies allow it, one in a few has."""


def partition(
    records: Sequence[Record], options: DataOptions, name: str, *, given: bool, copy_of: Sequence[int]
) -> list[str]:
    """Return the part of each record: ``train``, ``test``, ``ood``, or dropped.

    Parameters
    ----------
    records
        The frames; a given split stands in their ``part``.
    options
        The rule.
    name
        The data set, for messages.
    given
        Whether the source has a split of its own, so that it is the default.
    copy_of
        For each frame the first one that it is a copy of by symmetry, or itself: a split that is drawn,
        not given, puts copies on one side.

    Raises
    ------
    DataError
        If a given split is asked for and a frame has none.
    StudyError
        If a group is unknown, or no frame is left for train or test.
    """
    groups = [group_of(record.atoms) for record in records]
    if options.ood_groups is None and options.ood is None:
        held_out = {group for group, one in zip(groups, records, strict=True) if one.part == "ood"}
    else:
        held_out = set(options.ood_groups or ())
    for group in sorted(held_out.difference(groups)):
        raise StudyError(f"{name}: ood_groups: {unknown_name('group', group, set(groups))}")
    method = method_of(options, given=given)
    apart = [options.ood is not None and one.part == "ood" for one in records]
    inside = [index for index, group in enumerate(groups) if group not in held_out and not apart[index]]
    parts = ["ood"] * len(records)
    leader: dict[int, int] = {}
    for index in inside:
        leader.setdefault(index if method == "given" else copy_of[index], index)
    drawn = _draw(method, [records[index] for index in leader.values()], options)
    part_of = dict(zip(leader, drawn, strict=True))
    for index in inside:
        parts[index] = part_of[index if method == "given" else copy_of[index]]
    for part in ("train", "test"):
        if part not in parts:
            raise StudyError(
                f"{name}: no frame is left for the {part!r} part; change test_fraction, ood_groups or split"
            )
    return parts


def method_of(options: DataOptions, *, given: bool) -> str:
    """Return the rule of the split; ``given`` says whether the source has one of its own."""
    has_parts = given or options.split_key or options.test
    return options.split or ("given" if has_parts else "stratified")


def sides_of(records: Sequence[Record], options: DataOptions) -> list[tuple[str | None, bool]]:
    """Return what parts the frames of a given split: their part in the source, and whether held out."""
    held_out = options.ood_groups or ()
    return [(record.part, group_of(record.atoms) in held_out) for record in records]


def _given(record: Record) -> str:
    if record.part not in SPLITS:
        raise DataError(
            f"{record.place}: no part of a given split ({record.part!r}); set split_key to a key "
            f"that holds {', '.join(SPLITS)}, or choose another split"
        )
    return "train" if record.part == "ood" else str(record.part)


def _draw(method: str, records: Sequence[Record], options: DataOptions) -> list[str]:
    fraction, seed = options.test_fraction, options.seed
    groups = [group_of(record.atoms) for record in records]
    if method == "given":
        return [_given(record) for record in records]
    if method == "random":
        return random_split(len(records), test_fraction=fraction, seed=seed)
    if method == "stratified":
        return stratified_split(groups, test_fraction=fraction, seed=seed)
    if method == "groups":
        return group_split(groups, test_fraction=fraction, seed=seed)
    return block_split(
        [record.sequence for record in records],
        [record.order for record in records],
        test_fraction=fraction,
        seed=seed,
        gap=options.block_gap,
    )


def replicate(
    dataset: DataSet, records: Sequence[Record], options: DataOptions, n_pools: int, *, given: bool
) -> tuple[DataSet, ...]:
    """Draw train and test of a data set again and again: the same frames, sizes and ood part.

    Pool 0 is the data set as it is. A pool depends on the structures, the seed of the split and the pools
    before it, so that asking for more of them changes none; labels have no part in it, except that they
    tell copies by symmetry.

    Parameters
    ----------
    dataset
        With its own split.
    records
        Its frames, with the trajectory of each and the place in it.
    options
        ``pool_split`` says how to draw, ``seed`` what.
    n_pools
        How many to return.
    given
        Whether the source has a split of its own, so that it is the default.

    Raises
    ------
    StudyError
        If the split cannot be drawn again, or not in so many ways.
    """
    if n_pools == 1:
        return (dataset,)
    sequences, order = [one.sequence for one in records], [one.order for one in records]
    stretches = _stretches(dataset, sequences, order, options, given=given)
    strata = [  # a trajectory may have the name of a group that has other frames as well
        (one, True) if one in stretches else (group, False)
        for one, group in zip(sequences, dataset.groups, strict=True)
    ]
    rest = (strata, {(one, True) for one in stretches}, order, dataset.split, copies_of(dataset.frames))
    _require_both(dataset, strata)
    digest, pools = int(structures_hash(dataset), 16), [dataset]
    while len(pools) < n_pools:
        rng = np.random.default_rng([options.seed, len(pools), digest])
        known = {one.split for one in pools}
        drawn = (tuple(redraw(*rest, rng)) for _ in range(MOST_DRAWS))
        fresh = itertools.islice((split for split in drawn if split not in known), ENOUGH_DRAWS)
        found = _nearest(fresh, strata, dataset.split)
        if found is None:
            raise StudyError(
                f"{dataset.name}: {len(pools)} pools can be drawn that differ, and {n_pools} are asked for; "
                f"set pools = {len(pools)}, or use a larger test_fraction"
            )
        pools.append(
            DataSet(
                name=pool_name(dataset.name, len(pools)),
                frames=dataset.frames,
                split=found,
                isolated_atom_energies=dataset.isolated_atom_energies,
                notes=_other_sizes(found, dataset.split),
            )
        )
    return tuple(pools)


def pool_ids(dataset: DataSet, n_pools: int, *, each: bool) -> list[PoolId]:
    """Return number and held-out group of what `replicate` gives, and then, if so asked, `leave_out`.

    The numbers of the latter begin above `MOST_POOLS`, so that they do not change with ``n_pools``.
    """
    groups = sorted(set(dataset.groups)) if each else []
    return [(pool, "") for pool in range(n_pools)] + [
        (MOST_POOLS + number, group) for number, group in enumerate(groups, start=1)
    ]


def leave_out(dataset: DataSet, options: DataOptions) -> tuple[DataSet, ...]:
    """Hold out each group in turn as ood, whole, with what are copies of its frames.

    The other frames keep their part; those of the data set's own ood part are drawn, so that as large a share
    of them is tested as of the rest.

    Raises
    ------
    StudyError
        If nothing is left to train on or to test without one of the groups.
    """
    copy_of, parts = np.array(copies_of(dataset.frames)), np.array(dataset.split)
    side: dict[int, str] = {}
    for part in ("train", "test"):  # copies on both sides of a published split: beside those in train
        for root in copy_of[parts == part].tolist():
            side.setdefault(root, part)
    n_train, n_test = (dataset.split.count(part) for part in ("train", "test"))
    free = [root for root in dict.fromkeys(copy_of[parts == "ood"].tolist()) if root not in side]
    groups = np.array(dataset.groups)
    drawn = stratified_split(
        groups[free].tolist(), test_fraction=n_test / (n_train + n_test), seed=options.seed
    )
    side |= dict(zip(free, drawn, strict=True))
    every = [
        side[root] if part == "ood" else part
        for root, part in zip(copy_of.tolist(), dataset.split, strict=True)
    ]
    found = []
    for group in sorted(set(dataset.groups)):
        held_out = np.isin(copy_of, copy_of[groups == group])
        split = tuple(np.where(held_out, "ood", every).tolist())
        if not {"train", "test"} <= set(split):
            raise StudyError(
                f'{dataset.name}: ood = "each": without the group {group!r} nothing is left to train on, or '
                'to test; set ood = "own", or choose another split'
            )
        named = f"{dataset.name} without {group}"
        found.append(DataSet(named, dataset.frames, split, dataset.isolated_atom_energies))
    return tuple(found)


def _stretches(
    dataset: DataSet, sequences: Sequence[str], order: Sequence[float], options: DataOptions, *, given: bool
) -> set[str]:
    """Return the trajectories of which a pool tests one stretch."""
    method = method_of(options, given=given)
    if options.pool_split is None and method == "groups":
        raise StudyError(
            f"{dataset.name}: pools cannot be drawn by whole groups, which differ in size; set pool_split to "
            "stratified or blocks, or pools = 1"
        )
    if options.block_gap and "blocks" in (options.pool_split, method):
        raise StudyError(
            f"{dataset.name}: block_gap = {options.block_gap} leaves out other frames in every pool, and all "
            "pools share their frames; set block_gap = 0, or pools = 1"
        )
    if options.pool_split == "stratified":
        return set()
    if "blocks" in (options.pool_split, method):
        return set(sequences)
    return stretches_of(sequences, order, dataset.split)


def _require_both(dataset: DataSet, strata: Sequence[tuple[str, bool]]) -> None:
    """Raise `StudyError` if no stratum has frames in train and in test, so that there is nothing to draw."""
    pairs = {*zip(strata, dataset.split, strict=True)}
    if not any((stratum, "train") in pairs and (stratum, "test") in pairs for stratum in {*strata}):
        raise StudyError(
            f"{dataset.name}: its groups are in train or in test whole, so all pools would be alike; "
            'set split = "stratified" in its table [data.NAME], or pools = 1'
        )


def _nearest(
    splits: Iterable[tuple[str, ...]], strata: Sequence[tuple[str, bool]], parts: Sequence[str]
) -> tuple[str, ...] | None:
    """Return the first split that tests as many frames of every stratum as ``parts``, or the nearest."""
    wanted = Counter(one for one, part in zip(strata, parts, strict=True) if part == "test")
    best, least = None, math.inf
    for split in splits:
        found = Counter(one for one, part in zip(strata, split, strict=True) if part == "test")
        if "test" not in split:
            continue
        off = sum(abs(wanted[one] - found[one]) for one in wanted.keys() | found.keys())
        if off < least:
            best, least = split, off
        if not off:
            break
    return best


def _other_sizes(split: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """Say that a pool has other sizes than the data set's own split, if so."""
    if (found := split.count("test")) == (wanted := own.count("test")):
        return ()
    return (f"{found} test frames, not {wanted}: copies by symmetry stay on one side",)
