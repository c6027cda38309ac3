"""Neighbours within a cutoff, grouped by centre, for cells of any size and any periodicity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.adapters.programs.compiling import compiler
from crossprune.harness.contract import FloatArray, IntArray

compiled = compiler("ace")
MAX_BINS = 64
"""Bins per direction; more only cost memory in sparse cells."""


@dataclass(frozen=True)
class Neighbours:
    """Pairs of a structure: those of centre i are ``starts[i]`` to ``starts[i + 1]``.

    ``index``: the neighbour's number, shape (n_pairs,); ``vectors``: from centre to neighbour, Å,
    shape (n_pairs, 3).
    """

    starts: IntArray
    index: IntArray
    vectors: FloatArray


def find_neighbours(atoms: Atoms, cutoff: float) -> Neighbours:
    """Find all neighbours nearer than ``cutoff`` (Å), periodic images of the centre included."""
    cell = np.array(atoms.cell.complete(), dtype=np.float64)
    positions = np.array(atoms.positions, dtype=np.float64)
    for axis in np.flatnonzero(~atoms.pbc):
        # A direction without images: a box that holds all atoms, whatever the cell says.
        normal = np.cross(cell[axis - 2], cell[axis - 1])
        unit = normal / np.linalg.norm(normal)
        heights = positions @ unit if len(positions) else np.zeros(1)
        cell[axis] = unit * (np.ptp(heights) + 1.0)
        positions = positions - unit * (heights.min() - 0.5)
    inverse = np.linalg.inv(cell)
    fractional = positions @ inverse
    wrapped = np.where(atoms.pbc, fractional - np.floor(fractional), fractional)
    heights = 1.0 / np.linalg.norm(inverse, axis=0)
    limit = max(1, round(len(atoms) ** (1 / 3)) * 2)
    bins = np.clip((2 * heights / cutoff).astype(np.int64), 1, min(MAX_BINS, limit))
    starts, index, vectors = _search(
        wrapped @ cell, wrapped, cell, np.array(atoms.pbc), bins, heights, float(cutoff)
    )
    return Neighbours(starts, index, vectors)


@compiled
def _search(
    positions: Any, fractional: Any, cell: Any, periodic: Any, bins: Any, heights: Any, cutoff: float
) -> tuple[Any, Any, Any]:
    n_atoms = len(positions)
    place = np.empty((n_atoms, 3), dtype=np.int64)
    head = np.full((bins[0], bins[1], bins[2]), -1, dtype=np.int64)
    following = np.empty(n_atoms, dtype=np.int64)
    for i in range(n_atoms):
        for axis in range(3):
            place[i, axis] = min(bins[axis] - 1, max(0, int(fractional[i, axis] * bins[axis])))
        a, b, c = place[i]
        following[i] = head[a, b, c]
        head[a, b, c] = i
    reach = np.empty(3, dtype=np.int64)
    for axis in range(3):
        reach[axis] = math.ceil(cutoff * bins[axis] / heights[axis])
    starts = np.zeros(n_atoms + 1, dtype=np.int64)
    index = np.empty(max(64, 64 * n_atoms), dtype=np.int64)
    vectors = np.empty((len(index), 3))
    count = 0
    image, low, high = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64)
    for i in range(n_atoms):
        for axis in range(3):
            low[axis], high[axis] = place[i, axis] - reach[axis], place[i, axis] + reach[axis]
            if not periodic[axis]:
                low[axis], high[axis] = max(0, low[axis]), min(bins[axis] - 1, high[axis])
        for a in range(low[0], high[0] + 1):
            for b in range(low[1], high[1] + 1):
                for c in range(low[2], high[2] + 1):
                    image[0], image[1], image[2] = a // bins[0], b // bins[1], c // bins[2]
                    sx = sy = sz = 0.0
                    for axis in range(3):
                        sx += image[axis] * cell[axis, 0]
                        sy += image[axis] * cell[axis, 1]
                        sz += image[axis] * cell[axis, 2]
                    j = head[a - image[0] * bins[0], b - image[1] * bins[1], c - image[2] * bins[2]]
                    while j >= 0:
                        x = positions[j, 0] - positions[i, 0] + sx
                        y = positions[j, 1] - positions[i, 1] + sy
                        z = positions[j, 2] - positions[i, 2] + sz
                        square = x * x + y * y + z * z
                        itself = j == i and image[0] == 0 and image[1] == 0 and image[2] == 0
                        if square < cutoff * cutoff and not itself:
                            if count == len(index):
                                index = np.concatenate((index, np.empty_like(index)))
                                vectors = np.concatenate((vectors, np.empty_like(vectors)))
                            index[count] = j
                            vectors[count, 0], vectors[count, 1], vectors[count, 2] = x, y, z
                            count += 1
                        j = following[j]
        starts[i + 1] = count
    return starts, index[:count].copy(), vectors[:count].copy()
