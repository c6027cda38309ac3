"""The header of a saved potential: whose it is, and checksums that tell whether it is as it was saved."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers
from crossprune.harness.errors import DataError

HEADER = "potential.json"
"""File in a saved potential's folder that says which adapter reads it."""
LAYOUT = 2
"""Version of the header's layout; 1 had no checksums."""
AGAIN = "save or fit it again, or fetch a whole copy"


def write_header(folder: Path, adapter: str, elements: Sequence[str], info: Mapping[str, Any]) -> None:
    """Write the header, with the checksums (SHA-256) of all files that lie in ``folder``."""
    header = {
        "layout": LAYOUT,
        "adapter": adapter,
        "elements": list(elements),
        "info": dict(info),
        "files": {name: _digest(folder / name) for name in _files(folder)},
    }
    header["checksum"] = _checksum(header)
    (folder / HEADER).write_text(json.dumps(header, indent=1, sort_keys=True))


def read_header(folder: Path) -> dict[str, Any]:
    """Read the header of a saved potential: adapter, elements, info, and the checksums of its files.

    Raises
    ------
    DataError
        If the folder has no readable header, or one of another layout.
    """
    try:
        header = json.loads((folder / HEADER).read_text())
    except (OSError, ValueError, RecursionError) as error:
        inside = folder / "potential" / HEADER
        remedy = f"; did you mean {inside.parent}?" if inside.is_file() else ""
        raise DataError(f"{folder} holds no saved potential: {HEADER}: {error}{remedy}") from None
    if not isinstance(header, dict) or not isinstance(header.get("adapter"), str):
        raise DataError(f"{folder} holds no saved potential: {HEADER} names no adapter")
    layout = header.get("layout", 1)
    if layout != LAYOUT:
        newer = isinstance(layout, int) and layout > LAYOUT
        remedy = "take a newer version of crossprune" if newer else AGAIN
        raise DataError(f"{folder / HEADER} has layout {layout!r}, this version reads {LAYOUT}; {remedy}")
    if header.pop("checksum", "") != _checksum(header):
        raise DataError(f"{folder / HEADER} is not as it was saved; {AGAIN}")
    elements, files = header.get("elements"), header.get("files")
    if not isinstance(elements, list) or not elements or not set(map(str, elements)) <= set(atomic_numbers):
        raise DataError(f"{folder / HEADER}: elements {elements!r} are no list of chemical symbols")
    if not isinstance(files, dict) or not isinstance(header.get("info"), dict):
        raise DataError(f"{folder / HEADER} names no files; {AGAIN}")
    return header


def require_as_saved(folder: Path, files: Mapping[str, str]) -> None:
    """Compare the files of a saved potential with the header's checksums.

    Raises
    ------
    DataError
        If one is missing, is no file, has another content, or is not named in the header.
    """
    if extra := sorted(set(_files(folder)) - set(files)):
        raise DataError(f"{folder} holds {', '.join(extra)}, which {HEADER} does not name; remove it")
    if outside := sorted(name for name in files if Path(name).is_absolute() or ".." in Path(name).parts):
        raise DataError(f"{folder / HEADER} names files outside its folder: {', '.join(outside)}")
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{path} {'is no file' if path.exists() else 'is missing'}; {AGAIN}")
        try:
            found = _digest(path)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; {AGAIN}") from None
        if found != digest:
            raise DataError(f"{path} is not as it was saved (its checksum differs); {AGAIN}")


def _files(folder: Path) -> list[str]:
    """List the files of a folder, without the header and what file managers leave there."""
    return sorted(name for name in _below(str(folder)) if name != HEADER)


def _below(folder: str, start: str = "") -> Iterator[str]:
    """Yield the files below a folder by their paths in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path, f"{start}{entry.name}/")
            elif entry.name[0] != "." and entry.is_file():
                yield start + entry.name


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checksum(header: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode()).hexdigest()
