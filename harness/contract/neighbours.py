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
from scipy.spatial import cKDTree

FLAT = 1e-9
"""Å³; a cell of less volume has no inside."""
SKEWED = 2.0
"""Length of a lattice vector over the height along it from which the reduced cell is searched instead."""
SKIN = 0.5
"""Å; lists of moving atoms reach so much farther, and are good until an atom has moved half of it."""
MOST_BOXES = 100_000
"""Of the cutoff's size, in a structure or around it: of more vesin puts some together, and divides by zero
where a structure is wide and thin."""
MOST_NEIGHBOURS = 100_000
"""Of an atom: those of a dense metal within 65 Å."""
MOST_PAIRS = 20_000_000
"""Of a structure, from both ends: half a gigabyte here, and several in what families make of them."""
SAME_PLACE = 1e-3
"""Å; atoms nearer than this are one atom written twice, and no basis has an answer for them."""
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


def find_neighbours(atoms: Atoms, cutoff: float, *, apart: bool = True) -> Neighbours:
    """Find all neighbours nearer than ``cutoff`` (Å), periodic images of the centre included.

    Neighbours of a centre come in an order that is the same for the same structure, and else unspecified.
    Two atoms at the same place are refused unless ``apart`` is False, or atoms are `moving`: where a model
    lets them fuse, a run says so itself.

    Raises
    ------
    DataError
        If the cell is flat along a periodic direction, a position is not finite, two atoms are at the same
        place, or neighbours are more than `MOST_NEIGHBOURS` of an atom or `MOST_PAIRS` of all.
    """
    _require_finite(atoms)
    positions, periodic = np.ascontiguousarray(atoms.positions, dtype=np.float64), np.asarray(atoms.pbc)
    n_atoms = len(positions)
    if n_atoms == 0 or cutoff <= 0:
        empty = np.zeros(n_atoms + 1, dtype=np.int64)
        return Neighbours(empty, np.zeros(0, dtype=np.int64), np.zeros((0, 3)))
    cell, cutoff = _cell(atoms), float(cutoff)
    thickness = heights(cell)
    extents = np.ptp(positions @ (np.linalg.inv(cell) * thickness), axis=0)
    _require_few(atoms, cutoff, _expected(n_atoms, cutoff, np.where(periodic, thickness, extents), periodic))
    boxes = np.where(periodic, thickness, np.maximum(thickness, extents)) / cutoff
    if max(np.maximum(boxes, 1.0).prod(), (2.0 / boxes + 1.0).prod()) > MOST_BOXES:
        first, second, vectors = _search_far_flung(atoms, cell, cutoff)
    else:
        first, second, vectors = _search(cell, positions, periodic, cutoff)
    starts = np.searchsorted(first, np.arange(n_atoms + 1)).astype(np.int64)
    found = Neighbours(starts, second.astype(np.int64), vectors)
    if apart and _LISTS.get() is None:
        _require_apart(atoms, found)
    return found


def require_places(atoms: Atoms) -> None:
    """Check that a structure has places for its atoms, before a program works on it.

    Raises
    ------
    DataError
        If positions or the cell are not finite, the cell is flat along a periodic direction, or two atoms,
        images among them, are nearer than `SAME_PLACE`.
    """
    _require_finite(atoms)
    cell, periodic = _cell(atoms), np.asarray(atoms.pbc)
    across = heights(cell)
    along = atoms.positions @ np.linalg.inv(cell) * across  # distances in these are at most those in space
    along = np.where(periodic, along % across, along)
    along[periodic & (along >= across)] = 0.0
    tree = cKDTree(along, boxsize=np.where(periodic, across, 0.0))
    if tree.query_pairs(SAME_PLACE, p=np.inf) or (across[periodic] < SAME_PLACE).any():
        _require_apart(atoms, find_neighbours(atoms, SAME_PLACE, apart=False))


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


def _require_finite(atoms: Atoms) -> None:
    """Refuse positions that are none."""
    if not np.isfinite(atoms.positions).all():
        raise DataError(f"structure {atoms.get_chemical_formula()} has positions that are not finite")


def _cell(atoms: Atoms) -> FloatArray:
    """Return the cell to search: the reduced one of the same lattice where that has fewer images."""
    periodic = np.asarray(atoms.pbc)
    given = atoms.cell.array[periodic]
    proper = bool(np.isfinite(given).all() and given.any(axis=1).all())
    cell = closed_cell(atoms) if proper else np.zeros((3, 3))
    if not abs(np.linalg.det(cell)) > FLAT:
        raise DataError(
            f"the structure {atoms.get_chemical_formula()} has no proper cell along a periodic direction"
        )
    if (np.linalg.norm(cell, axis=1) > SKEWED * heights(cell))[periodic].any():
        cell = np.ascontiguousarray(minkowski_reduce(cell, pbc=periodic)[0])
    return cell


def _expected(n_atoms: int, cutoff: float, lengths: FloatArray, periodic: NDArray[np.bool_]) -> float:
    """Estimate the neighbours of an atom: those in a box of twice the cutoff, its own images at least.

    ``lengths``: of the cell across its faces, and of the structure along open directions, Å.
    """
    filled = 2.0 * cutoff / np.maximum(lengths, np.where(periodic, 0.0, 2.0 * cutoff))
    with np.errstate(over="ignore"):
        return float(max(np.maximum(filled, 1.0).prod(), n_atoms * filled.prod()))


def _require_few(atoms: Atoms, cutoff: float, per_atom: float) -> None:
    """Refuse what would take memory without end."""
    most = min(MOST_NEIGHBOURS, MOST_PAIRS / len(atoms))
    if not per_atom <= most:
        raise DataError(
            f"structure {atoms.get_chemical_formula()}: about {per_atom:.2g} neighbours of each of its "
            f"{len(atoms)} atoms within {cutoff:g} Å, at most {most:.2g} are allowed; are cutoff, cell and "
            "positions in Å?"
        )


def _require_apart(atoms: Atoms, found: Neighbours) -> None:
    """Refuse an atom that is there twice."""
    squares = np.einsum("ij,ij->i", found.vectors, found.vectors)
    if len(squares) and squares.min() < SAME_PLACE**2:
        pair = int(squares.argmin())
        raise DataError(
            f"structure {atoms.get_chemical_formula()} has two atoms at the same place: numbers "
            f"{found.centres[pair]} and {found.index[pair]} are {np.sqrt(squares[pair]):.2g} Å apart, less "
            f"than {SAME_PLACE:g}; remove one"
        )


def _search_far_flung(atoms: Atoms, cell: FloatArray, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Return what `_search` does, by a k-d tree over images: for few atoms in much space, or in none."""
    positions, periodic = atoms.positions, np.asarray(atoms.pbc)
    fractional = np.linalg.solve(cell.T, positions.T).T
    turns = np.where(periodic, np.floor(fractional), 0.0)
    inside, fractional = positions - turns @ cell, fractional - turns
    number, shift = np.arange(len(positions)), np.zeros((len(positions), 3))
    for axis in np.flatnonzero(periodic):
        reach = cutoff / heights(cell)[axis] + 1e-9  # rounding must not lose an image at its edge
        steps = np.arange(-np.floor(reach) - 1, np.floor(reach) + 2)
        at = fractional[number, axis] + steps[:, None]
        least, most = fractional[:, axis].min() - reach, fractional[:, axis].max() + reach
        step, kept = np.nonzero((at >= least) & (at <= most))
        number, shift = number[kept], shift[kept]
        shift[:, axis] = steps[step]
    moved = shift @ cell
    centres, images = cKDTree(inside), cKDTree(inside[number] + moved)
    _require_few(atoms, cutoff, centres.count_neighbors(images, cutoff) / len(positions))
    pairs = centres.sparse_distance_matrix(images, cutoff, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs["j"], pairs["i"]))]
    first, entry = pairs["i"], pairs["j"]
    vectors = inside[number[entry]] - inside[first] + moved[entry]
    itself = (number[entry] == first) & ~shift[entry].any(axis=1)
    near = ~itself & (np.linalg.norm(vectors, axis=1) < cutoff)
    return first[near], number[entry[near]], vectors[near]


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


__all__ = ["Neighbours", "closed_cell", "find_neighbours", "heights", "moving", "require_places"]
