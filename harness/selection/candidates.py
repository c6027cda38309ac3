"""What a selection method may look at: the training part in one latent space, scaled and pooled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import SMALLEST_VALUE, FloatArray, IntArray, vanishing

NEGLIGIBLE = 1e-12
"""Relative variance below which a direction is rounding noise: 10⁴ times the machine precision."""


@dataclass(frozen=True)
class Candidates:
    """Configurations to choose from, described atom by atom in one latent space."""

    features: FloatArray
    """Raw features per atom, shape (Σ n_atoms, k), no unit."""
    offsets: IntArray
    """Configuration i holds the atoms offsets[i] to offsets[i + 1]; shape (n_configurations + 1,)."""
    groups: Sequence[str] = ()
    """Group of each configuration; empty where not known."""
    force_norms: FloatArray | None = None
    """Length of the force on each atom, eV/Å, shape (Σ n_atoms,)."""
    scaling: str = "standard"
    """A key of `SCALINGS`."""
    pooling: str = "mean"
    """A key of `POOLINGS`."""

    @property
    def n_configurations(self) -> int:
        """How many configurations there are."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> IntArray:
        """Atoms per configuration, shape (n_configurations,)."""
        return np.diff(self.offsets)

    def points(self) -> FloatArray:
        """Return one scaled point per configuration: pooled first, then scaled; read-only."""
        return self._points

    @functools.cached_property
    def _points(self) -> FloatArray:
        points = SCALINGS[self.scaling](POOLINGS[self.pooling](self.features, self.offsets))
        points.flags.writeable = False
        return points

    def environments(self) -> FloatArray:
        """Return one scaled point per atom."""
        return SCALINGS[self.scaling](np.asarray(self.features, dtype=np.float64))


def pool_mean(features: FloatArray, offsets: IntArray) -> FloatArray:
    """Average the atoms of each configuration: shape (n_configurations, k)."""
    return pool_sum(features, offsets) / np.diff(offsets)[:, None]


def pool_sum(features: FloatArray, offsets: IntArray) -> FloatArray:
    """Add up the atoms of each configuration: the energy rows of a linear model."""
    total: FloatArray = np.add.reduceat(features, offsets[:-1], axis=0)
    return total


def pool_max(features: FloatArray, offsets: IntArray) -> FloatArray:
    """Take the largest value of each feature in each configuration."""
    largest: FloatArray = np.maximum.reduceat(features, offsets[:-1], axis=0)
    return largest


def centre(points: FloatArray) -> FloatArray:
    """Shift each column to mean 0; distances stay as they are."""
    centred: FloatArray = points - points.mean(axis=0)
    return centred


def standardise(points: FloatArray) -> FloatArray:
    """Shift and scale each column to mean 0 and deviation 1; constant columns are dropped.

    So are columns that vary by rounding noise only, relative to the largest value of all columns: the
    columns of a space are one kind of `crossprune.harness.contract.vanishing`.
    """
    centred = centre(points)
    deviation = centred.std(axis=0)
    sizes = np.abs(points).max(axis=0, initial=0.0)
    varying = ~vanishing(deviation, sizes, np.zeros(len(sizes), dtype=np.int64), SMALLEST_VALUE)
    scaled: FloatArray = centred[:, varying] / deviation[varying]
    return scaled


def whiten(points: FloatArray) -> FloatArray:
    """Rotate to principal axes of deviation 1, so that distances are Mahalanobis's.

    Columns are standardised first, so that units do not decide what is negligible; directions with
    less than 10⁻¹² of the largest variance are dropped.
    """
    scaled = standardise(points)
    if scaled.shape[1] == 0:
        return scaled
    variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    kept = variances > NEGLIGIBLE * variances[-1]
    white: FloatArray = scaled @ (axes[:, kept] / np.sqrt(variances[kept]))
    return white


SCALINGS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "none": centre,
    "standard": standardise,
    "whitened": whiten,
}
"""How the axes of a latent space are weighted, by the name that a study uses."""
POOLINGS: dict[str, Callable[[FloatArray, IntArray], FloatArray]] = {
    "mean": pool_mean,
    "sum": pool_sum,
    "max": pool_max,
}
"""How atoms become one point per configuration, by the name that a study uses."""
