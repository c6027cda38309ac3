"""Intervals of slopes by resampling whole configurations: arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from scipy import special

CONFIDENCE = 0.95
"""Coverage of every interval."""
N_RESAMPLES = 2000
"""The ends are 2.5 % quantiles: 50 resamples lie beyond each, which is known to 14 %."""
FEWEST_RESAMPLES, MOST_RESAMPLES = 100, 1_000_000
"""Of fewer the ends are chance, so that noise is called soft; more take hours."""
FEWEST = 6
"""Configurations below which no interval of a median with this coverage exists: all of 5 lie on one side of
it in 1 of 16 samples, all of 6 in 1 of 32."""
AT_ONCE = 2_000_000
"""Numbers that are drawn at once: 16 MB."""


def median_interval(values: FloatArray, n_resamples: int, seed: int) -> tuple[float, float]:
    """Return the interval of a median over configurations.

    Parameters
    ----------
    values
        Of each configuration, shape (n_configurations,); fewer than `FEWEST` give NaN.
    n_resamples
        Sets of as many configurations that are drawn, with replacement.
    seed
        Of the draws.
    """
    n = len(values)
    if n < FEWEST:
        return math.nan, math.nan
    drawn = [np.median(values[places], axis=1) for places in _resamples(n, n_resamples, seed)]
    return ends_of(np.concatenate(drawn), n)


def pooled_interval(
    sums: FloatArray,
    statistic: Callable[[FloatArray], FloatArray],
    weights: FloatArray,
    n_resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Return the interval of a statistic of all configurations' sums.

    Parameters
    ----------
    sums
        Of each configuration, shape (n_configurations, n_sums); fewer than `FEWEST` give NaN.
    statistic
        Of sums, shape (…, n_sums) to (…).
    weights
        With which configurations count in it, shape (n_configurations,).
    n_resamples, seed
        As in `median_interval`.
    """
    if len(sums) < FEWEST:
        return math.nan, math.nan
    drawn = [statistic(one) for one in resampled_sums(sums, n_resamples, seed)]
    return ends_of(np.concatenate(drawn), n_effective(weights))


def resampled_sums(sums: FloatArray, n_resamples: int, seed: int | Sequence[int]) -> Iterator[FloatArray]:
    """Yield sums over configurations drawn with replacement, some resamples at a time.

    Parameters
    ----------
    sums
        Of each configuration, shape (n_configurations, n_sums); what is yielded has shape (some, n_sums).
    n_resamples, seed
        As in `median_interval`.
    """
    n = len(sums)
    for places in _resamples(n, n_resamples, seed):
        rows = np.arange(len(places))[:, None] * n
        counts = np.bincount((places + rows).ravel(), minlength=places.size).reshape(places.shape)
        yield counts @ sums


def n_effective(weights: FloatArray) -> float:
    """Return as how many configurations of equal weight a weighted sum counts: (Σw)² / Σw² (Kish 1965)."""
    largest = float(weights.max(initial=0.0))
    if largest <= 0:
        return 0.0
    shares = weights / largest  # sums of squares are weights already, and their squares overflow
    return float(shares.sum() ** 2 / np.square(shares).sum())


def _resamples(n: int, n_resamples: int, seed: int | Sequence[int]) -> Iterator[IntArray]:
    """Yield places of ``n`` configurations drawn with replacement, a resample per row."""
    rng = np.random.default_rng(seed)
    at_once = max(AT_ONCE // n, 1)
    for start in range(0, n_resamples, at_once):
        yield rng.integers(0, n, size=(min(at_once, n_resamples - start), n))


def ends_of(drawn: FloatArray, n: float) -> tuple[float, float]:
    """Return the expanded percentile interval of resampled values.

    Percentiles of resamples are too close by √((n − 1)/n) and know no Student's t: those of
    Φ(√(n/(n − 1)) t), t Student's quantile, are taken (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789). Of a weighted sum, n is `n_effective` (ours).

    Parameters
    ----------
    drawn
        Shape (n_resamples,); where nothing is defined, NaN, which counts on neither side.
    n
        Configurations.
    """
    known = drawn[~np.isnan(drawn)]
    if not len(known) or n <= 1:
        return math.nan, math.nan
    student = special.stdtrit(n - 1, (1 - CONFIDENCE) / 2)
    tail = float(special.ndtr(math.sqrt(n / (n - 1)) * student))
    low, high = np.quantile(known, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)
