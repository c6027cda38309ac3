"""Structures that no program can work on: no finite positions, no proper cell, two atoms in one place."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from crossprune.harness.contract.neighbours import FLAT, closed_cell, heights
from crossprune.harness.errors import DataError
from scipy.spatial import cKDTree

SAME = 1e-6
"""Å across each face of the cell: less than files resolve, more than the 1e-10 Å below which LAMMPS's SNAP
leaves pairs out."""


def require_places(atoms: Atoms) -> None:
    """Check that a structure has places for its atoms.

    Raises
    ------
    DataError
        If a position or the cell is not finite, a periodic direction has no lattice vector, the cell is flat,
        or two atoms, images among them, are at the same place.
    """
    periodic = np.asarray(atoms.pbc)
    if not np.isfinite(atoms.positions).all():
        raise DataError(f"structure {atoms.get_chemical_formula()} has positions that are not finite")
    given = atoms.cell.array[periodic]
    proper = bool(np.isfinite(given).all() and given.any(axis=1).all())
    cell = closed_cell(atoms) if proper else np.zeros((3, 3))
    if not abs(np.linalg.det(cell)) > FLAT:
        raise DataError(
            f"the structure {atoms.get_chemical_formula()} has no proper cell along a periodic direction"
        )
    apart = heights(cell)
    along = atoms.positions @ np.linalg.inv(cell) * apart
    along = np.where(periodic, along % apart, along)
    along[periodic & (along >= apart)] = 0.0
    pairs = cKDTree(along, boxsize=np.where(periodic, apart, 0.0)).query_pairs(SAME, p=np.inf)
    if pairs:
        first, second = min(pairs)
        formula = atoms.get_chemical_formula()
        raise DataError(f"atoms {first} and {second} of {formula}, counted from 0, are at the same place")


__all__ = ["SAME", "require_places"]
