"""Keep results under the hash of what they were computed from; every write is atomic."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from crossprune.harness.errors import StudyError
from crossprune.harness.store.disk import disk_full, is_full
from crossprune.harness.store.records import Record, Records, Status

SCRATCH = "crossprune-work-"
"""Prefix of temporary folders, followed by the number of the process that uses it."""


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
        except OSError as error:
            if is_full(error):
                raise disk_full(error, self.root) from None
            raise StudyError(f"cannot use {root} as a store: {error}; give another folder") from None
        self._records = Records(self.root / "cells.sqlite")

    def path(self, stage: str, key: str) -> Path:
        """Return the folder of an artefact, whether it exists or not."""
        return self.root / "objects" / stage / key[:2] / key

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
        temporary = self._temporary()
        try:
            temporary.mkdir()
            writer(temporary)
            _sync_all([path for path in temporary.rglob("*") if path.is_file()])
            final.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.rename(final)
            except OSError:
                if not final.is_dir():
                    raise
            _sync(final.parent)
        except Exception as error:
            if is_full(error):
                raise disk_full(error, self.root) from None
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return final

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
        temporary = self._temporary()
        self.path(stage, key).rename(temporary)
        shutil.rmtree(temporary, ignore_errors=True)

    def _temporary(self) -> Path:
        return self.root / "tmp" / f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex}"

    def artefacts(self) -> Iterator[tuple[str, str, Path]]:
        """List stage, key and folder of every artefact."""
        for stage in sorted((self.root / "objects").iterdir()):
            for folder in sorted(stage.glob("*/*")):
                yield stage.name, folder.name, folder

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


def write_file(path: Path, writer: Callable[[Path], object]) -> None:
    """Let ``writer`` write a temporary file beside ``path``, then rename it into place."""
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


def _sync_all(paths: Sequence[Path]) -> None:
    """Sync files side by side: the file system then writes its journal once, not once a file."""
    list(_threads().map(_sync, paths))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "sync")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
