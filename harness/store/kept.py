"""Tables that a store keeps in ``analysis/`` for as long as what they rest on is the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd
from crossprune.harness.store.damage import delete
from crossprune.harness.store.objects import write_file
from crossprune.harness.store.readonly import can_write
from crossprune.harness.store.tables import UNREADABLE, read_table, write_table

Tables = dict[str, pd.DataFrame]
FOLDER = "analysis"


def kept(root: Path, name: str, stamp: str, make: Callable[[], Tables]) -> Tables:
    """Return tables as they were computed before, or compute and keep them.

    Parameters
    ----------
    root
        The store; one that cannot be written keeps nothing.
    name
        Of the note that says what is kept.
    stamp
        What the tables rest on, as a hash.
    make
        Computes them, by name.
    """
    folder, note = root / FOLDER, _note(root, name)
    if (before := there(root, name, stamp)) is not None:
        return before
    tables = make()
    if not can_write(folder if folder.is_dir() else root):
        return tables
    delete(note)
    write_all(root, tables)
    written = json.dumps({"stamp": stamp, "tables": _digests(folder, tables)})
    write_file(note, lambda path: path.write_text(written))
    return tables


def there(root: Path, name: str, stamp: str) -> Tables | None:
    """Return tables that `kept` keeps; None if it keeps none that rest on the same, or not whole."""
    folder = root / FOLDER
    with contextlib.suppress(*UNREADABLE):  # a cache: what is not as it was written is computed again
        known = json.loads(_note(root, name).read_bytes())
        if known["stamp"] == stamp and known["tables"] == _digests(folder, known["tables"]):
            return {one: read_table(folder / f"{one}.parquet") for one in known["tables"]}
    return None


def is_noted(root: Path, name: str) -> bool:
    """Say whether `kept` has kept something under a name, whatever it rests on."""
    return _note(root, name).is_file()


def _note(root: Path, name: str) -> Path:
    return root / FOLDER / f"{name}.json"


def write_all(root: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write each table to ``analysis/NAME.parquet``; what is no file, or no folder, gives way."""
    folder = root / FOLDER
    if not folder.is_dir():
        delete(folder)
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        if (path := folder / f"{name}.parquet").is_dir():
            delete(path)
        write_table(table, path)


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Digest the files of tables."""
    return {name: hashlib.sha256((folder / f"{name}.parquet").read_bytes()).hexdigest() for name in names}
