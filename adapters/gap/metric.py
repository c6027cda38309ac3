"""The SOAP kernel as points: distances between them are those of the Gaussian process."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray

LEFT = 1e-6
"""Part of a kernel's diagonal that its points may leave unexplained."""
MOST_POINTS = 500
"""Columns per element at most, as many as a fit has sparse points by default."""


def kernel_points(
    spectra: FloatArray, kinds: IntArray, n_kinds: int, *, zeta: float, delta: float
) -> FloatArray:
    """Map power spectra to points whose inner products are the kernel's, δ² (x·x')^ζ within an element.

    Incomplete Cholesky decomposition with pivots (Fine & Scheinberg 2001, J. Mach. Learn. Res. 2, 243): each
    column explains the environment that those before explain least, until `LEFT` is left of the worst. So is
    an environment's mean over a structure its mean embedding, and distances between these the maximum mean
    discrepancy of the fit's own kernel. O(n m²) for m columns; the kernel of pairs of distances is left out.

    Parameters
    ----------
    spectra
        Unit vectors, shape (n, k).
    kinds
        Element of each, from 0; environments of different elements have no covariance. Shape (n,).
    n_kinds
        How many elements there are.

    Returns
    -------
    FloatArray
        eV, shape (n, Σ m).
    """
    blocks = []
    for kind in range(n_kinds):
        mine = np.flatnonzero(kinds == kind)
        part = _cholesky(np.asarray(spectra[mine]), zeta)
        block = np.zeros((len(spectra), part.shape[1]))
        block[mine] = delta * part
        blocks.append(block)
    return np.hstack(blocks)


def _cholesky(spectra: FloatArray, zeta: float) -> FloatArray:
    """Decompose one element's kernel; shape (n, m)."""
    left = np.einsum("ij,ij->i", spectra, spectra) ** zeta
    columns = np.zeros((min(MOST_POINTS, len(spectra)), len(spectra)))
    whole = left.max(initial=0.0)
    for step in range(len(columns)):
        pivot = int(np.argmax(left))
        if left[pivot] <= LEFT * whole:
            return columns[:step].T
        kernel = np.maximum(spectra @ spectra[pivot], 0.0) ** zeta
        columns[step] = (kernel - columns[:step, pivot] @ columns[:step]) / np.sqrt(left[pivot])
        left -= np.square(columns[step])
        left[pivot] = 0.0
    return columns.T
