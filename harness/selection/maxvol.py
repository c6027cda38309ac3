"""Selection by MaxVol: atoms that span the features of all atoms, and the configurations that hold them."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre, principal_axes
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.optimal_design import grow, with_offset
from scipy import linalg

TOLERANCE = 1.01
"""Extrapolation grade up to which the active set is left as it is, as in pace_select."""
MOST_SWAPS = 300
"""Swaps of atoms at most, as in pace_select."""


def maxvol(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Choose the configurations that hold the atoms of an active set.

    As pace_select of pacemaker (Lysogorskiy 2023, arXiv 2212.08716) does for one element: `active_set` on
    the features of all atoms, as many atoms as there are independent features; the configuration that
    holds most of them first. Beyond, as rectangular MaxVol (Mikhalev & Oseledets 2018,
    doi:10.1016/j.laa.2017.10.014): the configuration of the atom with the largest coefficients in the atoms
    before. Features are rotated to independent ones of deviation 1, and there is an offset, so that their
    units and scaling play no part. The generator breaks ties; O(atoms × k²); larger budgets contain
    smaller ones.
    """
    order, _ = candidates.shuffled(rng)
    owners = np.repeat(np.argsort(order), candidates.sizes)  # of each atom: the place of its configuration
    atoms = np.argsort(owners, kind="stable")
    owners = owners[atoms]
    rows = independent(candidates.environments())[atoms]
    active, coefficients = active_set(rows)
    # Not in the order of pivots: where there are fewer atoms than features all are equal, up to rounding.
    holders, counts = np.unique(owners[active], return_counts=True)
    picked = holders[np.argsort(-counts, kind="stable")][:n_chosen]
    left = ~np.isin(owners, picked)
    none = np.empty(0, dtype=np.int64)
    more = grow(coefficients[left], none, n_chosen - len(picked), 1.0, owners[left])
    chosen: IntArray = order[np.concatenate([picked, owners[left][more]])]
    return chosen


def independent(points: FloatArray) -> FloatArray:
    """Rotate to principal axes of deviation 1 and add an offset: independent columns, shape (n, r + 1)."""
    centred = centre(points)
    variances, axes = principal_axes(centred)
    return with_offset(centred @ (axes / np.sqrt(variances)))


def active_set(rows: FloatArray) -> tuple[IntArray, FloatArray]:
    """Find as many rows as columns whose determinant no swap of one row raises by `TOLERANCE`.

    MaxVol (Goreinov 2010, doi:10.1142/9789812836021_0015). It starts with the rows that a QR decomposition
    pivots on: of those, each is the one farthest from the span of the rows before, in any rotation.

    Parameters
    ----------
    rows
        Shape (n, r), of rank r.

    Returns
    -------
    tuple[IntArray, FloatArray]
        The rows found, shape (r,), and each row's coefficients in them, shape (n, r).
    """
    active = linalg.qr(rows.T, mode="r", pivoting=True)[1][: rows.shape[1]].astype(np.int64)
    coefficients: FloatArray = linalg.solve(rows[active].T, rows.T).T
    for _ in range(MOST_SWAPS):
        new, old = np.unravel_index(np.argmax(np.abs(coefficients)), coefficients.shape)
        pivot = coefficients[new, old]
        if abs(pivot) <= TOLERANCE:
            break
        change = coefficients[new].copy()
        change[old] -= 1.0
        coefficients -= np.outer(coefficients[:, old], change / pivot)
        active[old] = new
    return active, coefficients
