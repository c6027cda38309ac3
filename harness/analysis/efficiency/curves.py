"""Monotone learning curves: fitted, inverted, and drawn again with other seeds: arrays in, arrays out."""

from __future__ import annotations

import math

import numpy as np
from crossprune.harness.analysis.statistics import CONFIDENCE
from crossprune.harness.contract import FloatArray
from scipy import stats
from scipy.optimize import isotonic_regression

N_LEVELS = 32
"""Levels of error at which two curves are compared: the mean over them moves by less than a per cent."""


def monotone(log_errors: FloatArray) -> FloatArray:
    """Return the non-increasing curves that are nearest by least squares.

    Isotonic regression by pooling adjacent violators (Barlow, Bartholomew, Bremner & Brunk 1972,
    Statistical Inference under Order Restrictions, ch. 1), as SciPy does it. Rows are pulled apart by
    more than their range, so that no pool spans two of them and one call does for all.

    Parameters
    ----------
    log_errors
        Dimensionless, shape (n_curves, n_fractions), fractions ascending.

    Returns
    -------
    FloatArray
        Same shape.
    """
    steps = -np.arange(len(log_errors))[:, None] * (np.ptp(log_errors) + 1.0)
    pooled: FloatArray = isotonic_regression((log_errors + steps).ravel(), increasing=False).x
    return pooled.reshape(log_errors.shape) - steps


def inverse(log_fractions: FloatArray, curves: FloatArray, levels: FloatArray) -> FloatArray:
    """Return the log fractions at which curves come down to given levels of log error.

    Straight lines between the points.

    Parameters
    ----------
    log_fractions
        Ascending, shape (n_fractions,).
    curves
        Non-increasing log errors, shape (n_curves, n_fractions).
    levels
        Log errors, shape (n_curves, n_levels).

    Returns
    -------
    FloatArray
        Shape (n_curves, n_levels): −inf where a curve starts at or below a level, inf where it ends above.
    """
    n_above = np.zeros(levels.shape, dtype=np.int64)
    for column in curves.T:  # few; a sum over a short last axis of all is slower
        n_above += column[:, None] > levels
    last = len(log_fractions) - 1
    right = np.clip(n_above, 1, last)
    rows = np.arange(len(curves))[:, None]
    before, after = curves[rows, right - 1], curves[rows, right]
    crossed = (n_above > 0) & (n_above <= last)
    drop = np.where(crossed, before - after, 1.0)
    share = np.where(crossed, before - levels, 0.0) / drop
    found = log_fractions[right - 1] + share * (log_fractions[right] - log_fractions[right - 1])
    return np.where(crossed, found, np.where(n_above == 0, -np.inf, np.inf))


def log_saving(
    log_fractions: tuple[FloatArray, FloatArray], curves: tuple[FloatArray, FloatArray], floors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how much more data the second of two curves needs for the errors that the first reaches.

    The mean, over the log errors that both curves pass through above ``floors``, of the difference of
    log fractions.

    Parameters
    ----------
    log_fractions
        Of both, ascending, shapes (n_fractions,).
    curves
        Non-increasing log errors of both, shapes (n_curves, n_fractions).
    floors
        Lowest log error looked at, shape (n_curves,); both curves reach it.

    Returns
    -------
    tuple[FloatArray, FloatArray]
        The least and the largest value that agrees with the curves, shape (n_curves,); they differ, and
        one is infinite, where a curve starts at or below its floor, so that nothing is common.
    """
    first_low, second_low = (one[:, 0] <= floors for one in curves)
    tops = np.minimum(curves[0][:, 0], curves[1][:, 0])
    shares = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    known = ~(first_low | second_low)
    levels = floors[known, None] + (tops - floors)[known, None] * shares
    first, second = (
        inverse(fractions, one[known], levels) for fractions, one in zip(log_fractions, curves, strict=True)
    )
    least, most = np.full(len(floors), -np.inf), np.full(len(floors), np.inf)
    least[known] = most[known] = (second - first).mean(axis=1)
    # Only the first is there from the start: the second needs more by at least what it needs at the floor.
    least[first_low & ~second_low] = np.inf
    most[second_low & ~first_low] = -np.inf
    return least, most


def seed_moves(log_errors: FloatArray, normals: FloatArray, quantiles: FloatArray) -> FloatArray:
    """Draw how the mean curve over seeds would move with other seeds.

    Multivariate Student's t with the covariance found between fractions: every fraction, and every line
    between two, has the t distribution with n − 1 degrees of freedom that belongs to a mean of n seeds.
    Resampling 3 seeds instead would be too narrow by a factor of 2.6.

    Parameters
    ----------
    log_errors
        Shape (n_seeds, n_fractions), at least two seeds.
    normals
        Standard normal, one for each draw and seed, shape (n_draws, n_seeds): the same for two curves
        that share seeds keeps them paired.
    quantiles
        Uniform in (0, 1), shape (n_draws,).

    Returns
    -------
    FloatArray
        Shape (n_draws, n_fractions).
    """
    n = len(log_errors)
    scales = np.sqrt(stats.chi2.ppf(quantiles, n - 1) / (n - 1))
    moves: FloatArray = normals @ (log_errors - log_errors.mean(axis=0)) / math.sqrt(n * (n - 1))
    return moves / scales[:, None]


def ends(least: FloatArray, most: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the central interval of draws, each known to lie between two values; ±inf is a value.

    Draws are along the first axis.
    """
    tails = (1 - CONFIDENCE) / 2
    low = np.quantile(least, tails, axis=0, method="inverted_cdf")
    high = np.quantile(most, 1 - tails, axis=0, method="inverted_cdf")
    return low, high
