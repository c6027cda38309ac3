"""Energies per element: what compositions determine of them, and one rule for what they do not."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract.arrays import FloatArray

INDEPENDENT = 1e-10
"""Smallest singular value of atomic fractions, relative to the largest, that is a composition of its own.

One atom replaced among 10⁴, in one frame of 10⁵, gives 3·10⁻⁷; rounding of equal fractions 10⁻¹⁴.
"""


def determined(counts: FloatArray) -> FloatArray:
    """Return a basis of the energies per element that some compositions determine.

    Frames of one composition fix one number, not one per element: least squares has a whole space of
    solutions, of which the noise in the last digit picks one at ±10¹² eV. Here it is the one whose
    elements differ least, that is of least norm about their common mean: with N the null space of the
    compositions and P = 1 − 𝟏𝟏ᵀ/n, the energies e with Nᵀ P e = 0. It does not depend on the zero
    of energy, as the least norm about 0 would. A single compound gets the same energy for each of its
    elements, and an element that no frame holds gets the mean of the others.

    Parameters
    ----------
    counts
        Atoms per element, shape (n_frames, n_elements), each row times any factor; rows of zeros
        are passed over.

    Returns
    -------
    FloatArray
        Shape (n_elements, rank), no unit; the identity where everything is determined.
    """
    n_elements = counts.shape[1]
    totals = counts.sum(axis=1)
    fractions = counts[totals > 0] / totals[totals > 0, None]
    if len(fractions) == 0:
        return np.zeros((n_elements, 0))
    if n_elements == 1:
        return np.eye(1)
    # Fractions, because cells of 2 and of 2000 atoms, or weights, must not decide what is independent.
    _, singular, directions = np.linalg.svd(np.unique(fractions, axis=0))
    rank = int(np.count_nonzero(singular > INDEPENDENT * singular[0]))
    if rank == n_elements:
        return np.eye(n_elements)
    null = directions[rank:].T
    basis: FloatArray = np.linalg.svd((null - null.mean(axis=0)).T)[2][n_elements - rank :].T
    return basis


def regressed(counts: FloatArray, energies: FloatArray) -> FloatArray:
    """Regress energies (eV) on atoms per element, shape (n_frames, n_elements); see `determined`."""
    basis = determined(counts)
    found: FloatArray = basis @ np.linalg.lstsq(counts @ basis, energies, rcond=None)[0]
    return found
