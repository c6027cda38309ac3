"""How a data set is read, filtered and divided into train, test and ood."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ase.data import atomic_numbers
from crossprune.harness.data.copies import Choice
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import SPLITS, group_of
from crossprune.harness.data.records import Record
from crossprune.harness.data.splits import block_split, group_split, random_split, stratified_split
from crossprune.harness.errors import DataError, StudyError, unknown_name


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
