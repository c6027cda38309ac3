"""Tell whether two frames are one structure, however its atoms are printed, wrapped, ordered or turned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.neighbours import closed_cell, heights
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

TOLERANCE = 1e-5
"""Å; files print six digits or more, and from one step of a trajectory to the next atoms move 1e-3 Å."""
SAME_DIGITS = 1e-6
"""Å; structures in one file are one if equal to this: extended XYZ prints eight digits, some codes six."""
WAVES = np.array([h for h in np.ndindex(2, 3, 3) if h > (0, 1, 1)]) - [0, 1, 1]
"""Indices of the shortest reciprocal vectors, one of each pair ±h: shape (13, 3)."""
EDGES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]])
"""Lattice vectors whose lengths determine the shape of a cell."""


@dataclass(frozen=True)
class _Shape:
    """A structure in the axes of its cell, so that it does not matter how it is turned."""

    numbers: IntArray
    pbc: NDArray[np.bool_]
    cell: FloatArray
    """Vectors, those of open directions put in; Å, shape (3, 3)."""
    fractional: FloatArray
    """Of atoms, shape (n_atoms, 3); without periodic directions positions, Å."""
    features: FloatArray
    """What copies share nearly, in units of how far it may differ between them: shape (19,) or (3,)."""

    @classmethod
    def of(cls, atoms: Atoms) -> _Shape:
        """Measure the cell's edges, and sums over all atoms that origin, images and order do not change.

        Of a structure without periodic directions, which may be turned alone, measure distances.
        """
        cell = closed_cell(atoms)
        if not atoms.pbc.any():
            distances = cdist(atoms.positions, atoms.positions)
            sizes = np.array([np.sqrt(np.square(distances).mean()), distances.mean(), distances.max()])
            return cls(atoms.numbers, atoms.pbc, cell, atoms.positions, sizes / (4 * TOLERANCE))
        fractional = np.linalg.solve(cell.T, atoms.positions.T).T
        waves = np.exp(2j * np.pi * (fractional % 1.0) @ WAVES.T)
        amplitudes = np.abs(atoms.numbers @ waves) / atoms.numbers.sum()
        phases = 4 * np.pi * TOLERANCE * np.abs(WAVES) @ (1 / heights(cell))
        slack = phases.max() / np.sqrt(len(atoms))  # digits are cut off in one atom as in no other
        lengths = np.linalg.norm(EDGES @ cell, axis=1)
        features = np.concatenate([lengths / (4 * TOLERANCE), amplitudes / slack])
        return cls(atoms.numbers, atoms.pbc, cell, fractional, features)

    @property
    def kind(self) -> bytes:
        """What copies share exactly: composition and periodicity."""
        return np.sort(self.numbers).tobytes() + self.pbc.tobytes()


def first_copies(frames: Sequence[Atoms], known: Sequence[Atoms]) -> list[int | None]:
    """Return for each frame the first known one that it is a copy of; None if there is none.

    Copies have the same atoms in the same cell, wherever the origin lies, however the cell is turned or
    mirrored, and whichever image of an atom is given, in whichever order. Molecules and clusters, which are
    periodic in no direction, may be turned and mirrored in any cell. Labels do not matter. Frames in
    other cells of the same crystal are copies by symmetry, for which there is `twins`.
    """
    shapes, those = [_Shape.of(atoms) for atoms in frames], [_Shape.of(atoms) for atoms in known]
    return [
        next((index for index in near if _is_copy(shape, those[index])), None)
        for shape, near in zip(shapes, _near(shapes, those), strict=True)
    ]


def duplicates(frames: Sequence[Atoms]) -> list[tuple[int, int]]:
    """Find structures that are `identical`: pairs (first, copy) of indices."""
    shapes = [_Shape.of(atoms) for atoms in frames]
    first = list(range(len(frames)))
    for index, near in enumerate(_near(shapes, shapes)):
        earlier = (other for other in near if other < index and first[other] == other)
        first[index] = next((other for other in earlier if identical(frames[other], frames[index])), index)
    return [(known, index) for index, known in enumerate(first) if known != index]


def identical(one: Atoms, other: Atoms) -> bool:
    """Say whether two frames are one up to printed digits: atoms in order, each at any of its images."""
    if not (np.array_equal(one.numbers, other.numbers) and np.array_equal(one.pbc, other.pbc)):
        return False
    cell = closed_cell(one)
    if np.abs(cell - closed_cell(other)).max() > SAME_DIGITS:
        return False
    shift = np.linalg.solve(cell.T, (other.positions - one.positions).T).T
    return bool(_lengths(shift, cell, one.pbc).max() <= SAME_DIGITS)


def _near(shapes: Sequence[_Shape], known: Sequence[_Shape]) -> Iterator[list[int]]:
    """Yield for each shape the known ones of like kind and features, ascending."""
    members: dict[bytes, list[int]] = {}
    for index, shape in enumerate(known):
        members.setdefault(shape.kind, []).append(index)
    trees = {kind: cKDTree([known[one].features for one in its]) for kind, its in members.items()}
    for shape in shapes:
        kind = shape.kind
        found = trees[kind].query_ball_point(shape.features, 1.0, p=np.inf) if kind in trees else ()
        yield sorted(members[kind][place] for place in found)


def _is_copy(one: _Shape, other: _Shape) -> bool:
    """Lay an atom of the rarest element on each of its kind, and look whether the others meet as well.

    Without periodic directions, find for each atom one of its element at the same distances from the atoms of
    each element.
    """
    if not one.pbc.any():
        pairs = cdist(_distances(one), _distances(other), "chebyshev") <= 4 * TOLERANCE
        pairs &= one.numbers[:, None] == other.numbers
        return bool((maximum_bipartite_matching(csr_array(pairs)) >= 0).all())
    elements, counts = np.unique(one.numbers, return_counts=True)
    rarest = elements[counts.argmin()]
    origin = one.fractional[np.flatnonzero(one.numbers == rarest)[0]]
    size = np.where(one.pbc, 1.0, 0.0)
    tree = cKDTree(_inside(one.fractional - origin, one.pbc), boxsize=size)
    for place in other.fractional[other.numbers == rarest]:
        moved = _inside(other.fractional - place, one.pbc)
        nearest = tree.query(moved)[1]
        if not np.array_equal(one.numbers[nearest], other.numbers):
            continue
        apart = _lengths(moved - (one.fractional - origin)[nearest], one.cell, one.pbc)
        if apart.max() <= 4 * TOLERANCE:
            return True
    return False


def _distances(one: _Shape) -> FloatArray:
    """Return each atom's distances to the atoms of each element, ascending, Å; shape (n_atoms, n_atoms)."""
    distances = cdist(one.fractional, one.fractional)
    elements = np.unique(one.numbers)
    return np.hstack([np.sort(distances[:, one.numbers == element], axis=1) for element in elements])


def _inside(fractional: FloatArray, pbc: NDArray[np.bool_]) -> FloatArray:
    inside = np.where(pbc, fractional % 1.0, fractional)
    inside[(inside == 1.0) & pbc] = 0.0
    return inside


def _lengths(shift: FloatArray, cell: FloatArray, pbc: NDArray[np.bool_]) -> FloatArray:
    """Return how far atoms are from the nearest image of where they should be, Å."""
    lengths: FloatArray = np.linalg.norm((shift - np.where(pbc, np.round(shift), 0.0)) @ cell, axis=1)
    return lengths
