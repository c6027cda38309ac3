"""Whether what is good by one outcome is good by another: rank correlations over cells."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.comparisons import UNKNOWN_OVERLAP
from crossprune.harness.analysis.outcomes.scales import Outcome
from crossprune.harness.analysis.statistics import from_pools, from_seeds, infer
from crossprune.harness.contract import FloatArray

CELL = ["dataset", "fraction", "seed", "chooser", "method", "model"]
OVER = {"cells": ["dataset", "fraction", "seed"], "choosers": ["dataset", "fraction", "seed", "model"]}
"""What is ranked, to the columns that are equal within one ranking."""
ACCURACY = ("force, test", "energy, test")
"""Outcomes that stand for accuracy where the data are."""
FEWEST = 3
"""Cells that make a ranking."""
COLUMNS = ["first", "second", "over", "correlation", "low", "high", "p", "n_rankings", "n_units"]


def tradeoffs(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Correlate ranks by test error with ranks by all else (Spearman 1904, doi:10.2307/1412159).

    Cells are ranked among those of one data set, fraction and seed, so that more data are no correlation;
    1 means that what is best by one outcome is best by the other, below 0 is a trade-off. Whether lower or
    higher is better is accounted for. Means and intervals are on Fisher's scale, over seeds, or pools
    where there are several, each data set counting once.

    Returns
    -------
    pd.DataFrame
        ``first``, ``second``: outcomes, with their part of the data; ``over``: ``cells``, choosers and models
        alike, or ``choosers`` alone, model by model; ``correlation`` with its 95 % interval and ``p``;
        the numbers of rankings and of seeds or pools behind it.
    """
    wide = pd.concat([_column(one) for one in outcomes], axis=1) if outcomes else pd.DataFrame()
    accurate = [name for name in wide.columns if name in ACCURACY]
    others = [name for name in wide.columns if not name.endswith(", test")]
    rows = []
    for over, by in OVER.items():
        for first, second in itertools.product(accurate, others):
            both = wide[[first, second]].dropna().reset_index()
            found = _correlated(both, first, second, by)
            if found is not None:
                rows.append((first, second, over, *found))
    return pd.DataFrame(rows, columns=COLUMNS)


def _column(outcome: Outcome) -> pd.Series[float]:
    """Return an outcome by cell, lower is better."""
    cells = outcome.cells
    sign = -1.0 if outcome.better == "higher" else 1.0
    name = f"{outcome.name}, {outcome.part}" if outcome.part else outcome.name
    keys = cells[[*CELL, "source"]].assign(**{name: sign * cells["log_error"]})
    found: pd.Series[float] = keys.groupby([*CELL, "source"])[name].mean()
    return found


def _correlated(
    both: pd.DataFrame, first: str, second: str, by: list[str]
) -> tuple[float, float, float, float, int, int] | None:
    """Average correlations within rankings over what is independent; None if there is no ranking."""
    ranks = both.groupby(by)[[first, second]].rank()
    centred = ranks - ranks.groupby([both[name] for name in by]).transform("mean")
    keys = [both[name] for name in (*by, "source")]
    sums = (
        pd.DataFrame(
            {
                "xy": centred[first] * centred[second],
                "xx": centred[first] ** 2,
                "yy": centred[second] ** 2,
                "n": 1,
            }
        )
        .groupby(keys)
        .sum()
    )
    told = sums[(sums["n"] >= FEWEST) & (sums["xx"] > 0) & (sums["yy"] > 0)]
    if told.empty:
        return None
    correlation = told["xy"] / np.sqrt(told["xx"] * told["yy"])
    # Fisher's transformation is infinite at 1, which few ranks reach by chance.
    largest = 1.0 - 1.0 / np.square(told["n"])
    z = np.arctanh(correlation.clip(-largest, largest)).rename("z").reset_index()
    per_seed = z.groupby(["source", "dataset", "seed"])["z"].mean()
    estimates, sources, n_units = [], [], 0
    for _, part in per_seed.groupby(level="source"):
        of_pools = part.groupby(level="dataset").mean()
        values: FloatArray = (of_pools if len(of_pools) > 1 else part).to_numpy()[None, :]
        estimates.append([values.mean()])
        several = len(of_pools) > 1
        sources.append([from_pools(values, UNKNOWN_OVERLAP) if several else from_seeds(values)])
        n_units += values.shape[1]
    found = infer(np.array(estimates), sources, np.random.default_rng(0))
    ends = np.tanh([found.estimate[0], found.low[0], found.high[0]]).tolist()
    return (*ends, float(found.p[0]), len(told), n_units)
