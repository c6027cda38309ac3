"""Names of data sets: cards, or paths, of which two spellings may mean one file."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeVar

from crossprune.harness.errors import StudyError, unknown_name

LONGEST = 1000
"""Characters of a name; file systems allow 255 per folder and rarely more than 4096 in all."""
Table = TypeVar("Table")


def check_name(name: str) -> None:
    """Refuse a name that no card and no file can have.

    Raises
    ------
    StudyError
        If it is empty, longer than `LONGEST` characters, or has control characters.
    """
    if not name.strip():
        raise StudyError("the name of a data set is empty; give a card's name or a path")
    if len(name) > LONGEST:
        raise StudyError(
            f"the name of a data set has {len(name)} characters ({name[:40]}…); at most {LONGEST} are allowed"
        )
    if not name.isprintable():
        raise StudyError(f"the name of a data set has control characters: {name!r}; rename the file")


def pool_name(name: str, pool: int) -> str:
    """Name a pool of a data set; pool 0 is the data set as it comes, and has its name."""
    return f"{name}, pool {pool}" if pool else name


def is_file(path: Path) -> bool:
    """Say whether there is such a file; a name that the file system does not take is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def beside(folder: Path, name: str, cards: Collection[str]) -> str:
    """Return a data set of a study as seen from the working directory: paths are relative to its file.

    What is no path, the name of a card or what may be meant as one, stays as it is.
    """
    path = folder / name
    is_path = name.strip() and name not in cards and (Path(name).suffix or is_file(path))
    return str(path) if is_path else name


def table_of(
    tables: Mapping[str, Table], names: Collection[str], name: str, cards: Collection[str]
) -> Table | None:
    """Return the ``[data.NAME]`` table of a data set, however its path is spelt, or None.

    Parameters
    ----------
    tables
        All such tables of a study.
    names
        The data sets of the run.
    name
        The one that is asked for.
    cards
        Names of data sets that have a card: they are no paths.

    Raises
    ------
    StudyError
        If a table belongs to no data set of the run, or two belong to this one.
    """
    is_there = name in cards or is_file(Path(name))  # if not, that is what loading says
    for table in tables:
        if is_there and not is_one_of(table, names, cards):
            raise StudyError(f"[data]: {unknown_name('data set', table, names)} (the data sets of this run)")
    found = [table for table in tables if is_one_of(table, [name], cards)]
    if len(found) > 1:
        raise StudyError(f"[data]: {' and '.join(map(repr, found))} are one data set; write one table")
    return tables[found[0]] if found else None


def is_one_of(name: str, names: Collection[str], cards: Collection[str]) -> bool:
    """Say whether ``name`` is one of ``names``, however their paths are spelt."""
    return _identity(name, cards) in {_identity(one, cards) for one in names}


def check_distinct(names: Collection[str], cards: Collection[str]) -> None:
    """Raise `StudyError` if two names mean one data set."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(_identity(name, cards), name)
        if other != name:
            raise StudyError(f"{other!r} and {name!r} are one data set; give it once")


def _identity(name: str, cards: Collection[str]) -> str:
    """Return what all spellings of a data set have in common: the real path of a file, or a card's name."""
    check_name(name)
    return name if name in cards else os.path.realpath(name)
