"""Find the files of a published data set: local folders, the user's cache, or a checked download."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch
from crossprune.harness.errors import DataError

DATA_VARIABLE = "CROSSPRUNE_DATA"
"""Environment variable with colon-separated folders that mirror ``<set>/<path in the repository>``."""
CACHE_VARIABLE = "CROSSPRUNE_CACHE"
"""Environment variable with the folder for downloads, instead of the user's cache."""

Downloader = Callable[[str, Path], None]
"""Fetches an address into a file; raises `OSError` if it cannot."""


@dataclass(frozen=True)
class RemoteFile:
    """One file of a public repository."""

    set_name: str
    """First folder of a mirror, such as ``mlearn``."""
    path: str
    """Path in the repository."""
    url: str
    """Address of the raw file."""
    git_blob: str
    """SHA-1 over ``blob <size>`` + NUL + content, as git computes it."""
    strip: str = ""
    """Beginning of ``path`` that a mirror may leave out."""

    @property
    def mirrored(self) -> tuple[str, ...]:
        """Paths under which a mirror may keep the file, best first."""
        full = f"{self.set_name}/{self.path}"
        short = f"{self.set_name}/{self.path.removeprefix(self.strip)}"
        return (full,) if short == full else (full, short)


def git_blob_id(content: bytes) -> str:
    """Return git's name for ``content``.

    Examples
    --------
    >>> git_blob_id(b"")
    'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'
    """
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def locate(file: RemoteFile, downloader: Downloader | None = None) -> Path:
    """Return a verified local copy: folders of ``CROSSPRUNE_DATA`` first, then cache, then download.

    Raises
    ------
    DataError
        If a copy in ``CROSSPRUNE_DATA`` or a download has the wrong hash, or the download fails.
    """
    for folder in data_folders():
        for name in file.mirrored:
            path = folder / name
            if path.is_file():
                verify(path, file.git_blob, "restore the file from its repository, or remove it to download")
                return path
    cached = cache_folder() / file.set_name / file.path
    if cached.is_file() and git_blob_id(cached.read_bytes()) == file.git_blob:
        return cached
    download(file, cached, downloader or _download_by_pooch)
    return cached


def is_local(file: RemoteFile) -> bool:
    """Say whether the file can be had without the network (its hash is not looked at)."""
    mirrors = (folder / name for folder in data_folders() for name in file.mirrored)
    return any(path.is_file() for path in (*mirrors, cache_folder() / file.set_name / file.path))


def data_folders() -> list[Path]:
    """Return the folders in ``CROSSPRUNE_DATA``."""
    return [Path(part) for part in os.environ.get(DATA_VARIABLE, "").split(":") if part]


def cache_folder() -> Path:
    """Return the folder for downloads; it need not exist yet."""
    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("crossprune"))


def verify(path: Path, git_blob: str, remedy: str) -> None:
    """Raise `DataError` if the file's git blob id is not ``git_blob``."""
    found = git_blob_id(path.read_bytes())
    if found != git_blob:
        raise DataError(f"{path}: wrong hash: expected git blob {git_blob}, got {found}; {remedy}")


def download(file: RemoteFile, target: Path, downloader: Downloader) -> None:
    """Fetch and verify beside ``target``, then rename: nothing half-written stays behind.

    Raises
    ------
    DataError
        If the address cannot be read or the content has the wrong hash.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        downloader(file.url, part)
        verify(part, file.git_blob, f"the download of {file.url} is damaged; try again")
        part.replace(target)
    except OSError as error:
        raise DataError(
            f"cannot download {file.url}: {error}; or put the file at {file.mirrored[-1]} in a folder "
            f"and name that folder in {DATA_VARIABLE}"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _download_by_pooch(url: str, target: Path) -> None:
    pooch.HTTPDownloader(progressbar=False, timeout=60)(url, str(target), None)
