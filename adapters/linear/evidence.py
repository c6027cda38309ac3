"""Strengths of a ridge prior by the evidence of the data: one for all (Bayesian ridge) or one each (ARD)."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray
from scipy.linalg import qr, solve_triangular, svd
from scipy.optimize import minimize_scalar

LOWEST, HIGHEST = -14.0, 0.0
"""Range of the search: log10 of the ridge relative to the squared norm of a column."""

OFF = 6.0
"""The same where coefficients may be held to nothing, as those of a difference between two models."""
STRONGEST = 1e6
"""Relative ridge at which a coefficient counts as switched off."""
MAX_ITERATIONS = 100
SETTLED = 0.05
"""Largest change of the logarithm of a strength, weighted by how well its coefficient is determined."""


def evidence_ridge(
    design: FloatArray,
    target: FloatArray,
    n_offsets: int,
    prior: FloatArray,
    *,
    n_rows: int | None = None,
    highest: float = HIGHEST,
) -> float:
    """Return the relative ridge that maximises the marginal likelihood of the target.

    MacKay 1992, doi:10.1162/neco.1992.4.3.415. Coefficients are x_j ~ N(0, σ²/(λ prior_j ‖A_j‖²)) and noise
    has variance σ², which is maximised as well: -2 ln p(y | λ) = N ln σ²(λ) + Σ ln(1 + s_k²/λ) + const,
    where s are the singular values of the scaled design, z the target in their basis, and
    N σ² = ‖y - y_∥‖² + Σ λ z_k²/(s_k² + λ).

    Parameters
    ----------
    design
        Weighted rows, shape (n_rows, k + n_offsets); the last columns have no prior.
    target
        Weighted labels, shape (n_rows,).
    n_offsets
        Number of columns without prior.
    prior
        How much stronger each column is held down, shape (k,).
    n_rows
        Number of labels, if ``design`` and ``target`` were compressed from more rows.
    highest
        Largest log10 of the ridge that is looked at: one at which nothing is left of the coefficients, where
        there may be nothing to fit.
    """
    inner, outside, count = _reduced(design, target, n_offsets, prior, n_rows)
    n = len(prior)
    left, s = _left(inner[:, :n])
    z = left.T @ inner[:, n]
    outside += float((inner[:, n] ** 2).sum() - (z**2).sum())

    def cost(exponent: float) -> float:
        strength = 10.0**exponent
        misfit = max(outside, 0.0) + float((strength * z**2 / (s**2 + strength)).sum())
        return float(count * np.log(misfit / count + np.finfo(float).tiny) + np.log1p(s**2 / strength).sum())

    grid = np.arange(LOWEST, highest + 0.25, 0.5)
    best = float(grid[int(np.argmin([cost(one) for one in grid]))])
    found = minimize_scalar(cost, bounds=(best - 0.5, best + 0.5), method="bounded")
    return float(10.0**found.x)


def _left(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return left singular vectors and singular values, by the slower way where the fast one fails."""
    try:
        left, singular, _ = np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:
        left, singular, _ = svd(matrix, full_matrices=False, lapack_driver="gesvd")
    return left, singular


def ard_ridges(
    design: FloatArray,
    target: FloatArray,
    n_offsets: int,
    start: FloatArray,
    *,
    n_rows: int | None = None,
) -> FloatArray:
    """Return a relative ridge per column that maximises the evidence: automatic relevance determination.

    MacKay 1994, "Bayesian nonlinear modeling for the prediction competition"; Tipping 2001, Journal of
    Machine Learning Research 1, 211, equations 16 to 18: with γ_j = 1 - λ_j S_jj, S the inverse of
    AᵀA + λ, the fixed point is λ_j = σ² γ_j / x_j² and σ² = ‖y - Ax‖² / (N - Σ γ).

    Parameters
    ----------
    design, target, n_offsets, n_rows
        As in `evidence_ridge`.
    start
        Strengths to begin with, shape (k,); the optimum is a local one.
    """
    n = len(start)
    inner, outside, count = _reduced(design, target, n_offsets, np.ones(n), n_rows)
    strengths = np.clip(start, 10.0**LOWEST, STRONGEST)
    for _ in range(MAX_ITERATIONS):
        ridge = np.column_stack([np.diag(np.sqrt(strengths)), np.zeros(n)])
        augmented = np.asarray(qr(np.vstack([inner, ridge]), mode="r", check_finite=False)[0])
        r = augmented[:n, :n]
        x = solve_triangular(r, augmented[:n, n])
        inverse = solve_triangular(r, np.eye(n))
        determined = np.clip(1.0 - strengths * (inverse**2).sum(axis=1), 0.0, 1.0)
        misfit = outside + float(((inner[:, n] - inner[:, :n] @ x) ** 2).sum())
        variance = misfit / max(count - float(determined.sum()), 1.0)
        found = variance * determined / np.maximum(x**2, np.finfo(float).tiny)
        found = np.clip(found, 10.0**LOWEST, STRONGEST)
        change = determined * np.abs(np.log(found / strengths))
        strengths = found
        if change.max(initial=0.0) < SETTLED:
            break
    return strengths


def _reduced(
    design: FloatArray, target: FloatArray, n_offsets: int, prior: FloatArray, n_rows: int | None
) -> tuple[FloatArray, float, int]:
    """Reduce a least-squares problem to a triangle, without the columns that have no prior.

    Returns
    -------
    tuple
        The triangle of the columns in units of their norm times the root of ``prior``, with the target
        beside it, shape (≤ k, k + 1); the squared target outside of it; the number of rows it stands for.
    """
    n = design.shape[1] - n_offsets
    norms = np.linalg.norm(design[:, :n], axis=0)
    norms[norms == 0] = 1.0
    scaled = design[:, :n] / (norms * np.sqrt(prior))
    # Columns without prior first: what they explain drops out with the first rows of R.
    system = np.column_stack([design[:, n:], scaled, target])
    triangle = np.asarray(qr(system, mode="r", overwrite_a=True, check_finite=False)[0])[: n + n_offsets + 1]
    inner = triangle[n_offsets : n_offsets + n, n_offsets:]
    outside = float((triangle[n_offsets + n :, -1] ** 2).sum())
    return inner, outside, max((n_rows or len(target)) - n_offsets, 1)
