"""The metric in which weighted ridge regression sees rows."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray


def ridge_metric(rows: FloatArray, prior: FloatArray) -> FloatArray:
    """Scale rows so that inner products are prior covariances of what they predict.

    The ridge of a column is relative to its squared norm: coefficients are c_j ~ N(0, σ²/(λ p_j ‖A_j‖²))
    (Bayesian linear regression; Bishop 2006, Pattern Recognition and Machine Learning, eq. 3.54), so that
    predictions of two rows have covariance ∝ Σ_j a_j a'_j / (p_j ‖A_j‖²). λ is a common factor, and no
    choice rests on it.

    Parameters
    ----------
    rows
        Features or design rows, weighted as in the fit, shape (n, k).
    prior
        How much stronger each column is held down, p, shape (k,).

    Returns
    -------
    FloatArray
        Shape (n, k), no unit; a column that is zero everywhere stays so.
    """
    norms = np.sqrt(np.square(rows).mean(axis=0) * prior)
    scaled: FloatArray = rows / np.where(norms > 0, norms, 1.0)
    return scaled
