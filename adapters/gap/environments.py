"""SOAP vectors of a structure's atoms with their derivatives, and the kernel rows made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from scipy.sparse import csr_array

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Components of strain in ASE's order."""
N_STRAINS = len(VOIGT)
BLOCK = 256
"""Sparse points per matrix product: its result then stays in the processor's cache."""


@dataclass(frozen=True)
class Environments:
    """SOAP vectors p_i of the atoms of one element in one structure, and how they change.

    Parameters
    ----------
    power
        p_i, no unit, shape (n_centres, n_features).
    derivatives
        One row per centre and label that it takes part in: −∂p_i/∂r (1/Å) or ∂p_i/∂ε (no unit),
        shape (n_terms, n_features).
    centre
        Which centre each term belongs to, shape (n_terms,).
    row
        Which label each term adds to, shape (n_terms,): 3·atom + axis for forces, then six strains.
    n_rows
        Number of these labels, 3·n_atoms + 6.
    """

    power: FloatArray
    derivatives: FloatArray
    centre: IntArray
    row: IntArray
    n_rows: int

    def kernel_rows(self, points: FloatArray, *, zeta: float, delta: float) -> FloatArray:
        """Return energy, force and strain-derivative rows of k(p_i, p_s) = δ² (p_i · p_s)^ζ.

        Strain derivatives are V·stress. Bartók, Kondor and Csányi 2013, doi:10.1103/PhysRevB.87.184115,
        eq. 36.

        Parameters
        ----------
        points
            Sparse points p_s, shape (n_points, n_features).
        zeta, delta
            Power, and standard deviation of an atom's energy (eV).

        Returns
        -------
        FloatArray
            eV for energy and strain, eV/Å for forces; shape (1 + n_rows, n_points).
        """
        result = np.zeros((1 + self.n_rows, len(points)))
        gather: Any = csr_array(
            (np.ones(len(self.row)), (self.row, np.arange(len(self.row)))), (self.n_rows, len(self.row))
        )
        for start in range(0, len(points), BLOCK):
            block = points[start : start + BLOCK].T
            overlap = similarity(self.power, block)
            result[0, start : start + BLOCK] = delta**2 * (overlap**zeta).sum(axis=0)
            slope = delta**2 * zeta * overlap ** (zeta - 1)
            terms = self.derivatives @ block
            terms *= slope[self.centre]
            result[1:, start : start + BLOCK] = np.asarray(gather @ terms)
        return result


def similarity(one: FloatArray, other: FloatArray) -> FloatArray:
    """Return ``one @ other`` of power spectra: an integral of squares, so never below 0."""
    product: FloatArray = np.maximum(one @ other, 0.0)
    return product


def from_quip(found: Mapping[str, np.ndarray], numbers: IntArray) -> dict[int, Environments]:
    """Sort what quippy's SOAP descriptor returns with gradients, by the centre's atomic number.

    Parameters
    ----------
    found
        ``data`` (vectors), ``grad_data`` (∂p_i/∂r_n for every neighbour image n), ``grad_index_0based``
        (centre and atom), ``pos`` (Å, the image's position), ``ci`` (centres from 1). quippy's
        ``has_grad_data`` is not used: it points to memory that QUIP has freed.
    numbers
        Atomic numbers, shape (n_atoms,).
    """
    pairs = np.asarray(found["grad_index_0based"])
    gradient = np.asarray(found["grad_data"])[:, :, :-1]  # the last entry is a constant 0
    power = np.empty((len(numbers), gradient.shape[2]))
    power[np.asarray(found["ci"]) - 1] = np.asarray(found["data"])[:, :-1]
    position = np.asarray(found["pos"])
    result = {}
    for number in np.unique(numbers):
        centres = np.flatnonzero(numbers == number)
        mine = numbers[pairs[:, 0]] == number
        local = np.searchsorted(centres, pairs[mine, 0])
        forces = _force_terms(local, pairs[mine, 1], gradient[mine])
        strains = _strain_terms(local, gradient[mine], position[mine], 3 * len(numbers))
        result[int(number)] = Environments(
            power[centres],
            np.concatenate([forces[0], strains[0]]),
            np.concatenate([forces[1], strains[1]]),
            np.concatenate([forces[2], strains[2]]),
            3 * len(numbers) + N_STRAINS,
        )
    return result


def _force_terms(
    centre: IntArray, atom: IntArray, gradient: FloatArray
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return −∂p_i/∂r_a, its centre i and its row, with all images of an atom a added up."""
    order = np.lexsort((atom, centre))
    centre, atom = centre[order], atom[order]
    starts = np.flatnonzero(np.diff(centre, prepend=-1) | np.diff(atom, prepend=-1))
    total = -np.add.reduceat(gradient[order], starts, axis=0)
    rows = (3 * atom[starts][:, None] + np.arange(3)).ravel()
    return total.reshape(-1, total.shape[2]), np.repeat(centre[starts], 3), rows


def _strain_terms(
    centre: IntArray, gradient: FloatArray, position: FloatArray, first_row: int
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return ∂p_i/∂ε, symmetric in ε: a strain moves each image by ε times its position."""
    order = np.argsort(centre, kind="stable")
    centre, gradient, position = centre[order], gradient[order], position[order]
    starts = np.flatnonzero(np.diff(centre, prepend=-1))
    origin = np.repeat(position[starts], np.diff(np.append(starts, len(centre))), axis=0)
    arm = position - origin  # a shift of all images changes nothing; small arms keep the digits
    parts = [
        np.add.reduceat(
            (gradient[:, a] * arm[:, b, None] + gradient[:, b] * arm[:, a, None]) / 2, starts, axis=0
        )
        for a, b in VOIGT
    ]
    n_centres = len(starts)
    rows = np.repeat(first_row + np.arange(N_STRAINS), n_centres)
    return np.concatenate(parts), np.tile(centre[starts], N_STRAINS), rows


__all__ = ["N_STRAINS", "VOIGT", "Environments", "from_quip", "similarity"]
