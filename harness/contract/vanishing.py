"""Columns that vanish by symmetry and hold rounding noise: one rule for design rows and latent spaces."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract.arrays import FloatArray, IntArray
from numpy.typing import NDArray

SMALLEST_SLOPE = 3e-8
"""Smallest design column, relative to the largest of its kind, that is more than rounding.

Slopes of what vanishes on a symmetric site are of first order in the error of a coordinate: up to 1e-8 where
a file gives eight digits after the point (measured on diamond), 1e-14 in double precision. The smallest
columns of ordinary data are 1e-5 and more (ACE, SNAP, ChIMES on si-pbe and mlearn); one frame of four
atoms displaced by 0.02 Å leaves 4e-8, by 0.05 Å 6e-7.
"""
SMALLEST_VALUE = 1e-12
"""Smallest deviation of a feature, relative to the largest value in the space, that is more than rounding.

Invariants are of second order in the error of a coordinate, 1e-16; sums of up to 10⁴ terms round to the same.
"""


@np.errstate(invalid="ignore")  # NaN compares as not vanishing
def vanishing(sizes: FloatArray, largest: FloatArray, kinds: IntArray, smallest: float) -> NDArray[np.bool_]:
    """Tell which columns hold nothing but rounding noise, or zeros.

    On a perfect crystal many invariants vanish by symmetry, but sums of their terms do so up to rounding.
    Scaled to unit length, as fits and selection scale all columns, such noise looks like any other column,
    and gets coefficients of 10¹⁹ or a say in which data are chosen. Compared with itself it does not look
    small; compared with columns made of the same numbers it does. Those are the columns of one *kind*:
    products of equally many factors, which have equal powers of the size of a factor; between kinds
    sizes differ by such powers for good reasons. Each kind has a column that cannot vanish (all l = 0),
    which is why rows of energies, forces and stresses must be one kind together: all forces of a perfect
    crystal are noise, and as a kind of their own the largest noise would pass. Without neighbours it vanishes
    too; where the columns are not exactly 0 then, ``largest`` must hold what they are noise of.

    Parameters
    ----------
    sizes
        Largest number in each column that is used, shape (n_columns,), in units in which rows of all
        sorts are comparable.
    largest
        Largest number in each column, used or not, or what stands for it, shape (n_columns,).
    kinds
        Kind of each column, 0, 1, …, shape (n_columns,).
    smallest
        `SMALLEST_SLOPE` or `SMALLEST_VALUE`.
    """
    scale = np.zeros(kinds.max(initial=-1) + 1)
    np.maximum.at(scale, kinds, largest)
    scale[~np.isfinite(scale)] = 0.0  # what is not finite is for others to refuse, not for us to hide
    found: NDArray[np.bool_] = sizes <= smallest * scale[kinds]
    return found
