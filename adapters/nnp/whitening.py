"""Symmetry functions of one element made uncorrelated and of unit variance, as its network reads them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray
from numpy.typing import NDArray


@dataclass(frozen=True)
class Whitening:
    """Linear map of one element's inputs to uncorrelated ones of unit variance: x = (G − centre) @ matrix."""

    centre: FloatArray
    scale: FloatArray
    matrix: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, values: FloatArray, floor: float, n_functions: int = 0) -> Whitening:
        """Compute the map from the chosen atoms' functions; shape of ``values``: (n_atoms, k).

        With ``n_functions``, only so many functions are let in, those that CUR picks.

        Symmetry functions of one family are nearly parallel, so that steps along them crawl; directions of
        relative variance below ``floor`` are not blown up further. Of all such maps it is the symmetric one,
        which changes little with the chosen atoms: signs of eigenvectors, which builds of LAPACK choose each
        for itself, would turn a network's random start into another.
        """
        k = values.shape[1]
        if len(values) == 0:
            return cls(np.zeros(k), np.ones(k), np.zeros((k, k)), np.zeros(k), np.zeros(k))
        centre, scale = values.mean(axis=0), values.std(axis=0)
        # A function that does not vary in the subset, up to rounding, says nothing about energies in it.
        dead = scale <= 1e-10 * (1e-3 + np.abs(centre))
        scale = np.where(dead, 1.0, scale)
        standard = (values - centre) / scale
        if 0 < n_functions < np.count_nonzero(~dead):
            dead |= ~_cur(standard, n_functions)
        standard[:, dead] = 0.0
        variance, vectors = np.linalg.eigh(standard.T @ standard / len(values))
        largest = variance[-1] if variance[-1] > 0 else 1.0
        matrix = (vectors / np.sqrt(np.maximum(variance, floor * largest))) @ vectors.T / scale[:, None]
        matrix[dead] = 0.0
        return cls(centre, scale, matrix, values.min(axis=0), values.max(axis=0))


def _cur(values: FloatArray, n_chosen: int) -> NDArray[np.bool_]:
    """Mark the columns that CUR picks (Imbalzano 2018, doi:10.1063/1.5024611; scikit-matter)."""
    from skmatter.feature_selection import CUR

    chosen = np.zeros(values.shape[1], dtype=bool)
    chosen[CUR(n_to_select=n_chosen).fit(values).selected_idx_] = True
    return chosen
