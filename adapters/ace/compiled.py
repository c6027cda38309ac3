"""The compiler of the ACE kernels: numba, with the machine code kept between runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from crossprune.harness.errors import MissingPackage

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    import numba
except ModuleNotFoundError:
    raise MissingPackage("adapter 'ace'", "numba", "crossprune[ace]") from None


def compiled(function: Kernel) -> Kernel:
    """Compile ``function`` at its first call and cache the machine code; numba releases the lock.

    Products are not fused with sums: which ones are would depend on whether a kernel is compiled now or read
    from the cache, and with it the last bits of a fit. Rows take as long either way.
    """
    decorate: Callable[[Kernel], Any] = numba.njit(cache=True, nogil=True, error_model="numpy")
    kernel: Kernel = decorate(function)
    return kernel
