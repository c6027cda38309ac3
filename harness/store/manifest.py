"""The manifest of an artefact: size and digest of each of its files, as they were written."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

NAME = "manifest.json"
LAYOUT = 1
"""Number of the manifest's layout."""
SMALL = 1 << 20
"""Bytes up to which threads cost more than they save."""
Fault = tuple[str, str]
"""A file by its path in the artefact's folder, "" for the folder itself, and what is wrong with it."""
Entries = Mapping[str, tuple[int, str]]
"""Size in bytes and digest of each file, by its path in the artefact's folder."""


class ManifestError(ValueError):
    """A manifest cannot be read; the message says why."""


def seal(folder: Path) -> None:
    """Write what the files of a folder hold into its manifest.

    Nothing is flushed to the disk, which would cost more than a cheap fit itself: if the machine
    goes down, files that were not on the disk yet have another size than their manifest says, or it is
    not readable, and what was in them is computed again. A folder that brings its manifest along, as a
    copy does, keeps it.
    """
    path = folder / NAME
    if path.exists():
        return
    sizes = _sizes(str(folder))
    files = {name: folder / name for name in sorted(sizes)}
    if sum(sizes.values()) < SMALL:
        digests = {name: _digest(path.read_bytes()) for name, path in files.items()}
    else:
        digests = dict(zip(files, _threads().map(digest_of, files.values()), strict=True))
    body = {"layout": LAYOUT, "files": {name: [sizes[name], digests[name]] for name in files}}
    path.write_text(json.dumps({**body, "checksum": _checksum(body)}, indent=1, sort_keys=True))


def entries_of(folder: Path) -> Entries | None:
    """Read the manifest of an artefact; None if it has none, as those of earlier versions.

    Raises
    ------
    ManifestError
        If it cannot be read.
    """
    try:
        body = json.loads((folder / NAME).read_bytes())
        layout, checksum = body["layout"], body.pop("checksum", "")
        if layout != LAYOUT:
            raise ManifestError(f"has layout {layout!r}, this version reads {LAYOUT}")
        if checksum != _checksum(body):
            raise ManifestError("is not as it was written")
        return {str(name): (int(size), str(digest)) for name, (size, digest) in body["files"].items()}
    except ManifestError:
        raise
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(f"cannot be read: {error}") from None


def missing(folder: Path, entries: Entries) -> Iterator[Fault]:
    """Name files that are not there, or have another size than was written; no content is read."""
    for name, (size, _) in entries.items():
        try:
            found = (folder / name).stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            yield name, "is missing"
            continue
        if not stat.S_ISREG(found.st_mode):
            yield name, "is no file"
        elif found.st_size != size:
            yield name, f"has {found.st_size} of {size} bytes"


def changed(folder: Path, entries: Entries) -> Iterator[Fault]:
    """Name files, all of which are there, whose content is not what was written."""
    each = map if sum(size for size, _ in entries.values()) < SMALL else _threads().map
    for name, digest in zip(entries, each(digest_of, [folder / one for one in entries]), strict=True):
        if digest != entries[name][1]:
            yield name, "is not as it was written"


def digest_of(path: Path) -> str:
    """Return the digest of a file: BLAKE2b of 16 bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, functools.partial(hashlib.blake2b, digest_size=16)).hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _sizes(folder: str, start: str = "") -> dict[str, int]:
    """Return the size of each file of a folder by its path in it."""
    found: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found |= _sizes(entry.path, f"{start}{entry.name}/")
            elif entry.is_file():
                found[f"{start}{entry.name}"] = entry.stat().st_size
    return found


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "files")


def _checksum(body: Mapping[str, Any]) -> str:
    return _digest(json.dumps(body, sort_keys=True).encode())
