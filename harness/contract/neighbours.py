"""Neighbours within a cutoff, for cells of any size, shape and periodicity: one list for all, by vesin."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.geometry import minkowski_reduce
from crossprune.harness.contract.arrays import FloatArray, IntArray
from crossprune.harness.errors import DataError
from numpy.typing import NDArray

FLAT = 1e-9
"""Å³; a cell of less volume has no inside."""
SKEWED = 2.0
"""Length of a lattice vector over the height along it from which the reduced cell is searched instead."""
SKIN = 0.5
"""Å; lists of moving atoms reach so much farther, and are good until an atom has moved half of it."""
_LISTS: contextvars.ContextVar[dict[float, Any] | None] = contextvars.ContextVar("lists", default=None)


@dataclass(frozen=True)
class Neighbours:
    """Pairs of a structure, each from both ends: those of centre i are ``starts[i]`` to ``starts[i + 1]``.

    ``index``: the neighbour's number, shape (n_pairs,); ``vectors``: from centre to neighbour, Å,
    shape (n_pairs, 3).
    """

    starts: IntArray
    index: IntArray
    vectors: FloatArray

    @property
    def centres(self) -> IntArray:
        """The centre of each pair, ascending, shape (n_pairs,)."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))

    @property
    def distances(self) -> FloatArray:
        """Å, shape (n_pairs,)."""
        lengths: FloatArray = np.sqrt(np.einsum("ij,ij->i", self.vectors, self.vectors))
        return lengths

    def once(self) -> NDArray[np.bool_]:
        """Mark each pair from one end only: the lower number's, or the earlier image's.

        An image comes later if the vector to it has a positive first component that is not 0, so that the
        order of images is the same from wherever they are seen.
        """
        x, y, z = self.vectors.T
        later = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        marks: NDArray[np.bool_] = (self.index > self.centres) | ((self.index == self.centres) & later)
        return marks


def find_neighbours(atoms: Atoms, cutoff: float) -> Neighbours:
    """Find all neighbours nearer than ``cutoff`` (Å), periodic images of the centre included.

    Neighbours of a centre come in an order that is the same for the same structure, and else unspecified.

    Raises
    ------
    DataError
        If the cell is flat along a periodic direction, or a position is not finite.
    """
    positions, periodic = np.ascontiguousarray(atoms.positions, dtype=np.float64), np.asarray(atoms.pbc)
    if not np.isfinite(positions).all():
        raise DataError(f"structure {atoms.get_chemical_formula()} has positions that are not finite")
    n_atoms = len(positions)
    if n_atoms == 0 or cutoff <= 0:
        empty = np.zeros(n_atoms + 1, dtype=np.int64)
        return Neighbours(empty, np.zeros(0, dtype=np.int64), np.zeros((0, 3)))
    first, second, vectors = _search(_cell(atoms), positions, periodic, float(cutoff))
    starts = np.searchsorted(first, np.arange(n_atoms + 1)).astype(np.int64)
    return Neighbours(starts, second.astype(np.int64), vectors)


def closed_cell(atoms: Atoms) -> FloatArray:
    """Return the cell with vectors normal to it, as long as the rest, along open directions."""
    periodic = np.where(atoms.pbc[:, None], atoms.cell.array, 0.0)
    cell: FloatArray = Cell(periodic).complete().array.copy()
    cell[~atoms.pbc] *= np.linalg.norm(periodic, axis=1).max() or 10.0
    return cell


def heights(cell: FloatArray) -> FloatArray:
    """Return the distances between opposite faces, Å."""
    apart: FloatArray = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    return apart


def _cell(atoms: Atoms) -> FloatArray:
    """Return the cell to search: the reduced one of the same lattice where that has fewer images."""
    cell, periodic = closed_cell(atoms), np.asarray(atoms.pbc)
    if not abs(np.linalg.det(cell)) > FLAT or not atoms.cell.array[periodic].any(axis=1).all():
        raise DataError(
            f"the structure {atoms.get_chemical_formula()} has no proper cell along a periodic direction"
        )
    if (np.linalg.norm(cell, axis=1) > SKEWED * heights(cell))[periodic].any():
        cell = np.ascontiguousarray(minkowski_reduce(cell, pbc=periodic)[0])
    return cell


def _search(
    cell: FloatArray, positions: FloatArray, periodic: NDArray[np.bool_], cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return centres in ascending order, neighbours and vectors.

    On one thread: the workers of a study have a core each.
    """
    kept = _LISTS.get()
    search = None if kept is None else kept.get(cutoff)
    if search is None:
        search = _vesin().NeighborList(
            cutoff=cutoff, full_list=True, sorted=True, n_threads=1, skin=0.0 if kept is None else SKIN
        )
    if kept is not None:
        kept[cutoff] = search
    first, second, vectors = search.compute(positions, cell, periodic, "ijD")
    return first, second, vectors


@contextlib.contextmanager
def moving(lists: dict[float, Any]) -> Iterator[None]:
    """Keep in ``lists`` what `find_neighbours` finds here, for the next call: in dynamics atoms move little.

    Pairs and vectors are those of a new search (Verlet 1967, doi:10.1103/PhysRev.159.98, for the skin);
    another cell or another number of atoms starts one.
    """
    token = _LISTS.set(lists)
    try:
        yield
    finally:
        _LISTS.reset(token)


@functools.cache
def _vesin() -> Any:
    """Import vesin without torch: it would import that where it is installed, for seconds, to no use here."""
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        import vesin
    finally:
        if hidden:
            del sys.modules["torch"]
    return vesin


__all__ = ["Neighbours", "closed_cell", "find_neighbours", "heights", "moving"]
