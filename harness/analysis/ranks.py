"""Ranks of the ways of choosing over data sets: Friedman's test and the critical difference of Nemenyi."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.statistics import CONFIDENCE, N_DRAWS
from crossprune.harness.contract import FloatArray
from scipy import stats

COLUMNS = ["way", "rank", "p", "p_smallest", "critical_difference", "n_blocks"]


@dataclass(frozen=True)
class Ranks:
    """Average ranks of treatments over blocks, 1 the lowest error."""

    ranks: FloatArray
    """Shape (n_treatments,)."""
    p: float
    """Friedman's test that all treatments are alike; NaN for fewer than 2 blocks or 3 treatments."""
    smallest: float
    """The smallest p that so many blocks can give."""
    critical_difference: float
    """Two treatments differ if their ranks do by more (Nemenyi, 95 %); NaN for fewer than 2 blocks."""
    n_blocks: int


def friedman(errors: FloatArray) -> Ranks:
    """Rank treatments within blocks (Friedman 1937; Demšar 2006, JMLR 7, 1).

    The p-value is that of permutations within blocks: for a handful of blocks χ² is far off.

    Parameters
    ----------
    errors
        Shape (n_blocks, n_treatments), finite; blocks must be independent.
    """
    n_blocks, n_treatments = errors.shape
    ranks = stats.rankdata(errors, axis=1)
    if n_blocks < 2 or n_treatments < 3:
        return Ranks(ranks.mean(axis=0), math.nan, math.nan, math.nan, n_blocks)
    drawn = np.random.default_rng(0).permuted(np.tile(ranks, (N_DRAWS, 1, 1)), axis=2).sum(axis=1)
    spread = np.square(drawn - drawn.mean(axis=1, keepdims=True)).sum(axis=1)
    seen = float(np.square(ranks.sum(axis=0) - ranks.sum(axis=0).mean()).sum())
    p = float((1 + (spread >= seen * (1 - 1e-9)).sum()) / (1 + N_DRAWS))
    smallest = math.factorial(n_treatments) ** (1.0 - n_blocks)
    width = stats.studentized_range.ppf(CONFIDENCE, n_treatments, np.inf) / math.sqrt(2)
    critical = width * math.sqrt(n_treatments * (n_treatments + 1) / (6 * n_blocks))
    return Ranks(ranks.mean(axis=0), p, smallest, float(critical), n_blocks)


def ranks(errors: pd.DataFrame) -> pd.DataFrame:
    """Rank the ways of choosing over data sets, log errors averaged over models, fractions and seeds.

    Models, fractions and seeds of one data set share its chosen sets and its test set: they are no blocks.
    One data set has ranks and no test. Ways that are not in all data sets are left out, and of each data
    set what one of the ways was not asked or has lost: averages are over equal cells.
    """
    cells = errors.assign(way=way_of(errors))
    ways = [set(part["way"]) for _, part in cells.groupby("source")]
    common = sorted(set.intersection(*ways)) if ways else []
    if len(common) < 2:
        return pd.DataFrame(columns=COLUMNS)
    keys = ["source", "dataset", "model", "fraction", "seed"]
    wide = cells.pivot_table(index=keys, columns="way", values="log_error", aggfunc="mean")
    if not set(common) <= set(wide.columns):  # a way that has lost all its cells
        return pd.DataFrame(columns=COLUMNS)
    square = wide[common].dropna().groupby(level="source").mean()
    if square.empty:
        return pd.DataFrame(columns=COLUMNS)
    found = friedman(square.to_numpy())
    table = pd.DataFrame({"way": square.columns, "rank": found.ranks})
    numbers = {"p": found.p, "p_smallest": found.smallest, "critical_difference": found.critical_difference}
    return table.assign(**numbers, n_blocks=found.n_blocks).sort_values("rank", ignore_index=True)
