"""Read labelled frames from a file of the user's: extended XYZ, ASE databases, two kinds of JSON."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ase import Atoms
from crossprune.harness.data.files.compounds import has_stress, is_compounds, read_compounds
from crossprune.harness.data.files.extxyz import OPENERS, read_frames
from crossprune.harness.data.files.labels import Keys, RawFrame, labelled, number, required, without_labels
from crossprune.harness.data.files.mlearn import is_mlearn, read_json, read_mlearn
from crossprune.harness.data.files.theory import of_one_level
from crossprune.harness.data.names import is_file
from crossprune.harness.data.records import Reading, Record
from crossprune.harness.data.validation import check_frame
from crossprune.harness.errors import DataError, StudyError

XYZ_SUFFIXES = (".xyz", ".extxyz")
JSON = ".json"
DATABASE_SUFFIXES = (".db", JSON)
LEFT_OUT = (
    "stress labels left out: the order of the shear components in mlearn's schema differs between files; "
    "the cards of the published sets know it"
)

STRESS_UNKNOWN = "stress labels (vasp_s) left out: their sign and unit are not said in such files"


def read_file(path: Path, keys: Keys) -> Reading:
    """Read an extended-XYZ file (compressed or not), an ASE database, or JSON of mlearn or of compounds.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or of another kind, or a frame is broken.
    StudyError
        If a key is given for JSON, whose keys are fixed.
    """
    return read_files([(path, None)], keys)


def read_files(files: Sequence[tuple[Path, str | None]], keys: Keys) -> Reading:
    """As `read_file`, of several files of one data set, whose labels are made uniform together.

    Parameters
    ----------
    files
        Each with the part that all its frames are in, if it is one.
    keys
        Names of the labels, in all of them.
    """
    raw: list[tuple[RawFrame, str | None]] = []
    records: list[Record] = []
    notes: list[str] = []
    for path, part in files:
        check_file(path)
        document: Any = read_json(path) if suffix_of(path) == JSON else None
        if is_mlearn(document):
            reading = _reading_of_mlearn(path, document, keys)
            records += [replace(one, part=part) for one in reading.records]
            notes += reading.notes
            continue
        if is_compounds(document):
            _require_no_keys(path, keys, "compounds with frames")
            notes += [STRESS_UNKNOWN] if has_stress(document) else []
            raw += [(RawFrame.of(atoms, place), part) for atoms, place in read_compounds(path, document)]
            continue
        found = [(RawFrame.of(atoms, place), part) for atoms, place in frames_of(path)]
        if not found:
            raise DataError(f"{path} holds no frames; give a file with labelled structures")
        raw += found
    if raw:
        raw, said = of_one_level(raw, keys.level, files[0][0])
        more = _of_labels(raw, keys, files[0][0])
        records, notes = records + more.records, notes + said + list(more.notes)
    return Reading(records, tuple(notes))


def _require_no_keys(path: Path, keys: Keys, schema: str) -> None:
    if keys != Keys():
        raise StudyError(f"{path}: the *_key options are not for {schema}, whose keys are fixed")


def _reading_of_mlearn(path: Path, document: Any, keys: Keys) -> Reading:
    _require_no_keys(path, keys, "mlearn's schema")
    note = (LEFT_OUT,) if any(_has_stress(entry) for entry in document) else ()
    return Reading(_of_mlearn(path, document), note)


def _of_labels(raw: Sequence[tuple[RawFrame, str | None]], keys: Keys, path: Path) -> Reading:
    """Give frames their labels, places in trajectories and parts; ``path`` is for messages."""
    frames, notes = labelled([one for one, _ in raw], keys, path)
    ordered = False
    records = []
    for index, ((one, part), frame) in enumerate(zip(raw, frames, strict=True)):
        check_frame(frame, one.place)
        ordered = ordered or keys.order in one.info
        group = frame.info["group"]
        order = number(one.info.get(keys.order, index), "order_key", one.place) if keys.order else index
        if not math.isfinite(order):
            raise DataError(f"{one.place}: {keys.order!r} (order_key) is {order}; give a finite number")
        if keys.split is not None:
            part = str(required(one.info, keys.split, "split_key", one.place))
        records.append(Record(atoms=frame, place=one.place, sequence=group, order=order, part=part))
    if keys.order is not None and not ordered:
        raise DataError(
            f"{path}: no frame has {keys.order!r} (order_key); leave it out to keep the file's order"
        )
    return Reading(records, tuple(notes))


def read_structures(path: Path, keys: Keys) -> list[Atoms]:
    """Read the structures and groups of a file whose frames need no labels.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or of another kind, or a structure is broken.
    """
    check_file(path)
    found = []
    for atoms, place in frames_of(path):
        frame = without_labels(RawFrame.of(atoms, place), keys)
        check_frame(frame, place)
        frame.calc = None
        found.append(frame)
    if not found:
        raise DataError(f"{path} holds no frames; give a file with structures")
    return found


def _of_mlearn(path: Path, document: list[Any]) -> list[Record]:
    has_groups = all(isinstance(entry, dict) and "group" in entry for entry in document)
    return read_mlearn(path, stress_order=None, group_from="entry" if has_groups else "file")


def _has_stress(entry: Any) -> bool:
    outputs = entry.get("outputs") if isinstance(entry, dict) else None
    return isinstance(outputs, dict) and any("stress" in key for key in outputs)


def is_xyz(path: Path) -> bool:
    """Say whether a file is extended XYZ by its name, compressed or not."""
    return suffix_of(path) in XYZ_SUFFIXES


def check_file(path: Path) -> None:
    """Refuse a file that is missing, empty or of an unknown kind.

    Raises
    ------
    DataError
        With what is allowed.
    """
    suffix = suffix_of(path)
    if suffix not in XYZ_SUFFIXES + DATABASE_SUFFIXES:
        allowed = ", ".join(XYZ_SUFFIXES + DATABASE_SUFFIXES)
        raise DataError(f"{path}: unknown kind of file; allowed: {allowed} (.xyz and .json also compressed)")
    if not is_file(path):
        where = "" if path.is_absolute() else f" in {Path.cwd()}, from where paths are counted"
        raise DataError(f"no such file: {path}{where}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with labelled structures")


def suffix_of(path: Path) -> str:
    """Return the ending that says what a file is, without that of its compression."""
    suffixes = path.suffixes
    if suffixes and suffixes[-1] in OPENERS:
        inner = suffixes[-2] if len(suffixes) > 1 else ""
        return inner if inner in (*XYZ_SUFFIXES, JSON) else suffixes[-1]
    return suffixes[-1] if suffixes else ""


def frames_of(path: Path) -> Iterator[tuple[Atoms, str]]:
    """Yield the frames of a file as ASE reads them, with their places.

    Raises
    ------
    DataError
        If the file is truncated or malformed.
    """
    if is_xyz(path):
        yield from read_frames(path)
        return
    if suffix_of(path) == JSON:
        document = read_json(path)
        if is_mlearn(document):
            yield from ((one.atoms, one.place) for one in _of_mlearn(path, document))
            return
        if is_compounds(document):
            yield from read_compounds(path, document)
            return
        _check_json_database(path, document)
    else:
        _check_database(path)
    import ase.db  # only here: longer to import than most files take to read

    count = 0
    try:
        with ase.db.connect(path, append=True) as database:  # only inside ``with`` does ASE close it
            for row in database.select():
                yield row.toatoms(add_additional_information=True), f"{path}, frame {count}"
                count += 1
    except Exception as error:  # whatever a foreign file makes ASE raise, the file is at fault
        raise DataError(
            f"{path}, frame {count}: not readable ({type(error).__name__}: {str(error)[:200]}); the file is "
            "truncated or malformed: write it again, or remove this row"
        ) from None


def _check_json_database(path: Path, document: Any) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("ids"), list):
        raise DataError(
            f"{path}: JSON, but neither an ASE database nor a list of structures in mlearn's schema "
            "(structure, outputs), nor compounds with frames (structure, vasp_e, vasp_f); convert it, for "
            "instance to extended XYZ with ase.io.write"
        )
    if path.suffix != JSON:
        raise DataError(f"{path}: a compressed ASE database; decompress it")
    missing = [one for one in document["ids"] if str(one) not in document]
    if missing:
        raise DataError(f"{path}: row {missing[0]} of the database is missing; write the file again")


def _check_database(path: Path) -> None:
    """Refuse a database of which a part is missing, although the rows that are left can be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            [(verdict,), *_] = connection.execute("PRAGMA quick_check").fetchall()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        raise DataError(
            f"{path}, frame 0: not readable ({verdict}); the file is truncated, damaged or no ASE database: "
            "write it again"
        )
