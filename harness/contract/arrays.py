"""Types of the arrays that cross the contract, and arrays too large for memory."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def allocate(workspace: Path | None, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Return a zeroed array ``name`` of ``shape``: memory-mapped in ``workspace``, or in memory."""
    if workspace is None:
        return np.zeros(shape)
    array: FloatArray = np.lib.format.open_memmap(
        workspace / f"{name}.npy", mode="w+", dtype=np.float64, shape=shape
    )
    return array


def components_of(atoms: IntArray) -> IntArray:
    """Return where the force components of some atoms stand among those of their frame: shape (3 n,)."""
    places: IntArray = (3 * atoms[:, None] + np.arange(3)).ravel()
    return places


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as one ``.npz``; it is put together in memory, so that a full disk meets one write only.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    archive = io.BytesIO()
    np.savez(archive, **arrays)
    path.write_bytes(archive.getbuffer())
