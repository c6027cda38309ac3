"""Keep results under the hash of what they were computed from; every write is atomic."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import psutil
from crossprune.harness.errors import StudyError

Status = Literal["done", "skipped", "failed", "timeout", "out_of_memory", "crashed"]
STATUSES: tuple[str, ...] = get_args(Status)
BATCH = 500
SCRATCH = "crossprune-work-"
"""Prefix of temporary folders, followed by the number of the process that uses it."""


@dataclass(frozen=True)
class Record:
    """How a cell ended.

    ``rows`` holds one mapping of metrics per split and group; ``facts`` what is the same in all of
    them (sizes, times, provenance). Both are empty unless ``status`` is ``done``.
    """

    key: str
    status: Status
    reason: str
    rows: list[dict[str, Any]]
    facts: dict[str, Any]


class Store:
    """A folder of artefacts and one SQLite file of cell records; several runs may share it.

    Parameters
    ----------
    root
        The folder; made if it does not exist.

    Raises
    ------
    StudyError
        If the folder cannot be made or holds something else.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()  # workers may run in another folder
        try:
            for folder in (self.root, self.root / "objects", self.root / "tmp"):
                folder.mkdir(parents=True, exist_ok=True)
            with self._connect() as database:
                database.execute(
                    "CREATE TABLE IF NOT EXISTS cells (key TEXT PRIMARY KEY, record TEXT NOT NULL)"
                )
        except (OSError, sqlite3.DatabaseError) as error:
            raise StudyError(f"cannot use {root} as a store: {error}; give another folder") from None

    def path(self, stage: str, key: str) -> Path:
        """Return the folder of an artefact, whether it exists or not."""
        return self.root / "objects" / stage / key[:2] / key

    def has(self, stage: str, key: str) -> bool:
        """Tell whether an artefact is stored."""
        return self.path(stage, key).is_dir()

    def write(self, stage: str, key: str, writer: Callable[[Path], None]) -> Path:
        """Let ``writer`` fill a temporary folder, then rename it into place.

        If another process was faster, its artefact stays and this one is dropped: both are the same.
        """
        final = self.path(stage, key)
        temporary = self.root / "tmp" / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
        temporary.mkdir()
        try:
            writer(temporary)
            for path in temporary.rglob("*"):
                if path.is_file():
                    _sync(path)
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
            _sync(final.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return final

    def records(self, keys: Iterable[str]) -> dict[str, Record]:
        """Look up the records of cells; those that are not stored are left out."""
        wanted = list(dict.fromkeys(keys))
        found = {}
        with self._connect() as database:
            for start in range(0, len(wanted), BATCH):
                batch = wanted[start : start + BATCH]
                marks = ",".join("?" * len(batch))
                query = f"SELECT key, record FROM cells WHERE key IN ({marks})"
                for key, text in database.execute(query, batch):
                    found[key] = Record(key=key, **json.loads(text))
        return found

    def put(self, records: Iterable[Record]) -> None:
        """Store cell records in one transaction, in place of earlier ones of the same cells."""
        entries = [
            (
                record.key,
                json.dumps(
                    {
                        "status": record.status,
                        "reason": record.reason,
                        "rows": record.rows,
                        "facts": record.facts,
                    }
                ),
            )
            for record in records
        ]
        with self._connect() as database:
            database.executemany("INSERT OR REPLACE INTO cells VALUES (?, ?)", entries)

    def remove_leftovers(self) -> None:
        """Remove temporary folders of processes on this machine that no longer exist."""
        for folder in (self.root / "tmp").iterdir():
            host, _, rest = folder.name.rpartition("-")[0].rpartition("-")
            if host == socket.gethostname() and rest.isdigit() and not psutil.pid_exists(int(rest)):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
            number = folder.name.removeprefix(SCRATCH).partition("-")[0]
            if number.isdigit() and not psutil.pid_exists(int(number)):
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.root / "cells.sqlite", timeout=60)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def write_file(path: Path, writer: Callable[[Path], object]) -> None:
    """Let ``writer`` write a temporary file beside ``path``, then rename it into place."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        writer(temporary)
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
