"""Whether what is good by one outcome is good by another: rank correlations over cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import overlaps
from crossprune.harness.analysis.outcomes.scales import Outcome
from crossprune.harness.analysis.statistics import (
    CONFIGURATIONS,
    Source,
    from_pools,
    from_seeds,
    infer,
)
from crossprune.harness.analysis.units import means
from crossprune.harness.contract import FloatArray
from numpy.typing import NDArray
from scipy import stats

CELL = ["dataset", "fraction", "seed", "chooser", "method", "model"]
OVER = {"cells": ["dataset", "fraction", "seed"], "choosers": ["dataset", "fraction", "seed", "model"]}
"""What is ranked, to the columns that are equal within one ranking."""
ACCURACY = ("force, test", "energy, test")
"""Outcomes that stand for accuracy where the data are."""
FEWEST = 4
"""Cells that make a ranking."""
COLUMNS = ["first", "second", "over", "correlation", "low", "high", "p", "n_rankings", "n_units"]


def tradeoffs(outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """Correlate ranks by test error with ranks by all else (Spearman 1904, doi:10.2307/1412159).

    Cells are ranked among those of one data set, fraction and seed, so that more data are no correlation;
    1 means that what is best by one outcome is best by the other, below 0 is a trade-off. Whether lower or
    higher is better is accounted for. Means and intervals are on Fisher's scale: over seeds, or pools
    where there are several, and over the cells that are ranked, which are the same in all of them
    (variance 1.06 / (n − 3): Fieller, Hartley, Pearson 1957, doi:10.1093/biomet/44.3-4.470). Each data set
    counts once, each row stands alone.

    Returns
    -------
    pd.DataFrame
        ``first``, ``second``: outcomes, with their part of the data; ``over``: ``cells``, choosers and models
        alike, or ``choosers`` alone, model by model; ``correlation`` with its 95 % interval and ``p``;
        the numbers of rankings and of seeds or pools behind it.
    """
    wide = pd.concat([_column(one) for one in outcomes], axis=1) if outcomes else pd.DataFrame()
    accurate = [place for place, name in enumerate(wide.columns) if name in ACCURACY]
    others = [place for place, name in enumerate(wide.columns) if not name.endswith(", test")]
    if not accurate or not others or wide.empty:
        return pd.DataFrame(columns=COLUMNS)
    cells, values = wide.index.to_frame(index=False), wide.to_numpy()
    shares = overlaps(outcomes[0].cells)
    tables = []
    for over, by in OVER.items():
        rankings = list(cells.groupby(by).indices.values())
        found = np.stack([_correlations(values[one], accurate, others) for one in rankings])
        of = cells.loc[[one[0] for one in rankings], ["source", "dataset", "seed"]].reset_index(drop=True)
        pairs = np.isfinite(values[:, accurate])[:, :, None] & np.isfinite(values[:, others])[:, None, :]
        n_free = _free(cells, pairs.reshape(len(cells), -1), [name for name in by if name == "model"])
        told = np.isfinite(found).sum(axis=0)
        table = pd.DataFrame(
            [(wide.columns[a], wide.columns[b], over) for a in accurate for b in others],
            columns=COLUMNS[:3],
        )
        table = table.assign(**_averaged(found, of, n_free, shares), n_rankings=told)[COLUMNS]
        tables.append(table[table["n_rankings"] > 0])
    return pd.concat(tables, ignore_index=True)


def _column(outcome: Outcome) -> pd.Series[float]:
    """Return an outcome by cell, lower is better."""
    cells = outcome.cells
    sign = -1.0 if outcome.better == "higher" else 1.0
    name = f"{outcome.name}, {outcome.part}" if outcome.part else outcome.name
    keys = cells[[*CELL, "source"]].assign(**{name: sign * cells["log_error"]})
    found: pd.Series[float] = keys.groupby([*CELL, "source"])[name].mean()
    return found


def _correlations(values: FloatArray, accurate: Sequence[int], others: Sequence[int]) -> FloatArray:
    """Correlate ranks of cells by accuracy with those by other outcomes, on Fisher's scale.

    Parameters
    ----------
    values
        Shape (n_cells, n_outcomes), NaN where a cell has none.

    Returns
    -------
    FloatArray
        Shape (n_accurate · n_others,), NaN where fewer than `FEWEST` cells have both or all are alike.
    """
    found = np.full((len(accurate), len(others)), np.nan)
    for row, first in enumerate(accurate):
        both = np.isfinite(values[:, [first]]) & np.isfinite(values[:, others])
        for pattern in np.unique(both, axis=1).T:
            if (n := int(pattern.sum())) < FEWEST:
                continue
            mine = np.flatnonzero((both == pattern[:, None]).all(axis=0))
            columns = [first, *np.asarray(others)[mine].tolist()]
            ranks = stats.rankdata(values[pattern][:, columns], axis=0)
            ranks -= ranks.mean(axis=0)
            norms = np.sqrt(np.square(ranks).sum(axis=0))
            with np.errstate(invalid="ignore"):
                correlation = ranks[:, 0] @ ranks[:, 1:] / (norms[0] * norms[1:])
            largest = 1.0 - 1.0 / n**2  # Fisher's scale ends at 1, which few ranks reach by chance
            found[row, mine] = np.arctanh(np.clip(correlation, -largest, largest))
    return found.ravel()


def _free(cells: pd.DataFrame, told: NDArray[np.bool_], apart: list[str]) -> pd.DataFrame:
    """Return by data set how many cells beyond 3 have both outcomes of each pair, in any pool and seed.

    Parameters
    ----------
    cells
        Which cell each row is.
    told
        Whether it has both, shape (n_rows, n_pairs).
    apart
        Columns that are ranked apart, over which the numbers add up.
    """
    keys = [cells[name] for name in ("source", "chooser", "method", "model")]
    there = pd.DataFrame(told).groupby(keys).any()
    counts = there.groupby(level=["source", *apart]).sum()
    return (counts - 3).clip(lower=0).groupby(level="source").sum()


def _averaged(
    found: FloatArray, of: pd.DataFrame, n_free: pd.DataFrame, shares: pd.Series[float]
) -> dict[str, FloatArray]:
    """Average over rankings of one seed, and infer from seeds, or from pools where there are several.

    Parameters
    ----------
    found
        Shape (n_rankings, n_pairs), NaN where a ranking says nothing.
    of
        Data set, its pool (``dataset``) and seed of each ranking.
    n_free
        Of `_free`.
    shares
        Test over training configurations by data set.
    """
    per_seed = pd.DataFrame(found).groupby([of["source"], of["dataset"], of["seed"]]).mean()
    estimates, sources, n_units = [], [], np.zeros(found.shape[1], dtype=np.int64)
    for key, part in per_seed.groupby(level="source"):
        source = str(key)
        of_pools = part.groupby(level="dataset").mean()
        several = len(of_pools) > 1
        values: FloatArray = (of_pools if several else part).to_numpy().T
        estimates.append(means(values))
        repeats = from_pools(values, float(shares[source])) if several else from_seeds(values)
        free = np.maximum(n_free.loc[source].to_numpy(dtype=np.float64), 1.0)
        sources.append([repeats, Source(np.sqrt(1.06 / free)[:, None], free + 1.0, CONFIGURATIONS)])
        n_units += np.isfinite(values).sum(axis=1)
    known = infer(np.array(estimates), sources, np.random.default_rng(0))
    ends = {"correlation": known.estimate, "low": known.low, "high": known.high}
    on_scale: dict[str, FloatArray] = {name: np.tanh(one) for name, one in ends.items()}
    return on_scale | {"p": known.p, "n_units": n_units.astype(np.float64)}
