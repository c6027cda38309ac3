"""How cells ended, in one SQLite file that many processes append to: small keys apart from large bodies."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import msgpack
from crossprune.harness.errors import StudyError
from crossprune.harness.store.damage import Damaged, is_in_the_way
from crossprune.harness.store.disk import disk_full, is_full

Status = Literal["done", "skipped", "failed", "timeout", "out_of_memory", "crashed"]
STATUSES: tuple[str, ...] = get_args(Status)
LAYOUT = 3
"""Number of the file's layout; 1 was one table of JSON texts, 2 had bodies without digests."""
BESIDE = ("-journal", "-wal", "-shm")
"""Endings of the files that SQLite keeps beside the first."""
DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB)
"""Codes of a damaged file; an error of a query means tables that are not there, for queries do not change."""
SHORT_READS = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
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
                        try:
                            yield decoded(key, states[key][0], bodies[body])
                        except ValueError as error:
                            raise self._damaged(str(error)) from None

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
        """List what is wrong with the file: SQLite's own check, and records not as they were written."""
        try:
            return list(self._faults())
        except Damaged as error:
            return [error.fault]

    def _faults(self) -> Iterator[str]:
        with self._connect() as database:
            yield from (text for (text,) in database.execute("PRAGMA integrity_check") if text != "ok")
            query = "SELECT key, status, bodies.body FROM states LEFT JOIN bodies ON id = states.body"
            for key, status, body in database.execute(query):
                try:
                    decoded(key, status, body)
                except ValueError as error:
                    yield str(error)

    def _damaged(self, fault: str) -> Damaged:
        return Damaged(self._path.parent, self._path, fault)

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
        for name in (self._path.name, *(f"{self._path.name}{one}" for one in BESIDE)):
            if is_in_the_way(path := self._path.with_name(name)):
                raise Damaged(self._path.parent, path, "is no file")
        connection = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
        try:
            if not self._checked:
                self._set_up(connection)
                self._checked = True
            yield connection
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise self._damaged(f"cannot be read: {error}") from None
            raise
        finally:
            connection.close()

    def _set_up(self, database: sqlite3.Connection) -> None:
        """Make the tables, or bring a file of an earlier layout to this one."""
        try:
            (layout,) = database.execute("PRAGMA user_version").fetchone()
            if layout > LAYOUT:
                raise StudyError(
                    f"{self._path} was written by a newer crossprune (layout {layout}), this version reads "
                    f"{LAYOUT}; take that version, or give another folder"
                )
            if layout == LAYOUT - 1 and not os.access(self._path, os.W_OK):
                return  # its tables are the same
            if layout < LAYOUT:
                database.execute("BEGIN IMMEDIATE")
                make_tables(database)
                if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'cells'").fetchone():
                    _migrate(database)
                database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                raise
            if is_full(error):
                raise disk_full(error, self._path.parent) from None
            raise StudyError(f"cannot use {self._path}: {error}") from None


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell whether an error says that the file is not as it was written."""
    code = getattr(error, "sqlite_errorcode", None)  # None: a text that is none
    return code is None or code in SHORT_READS or code & 0xFF in DAMAGE


def make_tables(database: sqlite3.Connection) -> None:
    """Make the tables of this layout where they are not there."""
    for statement in TABLES.split(";")[:2]:
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {LAYOUT}")


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
    """Pack a record with its key, status and digest, so that it can be told whole, and saved, by itself."""
    content = msgpack.packb((record.reason, _columns(record.rows), record.facts))
    body: bytes = msgpack.packb(
        (content, _digest(record.key, record.status, content), record.key, record.status)
    )
    return body


def _digest(key: str, status: str, content: bytes) -> bytes:
    return hashlib.blake2b(f"{key} {status} ".encode() + content, digest_size=16).digest()


def unpacked(body: bytes) -> tuple[str, str, bytes] | None:
    """Return key, status and content of a body with a digest; None for one of layout 2.

    Raises
    ------
    ValueError
        If it is not as it was written.
    """
    try:
        parts = msgpack.unpackb(body)
    except Exception as error:
        raise ValueError(f"cannot be unpacked: {error}") from None
    if not isinstance(parts, list) or len(parts) == 3:
        return None
    if len(parts) != 4:
        raise ValueError("is not as it was written")
    content, digest, key, status = parts
    if not isinstance(content, bytes) or _digest(str(key), str(status), content) != digest:
        raise ValueError("is not as it was written")
    return key, status, content


def decoded(key: str, status: str, body: bytes) -> Record:
    """Make a record of a stored body.

    Raises
    ------
    ValueError
        If it is not as it was written.
    """
    try:
        found = unpacked(body)
        if found is not None and (key, status) != found[:2]:
            raise ValueError("is not as it was written")
        if status not in STATUSES:
            raise ValueError(f"has the unknown status {status!r}")
        reason, columns, facts = msgpack.unpackb(body if found is None else found[2])
        if not (isinstance(reason, str) and isinstance(facts, dict)):
            raise ValueError("is not as it was written")
        if isinstance(columns, list):
            return Record(key, cast(Status, status), reason, columns, facts)
        names = list(columns)
        rows = [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return Record(key, cast(Status, status), reason, rows, facts)
    except Exception as error:  # garbage meets every line
        raise ValueError(f"holds a record that cannot be read, {str(key)[:40]!r}: {error}") from None


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
