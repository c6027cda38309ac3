"""Stores that can be read and not written: somebody else's, an archive, a read-only mount."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path


def can_write(folder: Path) -> bool:
    """Say whether files can be made in a folder; of one that is not there, whether it can be made."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def is_denied(error: BaseException) -> bool:
    """Say whether an error means that something may not be written or read, itself or by its cause."""
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
    return isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
