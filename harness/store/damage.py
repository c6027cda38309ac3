"""What is wrong with an artefact, and the one error for a file of a store that cannot be read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
from crossprune.harness.errors import StudyError
from crossprune.harness.names import shortened
from crossprune.harness.store import manifest
from crossprune.harness.store.manifest import Fault
from crossprune.harness.store.readonly import is_denied

Artefact = tuple[str, str]
"""A stage and its key."""
STAGE, KEY = re.compile(r"[a-z]+"), re.compile(r"[0-9a-f]+")
"""What these are made of: records and tables name them, and they become folders."""
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "dataset": ("frames.npz", "dataset.json"),
    "features": ("features.npy",),
    "rows": ("rows.npy",),
    "selection": ("order.npy",),
    "fit": ("predictions.npz", "facts.json", "subset.npy", "potential/potential.json"),
    "md": ("trajectory.extxyz",),
}
"""Files without which an artefact of a stage is not complete."""
BUSY = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE)
"""Errors of the system, at this time, that say nothing about a file."""


class Damaged(StudyError):
    """A file of a store cannot be read as it was written; the message names it and the remedy."""

    def __init__(self, root: Path, file: Path, fault: str, artefact: Artefact | None = None) -> None:
        super().__init__(f"{file} {fault}: the store is damaged; crossprune store repair {root}")
        self.root, self.file, self.fault, self.artefact = root, file, fault, artefact

    def __reduce__(self) -> tuple[type[Damaged], tuple[Path, Path, str, Artefact | None]]:
        """Let it travel between processes."""
        return type(self), (self.root, self.file, self.fault, self.artefact)


def is_artefact(stage: str, key: str) -> bool:
    """Tell whether this can name an artefact."""
    return bool(STAGE.fullmatch(stage) and KEY.fullmatch(key))


def place_of(root: Path, stage: str, key: str) -> Path:
    """Return the folder of an artefact in the store ``root``, whether it exists or not.

    Raises
    ------
    StudyError
        If there can be no such artefact, so that no key leads out of the store.
    """
    if not is_artefact(stage, key):
        again = f"crossprune run STUDY.toml --store {root} writes results.parquet again"
        raise StudyError(f"{shortened(f'{stage} {key}')} is no artefact; what names it is damaged: {again}")
    return root / "objects" / stage / key[:2] / key


def first_fault(stage: str, folder: Path, *, contents: bool | Collection[str]) -> Fault | None:
    """Say what is wrong with an artefact, if anything; ``contents`` reads its files, or some of them."""
    return next(faults_of(stage, folder, contents=contents), None)


def faults_of(stage: str, folder: Path, *, contents: bool | Collection[str] = True) -> Iterator[Fault]:
    """Say everything that is wrong with an artefact: what is missing, unreadable or not as it was written."""
    if not folder.is_dir():
        yield "", "is no folder" if folder.exists() else "is missing"
        return
    try:
        entries = manifest.entries_of(folder)
    except manifest.ManifestError as error:
        yield manifest.NAME, str(error)
        return
    if entries is not None:
        lost = dict(manifest.missing(folder, entries))
        yield from lost.items()
        if contents:
            compared = entries if contents is True else contents
            there = {name: one for name, one in entries.items() if name in compared and name not in lost}
            yield from manifest.changed(folder, there)
        return
    for name in REQUIRED.get(stage, ()):
        if not (path := folder / name).is_file():
            yield name, "is no file" if path.exists() else "is missing"
    if contents:
        yield from _unreadable(folder)


def _unreadable(folder: Path) -> Iterator[Fault]:
    """Check what an earlier version wrote without digests: sizes of arrays, checksums of archives, JSON."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        try:
            if path.suffix == ".npy":
                np.load(path, mmap_mode="r")
            elif path.suffix == ".npz":
                with zipfile.ZipFile(path) as archive:
                    if (member := archive.testzip()) is not None:
                        yield name, f"holds {member}, which does not match its checksum"
            elif path.suffix == ".json":
                json.loads(path.read_text())
        except Exception as error:  # garbage meets every line of a reader
            yield name, f"cannot be read: {_said(error)}"


@contextlib.contextmanager
def reading(
    root: Path, artefact: Artefact, *, contents: bool | Collection[str] = False, sizes: bool = True
) -> Iterator[Path]:
    """Give an artefact's folder to read from; what the body raises is `Damaged` if the artefact is to blame.

    Parameters
    ----------
    root
        Folder of the store.
    artefact
        What is read.
    contents
        Compare the digests of its files first, or of those that are named.
    sizes
        Compare the sizes of its files first; of no use where the body checks what it reads.

    Raises
    ------
    Damaged
        If a file is missing or is not as it was written; without a manifest, if the body raises.
    """
    stage, key = artefact
    folder = place_of(root, stage, key)
    if sizes and (fault := first_fault(stage, folder, contents=contents)):
        raise Damaged(root, folder / fault[0], fault[1], artefact)
    try:
        yield folder
    except Exception as error:
        if isinstance(error, OSError) and (is_denied(error) or error.errno in BUSY):
            raise
        found = first_fault(stage, folder, contents=True)
        if found is None and (manifest.entries_of(folder) or isinstance(error, MemoryError | ImportError)):
            raise  # the files are as they were written
        name, said = found or ("", f"cannot be read: {_said(error)}")
        raise Damaged(root, folder / name, said, artefact) from error


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def is_in_the_way(path: Path) -> bool:
    """Tell whether there is something that is no file: a folder, a link to nothing, a pipe."""
    return os.path.lexists(path) and not path.is_file()


def set_aside(path: Path) -> Path:
    """Move what is in the way of a file or folder beside it, under a name that nothing reads."""
    aside = path.with_name(f"{path.name}.damaged-{uuid.uuid4().hex[:8]}")
    path.rename(aside)
    return aside


def delete(path: Path) -> None:
    """Delete a file or a folder, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
