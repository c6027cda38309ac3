"""Keep results under the hash of what they were computed from; every write is atomic."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

import psutil
from crossprune.harness.errors import StudyError
from crossprune.harness.store import leases, manifest
from crossprune.harness.store.damage import delete, first_fault, is_artefact, place_of, reading, set_aside
from crossprune.harness.store.disk import disk_full, is_full
from crossprune.harness.store.manifest import Fault
from crossprune.harness.store.records import Record, Records, Status

SCRATCH = "crossprune-work-"
"""Prefix of temporary folders of tasks, followed by the number of the process that uses it."""
SCRATCH_LOCK = ".lock"
"""Name of the lock in such a folder."""
TEMPORARY, LOCK = "tmp", ".lock"
"""Where a store's temporary folders lie, and the ending of their locks, which lie beside them."""
DAY_S = 86400.0


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
            temporary = self.root / TEMPORARY
            if temporary.is_symlink() or temporary.is_file():  # what a link leads to is not ours to delete
                set_aside(temporary)
            for folder in (self.root, self.root / "objects", self.root / TEMPORARY):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if is_full(error):
                raise disk_full(error, self.root) from None
            raise StudyError(f"cannot use {root} as a store: {error}; give another folder") from None
        self._records = Records(self.root / "cells.sqlite")
        self._workplace: Path | None = None

    def path(self, stage: str, key: str) -> Path:
        """Return the folder of an artefact, whether it exists or not; see `damage.place_of`."""
        return place_of(self.root, stage, key)

    def has(self, stage: str, key: str) -> bool:
        """Tell whether an artefact is stored."""
        return self.path(stage, key).is_dir()

    def write(self, stage: str, key: str, writer: Callable[[Path], None]) -> Path:
        """Let ``writer`` fill a temporary folder, then rename it into place.

        If another process was faster, its artefact stays and this one is dropped: both are the same.

        Raises
        ------
        DiskFull
            If it cannot be written; nothing of it stays.
        """
        final = self.path(stage, key)
        try:
            with self._temporary() as temporary:
                temporary.mkdir()
                writer(temporary)
                manifest.seal(temporary)
                self._make_way(final)
                try:
                    temporary.rename(final)
                except OSError:
                    if not final.is_dir():
                        raise
        except Exception as error:
            if is_full(error):
                raise disk_full(error, self.root) from None
            raise
        return final

    def _make_way(self, final: Path) -> None:
        """Make the folder that an artefact's will lie in; a file in the way is no artefact of anybody."""
        if final.parent.is_dir() and not final.exists():
            return
        for folder in (final.parent.parent, final.parent, final):
            if folder.exists() and not folder.is_dir():
                set_aside(folder)
        final.parent.mkdir(parents=True, exist_ok=True)

    def reading(
        self, stage: str, key: str, *, contents: bool | Collection[str] = False
    ) -> contextlib.AbstractContextManager[Path]:
        """Give the folder of an artefact that is read in a ``with``; see `damage.reading`."""
        return reading(self.root, (stage, key), contents=contents)

    def fault(self, stage: str, key: str) -> Fault | None:
        """Say what is wrong with an artefact, if anything; all its files are read."""
        return first_fault(stage, self.path(stage, key), contents=True)

    def statuses(self, keys: Collection[str] | None = None) -> dict[str, Status]:
        """Look up how cells ended; those that are not stored are left out. None for all."""
        return self._records.statuses(keys)

    def read(self, keys: Collection[str] | None = None) -> Iterator[Record]:
        """Read the records of cells in the order in which they were written; None for all."""
        return self._records.read(keys)

    def records(self, keys: Iterable[str]) -> dict[str, Record]:
        """Look up the records of cells; those that are not stored are left out."""
        return {record.key: record for record in self._records.read(list(keys))}

    def put(self, records: Iterable[Record]) -> None:
        """Store cell records in one transaction, in place of earlier ones of the same cells.

        Raises
        ------
        DiskFull
            If they cannot be written; none of them is stored.
        """
        self._records.put(records)

    def forget(self, keys: Collection[str]) -> None:
        """Remove the records of cells."""
        self._records.remove(keys)

    def faults(self) -> list[str]:
        """List what is wrong with the records."""
        return self._records.faults()

    def discard(self, stage: str, key: str) -> None:
        """Remove an artefact: it is moved out of its place at once, so that nobody sees half of it."""
        with self._temporary() as temporary, contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path(stage, key).rename(temporary)

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Let all that is written in a ``with`` share one temporary folder, and its lock; not in threads."""
        with self._temporary() as folder:
            folder.mkdir()
            self._workplace = folder
            try:
                yield
            finally:
                self._workplace = None

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        """Give the place of a temporary folder, and hold its lock; what is there at the end is deleted."""
        if self._workplace is not None:
            path = self._workplace / uuid.uuid4().hex
            try:
                yield path
            finally:
                delete(path)
            return
        path = self.root / TEMPORARY / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"
        with leases.lock(_lock_of(path), "write"):
            try:
                yield path
            finally:
                delete(path)

    def artefacts(self) -> Iterator[tuple[str, str, Path]]:
        """List stage, key and folder of every artefact."""
        for stage in sorted((self.root / "objects").iterdir()):
            for folder in sorted(stage.glob("*/[!.]*")):
                if is_artefact(stage.name, folder.name):
                    yield stage.name, folder.name, folder

    def misplaced(self) -> list[Path]:
        """List files where only folders of artefacts belong."""
        objects = self.root / "objects"
        found = (*objects.iterdir(), *objects.glob("*/*"))
        return sorted(one for one in found if not one.is_dir() and not one.name.startswith("."))

    def temporary_folders(self) -> list[Path]:
        """List the temporary folders, those in use included."""
        return sorted(one for one in (self.root / TEMPORARY).iterdir() if one.suffix != LOCK)

    def remove_leftovers(self) -> None:
        """Remove temporary folders, here and of tasks, whose lock nobody holds, and leases of the dead."""
        for path in (self.root / TEMPORARY).iterdir():
            if path.suffix == LOCK:
                leases.reap(path, path.with_suffix(""))
            elif not is_used(path):
                delete(path)
        leases.holders(self.root)
        for folder in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
            if not is_scratch_used(folder):
                delete(folder)


def is_used(folder: Path) -> bool:
    """Tell whether a process that lives uses a temporary folder of a store.

    One without a lock is of an earlier version: it is used while its process exists, or, on another
    machine, for a day.
    """
    if _lock_of(folder).exists():
        return leases.is_held(_lock_of(folder))
    host, _, number = folder.name.rpartition("-")[0].rpartition("-")
    if host == socket.gethostname() and number.isdigit():
        return bool(psutil.pid_exists(int(number)))
    return leases.age_s(folder) < DAY_S


def is_scratch_used(folder: Path) -> bool:
    """Tell whether a task that lives uses a folder for temporary files; it locks it once it is made."""
    if (folder / SCRATCH_LOCK).exists():
        return leases.is_held(folder / SCRATCH_LOCK)
    number = folder.name.removeprefix(SCRATCH).partition("-")[0]
    return (number.isdigit() and psutil.pid_exists(int(number))) or leases.age_s(folder) < leases.BEAT_S


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{LOCK}")


def write_file(path: Path, writer: Callable[[Path], object]) -> None:
    """Let ``writer`` write a temporary file beside ``path``, then rename it into place."""
    if path.is_dir():
        raise StudyError(f"{path} is a folder, and a file is to be written there; move it away")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        writer(temporary)
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        if is_full(error):
            raise disk_full(error, path.parent) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Bring a file to the disk before it takes the place of another."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
