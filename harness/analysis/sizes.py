"""What a study of this kind can find, and how large it would have to be."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.statistics import CONFIDENCE
from crossprune.harness.contract import FloatArray
from scipy import stats

POWER = 0.8
LARGEST = 10_000
"""Sizes beyond which nobody will go; what needs more is said to be out of reach."""
QUANTILES = (np.arange(64) + 0.5) / 64
"""At which the distribution of a variance is looked at: power to 0.002."""
EFFECTS = (0.95, 0.9)
"""Ratios for which the sizes needed are stated."""
COLUMNS = ["comparison", "effect", "power", "seeds", "pools", "test_configurations", "data_sets"]


@dataclass(frozen=True)
class Size:
    """How large a study is, and how much its parts scatter."""

    repeat_deviation: float
    """Standard deviation of a log-ratio from seed to seed, or from pool to pool where there are several."""
    test_deviation: float
    """Standard deviation that a test set of one configuration would give it; 0 if not known."""
    n_repeats: float
    """Seeds, or pools."""
    n_test: float
    n_data_sets: float
    overlap: float = 0.0
    """Test over training configurations of a pool, see `statistics.from_pools`."""

    def power(self, log_effect: float) -> float:
        """Return the chance to find an effect at 5 %, with the tails of `statistics.Tails`.

        The mean over what the two variances may be found to be.
        """
        repeats = self.repeat_deviation**2 * (1 / self.n_repeats + self.overlap)
        parts = np.array([repeats, self.test_deviation**2 / self.n_test]) / self.n_data_sets
        if not parts.any():
            return 1.0
        freedom = np.array([self.n_repeats - 1, self.n_test - 1]) * self.n_data_sets
        found = [part * _variances(float(one)) for part, one in zip(parts, freedom, strict=True)]
        first, second = found[0][:, None], found[1][None, :]
        tails: FloatArray = np.asarray(stats.t.isf((1 - CONFIDENCE) / 2, freedom))
        limit = (first * tails[0] + second * tails[1]) / np.sqrt(first + second)
        error = math.sqrt(parts.sum())
        above, below = stats.norm.sf((limit + np.array([[[-1.0]], [[1.0]]]) * abs(log_effect)) / error)
        return float((above + below).mean())


@functools.lru_cache(maxsize=4096)
def _variances(freedom: float) -> FloatArray:
    """Return variances of unit size as so many degrees of freedom find them, at `QUANTILES`."""
    found: FloatArray = np.asarray(stats.chi2.ppf(QUANTILES, freedom)) / freedom
    return found


def sizes(table: pd.DataFrame) -> pd.DataFrame:
    """State what would find an effect of 5 or 10 % in 80 of 100 studies, one size enlarged at a time.

    More seeds do not shrink the error of a test set that all of them share, nor more pools that of frames
    which all pools hold: where they cannot be enough, the number is infinite.

    Parameters
    ----------
    table
        Rows over all models of `crossprune.harness.analysis.comparisons.compare`.

    Returns
    -------
    pd.DataFrame
        Per comparison and ``effect`` (a ratio) the ``power`` of this study, and the ``seeds`` per data set
        (``pools`` where it has several), ``test_configurations`` per data set, or ``data_sets`` that are
        needed if nothing else is enlarged; infinite beyond `LARGEST`, NaN where nothing is known of it.
    """
    rows = []
    for row in table.to_dict("records"):
        now = _size_of(row)
        if now is None:
            continue
        for ratio in EFFECTS:
            needed = {name: _needed(now, name, first, math.log(ratio)) for name, first in ENLARGED.items()}
            repeats, by_pools = needed["n_repeats"], now.overlap > 0
            seeds, pools = (math.nan, repeats) if by_pools else (repeats, math.nan)
            tests = needed["n_test"] if now.test_deviation > 0 else math.nan
            power = now.power(math.log(ratio))
            rows.append((row["comparison"], ratio, power, seeds, pools, tests, needed["n_data_sets"]))
    return pd.DataFrame(rows, columns=COLUMNS)


def _size_of(row: Mapping[Hashable, Any]) -> Size | None:
    """Read a study's size off a row of a comparison; None if nothing tells how much it scatters."""
    pools, n_data_sets = float(row["pool_deviation"]), float(row["n_data_sets"])
    test = float(row["test_deviation"])
    test, n_test = (test, float(row["n_test"])) if math.isfinite(test) else (0.0, 2.0)
    if math.isfinite(pools):
        return Size(pools, test, float(row["n_pools"]), n_test, n_data_sets, float(row["pool_overlap"]))
    seeds = float(row["seed_deviation"])
    if not math.isfinite(seeds) or row["n_units"] < 2 * n_data_sets:
        return None
    return Size(seeds, test, row["n_units"] / n_data_sets, n_test, n_data_sets)


ENLARGED = {"n_repeats": 2, "n_test": 2, "n_data_sets": 1}
"""What can be enlarged, and from where on."""


def _needed(now: Size, name: str, first: int, log_effect: float) -> float:
    return _smallest(lambda size: replace(now, **{name: size}).power(log_effect), first)


def _smallest(power_of: Callable[[int], float], first: int) -> float:
    """Return the smallest size with enough power, by bisection; infinite if `LARGEST` is too small."""
    low, high = first, LARGEST
    if power_of(high) < POWER:
        return math.inf
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= POWER else (middle + 1, high)
    return float(low)
