"""Neighbours within a cutoff by direct search: the fastest for the cells of training sets and their MD."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from ase.neighborlist import neighbor_list
from crossprune.adapters.nnp.kernels import compiled
from crossprune.harness.contract import FloatArray, IntArray

LARGE = 100_000_000
"""Candidate pairs from which a linked-cell search is faster than testing all, a second's work."""


def neighbours(atoms: Atoms, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Find all pairs nearer than ``cutoff`` (Å), each in both directions, periodic images included.

    Returns
    -------
    tuple
        Centres i in ascending order, neighbours j, and vectors from i to j (Å, shape (n_pairs, 3)).
    """
    pbc = np.asarray(atoms.pbc)
    cell = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0))
    inverse = np.linalg.inv(cell)
    heights = 1 / np.linalg.norm(inverse, axis=0)
    # Fractional coordinates of wrapped atoms differ by less than 1: one more image than the cutoff needs.
    reach = np.where(pbc, np.floor(cutoff / heights + 1), 0).astype(np.int64)
    if len(atoms) ** 2 * int(np.prod(2 * reach + 1)) > LARGE:
        i, j, vectors = neighbor_list("ijD", atoms, cutoff)
        return i.astype(np.int64), j.astype(np.int64), np.ascontiguousarray(vectors)
    fractional = atoms.positions @ inverse
    positions = atoms.positions - np.where(pbc, np.floor(fractional), 0.0) @ cell
    shifts = np.array(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")).reshape(3, -1).T
    images = shifts @ cell
    own = int(np.flatnonzero((shifts == 0).all(axis=1))[0])
    empty = np.empty(0, dtype=np.int64)
    n_pairs = search(positions, images, own, cutoff, empty, empty, np.empty((0, 3)))
    i, j, vectors = (
        np.empty(n_pairs, dtype=np.int64),
        np.empty(n_pairs, dtype=np.int64),
        np.empty((n_pairs, 3)),
    )
    search(positions, images, own, cutoff, i, j, vectors)
    return i, j, vectors


@compiled
def search(positions: Any, images: Any, own: int, cutoff: float, i: Any, j: Any, vectors: Any) -> int:
    """Count pairs nearer than ``cutoff``, and write them where the arrays are not empty.

    ``images``: translations (Å, shape (n_images, 3)), of which number ``own`` is zero.
    """
    limit, count = cutoff * cutoff, 0
    for a in range(len(positions)):
        for b in range(len(positions)):
            x = positions[b, 0] - positions[a, 0]
            y = positions[b, 1] - positions[a, 1]
            z = positions[b, 2] - positions[a, 2]
            for s in range(len(images)):
                dx, dy, dz = x + images[s, 0], y + images[s, 1], z + images[s, 2]
                if dx * dx + dy * dy + dz * dz >= limit or (a == b and s == own):
                    continue
                if len(i):
                    i[count], j[count] = a, b
                    vectors[count, 0], vectors[count, 1], vectors[count, 2] = dx, dy, dz
                count += 1
    return count
