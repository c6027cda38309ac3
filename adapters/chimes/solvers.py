"""Ways to solve weighted linear least squares that ChIMES models are fitted with."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from crossprune.adapters.linear.least_squares import Solution, solve
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError
from scipy.linalg import qr, svd

Solver = Literal["ridge", "svd", "lasso", "lars"]


def solve_by(
    solver: Solver, design: FloatArray, target: FloatArray, n_offsets: int, strength: float
) -> Solution:
    """Solve min ‖Ax − y‖² with the solver's way of keeping x small; the last columns are offsets.

    Columns are scaled to unit norm, so that ``strength`` means the same for every subset: ``ridge``:
    the penalty strength · ‖x‖²; ``svd``: singular values below strength × the largest are left out;
    ``lasso`` and ``lars``: where the path ends (Efron 2004, doi:10.1214/009053604000000067), as a
    fraction of the correlation at which it begins with all coefficients zero. Offsets are never
    penalised.

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    if solver == "ridge":
        return solve(design, target, n_offsets, strength)
    if not (np.isfinite(design).all() and np.isfinite(target).all()):
        raise DataError(
            "a design row or a label is not finite; look for NaN or overlapping atoms in the data"
        )
    norms = np.linalg.norm(design, axis=0)
    norms[norms == 0] = 1.0
    n = design.shape[1] - n_offsets
    # Offsets first: the rows of the triangle below them do not contain the offsets any more.
    system = np.column_stack([design[:, n:] / norms[n:], design[:, :n] / norms[:n], target])
    triangle = np.asarray(qr(system, mode="r", overwrite_a=True, check_finite=False)[0])[: n + n_offsets]
    top, rest = triangle[:n_offsets], triangle[n_offsets:]
    matrix, goal = rest[:, n_offsets:-1], rest[:, -1]
    scaled = (
        truncated(matrix, goal, strength) if solver == "svd" else least_angle(matrix, goal, strength, solver)
    )
    offsets = np.linalg.lstsq(top[:, :n_offsets], top[:, -1] - top[:, n_offsets:-1] @ scaled, rcond=None)[0]
    singular = svd(triangle[:, :-1], compute_uv=False)
    condition = float(singular[0] / singular[-1]) if len(singular) and singular[-1] > 0 else float("inf")
    return Solution(scaled / norms[:n], offsets / norms[n:], condition)


def truncated(matrix: FloatArray, goal: FloatArray, smallest: float) -> FloatArray:
    """Solve by singular values not below ``smallest`` times the largest."""
    left, singular, right = svd(matrix, full_matrices=False)
    kept = singular > smallest * singular.max(initial=0.0)
    solution: FloatArray = right[kept].T @ ((left[:, kept].T @ goal) / singular[kept])
    return solution


def least_angle(
    matrix: FloatArray, goal: FloatArray, end: float, method: Literal["lasso", "lars"]
) -> FloatArray:
    """Follow the path of least-angle regression until correlations have shrunk to the fraction ``end``.

    ``lasso`` returns the path's end. ``lars`` takes its active columns and solves for them by least
    squares (the LARS-OLS hybrid of Efron 2004, section 2): plain LARS ends nowhere near a minimum if
    columns are nearly parallel, as these are.
    """
    from sklearn.exceptions import ConvergenceWarning  # only here: longer to import than a fit takes
    from sklearn.linear_model import lars_path

    begin = float(np.abs(matrix.T @ goal).max(initial=0.0)) / max(len(goal), 1)
    if begin == 0.0:
        return np.zeros(matrix.shape[1])
    with warnings.catch_warnings():
        # Near the end of the path nearly parallel columns drop out; what was found until then stands.
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, active, solution = lars_path(
            matrix,
            goal,
            method="lasso" if method == "lasso" else "lar",
            alpha_min=end * begin,
            max_iter=20 * matrix.shape[1],
            return_path=False,
        )
    if method == "lasso":
        return np.asarray(solution, dtype=np.float64)
    hybrid = np.zeros(matrix.shape[1])
    hybrid[active] = truncated(matrix[:, active], goal, np.finfo(np.float64).eps)
    return hybrid
