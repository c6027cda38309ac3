"""Compile the loops over clusters with numba; without it, the message says what to install."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from crossprune.harness.errors import MissingPackage

try:
    import numba
except ModuleNotFoundError:
    raise MissingPackage("adapter 'chimes'", "numba", "crossprune[chimes]") from None

Function = TypeVar("Function", bound=Callable[..., Any])


def njit(function: Function) -> Function:
    """Compile a function: cached between runs, without the GIL, division by zero as in numpy."""
    compiled: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return cast(Function, compiled)
