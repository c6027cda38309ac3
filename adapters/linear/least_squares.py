"""Ridge regression on weighted rows by QR: columns of unit norm, a strength per column, free offsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError
from scipy.linalg import qr, solve_triangular, svdvals

NOT_FINITE = "a design row or a label is not finite; look for NaN or overlapping atoms in the data"
SMALLEST_DIRECTION = 1e-13
"""Of the singular values, relative to the largest: what is smaller is rounding of the rows, not a direction.

Rounding leaves 1e-17 to 1e-14. FitSNAP's solver has the same number, there of columns that are not scaled.
"""
SMALLEST_PIVOT = 1e-11
"""Relative to the largest: below it singular values decide, which pivots may exceed by a factor of tens."""


@dataclass(frozen=True)
class Solution:
    """Coefficients, per-element offsets (eV) and the condition number of the scaled design."""

    coefficients: FloatArray
    offsets: FloatArray
    condition_number: float


def compress(design: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a square design and its target with the same least-squares problem, by one QR.

    For any x, ‖Ax − y‖ is the same for the rows given, shape (n_rows, n) and (n_rows,), and for those
    returned, shape (n + 1, n) and (n + 1,): R of the QR factorisation of [A y].

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    if not (np.isfinite(design).all() and np.isfinite(target).all()):
        raise DataError(NOT_FINITE)
    system = np.empty((len(target), design.shape[1] + 1), order="F")  # LAPACK's order: no second copy
    system[:, :-1], system[:, -1] = design, target
    triangle = _triangle(system)
    return triangle[:, :-1], triangle[:, -1]


def solve(design: FloatArray, target: FloatArray, n_offsets: int, ridge: float | FloatArray) -> Solution:
    """Solve min ‖Ax − y‖² + Σ_j ridge_j ‖A_j‖² x_j² by QR; the last columns are not regularised.

    Columns are scaled to unit norm, so that ``ridge`` has the same meaning for every column, family
    and subset size. QR on the rows keeps the digits that normal equations lose (Golub and Van Loan,
    Matrix Computations, 4th ed., sections 5.3 and 6.1).

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    square, goal = compress(design, target)
    n = design.shape[1]
    norms = np.linalg.norm(square, axis=0)
    n_used = int(np.count_nonzero(norms))
    norms[norms == 0] = 1.0
    triangle = np.column_stack([square / norms, goal])
    singular = svdvals(triangle[:, :n])
    penalty = np.zeros(n)
    penalty[: n - n_offsets] = np.sqrt(ridge)
    augmented = _triangle(np.vstack([triangle, np.column_stack([np.diag(penalty), np.zeros(n)])]))
    r, z = augmented[:n, :n], augmented[:n, n]
    # Directions that neither data nor ridge determine leave pivots of rounding; they are left at zero.
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= SMALLEST_PIVOT * diagonal.max():
        scaled = np.linalg.lstsq(r, z, rcond=SMALLEST_DIRECTION)[0]
    else:
        scaled = solve_triangular(r, z)
    coefficients = scaled / norms
    smallest = singular[n_used - 1]  # columns of zeros have no part in it
    condition = float(singular[0] / smallest) if smallest > 0 else float("inf")
    return Solution(coefficients[: n - n_offsets], coefficients[n - n_offsets :], condition)


def _triangle(matrix: FloatArray) -> FloatArray:
    """Return R of the QR factorisation, padded with zero rows to a square matrix."""
    r = np.asarray(qr(matrix, mode="r", overwrite_a=True, check_finite=False)[0], dtype=np.float64)
    r = r[: matrix.shape[1]]
    missing = matrix.shape[1] - len(r)
    return np.vstack([r, np.zeros((missing, matrix.shape[1]))]) if missing else r
