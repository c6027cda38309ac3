"""What a study of this kind can find, and how large it would have to be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from crossprune.harness.analysis.statistics import CONFIDENCE
from scipy import stats

POWER = 0.8
LARGEST = 10_000
"""Sizes beyond which nobody will go; what needs more is said to be out of reach."""
NEARLY_NORMAL = 300.0
"""Degrees of freedom beyond which SciPy's non-central t is further from the truth than the normal is."""
EFFECTS = (0.95, 0.9)
"""Ratios for which the sizes needed are stated."""
COLUMNS = ["comparison", "effect", "power", "seeds", "test_configurations", "data_sets"]


@dataclass(frozen=True)
class Size:
    """How large a study is, and how much its parts scatter."""

    seed_deviation: float
    """Standard deviation of a log-ratio from seed to seed."""
    test_deviation: float
    """Standard deviation that a test set of one configuration would give it; 0 if not known."""
    n_seeds: float
    n_test: float
    n_data_sets: int

    def power(self, log_effect: float) -> float:
        """Return the chance to find an effect by a two-sided t test at 5 %, Satterthwaite's freedom."""
        parts = np.array([self.seed_deviation**2 / self.n_seeds, self.test_deviation**2 / self.n_test])
        freedom = np.array([self.n_seeds - 1, self.n_test - 1]) * self.n_data_sets
        parts = parts / self.n_data_sets
        variance = float(parts.sum())
        shift = abs(log_effect) / math.sqrt(variance) if variance > 0 else math.inf
        effective = variance**2 / float((np.square(parts) / freedom).sum()) if variance > 0 else 1.0
        critical = float(stats.t.isf((1 - CONFIDENCE) / 2, effective))
        if effective > NEARLY_NORMAL or shift > 2 * critical + 4:
            return float(stats.norm.sf(critical - shift) + stats.norm.cdf(-critical - shift))
        found = stats.nct.sf(critical, effective, shift), stats.nct.cdf(-critical, effective, shift)
        return float(sum(found)) if np.isfinite(found).all() else 1.0  # NaN comes of large shifts only


def sizes(table: pd.DataFrame, n_data_sets: int) -> pd.DataFrame:
    """State what would find an effect of 5 or 10 % in 80 of 100 studies, one size enlarged at a time.

    More seeds do not shrink the error of a test set that all of them share: where they cannot be enough, the
    number is infinite.

    Parameters
    ----------
    table
        Rows over all models of `crossprune.harness.analysis.comparisons.compare`.
    n_data_sets
        Data sets of this study.

    Returns
    -------
    pd.DataFrame
        Per comparison and ``effect`` (a ratio) the ``power`` of this study, and the ``seeds`` per data set,
        ``test_configurations`` per data set, or ``data_sets`` that are needed if nothing else is
        enlarged; infinite beyond `LARGEST`, NaN where nothing is known of the test set.
    """
    rows = []
    for row in table.to_dict("records"):
        test, n_test = float(row["test_deviation"]), float(row["n_test"])
        known = math.isfinite(test)
        now = Size(
            float(row["seed_deviation"]),
            test if known else 0.0,
            row["n_units"] / n_data_sets,
            n_test if known else 2.0,
            n_data_sets,
        )
        if not math.isfinite(now.seed_deviation) or now.n_seeds < 2:
            continue
        for ratio in EFFECTS:
            needed = [_needed(now, name, first, math.log(ratio)) for name, first in ENLARGED.items()]
            needed[1] = needed[1] if known else math.nan
            rows.append((row["comparison"], ratio, now.power(math.log(ratio)), *needed))
    return pd.DataFrame(rows, columns=COLUMNS)


ENLARGED = {"n_seeds": 2, "n_test": 2, "n_data_sets": 1}
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
