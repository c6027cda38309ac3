"""Find the pairs, triplets and quadruplets of atoms in any cell, each exactly once (numba)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.adapters.chimes.compiled import compiled
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]


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

    An atom or image comes after another if its index is larger or, for images of one atom, as `once` of
    `crossprune.harness.contract.neighbours.Neighbours` says. The first member of a cluster is then the same
    whatever cell it is seen from, so clusters taken from one atom's half list are found exactly once, in
    cells of any size.

    Raises
    ------
    DataError
        If the cell is flat along a periodic direction.
    """
    found = find_neighbours(atoms, reach)
    once = found.once()
    counts = np.bincount(found.centres[once], minlength=len(atoms))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return Neighbours(starts, found.index[once].astype(np.int32), found.vectors[once])


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
