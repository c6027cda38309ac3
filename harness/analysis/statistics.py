"""Intervals and tests for paired logarithms of errors: arrays in, numbers out."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray
from scipy import stats

CONFIDENCE = 0.95
"""Coverage of every interval."""
N_RESAMPLES = 4000
"""Resamples of a bootstrap: the ends of an interval move by less than its second digit."""
MIN_DATA_SETS = 3
"""Fewer data sets say nothing on others: with 2, Student's factor is 12.7."""
EXACT_UNITS = 14
"""Up to so many units, all 2ⁿ signs are tried; beyond, `N_RESAMPLES` random ones."""


@dataclass(frozen=True)
class Effect:
    """A mean log-ratio of errors with its interval; `ratio` and the ends are ratios."""

    ratio: float
    """Geometric mean; below 1 the first of a pair errs less."""
    low: float
    """Lower end on these data sets, NaN where seeds cannot tell."""
    high: float
    low_anywhere: float
    """Lower end for data sets like these, NaN for fewer than `MIN_DATA_SETS`."""
    high_anywhere: float
    seed_deviation: float
    """Standard deviation over seeds of the log-ratio, pooled over data sets."""


def seed_means(log_ratios: FloatArray) -> FloatArray:
    """Average settings within each seed, after taking each setting's own mean out.

    The luck of one random draw is shared by all models and, sets being nested, by all fractions: the
    seeds, not the pairs, are the independent repeats.

    Parameters
    ----------
    log_ratios
        Shape (n_settings, n_seeds), NaN for a lost pair.

    Returns
    -------
    FloatArray
        Shape (n_seeds with a pair,).
    """
    usable = log_ratios[:, np.isfinite(log_ratios).any(axis=0)]
    usable = usable[np.isfinite(usable).any(axis=1)]
    settings = np.nanmean(usable, axis=1, keepdims=True)
    means = np.nanmean(usable - settings, axis=0)
    centred: FloatArray = means - means.mean() + settings.mean()
    return centred


def effect(
    units: Sequence[FloatArray],
    rng: np.random.Generator,
    test_deviations: Sequence[FloatArray] | None = None,
) -> Effect:
    """Estimate a mean log-ratio over data sets, with its interval.

    Each data set gives a mean over seeds. Its error has two parts: seeds, few, by Student's t with
    their own deviation; test configurations by bootstrap. Both are drawn independently and added
    (Behrens-Fisher, so that data sets may differ in noise); the interval is that of the sum.
    Resampling 3 seeds with replacement would give intervals too narrow by a factor of 2.6.

    Parameters
    ----------
    units
        Per data set the `seed_means`, shape (n_seeds,).
    rng
        Source of the resamples.
    test_deviations
        Per data set, deviations of its mean log-ratio over resampled test configurations, shape
        (`N_RESAMPLES`,); None if not known.
    """
    estimates = np.array([unit.mean() for unit in units])
    centre = float(estimates.mean())
    total = np.zeros(N_RESAMPLES)
    for index, unit in enumerate(units):
        if len(unit) > 1:
            error = unit.std(ddof=1) / math.sqrt(len(unit))
            total += rng.permutation(_student_quantiles(len(unit) - 1, N_RESAMPLES)) * error
        else:
            total += np.nan
        if test_deviations is not None:
            total += test_deviations[index]
    low, high = np.quantile(centre + total / len(units), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if np.ptp(total) < 1e-12:  # seeds repeat each other: no repeats at all
        low = high = np.nan
    anywhere = (np.nan, np.nan)
    if len(units) >= MIN_DATA_SETS:
        half = student_factor(len(units) - 1) * stats.sem(estimates)
        anywhere = (centre - half, centre + half)
    ratio, *ends = map(float, np.exp([centre, low, high, *anywhere]))
    return Effect(ratio, ends[0], ends[1], ends[2], ends[3], pooled_deviation(units))


@functools.cache
def student_factor(freedom: int) -> float:
    """Return Student's factor of an interval with `CONFIDENCE`: standard errors to each side."""
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom))


@functools.cache
def _student_quantiles(freedom: int, n: int) -> FloatArray:
    """Return ``n`` quantiles of Student's distribution, evenly spread in probability."""
    quantiles: FloatArray = stats.t.ppf((np.arange(n) + 0.5) / n, freedom)
    return quantiles


def pooled_deviation(units: Sequence[FloatArray]) -> float:
    """Return the standard deviation within data sets, NaN if none has two seeds."""
    freedom = sum(len(unit) - 1 for unit in units)
    squares = sum(float(np.square(unit - unit.mean()).sum()) for unit in units)
    return math.sqrt(squares / freedom) if freedom else math.nan


def sign_flip(units: FloatArray, rng: np.random.Generator) -> tuple[float, float]:
    """Test by permutation whether paired differences centre on 0.

    Exchanging the two members of a pair flips a sign (Fisher 1935); exact up to `EXACT_UNITS`.

    Returns
    -------
    tuple[float, float]
        The two-sided p, and the smallest p that so many units can give.
    """
    n = len(units)
    if n <= EXACT_UNITS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    else:
        signs = np.vstack([np.ones(n), rng.choice((1.0, -1.0), size=(N_RESAMPLES, n))])
    means = np.abs(signs @ units)
    reached = means >= abs(units.sum()) * (1 - 1e-12)  # rounding
    return float(reached.mean()), 2.0 / len(signs) if n <= EXACT_UNITS else 1.0 / len(signs)


def holm(p_values: FloatArray) -> FloatArray:
    """Correct p-values for their number (Holm 1979, Scand. J. Stat. 6, 65); NaN stays and does not count."""
    corrected = np.full(len(p_values), np.nan)
    order = [index for index in np.argsort(p_values) if np.isfinite(p_values[index])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * float(p_values[index])))
        corrected[index] = highest
    return corrected


@dataclass(frozen=True)
class Ranks:
    """Average ranks of treatments over blocks, 1 the lowest error."""

    ranks: FloatArray
    """Shape (n_treatments,)."""
    p: float
    """Friedman's test that all treatments are alike."""
    critical_difference: float
    """Two treatments differ if their ranks do by more (Nemenyi, 95 %)."""
    n_blocks: int


def friedman(errors: FloatArray) -> Ranks:
    """Rank treatments within blocks (Friedman 1937; Demšar 2006, JMLR 7, 1).

    Parameters
    ----------
    errors
        Shape (n_blocks, n_treatments), finite; the p-value is NaN for fewer than 3 treatments or 2 blocks.
    """
    n_blocks, n_treatments = errors.shape
    ranks = stats.rankdata(errors, axis=1)
    p = math.nan
    if n_treatments >= 3 and n_blocks >= 2:
        columns = [errors[:, index] for index in range(n_treatments)]
        tied = np.ptp(ranks, axis=1).max() == 0  # nothing to tell apart, and SciPy divides by 0
        p = 1.0 if tied else float(stats.friedmanchisquare(*columns).pvalue)
    width = stats.studentized_range.ppf(CONFIDENCE, n_treatments, np.inf) / math.sqrt(2)
    critical = width * math.sqrt(n_treatments * (n_treatments + 1) / (6 * n_blocks))
    return Ranks(ranks.mean(axis=0), p, float(critical), n_blocks)


def seeds_needed(deviation: float, log_effect: float, *, n_data_sets: int = 1, power: float = 0.8) -> int:
    """Return how many seeds find an effect in 80 of 100 studies, by a two-sided t test at 5 %.

    Parameters
    ----------
    deviation
        Standard deviation of the log-ratio over seeds.
    log_effect
        Logarithm of the ratio to be found: log 0.9 for 10 %.
    n_data_sets
        Data sets with so many seeds each.
    power
        Chance to find the effect.

    Returns
    -------
    int
        Seeds per data set, at least 2; 1000 stands for more than 999.
    """
    for seeds in range(2, 1000):
        n = seeds * n_data_sets
        freedom = n_data_sets * (seeds - 1)
        critical = student_factor(freedom)
        shift = abs(log_effect) / max(deviation, 1e-12) * math.sqrt(n)
        if shift > 30 or stats.nct.sf(critical, freedom, shift) >= power:
            return seeds
    return 1000
