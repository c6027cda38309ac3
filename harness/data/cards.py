"""Data sets by name (a card each) or by path: what they are, and how they are loaded and split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune import datasets
from crossprune.harness.data.audit import audit
from crossprune.harness.data.copies import settle
from crossprune.harness.data.files.formats import read_file, read_files
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.files.levels import keys_of, of_level
from crossprune.harness.data.files.mlearn import read_mlearn
from crossprune.harness.data.frames import GROUP, SPLITS, DataSet, forces_of, group_of
from crossprune.harness.data.isolated import take_out
from crossprune.harness.data.names import check_name, is_file, pool_name
from crossprune.harness.data.partition import leave_out, method_of, partition, replicate, sides_of
from crossprune.harness.data.records import Reading, Record
from crossprune.harness.data.schema import Card, DataOptions
from crossprune.harness.data.sources import Downloader, locate, verify
from crossprune.harness.data.splits import DROPPED, folds, smoke_indices
from crossprune.harness.data.twins import copies_of, twins
from crossprune.harness.errors import DataError, StudyError, unknown_name
from crossprune.harness.tables import from_table, read_toml

__all__ = [
    "Card",
    "DataOptions",
    "card_of",
    "list_cards",
    "load_card",
    "load_dataset",
    "load_pools",
    "smoke_dataset",
]

CARD = "card.toml"
SMOKE = "smoke subset"
"""Begins the note of a data set of which only that is kept."""
SMOKE_FRAMES = 30
"""Frames of a smoke subset: every part and group of the embedded sets appears, and it fits in seconds."""


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
    return from_table(Card, {"name": name, **read_toml(card_folder(name) / CARD)}, f"datasets/{name}/{CARD}")


UNSAID: Mapping[str, Any] = {
    **dict.fromkeys(("title", "citation", "doi", "licence", "level_of_theory"), ""),
    **{"elements": (), "files": (), "units": {}, "groups": {}, "splits": {}},
    **{"format": {"reader": "extxyz"}, "protocol": None},
}
"""What the card of a file of the user's need not say."""
OF_PUBLISHED = ("name", "files", "format", "repository", "split_file")
"""What it must not say, because the study does."""


def card_of(name: str, options: DataOptions, elements: Sequence[str] = ()) -> Card:
    """Return what is known of a data set besides its frames, be it published or a file of the user's.

    Parameters
    ----------
    name
        Name of a card, or path of a file.
    options
        The study's table of it: of a file, it says what the card says, or names one.
    elements
        Those of the data, for a card that does not say.

    Raises
    ------
    StudyError
        If there is no such card, or it is malformed.
    """
    if name in list_cards():
        return of_level(load_card(name), options)
    said = dict(read_toml(Path(options.card))) if options.card else {}
    for key in OF_PUBLISHED:
        if key in said:
            raise StudyError(f"{options.card}: {key} is not for a file of your own; its path says it")
    document = {**UNSAID, **said, "name": options.name or Path(name).name}
    if options.protocol is not None:
        document["protocol"] = options.protocol
    for table in ("crystals", "reference"):
        document[table] = {**document.get(table, {}), **getattr(options, table)}
    document["levels"] = {**document.get("levels", {}), **options.levels}
    card = from_table(Card, document, options.card or f"[data.{name}]")
    return of_level(card if card.elements else replace(card, elements=tuple(elements)), options)


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
    return load_pools(name_or_path, 1, options=options, downloader=downloader)[0]


def load_pools(
    name_or_path: str | Path,
    n_pools: int,
    *,
    each: bool = False,
    options: DataOptions | None = None,
    downloader: Downloader | None = None,
) -> tuple[DataSet, ...]:
    """As `load_dataset`, with ``n_pools`` splits of the same frames: its own, and others that are drawn.

    With ``each`` also those in which one group after the other is held out, as `pool_ids` names them.

    Raises
    ------
    DataError, StudyError
        As `load_dataset`; and if there are not so many pools that differ.
    """
    options, name = options or DataOptions(), str(name_or_path)
    dataset, records = _load(name, options, downloader)
    if options.smoke:
        dataset = smoke_dataset(dataset)
    record_of = {id(record.atoms): record for record in records}
    kept = [record_of[id(atoms)] for atoms in dataset.frames]
    if options.folds:
        if each:
            raise StudyError(f'{name}: folds are of the training part alone, so set ood = "own"')
        return cross_validate(dataset, kept, options.folds, n_pools)
    drawn = replicate(dataset, kept, options, n_pools, given=name in list_cards())
    return (*drawn, *leave_out(dataset, options)) if each else drawn


def load_labelled(
    name_or_path: str | Path, *, options: DataOptions | None = None, downloader: Downloader | None = None
) -> tuple[list[Atoms], list[str]]:
    """Load and check all labelled frames of a data set, without a split; return what a user must know, too.

    Raises
    ------
    DataError, StudyError
        As `load_dataset`, but for what a split needs.
    """
    found = _read(str(name_or_path), options or DataOptions(), downloader)
    return [one.atoms for one in found.records], found.notes


def cross_validate(
    dataset: DataSet, records: Sequence[Record], n_folds: int, n_pools: int
) -> tuple[DataSet, ...]:
    """Return the training part of a data set with each of its folds as test part; all other parts are gone.

    Raises
    ------
    StudyError
        If there are fewer folds than pools that are asked for, or a fold would have no frames.
    """
    train = dataset.indices("train").tolist()
    kept = [records[one] for one in train]
    frames = tuple(one.atoms for one in kept)
    groups, sequences = [group_of(one) for one in frames], [one.sequence for one in kept]
    numbers = folds(groups, sequences, [one.order for one in kept], copies_of(frames), n_folds)
    if n_pools > n_folds or len(set(numbers)) < n_folds:
        raise StudyError(
            f"{dataset.name}: folds = {n_folds} of {len(frames)} training frames, and pools = {n_pools}: "
            "give no more folds than frames that differ, and no more pools than folds"
        )
    return tuple(
        DataSet(
            name=pool_name(dataset.name, pool),
            frames=frames,
            split=tuple("test" if number == pool else "train" for number in numbers),
            isolated_atom_energies=dataset.isolated_atom_energies,
            notes=(f"training part alone, in {n_folds} folds",) if pool == 0 else (),
        )
        for pool in range(n_pools)
    )


@dataclass(frozen=True)
class _Read:
    """What files of a data set hold, checked and filtered."""

    name: str
    records: list[Record]
    notes: list[str]
    energies: dict[str, float] | None
    """Of isolated atoms, eV."""
    given: bool
    """Whether it has a card."""


def _read(name: str, options: DataOptions, downloader: Downloader | None) -> _Read:
    check_name(name)
    card = load_card(name) if name in list_cards() else None
    if card is not None:
        reading = Reading(_read_card(card, options, downloader))
    elif is_file(Path(name)) or Path(name).suffix:
        reading = _read_own(name, options)
        name = options.name or Path(name).name
    else:
        raise StudyError(
            f"{unknown_name('data set', name, list_cards())}; or give the path of an extended-XYZ file"
        )
    records, notes = _filter(reading.records, options, card, name)
    notes = [*reading.notes, *notes]
    records, energies, about_atoms = take_out(
        records, options.isolated_atom_group, options.isolated_atom_energies, name
    )
    notes += about_atoms
    if card is None:
        notes += audit([one.atoms for one in records])
    return _Read(name, records, notes, energies, card is not None)


def _load(path: str, options: DataOptions, downloader: Downloader | None) -> tuple[DataSet, list[Record]]:
    """Load, check, filter and split a data set; return all records beside it."""
    found = _read(path, options, downloader)
    name, records, notes, energies, given = vars(found).values()
    frames, places = [one.atoms for one in records], [one.place for one in records]
    copy_of = twins(
        frames, sides_of(records, options) if method_of(options, given=given) == "given" else None
    )
    parts = partition(records, options, name, given=given, copy_of=copy_of)
    if beside := parts.count(DROPPED):
        notes.append(f"{beside} frames beside test stretches left out (block_gap)")
    parts, about_copies = settle(frames, places, parts, copy_of, options.duplicates)
    notes += about_copies
    for part in ("train", "test"):
        if part not in parts:
            raise StudyError(
                f"{name}: no frame is left for the {part!r} part; change the split, or duplicates"
            )
    kept = [index for index, part in enumerate(parts) if part != DROPPED]
    about = card_of(path, options)
    if energies is None and about.isolated_atom_energies is not None:
        energies = dict(about.isolated_atom_energies)
    dataset = DataSet(
        name=name,
        frames=tuple(records[index].atoms for index in kept),
        split=tuple(parts[index] for index in kept),
        isolated_atom_energies=energies,
        notes=tuple(notes),
    )
    return dataset, records


def smoke_dataset(dataset: DataSet, n_frames: int = SMOKE_FRAMES) -> DataSet:
    """Return a tiny subset that takes turns over all parts and groups, for tests."""
    chosen = smoke_indices(dataset.groups, dataset.split, n_frames)
    return replace(
        dataset,
        frames=tuple(dataset.frames[index] for index in chosen),
        split=tuple(dataset.split[index] for index in chosen),
        notes=(*dataset.notes, f"{SMOKE}: {len(chosen)} of {len(dataset.frames)} frames"),
    )


def _root() -> Path:
    """Return the folder of the cards."""
    return Path(str(files(datasets)))


def card_folder(name: str) -> Path:
    """Return the folder of a card and of the data embedded beside it."""
    return _root() / name


def _read_own(name: str, options: DataOptions) -> Reading:
    """Read a file of the user's, and those that hold its test and ood parts."""
    if options.name and options.name != name and not is_file(Path(name)) and is_file(Path(options.name)):
        raise DataError(
            f"no such file: {name}; paths of a study are counted from its folder. There is {options.name} in "
            f"{Path.cwd()}: write its path as seen from the study, or give --data {options.name}"
        )
    files: list[tuple[Path, str | None]] = [(Path(name), "train" if options.test else None)]
    for part, path in (("test", options.test), ("ood", options.ood)):
        if path:
            files.append((Path(path), part))
    return read_files(files, keys_of(card_of(name, options), options))


def _read_card(card: Card, options: DataOptions, downloader: Downloader | None) -> list[Record]:
    if options.keys != Keys():
        raise StudyError(
            f"{card.name}: the *_key options are for files of your own; its card says how to read"
        )
    if own := options.of_files:
        raise StudyError(f"[data.{card.name}]: {', '.join(own)}: for files of your own; its card says it")
    records: list[Record] = []
    for file in card.files:
        if card.repository is None:
            path = card_folder(card.name) / file.path
            verify(path, file.git_blob, "install crossprune again")
            keys = keys_of(card, options)
            read = read_file(path, replace(keys, order=card.format.order_key)).records
        else:
            read = read_mlearn(
                locate(card.remote(file), downloader),
                stress_order=card.format.stress_order if _use_stress(options, card) else None,
                stress_key=card.format.stress_key,
                stress_order_of=card.format.stress_order_of,
                group_from=card.format.group_from,
            )
        records += [replace(record, part=file.part) for record in read]
    if card.split_file is not None:
        lists = json.loads((card_folder(card.name) / card.split_file).read_text())
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
