"""Find the pairs, triplets and quadruplets of atoms in any cell, each exactly once (numba)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from crossprune.adapters.chimes.compiled import compiled
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]
MAX_BINS = 64
"""Bins per direction, so that a thin gas does not fill the memory with empty bins."""


@dataclass(frozen=True)
class Neighbours:
    """Half neighbour list: every pair of atoms or images within reach once.

    Entry e of atom i, ``starts[i] <= e < starts[i + 1]``, is the atom ``atoms[e]`` at ``vectors[e]`` from i.
    """

    starts: Int32Array
    atoms: Int32Array
    vectors: FloatArray
    """Å, shape (n_entries, 3)."""


def half_neighbours(atoms: Atoms, reach: float) -> Neighbours:
    """List the neighbours within ``reach`` (Å) that come after an atom.

    An atom or image comes after another if its index is larger or, for images of one atom, if its
    cell comes later. The first member of a cluster is then the same whatever cell it is seen from, so
    clusters taken from one atom's half list are found exactly once, in cells of any size.

    Raises
    ------
    DataError
        If the cell is flat along a periodic direction.
    """
    cell = np.ascontiguousarray(complete_cell(atoms.cell.array), dtype=np.float64)
    pbc = np.array(atoms.pbc, dtype=np.bool_)
    volume = abs(float(np.linalg.det(cell)))
    if volume < 1e-9 or (pbc & ~np.array(atoms.cell.array.any(axis=1))).any():
        raise DataError(
            f"the structure {atoms.get_chemical_formula()} has no proper cell along a periodic direction"
        )
    inverse = np.linalg.inv(cell)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    fractional = atoms.positions @ inverse
    fractional -= np.where(pbc, np.floor(fractional), 0.0)
    bins = np.where(pbc, np.clip(np.floor(heights / max(reach, 1e-3)), 1, MAX_BINS), 1).astype(np.int64)
    layers = np.where(pbc, np.ceil(reach * bins / heights), 0).astype(np.int64)
    places = (
        np.minimum((fractional * bins).astype(np.int64), bins - 1)
        if len(atoms)
        else np.zeros((0, 3), np.int64)
    )
    places[:, ~pbc] = 0
    flat = (places[:, 0] * bins[1] + places[:, 1]) * bins[2] + places[:, 2]
    order = np.argsort(flat, kind="stable")
    edges = np.searchsorted(flat[order], np.arange(bins.prod() + 1))
    wrapped = np.ascontiguousarray(fractional @ cell)
    arguments = (wrapped, cell, places, order, edges, bins, layers, reach * reach)
    counts = np.zeros(len(atoms) + 1, dtype=np.int32)
    nothing = np.zeros(0, dtype=np.int32), np.zeros((0, 3))
    _neighbours(*arguments, counts, *nothing)
    starts = np.cumsum(counts, dtype=np.int32)
    found = np.empty(starts[-1], dtype=np.int32), np.empty((starts[-1], 3))
    _neighbours(*arguments, starts, *found)
    return Neighbours(starts, *found)


@compiled
def _neighbours(wrapped, cell, places, order, edges, bins, layers, reach2, starts, found, vectors):  # type: ignore[no-untyped-def]
    """Count (``found`` empty: into starts[i + 1]) or store the half neighbours of every atom."""
    store = found.shape[0] > 0
    shift = np.empty(3, np.int64)
    place = np.empty(3, np.int64)
    for i in range(wrapped.shape[0]):
        count = 0
        for step0 in range(-layers[0], layers[0] + 1):
            for step1 in range(-layers[1], layers[1] + 1):
                for step2 in range(-layers[2], layers[2] + 1):
                    place[0], place[1], place[2] = (
                        places[i, 0] + step0,
                        places[i, 1] + step1,
                        places[i, 2] + step2,
                    )
                    for axis in range(3):
                        shift[axis] = place[axis] // bins[axis]
                        place[axis] -= shift[axis] * bins[axis]
                    box = (place[0] * bins[1] + place[1]) * bins[2] + place[2]
                    for k in range(edges[box], edges[box + 1]):
                        j = order[k]
                        if j < i:
                            continue
                        if j == i:
                            later = shift[0] > 0 or (
                                shift[0] == 0 and (shift[1] > 0 or (shift[1] == 0 and shift[2] > 0))
                            )
                            if not later:
                                continue
                        x, y, z = (
                            wrapped[j, 0] - wrapped[i, 0],
                            wrapped[j, 1] - wrapped[i, 1],
                            wrapped[j, 2] - wrapped[i, 2],
                        )
                        for axis in range(3):
                            x += shift[axis] * cell[axis, 0]
                            y += shift[axis] * cell[axis, 1]
                            z += shift[axis] * cell[axis, 2]
                        if x * x + y * y + z * z < reach2:
                            if store:
                                at = starts[i] + count
                                found[at] = j
                                vectors[at, 0], vectors[at, 1], vectors[at, 2] = x, y, z
                            count += 1
        if not store:
            starts[i + 1] = count


def clusters(neighbours: Neighbours, species: Int32Array, reach: FloatArray, body: int) -> Int32Array:
    """List all clusters of ``body`` atoms whose pairs are all within reach.

    Parameters
    ----------
    neighbours
        Half neighbour list.
    species
        Atom type of each atom, shape (n_atoms,).
    reach
        Å, shape (n_types, n_types): largest cutoff of a pair of types in clusters of this size.
    body
        2, 3 or 4.

    Returns
    -------
    Int32Array
        Shape (n_clusters, body): the first atom, then entries of the neighbour list.
    """
    arguments = (neighbours.starts, neighbours.atoms, neighbours.vectors, species, reach * reach, body)
    count = _clusters(*arguments, np.zeros((0, body), dtype=np.int32))
    members = np.empty((count, body), dtype=np.int32)
    if count:
        _clusters(*arguments, members)
    return members


@compiled
def _far(vectors, atoms, species, reach2, a, b):  # type: ignore[no-untyped-def]
    """Tell whether two entries of one list are out of reach of each other."""
    x = vectors[a, 0] - vectors[b, 0]
    y = vectors[a, 1] - vectors[b, 1]
    z = vectors[a, 2] - vectors[b, 2]
    return x * x + y * y + z * z >= reach2[species[atoms[a]], species[atoms[b]]]


@compiled
def _clusters(starts, atoms, vectors, species, reach2, body, members):  # type: ignore[no-untyped-def]
    """Count (``members`` empty) or store the clusters."""
    store = members.shape[0] > 0
    count = 0
    near = np.empty(atoms.shape[0], np.int32)
    for i in range(starts.shape[0] - 1):
        n_near = 0
        for e in range(starts[i], starts[i + 1]):
            square = vectors[e, 0] ** 2 + vectors[e, 1] ** 2 + vectors[e, 2] ** 2
            if square < reach2[species[i], species[atoms[e]]]:
                near[n_near] = e
                n_near += 1
        for first in range(n_near):
            a = near[first]
            if body == 2:
                if store:
                    members[count, 0], members[count, 1] = i, a
                count += 1
                continue
            for second in range(first + 1, n_near):
                b = near[second]
                if _far(vectors, atoms, species, reach2, a, b):
                    continue
                if body == 3:
                    if store:
                        members[count, 0], members[count, 1], members[count, 2] = i, a, b
                    count += 1
                    continue
                for third in range(second + 1, n_near):
                    c = near[third]
                    if _far(vectors, atoms, species, reach2, a, c) or _far(
                        vectors, atoms, species, reach2, b, c
                    ):
                        continue
                    if store:
                        members[count, 0], members[count, 1] = i, a
                        members[count, 2], members[count, 3] = b, c
                    count += 1
    return count
