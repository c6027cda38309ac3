"""Pairs of neighbours, found as quickly in a skewed cell as in a compact one of the same crystal."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from ase.geometry import minkowski_reduce
from ase.neighborlist import neighbor_list
from crossprune.harness.data.validation import closed_cell


def neighbours(quantities: str, atoms: Atoms, cutoff: float) -> Any:
    """Return what `ase.neighborlist.neighbor_list` returns, but of the reduced cell of the same lattice.

    The number of images that are searched grows with the skew of a cell (b, b + a, b + 2 a, …), the pairs
    do not. ``quantities`` may hold i, j, d and D; S counts vectors of the cell, and would be another.
    """
    if not atoms.pbc.any():
        return neighbor_list(quantities, atoms, cutoff)
    cell = minkowski_reduce(closed_cell(atoms), pbc=atoms.pbc)[0]
    compact = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=cell, pbc=atoms.pbc)
    return neighbor_list(quantities, compact, cutoff)
