"""Radial distribution functions of periodic structures, and how far two of them differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.validation import neighbours

RANGE, N_BINS = 6.0, 120
"""Å and bins of 0.05 Å: the first shells, within which models and snapshots have structure to compare."""


def radial_distribution(frames: Sequence[Atoms]) -> FloatArray:
    """Return g(r), averaged over frames; dimensionless, shape (N_BINS,).

    g(r) = n(r) / (4π r² Δr ρ): the mean number of neighbours in a shell over that of an ideal gas of the
    same density (Allen & Tildesley 2017, doi:10.1093/oso/9780198803195.001.0001, section 2.6). Periodic
    images count, so that the range may exceed half the cell: compare equal cells only.
    """
    edges = np.linspace(0, RANGE, N_BINS + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    total = np.zeros(N_BINS)
    for atoms in frames:
        counts = np.histogram(neighbours(atoms, RANGE)[2], edges)[0]
        total += counts / (shells * len(atoms) ** 2 / atoms.get_volume())
    return total / len(frames)


def rdf_error(found: FloatArray, reference: FloatArray) -> float:
    """Return the mean absolute difference of two radial distribution functions over 6 Å, dimensionless.

    The measure of Fu 2023 (arXiv:2210.07237), divided by the range.
    """
    return float(np.abs(found - reference).mean())
