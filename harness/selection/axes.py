"""The axes of a latent space by the names that a study uses: pooling and scaling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from crossprune.harness.contract import SMALLEST_VALUE, FloatArray, IntArray, vanishing
from crossprune.harness.errors import unknown_name
from numpy.typing import NDArray

NEGLIGIBLE = 1e-12
"""Relative variance below which a direction is rounding noise: 10⁴ times the machine precision."""
MODEL = "model"
"""The scaling in which a family's own fit sees data, see `crossprune.harness.contract.Adapter.metric`."""
SPACES = ("atoms", "rows", "force_rows")
"""What a configuration is described by: features of its atoms; rows of least squares, an energy row divided
by the number of atoms above 3 n_atoms force rows; or its force rows alone."""


def pool_mean(vectors: FloatArray, offsets: IntArray) -> FloatArray:
    """Average the vectors of each configuration: shape (n_configurations, k)."""
    return pool_sum(vectors, offsets) / np.diff(offsets)[:, None]


def pool_sum(vectors: FloatArray, offsets: IntArray) -> FloatArray:
    """Add up the vectors of each configuration: of atoms, the energy row of a linear model."""
    total: FloatArray = np.add.reduceat(vectors, offsets[:-1], axis=0)
    return total


def pool_max(vectors: FloatArray, offsets: IntArray) -> FloatArray:
    """Take the largest value of each feature in each configuration."""
    largest: FloatArray = np.maximum.reduceat(vectors, offsets[:-1], axis=0)
    return largest


def pool_std(vectors: FloatArray, offsets: IntArray) -> FloatArray:
    """Take the standard deviation of each feature in each configuration (n in the denominator)."""
    found = np.empty((len(offsets) - 1, vectors.shape[1]))
    for row, (first, last) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        found[row] = vectors[first:last].std(axis=0)
    return found


def pool_mean_std(vectors: FloatArray, offsets: IntArray) -> FloatArray:
    """Put means and standard deviations side by side: shape (n_configurations, 2k).

    Where means are zero by symmetry, they are what is left of rounding, which depends on the order of sums.
    """
    spans = zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    means = np.array([vectors[first:last].mean(axis=0) for first, last in spans])
    return np.hstack([means.reshape(-1, vectors.shape[1]), pool_std(vectors, offsets)])


POOLINGS: dict[str, Callable[[FloatArray, IntArray], FloatArray]] = {
    "mean": pool_mean,
    "sum": pool_sum,
    "max": pool_max,
    "std": pool_std,
    "mean_std": pool_mean_std,
}
"""How atoms, or rows, become one point per configuration."""


def centre(points: FloatArray) -> FloatArray:
    """Shift each column to mean 0; distances stay as they are."""
    centred: FloatArray = points - points.mean(axis=0)
    return centred


def is_noise(points: FloatArray, largest: float = 0.0) -> NDArray[np.bool_]:
    """Mark columns that vary by rounding only, relative to the largest value of all columns, shape (k,).

    The columns of a space are one kind of `crossprune.harness.contract.vanishing`; ``largest`` is what they
    were made of, if that was larger: means of forces cancel, all of them.
    """
    return varies_by_noise(points.std(axis=0), np.maximum(np.abs(points).max(axis=0, initial=0.0), largest))


def varies_by_noise(deviations: FloatArray, sizes: FloatArray) -> NDArray[np.bool_]:
    """Do as `is_noise` with deviations and largest sizes of columns, shape (k,)."""
    return vanishing(deviations, sizes, np.zeros(len(sizes), dtype=np.int64), SMALLEST_VALUE)


def standardise(points: FloatArray) -> FloatArray:
    """Shift and scale each column to mean 0 and deviation 1; constant columns and noise are dropped."""
    kept = ~is_noise(points)
    centred = centre(points)[:, kept]
    scaled: FloatArray = centred / centred.std(axis=0)
    return scaled


def standardise_all(points: FloatArray) -> FloatArray:
    """Shift and scale each column to mean 0 and deviation 1, rounding noise too; equal columns are dropped.

    What is published so can be reproduced so; a column of noise counts as much as any other.
    """
    centred = centre(points)
    deviation = centred.std(axis=0)
    scaled: FloatArray = centred[:, deviation > 0] / deviation[deviation > 0]
    return scaled


def principal_axes(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return variances, largest first, and principal axes of centred points; shapes (r,) and (k, r).

    Directions with less than `NEGLIGIBLE` of the largest variance are dropped, so that r is at most the
    rank, and less than the number of points.
    """
    _, singular, axes = np.linalg.svd(points, full_matrices=False)
    variances = np.square(singular) / len(points)
    kept = variances > NEGLIGIBLE * variances.max(initial=0.0)
    return variances[kept], axes[kept].T


def whiten(points: FloatArray) -> FloatArray:
    """Rotate to principal axes of deviation 1, so that distances are Mahalanobis's.

    Columns are standardised first, so that units do not decide what is negligible. The covariance is shrunk
    towards the unit matrix as much as the number of points asks for (Ledoit & Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4): without, all distances between fewer points than columns agree,
    and the choice is a random one.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    scaled = standardise(points)
    if scaled.shape[1] == 0 or len(scaled) < 2:
        return scaled
    variances, axes = principal_axes(scaled)
    shrinkage = float(ledoit_wolf_shrinkage(scaled, assume_centered=True))
    shrunk = (1.0 - shrinkage) * variances + shrinkage * float(np.square(scaled).sum(axis=1).mean()) / len(
        scaled.T
    )
    white: FloatArray = scaled @ (axes / np.sqrt(shrunk))
    return white


def project(points: FloatArray, n_axes: int) -> FloatArray:
    """Project standardised points on their first principal axes, as long as these are."""
    scaled = standardise(points)
    if scaled.shape[1] == 0:
        return scaled
    projected: FloatArray = scaled @ principal_axes(scaled)[1][:, :n_axes]
    return projected


SCALINGS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "none": centre,
    "standard": standardise,
    "standard_all": standardise_all,
    "whitened": whiten,
    MODEL: centre,
}
"""How the columns of a latent space are weighted; ``pca:K`` is `project`, see `scaling_of`.

For `MODEL`, vectors are in the metric of the family's own fit before they are pooled."""
PCA = "pca:"


def scaling_of(name: str) -> Callable[[FloatArray], FloatArray]:
    """Return what a scaling does to points.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name in SCALINGS:
        return SCALINGS[name]
    number = name.removeprefix(PCA)
    if name.startswith(PCA) and number.isascii() and number.isdecimal() and int(number) > 0:
        return lambda points: project(points, int(number))
    if name.startswith(PCA):
        raise ValueError(f"scaling {name!r}: give a whole number of principal axes, such as 'pca:10'")
    raise ValueError(unknown_name("scaling", name, (*SCALINGS, f"{PCA}K")))
