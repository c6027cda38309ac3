"""Survival of runs of which some are cut short: shares and mean times with intervals by model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from crossprune.harness.analysis.statistics import CONFIDENCE, student_factor
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray
from scipy import special, stats

NORMAL_FACTOR = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
"""Standard errors to each side of a normal interval."""
ROUNDING = 1e-9
"""Relative; times are whole steps times a step in ps."""


@dataclass(frozen=True)
class Survival:
    """How long runs survive; NaN is not known."""

    share: float
    """That survives the full length (Kaplan-Meier); NaN if no run was followed so far."""
    share_low: float
    share_high: float
    mean_ps: float
    """Restricted mean survival time: over the first ``followed_ps``."""
    mean_low_ps: float
    mean_high_ps: float
    followed_ps: float
    """The full length, or as far as a run was followed if all of them were cut before."""
    n_runs: int
    n_failed: int
    n_cut: int
    """Runs that neither failed nor reached the full length."""
    n_models: int
    """Distinct models; with one, the intervals are of its runs."""


def survivors(times: FloatArray, failed: NDArray[np.bool_], at: float) -> float:
    """Return the share that survives beyond a time (Kaplan & Meier 1958, doi:10.2307/2281868, eq. 2b).

    Parameters
    ----------
    times
        When each run failed or was last seen, ps, shape (n_runs,).
    failed
        Whether it failed; else it is right-censored. Shape (n_runs,).
    at
        ps. Beyond the last run that was followed, the share stays as it was there (Gill 1980).
    """
    ends, shares = _curve(times, failed)
    return float(shares[np.searchsorted(ends, at, side="right")])


def restricted_mean(times: FloatArray, failed: NDArray[np.bool_], horizon: float) -> float:
    """Return the mean of min(survival time, ``horizon``), ps: the area below Kaplan-Meier's curve.

    Irwin 1949 (doi:10.1017/S0022172400014443); Royston & Parmar 2013
    (doi:10.1186/1471-2288-13-152, eq. 1). Arguments as for `survivors`.
    """
    ends, shares = _curve(times, failed)
    widths = np.diff(np.minimum([0.0, *ends, horizon], horizon))
    return float(widths @ shares)


def survival(times: FloatArray, failed: NDArray[np.bool_], models: IntArray, length: float) -> Survival:
    """Estimate the share that survives and the mean survival time, with intervals over models.

    Runs of one model fail together, so that the models are the independent repeats: variances are
    jackknifed by leaving out one model at a time (Efron & Stein 1981, doi:10.1214/aos/1176345462). For a
    single model its runs take their place.

    - Mean: Student's t on the logit of mean over horizon, which keeps the ends inside.
    - Share: Wilson's interval for as many independent runs as give the variance found, less where models
      are few (Korn & Graubard 1998, Survey Methodology 24, 193). For a run per model, none of them cut,
      this is Wilson's interval itself.
    - Where nothing differs (all survive), both are Wilson's for the number of models: of all
      quantities between 0 and 1 with that mean none scatters more than one that is 0 or 1.

    Parameters
    ----------
    times
        When each run failed or was last seen, ps, shape (n_runs,), at least one run.
    failed
        Whether it failed, shape (n_runs,).
    models
        Which model each run belongs to, shape (n_runs,).
    length
        Full length of a run, ps.
    """
    reached = times >= length * (1 - ROUNDING)
    times = np.where(reached, length, times)
    whole = bool(reached.any()) or survivors(times, failed, float(times.max())) == 0.0
    followed = length if whole else float(times.max())
    counts = (len(times), int(failed.sum()), int((~failed & ~reached).sum()), len(np.unique(models)))
    units = models if counts[3] > 1 else np.arange(len(times))
    share = share_low = share_high = mean = low = high = math.nan
    if whole:
        share, without = _with_jackknife(survivors, times, failed, units, length)
        share_low, share_high = _share_ends(share, without, len(times))
    if followed > 0:  # else cut before the first step
        mean, without = _with_jackknife(restricted_mean, times, failed, units, followed)
        low, high = (followed * end for end in _mean_ends(mean / followed, without / followed))
    return Survival(share, share_low, share_high, mean, low, high, followed, *counts)


def _curve(times: FloatArray, failed: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Return the n times at which Kaplan-Meier's curve may step, and its n + 1 values: the first is 1."""
    found = stats.ecdf(stats.CensoredData(uncensored=times[failed], right=times[~failed])).sf
    return found.quantiles, np.concatenate([[1.0], found.probabilities])


def _with_jackknife(
    measure: Callable[[FloatArray, NDArray[np.bool_], float], float],
    times: FloatArray,
    failed: NDArray[np.bool_],
    units: IntArray,
    at: float,
) -> tuple[float, FloatArray]:
    """Return a measure, and its values without each unit, shape (n_units,); of one unit the value itself."""
    whole = measure(times, failed, at)
    names = np.unique(units)
    if len(names) == 1:
        return whole, np.array([whole])
    others = [units != name for name in names]
    return whole, np.array([measure(times[rest], failed[rest], at) for rest in others])


def _mean_ends(mean: float, without: FloatArray) -> tuple[float, float]:
    """Return the interval of a mean between 0 and 1 from its values without each unit."""
    n = len(without)
    error = math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum()))
    if not 0 < mean < 1 or error < ROUNDING:
        return wilson(mean, n)
    centre = math.log(mean / (1 - mean))
    half = student_factor(n - 1) * error / (mean * (1 - mean))
    low, high = special.expit([centre - half, centre + half])
    return float(low), float(high)


def _share_ends(share: float, without: FloatArray, n_runs: int) -> tuple[float, float]:
    """Return the interval of a share that survives from its values without each unit."""
    n = len(without)
    variance = ((n - 1) / n) ** 2 * float(np.square(without - without.mean()).sum())
    if not 0 < share < 1 or variance < ROUNDING**2:
        return wilson(share, n)
    effective = min(max(share * (1 - share) / variance, 1.0), n_runs)
    few = student_factor(n_runs - 1) / student_factor(n - 1)
    return wilson(share, effective * few**2)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Return Wilson's interval of a share (1927, doi:10.2307/2276774); n may be an effective number."""
    squared = NORMAL_FACTOR**2 / n
    centre = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    return max(centre - half, 0.0), min(centre + half, 1.0)
