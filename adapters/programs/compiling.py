"""Compile loops with numba and keep the machine code between runs, where there is a place for it."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from crossprune.harness.errors import MissingPackage

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiler(adapter: str, *, fastmath: Collection[str] = ()) -> Callable[[Kernel], Kernel]:
    """Return the decorator of a family's kernels, which compiles them at their first call without the GIL.

    Division by zero is as in numpy. Machine code is kept where numba keeps it (NUMBA_CACHE_DIR, beside the
    source, in the user's cache), else in the folder of `temporary_cache`, else nowhere.

    Parameters
    ----------
    adapter
        Name of the family and of its extra.
    fastmath
        What LLVM may do with sums and products, such as ``contract``; nothing by default.

    Raises
    ------
    MissingPackage
        If numba is not installed.
    """
    try:
        import numba
    except ModuleNotFoundError:
        raise MissingPackage(f"adapter {adapter!r}", "numba", f"crossprune[{adapter}]") from None
    flags: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath) or False}

    def compiled(function: Kernel) -> Kernel:
        kernel: Kernel = _cached(numba, function, flags) or numba.njit(**flags)(function)
        return kernel

    return compiled


def _cached(numba: Any, function: Kernel, flags: dict[str, Any]) -> Kernel | None:
    """Compile with a cache; None if numba finds no folder for it, which it says by `RuntimeError`."""
    kernel: Kernel
    try:
        kernel = numba.njit(cache=True, **flags)(function)
    except RuntimeError:
        folder = temporary_cache()
    else:
        return kernel
    if folder is None:
        return None
    given, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
    try:
        kernel = numba.njit(cache=True, **flags)(function)
    except RuntimeError:
        return None
    finally:
        numba.config.CACHE_DIR = given
    return kernel


def temporary_cache() -> Path | None:
    """Return a folder in the temporary one that nobody else can write, or None; code is run from it."""
    try:
        parent = Path(tempfile.gettempdir())
        folder = parent / f"crossprune-numba-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        above, own = parent.stat().st_mode, folder.lstat()
    except OSError:
        return None
    replaceable = above & stat.S_IWOTH and not above & stat.S_ISVTX
    private = stat.S_ISDIR(own.st_mode) and own.st_uid == os.geteuid() and not own.st_mode & 0o077
    return folder if private and not replaceable else None
