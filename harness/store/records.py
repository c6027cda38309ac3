"""How cells ended, in one SQLite file that many processes append to: small keys apart from large bodies."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import msgpack
from crossprune.harness.errors import StudyError
from crossprune.harness.store.disk import disk_full, is_full

Status = Literal["done", "skipped", "failed", "timeout", "out_of_memory", "crashed"]
STATUSES: tuple[str, ...] = get_args(Status)
LAYOUT = 2
"""Number of the file's layout; 1 was one table of JSON texts."""
BATCH = 10_000
"""Keys per query; SQLite allows 32,766."""
PATIENCE_S = 600.0
"""How long a writer waits for others: a transaction takes milliseconds, a migration minutes."""
TABLES = """
CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY, status TEXT NOT NULL, body INTEGER NOT NULL)
    WITHOUT ROWID;
"""


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


class Records:
    """The records of a store.

    Parameters
    ----------
    path
        The SQLite file; made when it is first used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._checked = False

    def statuses(self, keys: Collection[str] | None = None) -> dict[str, Status]:
        """Look up how cells ended, without reading their bodies; None for all."""
        if keys is not None and len(keys) <= BATCH:
            return {key: status for key, (status, _) in self._states(keys).items()}
        with self._connect() as database:
            rows = database.execute("SELECT key, status FROM states")
            if keys is None:
                return dict(rows)
            wanted = frozenset(keys)
            return {key: status for key, status in rows if key in wanted}

    def read(self, keys: Collection[str] | None = None) -> Iterator[Record]:
        """Read records in the order in which they were written; None for all."""
        states = self._states(keys)
        by_body = sorted((body, key) for key, (_, body) in states.items())
        with self._connect() as database:
            for batch in _batches(by_body):
                marks = ",".join("?" * len(batch))
                query = f"SELECT id, body FROM bodies WHERE id IN ({marks})"
                bodies = dict(database.execute(query, [body for body, _ in batch]))
                for body, key in batch:
                    if body in bodies:  # another run may have replaced it meanwhile
                        yield _decoded(key, states[key][0], bodies[body])

    def put(self, records: Iterable[Record]) -> None:
        """Store records in one transaction, in place of earlier ones of the same cells.

        Raises
        ------
        DiskFull
            If the file cannot grow; none of the records is stored.
        """
        entries = [(record.key, record.status, _encoded(record)) for record in records]
        with self._writing() as database:
            _insert(database, entries)

    def remove(self, keys: Collection[str]) -> None:
        """Remove records."""
        with self._writing() as database:
            for key in keys:
                database.execute(
                    "DELETE FROM bodies WHERE id = (SELECT body FROM states WHERE key = ?)", [key]
                )
                database.execute("DELETE FROM states WHERE key = ?", [key])

    def faults(self) -> list[str]:
        """List what is wrong with the file: SQLite's own check, and bodies that cannot be read."""
        found = []
        with self._connect() as database:
            found += [text for (text,) in database.execute("PRAGMA integrity_check") if text != "ok"]
            query = "SELECT key, status, bodies.body FROM states LEFT JOIN bodies ON id = states.body"
            for key, status, body in database.execute(query):
                try:
                    _decoded(key, status, body)
                except (ValueError, TypeError, KeyError) as error:
                    found.append(f"record {key}: {error}")
        return found

    def _states(self, keys: Collection[str] | None) -> dict[str, tuple[Status, int]]:
        """Look up status and body; a scan where many are asked for, for it is ten times as fast a key."""
        with self._connect() as database:
            (stored,) = database.execute("SELECT coalesce(max(id), 0) FROM bodies").fetchone()
            if keys is None or len(keys) * 10 > stored:
                wanted = None if keys is None else frozenset(keys)
                rows = database.execute("SELECT key, status, body FROM states")
                return {key: (status, body) for key, status, body in rows if wanted is None or key in wanted}
            found: dict[str, tuple[Status, int]] = {}
            for batch in _batches(sorted(set(keys))):
                marks = ",".join("?" * len(batch))
                query = f"SELECT key, status, body FROM states WHERE key IN ({marks})"
                found |= {key: (status, body) for key, status, body in database.execute(query, batch)}
            return found

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Give a transaction that holds the write lock from its start, so that it cannot deadlock."""
        with self._connect() as database:
            try:
                database.execute("BEGIN IMMEDIATE")
                yield database
                database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                if is_full(error):
                    raise disk_full(error, self._path.parent) from None
                raise

    @contextlib.contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
        try:
            if not self._checked:
                self._set_up(connection)
                self._checked = True
            yield connection
        finally:
            connection.close()

    def _set_up(self, database: sqlite3.Connection) -> None:
        """Make the tables, or bring a file of layout 1 to this one."""
        try:
            (layout,) = database.execute("PRAGMA user_version").fetchone()
            if layout > LAYOUT:
                raise StudyError(f"{self._path} was written by a newer crossprune (layout {layout})")
            if layout < LAYOUT:
                database.execute("BEGIN IMMEDIATE")
                for statement in TABLES.split(";")[:2]:
                    database.execute(statement)
                if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'cells'").fetchone():
                    _migrate(database)
                database.execute(f"PRAGMA user_version = {LAYOUT}")
                database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if is_full(error):
                raise disk_full(error, self._path.parent) from None
            raise StudyError(f"cannot use {self._path}: {error}") from None


def _insert(database: sqlite3.Connection, entries: Iterable[tuple[str, str, bytes]]) -> None:
    for key, status, body in entries:
        database.execute("DELETE FROM bodies WHERE id = (SELECT body FROM states WHERE key = ?)", [key])
        row = database.execute("INSERT INTO bodies (body) VALUES (?)", [body]).lastrowid
        database.execute("INSERT OR REPLACE INTO states VALUES (?, ?, ?)", [key, status, row])


def _migrate(database: sqlite3.Connection) -> None:
    records = (
        Record(key=key, **json.loads(text)) for key, text in database.execute("SELECT key, record FROM cells")
    )
    _insert(database, ((record.key, record.status, _encoded(record)) for record in records))
    database.execute("DROP TABLE cells")


def _encoded(record: Record) -> bytes:
    body: bytes = msgpack.packb((record.reason, _columns(record.rows), record.facts))
    return body


def _decoded(key: str, status: Status, body: bytes) -> Record:
    reason, columns, facts = msgpack.unpackb(body)
    if isinstance(columns, list):
        return Record(key, status, reason, columns, facts)
    names = list(columns)
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return Record(key, status, reason, rows, facts)


def _columns(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Turn rows of the same names into columns, so that the names are kept once."""
    names = list(rows[0]) if rows else []
    if not names or any(list(row) != names for row in rows):
        return [dict(row) for row in rows]
    return {name: [row[name] for row in rows] for name in names}


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in itertools.count(0, BATCH):
        if start >= len(values):
            return
        yield values[start : start + BATCH]
