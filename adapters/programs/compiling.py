"""Compile loops with numba and keep the machine code between runs, where there is a place for it."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import os
import stat
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from crossprune.harness.errors import MissingPackage

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def compiler(adapter: str, *, fastmath: Collection[str] = ()) -> Callable[[Kernel], Kernel]:
    """Return the decorator of a family's kernels, which compiles them at their first call without the GIL.

    numba, whose import takes longer than many a task, is imported at the first call as well. Division by
    zero is as in numpy. Machine code is kept where numba keeps it (NUMBA_CACHE_DIR, beside the source, in
    the user's cache), else in the folder of `temporary_cache`, else nowhere.

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
    if importlib.util.find_spec("numba") is None:
        raise MissingPackage(f"adapter {adapter!r}", "numba", f"crossprune[{adapter}]")
    flags: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath) or False}

    def compiled(function: Kernel) -> Kernel:
        return cast(Kernel, _Compiled(function, flags))

    return compiled


class _Compiled:
    """A kernel that is handed to numba when it is called, by Python or by another kernel."""

    def __init__(self, function: Callable[..., Any], flags: Mapping[str, Any]) -> None:
        self._function, self._flags = function, flags
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self._dispatcher(*arguments)

    @functools.cached_property
    def _dispatcher(self) -> Any:
        import numba

        function, flags = self._function, self._flags
        code = f"{_code_in(Path(inspect.getfile(function)).parent)}{sorted(flags['fastmath'] or ())}"
        function.__qualname__ += f"_{hashlib.blake2b(code.encode(), digest_size=8).hexdigest()}"
        return _cached(numba, function, flags) or numba.njit(**flags)(function)

    @property
    def _numba_type_(self) -> Any:
        """Where numba asks what a name means in another kernel."""
        return self._dispatcher._numba_type_


@functools.cache
def _code_in(folder: Path) -> str:
    """Return a digest of a family's modules: the machine code of a kernel holds that of those it calls.

    numba compares a kernel's own file, neither theirs nor the flags, and would go on with what they were.
    """
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def _cached(numba: Any, function: Kernel, flags: Mapping[str, Any]) -> Kernel | None:
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
