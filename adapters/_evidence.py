"""Strength of a ridge prior by the evidence of the data: Bayesian ridge regression."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray
from scipy.linalg import qr
from scipy.optimize import minimize_scalar

LOWEST, HIGHEST = -14.0, 0.0
"""Range of the search: log10 of the ridge relative to the squared norm of a column."""


def evidence_ridge(
    design: FloatArray,
    target: FloatArray,
    n_offsets: int,
    prior: FloatArray,
    *,
    n_rows: int | None = None,
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
    """
    n = design.shape[1] - n_offsets
    norms = np.linalg.norm(design[:, :n], axis=0)
    norms[norms == 0] = 1.0
    scaled = design[:, :n] / (norms * np.sqrt(prior))
    # Columns without prior first: what they explain drops out with the first rows of R.
    system = np.column_stack([design[:, n:], scaled, target])
    triangle = np.asarray(qr(system, mode="r", overwrite_a=True, check_finite=False)[0])[: n + n_offsets + 1]
    inner = triangle[n_offsets : n_offsets + n, n_offsets:]
    left, s, _ = np.linalg.svd(inner[:, :n], full_matrices=False)
    z = left.T @ inner[:, n]
    outside = float((triangle[n_offsets:, -1] ** 2).sum() - (z**2).sum())
    count = max((n_rows or len(target)) - n_offsets, 1)

    def cost(exponent: float) -> float:
        strength = 10.0**exponent
        misfit = max(outside, 0.0) + float((strength * z**2 / (s**2 + strength)).sum())
        return float(count * np.log(misfit / count + np.finfo(float).tiny) + np.log1p(s**2 / strength).sum())

    grid = np.arange(LOWEST, HIGHEST + 0.25, 0.5)
    best = float(grid[int(np.argmin([cost(one) for one in grid]))])
    found = minimize_scalar(cost, bounds=(best - 0.5, best + 0.5), method="bounded")
    return float(10.0**found.x)
