"""The answer in numbers: does a model gain from data that its own descriptor chose?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray
from crossprune.reports.tables import RANDOM, cell_errors, random_first

CONFIDENCE = 0.95
"""Coverage that the bootstrap intervals aim at."""
N_RESAMPLES = 4000
"""Bootstrap resamples: the interval's ends move by less than its second digit."""
MIN_PAIRS = 6
"""Fewer distinct pairs decide nothing: even if 5 agree, a sign test gives p = 2/2⁵ > 0.05."""
SETTING = ["dataset", "fraction", "model", "method"]
"""Pairs of one setting differ in the seed only."""
COLUMNS = ["comparison", "ratio", "low", "high", "n_pairs", "n_distinct", "n_missing", "verdict"]
"""Columns of the tables that this module returns."""


def headline(results: pd.DataFrame, metric: str, *, split: str = "test", seed: int = 0) -> pd.DataFrame:
    """Compare own, other and random choosers by the ratio of test errors.

    A model's *own* chooser is the adapter of the same name, *other* is the geometric mean over the
    remaining ones. Errors are paired by data set, fraction, model, method and seed; the full set
    (fraction 1) is left out, because all choosers agree there.

    Parameters
    ----------
    results
        The long results table.
    metric
        A column name of `crossprune.reports.tables.METRICS`.
    split
        ``test`` or ``ood``.
    seed
        Seed of the bootstrap.

    Returns
    -------
    pd.DataFrame
        One row per comparison: geometric-mean ``ratio`` (below 1 favours the first), its interval
        ``low`` to ``high``, ``n_pairs``, ``n_distinct`` (a selection that ignores the seed repeats
        itself), ``n_missing`` (pairs lost to unfinished cells) and ``verdict``: lower, higher,
        no difference, too few pairs or no pairs.
    """
    errors = _partial_sets(cell_errors(results, metric, split))
    own = errors[errors["chooser"] == errors["model"]]
    other = errors[(errors["chooser"] != errors["model"]) & (errors["chooser"] != RANDOM)]
    random = errors[errors["chooser"] == RANDOM]
    comparisons = [
        ("own / random", _pair(own, random)),
        ("other / random", _pair(other, random)),
        ("own / other", _pair(own, other)),
    ]
    return _table(comparisons, seed)


def choosers_against_random(
    results: pd.DataFrame, metric: str, *, split: str = "test", seed: int = 0
) -> pd.DataFrame:
    """Compare every chooser, over all models, with random; columns as in `headline`."""
    errors = _partial_sets(cell_errors(results, metric, split))
    random = errors[errors["chooser"] == RANDOM]
    choosers = [name for name in random_first(errors["chooser"]) if name != RANDOM]
    comparisons = [
        (f"{name} / random", _pair(errors[errors["chooser"] == name], random)) for name in choosers
    ]
    return _table(comparisons, seed)


def ratio_interval(pairs: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float]:
    """Bootstrap the geometric-mean ratio of paired errors.

    Settings and seeds are resampled independently (the pigeonhole bootstrap; Owen 2007,
    doi:10.1214/07-AOAS122, Sec. 4), because the luck of one random draw is shared by all models
    that train on it, and the nature of a setting by all its seeds.

    Parameters
    ----------
    pairs
        Rows with the columns of `SETTING`, ``seed`` and ``log_ratio`` (no unit).
    rng
        Source of the resamples.

    Returns
    -------
    tuple[float, float]
        The central interval with coverage `CONFIDENCE`, as ratios.
    """
    setting = pairs.groupby(SETTING, sort=True).ngroup().to_numpy()
    seed = pairs.groupby(["dataset", "seed"], sort=True).ngroup().to_numpy()
    sums, counts = np.zeros((2, setting.max() + 1, seed.max() + 1))
    np.add.at(sums, (setting, seed), pairs["log_ratio"].to_numpy(dtype=np.float64))
    np.add.at(counts, (setting, seed), 1.0)
    rows, columns = _resample(len(sums), rng), _resample(len(sums[0]), rng)
    totals = ((rows @ counts) * columns).sum(axis=1)
    drawn = totals > 0  # a resample can miss every pair of a table with gaps
    means = ((rows @ sums) * columns).sum(axis=1)[drawn] / totals[drawn]
    low, high = np.exp(np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return float(low), float(high)


def _resample(n: int, rng: np.random.Generator) -> FloatArray:
    """Draw how often each of ``n`` units is in each resample, shape (N_RESAMPLES, n)."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=N_RESAMPLES).astype(np.float64)


def _partial_sets(errors: pd.DataFrame) -> pd.DataFrame:
    """Leave out the full set and take logarithms; zero and missing errors have none."""
    partial = errors[errors["fraction"] < 1.0 - 1e-9]
    return partial.assign(log_error=np.log(partial["error"].where(partial["error"] > 0)))


def _pair(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Pair two sets of cells; random has no method of its own and pairs with every method."""
    by = [*SETTING, "seed"]
    left = first.groupby(by)["log_error"].mean().reset_index()
    on = [key for key in by if key != "method"] if (second["chooser"] == RANDOM).all() else by
    right = second.groupby(on)["log_error"].mean().reset_index()
    pairs = left.merge(right, on=on, how="inner", suffixes=("", "_second"))
    return pairs.assign(log_ratio=pairs["log_error"] - pairs["log_error_second"])


def _table(comparisons: Sequence[tuple[str, pd.DataFrame]], seed: int) -> pd.DataFrame:
    rows = [_row(name, pairs, np.random.default_rng(seed)) for name, pairs in comparisons]
    return pd.DataFrame(rows, columns=COLUMNS)


def _row(name: str, planned: pd.DataFrame, rng: np.random.Generator) -> dict[str, object]:
    """Summarise one comparison."""
    pairs = planned.dropna(subset=["log_ratio"])
    counts = {"comparison": name, "n_pairs": len(pairs), "n_missing": len(planned) - len(pairs)}
    nothing = {"ratio": np.nan, "low": np.nan, "high": np.nan}
    if pairs.empty:
        return {**counts, **nothing, "n_distinct": 0, "verdict": "no pairs"}
    distinct = len(
        pairs.assign(log_ratio=pairs["log_ratio"].round(12)).drop_duplicates([*SETTING, "log_ratio"])
    )
    low, high = ratio_interval(pairs, rng) if distinct > 1 else (np.nan, np.nan)
    ratio = float(np.exp(pairs["log_ratio"].mean()))
    verdict = _verdict(low, high, distinct)
    return {**counts, "ratio": ratio, "low": low, "high": high, "n_distinct": distinct, "verdict": verdict}


def _verdict(low: float, high: float, n_distinct: int) -> str:
    if n_distinct < MIN_PAIRS:
        return "too few pairs"
    if high < 1:
        return "lower"
    return "higher" if low > 1 else "no difference"
