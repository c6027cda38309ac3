"""Directions of damped Gauss-Newton steps from batches of rows: a matrix for few weights, rows for many."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.harness.contract import FloatArray
from scipy.linalg import LinAlgError, blas, cho_factor, cho_solve

MOMENTUM = 0.95
"""Part of the last direction that the next one starts from, where no matrix is kept."""
ALONE = 10.0
"""How much more damping a batch needs where no matrix is kept."""
RAISE, TRIES = 10.0, 6
"""Damping grows by this where rounding leaves a matrix indefinite, so often at most."""


class Dense:
    """The running mean C of JᵀJ as a matrix: the direction solves (C + (μ + γ) I) d = Jᵀr + γ θ.

    μ is ``damping`` times the mean of C's diagonal (Levenberg 1944, doi:10.1090/qam/10666), γ ``decay``.
    """

    def __init__(self, n_weights: int, dtype: np.dtype[np.floating]) -> None:
        self._mean: FloatArray = np.zeros((n_weights, n_weights), dtype, order="F")
        self._add: Any = blas.ssyrk if dtype == np.float32 else blas.dsyrk

    def direction(
        self,
        derivatives: FloatArray,
        residuals: FloatArray,
        weights: FloatArray,
        *,
        share: float,
        damping: float,
        decay: float,
    ) -> FloatArray:
        """Let a batch join the mean with weight ``share``, and return its direction, shape (n_weights,).

        Parameters
        ----------
        derivatives
            J = ∂r/∂θ, shape (n_rows, n_weights).
        residuals, weights
            r and θ.

        Raises
        ------
        LinAlgError
            If no damping makes the matrix positive definite.
        """
        # Only the upper triangle is computed and read.
        self._mean = self._add(share, derivatives.T, beta=1 - share, c=self._mean, overwrite_c=1)
        gradient: FloatArray = derivatives.T @ residuals + decay * weights
        return _solve(self._mean, gradient, damping, decay)


class Rows:
    """No matrix: the least change that solves a batch, starting from a part of the last direction.

    d = s + Jᵀ (J Jᵀ + μ I)⁻¹ (r − J s), s = `MOMENTUM` × the last one + γ θ/μ. Goldshlager, Abrahamsen and
    Lin 2024, doi:10.1016/j.jcp.2024.113351, algorithm SPRING. μ is `ALONE` × ``damping`` × the mean of the
    diagonal.
    """

    def __init__(self, n_weights: int, dtype: np.dtype[np.floating]) -> None:
        self._last = np.zeros(n_weights, dtype)

    def direction(
        self,
        derivatives: FloatArray,
        residuals: FloatArray,
        weights: FloatArray,
        *,
        share: float,
        damping: float,
        decay: float,
    ) -> FloatArray:
        """Return the direction of a batch as `Dense.direction` does; ``share`` has no part in it."""
        gram = np.asfortranarray(derivatives @ derivatives.T)
        mu = ALONE * damping * float(gram.diagonal().mean())
        decayed = (decay / max(mu, decay) * weights).astype(residuals.dtype) if decay else 0.0
        start = MOMENTUM * self._last + decayed
        found = _solve(gram, residuals - derivatives @ start, ALONE * damping, 0.0)
        direction: FloatArray = start + derivatives.T @ found
        self._last = direction - decayed
        return direction


def _solve(matrix: FloatArray, right: FloatArray, damping: float, shift: float) -> FloatArray:
    """Solve with the upper triangle of ``matrix`` + (``damping`` × mean of the diagonal + ``shift``) I."""
    level = float(matrix.diagonal().mean()) + float(np.finfo(matrix.dtype).tiny)
    for attempt in range(TRIES):
        copy = matrix.copy(order="F")
        np.einsum("ii->i", copy)[:] += RAISE**attempt * damping * level + shift
        try:
            factor = cho_factor(copy, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
        solution: FloatArray = cho_solve(factor, right.astype(matrix.dtype), check_finite=False)
        return solution
    raise LinAlgError("the curvature of the loss is not positive definite")


__all__ = ["Dense", "Rows"]
