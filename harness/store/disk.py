"""Tell a full disk from other errors, and say what to do about it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from crossprune.harness.errors import DiskFull

CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space left, quota exceeded, larger than a file may be."""
SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""How `numpy.save` words a write that was cut short; its error carries no number."""
SAID = tuple(os.strerror(code) for code in CODES[:2])
"""How a program that an adapter ran words it in its output."""
LITTLE = 2**24
"""Free space, bytes, below which a worker that died of SIGBUS is taken to have met a full disk."""


def is_full(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, says that nothing more can be written."""
    for one in _chain(error):
        if isinstance(one, DiskFull) or (isinstance(one, OSError) and one.errno in CODES):
            return True
        if isinstance(one, sqlite3.OperationalError):
            return one.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        text = str(one)
        if isinstance(one, OSError) and SHORT_WRITE.search(text):
            return True
        if isinstance(one, RuntimeError) and any(words in text for words in SAID):
            return True
    return False


def disk_full(error: BaseException, root: Path) -> DiskFull:
    """Word the error for a run that cannot write to its store ``root`` or to temporary files."""
    if isinstance(error, DiskFull):
        return error
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    places = f"{root} has {_free(root)} free, the temporary folder {_free(Path(tempfile.gettempdir()))}"
    return DiskFull(
        f"nothing more can be written: {last}; {places}. What is in the store is whole: make space "
        f"('crossprune store gc' may), then the same command goes on"
    )


def almost_full(root: Path) -> bool:
    """Tell whether the file system of ``root`` has next to nothing left."""
    return shutil.disk_usage(root).free < LITTLE


def _free(folder: Path) -> str:
    try:
        return f"{shutil.disk_usage(folder).free / 1e9:.3f} GB"
    except OSError:
        return "an unknown amount"


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
