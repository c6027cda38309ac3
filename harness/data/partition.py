"""How a data set is read, filtered and divided into train, test and ood."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase.data import atomic_numbers
from crossprune.harness.data.copies import Choice
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import SPLITS, DataSet, group_of, structures_hash
from crossprune.harness.data.names import pool_name
from crossprune.harness.data.records import Record
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


@dataclass(frozen=True)
class DataOptions:
    """How a data set is read, filtered and split; the ``[data.NAME]`` table of a study."""

    split: Literal["given", "random", "stratified", "blocks", "groups"] | None = None
    """``given`` (the default of a card: its own split), ``stratified`` by group (the default of a
    file), ``random``, ``blocks`` (one contiguous stretch of every trajectory), ``groups`` (whole groups)."""
    test_fraction: float = 0.2
    """Share of the frames, those in ``ood`` aside, that are tested."""
    seed: int = 0
    """Seed of the split."""
    ood_groups: tuple[str, ...] | None = None
    """Groups held out whole, as ``ood``; None keeps the card's."""
    group_by: Literal["group", "trajectory"] = "group"
    """``trajectory`` makes each trajectory or strain path a group of its own."""
    block_gap: int = 0
    """With ``blocks``: frames left out on either side of the test stretch."""
    pool_split: Literal["stratified", "blocks"] | None = None
    """How the pools of a study draw other test frames: ``stratified`` by group, or ``blocks`` (another
    stretch of every trajectory). None: as the data set's own split does, a stretch of the trajectories
    whose test frames are one (of 3 or more), and by group elsewhere."""
    folds: int = 0
    """Keep the training part alone, of which pool i tests the i-th of so many folds: cross-validation. Long
    trajectories are cut into stretches, copies stay on one side. 0 keeps the parts as they are."""
    max_force_ev_per_angstrom: float | None = None
    """Drop frames in which an atom's force is larger (eV/Å); the data set's notes say how many."""
    use_stress: bool | None = None
    """Use stress labels; None as the card recommends, for a file yes."""
    duplicates: Choice = "refuse"
    """``refuse`` identical structures, ``drop`` all but one of them and the test and ood frames that have a
    copy by symmetry in train, or ``keep`` everything."""
    isolated_atom_group: str | None = None
    """Group of isolated atoms, whose energies become the offsets and which are kept out of all parts; None
    looks for IsolatedAtom, isolated_atom and the like, an empty text takes none."""
    isolated_atom_energies: Mapping[str, float] | None = None
    """Energy of each isolated atom (eV); goes before those of the file or card."""
    categories: Mapping[str, tuple[str, ...]] | None = None
    """Kinds of structures in tables of what was chosen, to patterns of groups such as ``"* at 300 K"``, of
    which the first that fits counts; None takes the card's, and groups as they are where there are none."""
    smoke: bool = False
    """Keep a tiny subset of all parts and groups, for tests."""
    energy_key: str | None = None
    """Files only: key of the energy; None takes what ASE reads, the free energy first."""
    forces_key: str | None = None
    """Files only: key of the forces."""
    stress_key: str | None = None
    """Files only: key of the stress (eV/Å³, positive = tension)."""
    virial_key: str | None = None
    """Files only: key of the virial (eV, -volume × stress)."""
    group_key: str | None = None
    """Files only: key of the group; None looks for ``group``, then ``config_type``."""
    order_key: str | None = None
    """Files only: key of the place in a trajectory."""
    split_key: str | None = None
    """Files only: key that holds ``train``, ``test`` or ``ood``."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 < self.test_fraction < 1:
            raise StudyError(f"test_fraction must lie between 0 and 1, got {self.test_fraction}")
        if self.folds < 0 or self.folds == 1:
            raise StudyError(f"folds must be 0 (none) or at least 2, got {self.folds}")
        if self.block_gap < 0 or self.seed < 0:
            raise StudyError("block_gap and seed must not be negative")
        if self.max_force_ev_per_angstrom is not None and self.max_force_ev_per_angstrom <= 0:
            raise StudyError("max_force_ev_per_angstrom must be positive")
        for element, energy in (self.isolated_atom_energies or {}).items():
            if element not in atomic_numbers or not math.isfinite(energy):
                raise StudyError(
                    f"isolated_atom_energies: {element} = {energy}; give eV by symbol, such as {{Cu = -0.3}}"
                )
        if self.stress_key and self.virial_key:
            raise StudyError("give stress_key or virial_key, not both")

    @property
    def keys(self) -> Keys:
        """The names of labels in a file."""
        return Keys(
            energy=self.energy_key,
            forces=self.forces_key,
            stress=self.stress_key,
            virial=self.virial_key,
            group=self.group_key,
            order=self.order_key,
            split=self.split_key,
        )


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
    if options.ood_groups is None:
        held_out = {group for group, one in zip(groups, records, strict=True) if one.part == "ood"}
    else:
        held_out = set(options.ood_groups)
    for group in sorted(held_out.difference(groups)):
        raise StudyError(f"{name}: ood_groups: {unknown_name('group', group, set(groups))}")
    method = method_of(options, given=given)
    inside = [index for index, group in enumerate(groups) if group not in held_out]
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
    return options.split or ("given" if given or options.split_key else "stratified")


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
