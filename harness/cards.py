"""Data sets by name (a card each) or by path: what they are, and how they are loaded and split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from crossprune.harness.errors import DataError, StudyError, unknown_name
from crossprune.harness.formats import Keys, Record, read_ase, read_mlearn
from crossprune.harness.frames import GROUP, SPLITS, DataSet, forces_of, group_of
from crossprune.harness.sources import Downloader, RemoteFile, is_local, locate, verify
from crossprune.harness.splits import (
    DROPPED,
    block_split,
    group_split,
    random_split,
    smoke_indices,
    stratified_split,
)
from crossprune.harness.tables import from_table, read_toml
from crossprune.harness.validation import check_duplicates

PACKAGE = "crossprune.datasets"
CARD = "card.toml"
SMOKE_FRAMES = 30
"""Frames of a smoke subset: every part and group of the embedded sets appears, and it fits in seconds."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set."""

    path: str
    """Path in the repository, or in the card's own folder for embedded data."""
    git_blob: str
    """Git blob id: SHA-1 over ``blob <size>`` + NUL + content."""
    part: Literal["train", "test"] | None = None
    """Part of the published split; None where a split list says."""
    commit: str = ""
    """Commit in which the repository has the file, if it is not the card's."""


@dataclass(frozen=True)
class Format:
    """How the files are read."""

    reader: Literal["extxyz", "mlearn"]
    """Extended XYZ, or the JSON schema of mlearn."""
    stress: bool = True
    """Whether stress labels are used unless asked otherwise."""
    stress_reason: str = ""
    """Why stress is left out, or what is odd about it."""
    stress_key: str = "virial_stress"
    """Key of the stress in ``outputs`` (mlearn schema)."""
    stress_order: tuple[str, ...] = ("xx", "yy", "zz", "xy", "yz", "xz")
    """Components in the order of the file (mlearn schema; kbar, positive = compression)."""
    group_from: Literal["entry", "file"] = "entry"
    """Take the group from each entry, or from the file's name (mlearn schema)."""
    order_key: str | None = None
    """Key in ``info`` with the place in a trajectory (extended XYZ)."""


@dataclass(frozen=True)
class Repository:
    """The public repository that has the files; None for embedded data."""

    url: str
    """Address of the raw files, without commit and path."""
    commit: str
    """Commit in which the files were found."""
    set_name: str
    """First folder of a mirror in ``CROSSPRUNE_DATA``."""
    strip: str = ""
    """Beginning of the paths that a mirror may leave out."""


@dataclass(frozen=True)
class Reference:
    """Reference properties of one structure at the data set's level of theory."""

    source: str
    """Where the values come from, and with which settings."""
    values: Mapping[str, float]
    """Property, unit in its name, to value."""


@dataclass(frozen=True)
class Protocol:
    """What property and molecular-dynamics protocols start from."""

    prototype: Literal["bcc", "fcc", "diamond"]
    """Crystal structure of the ground state."""
    lattice_parameter_angstrom: float
    """Lattice parameter (Å) near the minimum at the data set's level of theory."""
    melting_temperature_k: float
    """Experimental melting temperature (K), for temperatures relative to it."""
    source: str
    """Where the melting temperature comes from."""


@dataclass(frozen=True)
class Card:
    """Everything known about a data set besides its frames."""

    name: str
    """Folder name, such as ``mlearn-Mo``."""
    title: str
    """One line."""
    citation: str
    """Whom to cite."""
    doi: str
    """DOI of the publication; empty if there is none."""
    licence: str
    """Licence of the data."""
    elements: tuple[str, ...]
    """Chemical symbols."""
    level_of_theory: str
    """Functional, code and settings."""
    units: Mapping[str, str]
    """Units and signs in the files, before conversion."""
    groups: Mapping[str, str]
    """Group name to what it holds."""
    splits: Mapping[str, str]
    """Part to the rule that fills it."""
    format: Format
    files: tuple[DataFile, ...]
    protocol: Protocol
    reference: Mapping[str, Reference] = field(default_factory=dict)
    """Structure to its reference properties."""
    repository: Repository | None = None
    split_file: str | None = None
    """Split list in the card's folder, JSON: part to frame indices."""
    isolated_atom_energies: Mapping[str, float] | None = None
    """Energy of each isolated atom (eV) if the source gives it."""
    notes: tuple[str, ...] = ()
    """What a user must know."""

    @property
    def available(self) -> bool:
        """Whether the files are here, without the network."""
        return all(is_local(_remote(self, file)) for file in self.files) if self.repository else True


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
    allow_duplicates: bool = False
    """Accept identical structures."""
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


def list_cards() -> tuple[str, ...]:
    """Return the names of all data sets that have a card, sorted."""
    folders = _root().iterdir()
    return tuple(sorted(folder.name for folder in folders if (folder / CARD).is_file()))


@cache
def load_card(name: str) -> Card:
    """Read the card of a data set.

    Raises
    ------
    StudyError
        If there is no such card, or the card is malformed.
    """
    if name not in list_cards():
        raise StudyError(unknown_name("data set", name, list_cards()))
    with resources.as_file(_folder(name) / CARD) as path:
        return from_table(Card, {"name": name, **read_toml(path)}, f"datasets/{name}/{CARD}")


def load_dataset(
    name_or_path: str | Path, *, options: DataOptions | None = None, downloader: Downloader | None = None
) -> DataSet:
    """Load, check, filter and split a data set.

    Parameters
    ----------
    name_or_path
        Name of a card, or path of an extended-XYZ file or ASE database.
    options
        Reading and splitting; defaults if not given.
    downloader
        Fetches missing files of a card; by default over HTTP.

    Raises
    ------
    DataError
        If a file or frame cannot be used; the message names file, frame and remedy.
    StudyError
        If the name is unknown or an option does not apply.
    """
    options = options or DataOptions()
    name = str(name_or_path)
    card = load_card(name) if name in list_cards() else None
    if card is not None:
        records = _read_card(card, options, downloader)
    elif Path(name).exists() or Path(name).suffix:
        records = read_ase(Path(name), options.keys)
        name = Path(name).name
    else:
        raise StudyError(
            f"{unknown_name('data set', name, list_cards())}; or give the path of an extended-XYZ file"
        )
    records, notes = _filter(records, options, card, name)
    parts = _partition(records, options, name, given=card is not None)
    if not options.allow_duplicates:
        check_duplicates([one.atoms for one in records], [one.place for one in records], parts)
    kept = [index for index, part in enumerate(parts) if part != DROPPED]
    if len(kept) < len(parts):
        notes.append(f"{len(parts) - len(kept)} frames beside test stretches left out (block_gap)")
    energies = None if card is None else card.isolated_atom_energies
    dataset = DataSet(
        name=name,
        frames=tuple(records[index].atoms for index in kept),
        split=tuple(parts[index] for index in kept),
        isolated_atom_energies=None if energies is None else dict(energies),
        notes=tuple(notes),
    )
    return smoke_dataset(dataset) if options.smoke else dataset


def smoke_dataset(dataset: DataSet, n_frames: int = SMOKE_FRAMES) -> DataSet:
    """Return a tiny subset that takes turns over all parts and groups, for tests."""
    chosen = smoke_indices(dataset.groups, dataset.split, n_frames)
    return replace(
        dataset,
        frames=tuple(dataset.frames[index] for index in chosen),
        split=tuple(dataset.split[index] for index in chosen),
        notes=(*dataset.notes, f"smoke subset: {len(chosen)} of {len(dataset.frames)} frames"),
    )


def _root() -> Path:
    """Return the folder of the cards; `importlib.resources` fails on an editable namespace package."""
    spec = find_spec(PACKAGE)
    folders = [] if spec is None else [Path(one) for one in spec.submodule_search_locations or ()]
    return next(folder for folder in folders if folder.is_dir())


def _folder(name: str) -> Traversable:
    return _root() / name


def _remote(card: Card, file: DataFile) -> RemoteFile:
    assert card.repository is not None
    return RemoteFile(
        set_name=card.repository.set_name,
        path=file.path,
        url=f"{card.repository.url}/{file.commit or card.repository.commit}/{file.path}",
        git_blob=file.git_blob,
        strip=card.repository.strip,
    )


def _read_card(card: Card, options: DataOptions, downloader: Downloader | None) -> list[Record]:
    if options.keys != Keys():
        raise StudyError(
            f"{card.name}: the *_key options are for files of your own; its card says how to read"
        )
    records: list[Record] = []
    for file in card.files:
        if card.repository is None:
            with resources.as_file(_folder(card.name) / file.path) as path:
                verify(path, file.git_blob, "install crossprune again")
                read = read_ase(path, Keys(order=card.format.order_key))
        else:
            read = read_mlearn(
                locate(_remote(card, file), downloader),
                stress_order=card.format.stress_order if _use_stress(options, card) else None,
                stress_key=card.format.stress_key,
                group_from=card.format.group_from,
            )
        records += [replace(record, part=file.part) for record in read]
    if card.split_file is not None:
        lists = json.loads((_folder(card.name) / card.split_file).read_text())
        part_of = {index: part for part in SPLITS for index in lists[part]}
        records = [replace(record, part=part_of[index]) for index, record in enumerate(records)]
    return records


def _use_stress(options: DataOptions, card: Card | None) -> bool:
    if options.use_stress is not None:
        return options.use_stress
    return card is None or card.format.stress


def _filter(
    records: list[Record], options: DataOptions, card: Card | None, name: str
) -> tuple[list[Record], list[str]]:
    """Leave out stress or frames and rename groups as the options say; return notes about it."""
    notes = []
    if not _use_stress(options, card):
        for record in records:
            assert record.atoms.calc is not None
            record.atoms.calc.results.pop("stress", None)
        reason = f": {card.format.stress_reason}" if card is not None and options.use_stress is None else ""
        notes.append(f"stress labels left out{reason}")
    if options.group_by == "trajectory":
        for record in records:
            record.atoms.info[GROUP] = record.sequence
    limit = options.max_force_ev_per_angstrom
    if limit is not None:
        kept = [one for one in records if np.linalg.norm(forces_of(one.atoms), axis=1).max() <= limit]
        if not kept:
            raise DataError(
                f"{name}: every frame has a force above {limit} eV/Å; raise max_force_ev_per_angstrom"
            )
        notes.append(
            f"dropped {len(records) - len(kept)} of {len(records)} frames with a force above {limit} eV/Å"
        )
        records = kept
    return records, notes


def _partition(records: Sequence[Record], options: DataOptions, name: str, *, given: bool) -> list[str]:
    """Return the part of each record."""
    groups = [group_of(record.atoms) for record in records]
    if options.ood_groups is None:
        held_out = {group for group, one in zip(groups, records, strict=True) if one.part == "ood"}
    else:
        held_out = set(options.ood_groups)
    for group in sorted(held_out.difference(groups)):
        raise StudyError(f"{name}: ood_groups: {unknown_name('group', group, set(groups))}")
    method = options.split or ("given" if given or options.split_key else "stratified")
    inside = [index for index, group in enumerate(groups) if group not in held_out]
    parts = ["ood"] * len(records)
    drawn = _draw(method, [records[index] for index in inside], options)
    for index, part in zip(inside, drawn, strict=True):
        parts[index] = part
    for part in ("train", "test"):
        if part not in parts:
            raise StudyError(
                f"{name}: no frame is left for the {part!r} part; change test_fraction, ood_groups or split"
            )
    return parts


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
