"""Neighbours within a cutoff, in order of their centres, for cells of any size and any periodicity."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from crossprune.harness.contract import FloatArray, IntArray
from scipy.spatial import cKDTree


def neighbours(atoms: Atoms, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Find all pairs no farther apart than ``cutoff`` (Å), each both ways, periodic images included.

    A tree of all atoms and images near the cell; time is linear in the number of atoms.

    Returns
    -------
    tuple
        Where the neighbours of each centre begin and end (shape (n_atoms + 1,)), their numbers in
        ``atoms`` (shape (n_pairs,)), and vectors from centre to neighbour (Å, shape (n_pairs, 3)).
    """
    pbc = np.asarray(atoms.pbc)
    cell = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0))
    inverse = np.linalg.inv(cell)
    fractional = atoms.positions @ inverse
    fractional -= np.where(pbc, np.floor(fractional), 0.0)
    margin = cutoff * np.linalg.norm(inverse, axis=0) + 1e-9  # of a cell; atoms on its faces are rounded
    reach = np.where(pbc, np.ceil(margin), 0).astype(np.int64)
    shifts = np.array(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij")).reshape(3, -1).T
    images = fractional[:, None, :] + shifts
    is_near = (~pbc | ((images >= -margin) & (images <= 1.0 + margin))).all(axis=2)
    number, shift = np.nonzero(is_near)
    points, centres = images[is_near] @ cell, fractional @ cell
    found = cKDTree(centres).sparse_distance_matrix(cKDTree(points), cutoff, output_type="ndarray")
    centre, image = found["i"].astype(np.int64), found["j"].astype(np.int64)
    is_other = (number[image] != centre) | shifts[shift[image]].any(axis=1)
    centre, image = centre[is_other], image[is_other]
    order = np.argsort(centre, kind="stable")
    centre, image = centre[order], image[order]
    starts = np.searchsorted(centre, np.arange(len(atoms) + 1))
    return starts, number[image], points[image] - centres[centre]
