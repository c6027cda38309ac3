"""What single seeds and test configurations say of the rows of a table: the independent repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.contrasts import EVERY_MODEL, Contrasts
from crossprune.harness.analysis.statistics import from_configurations
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray
from scipy import sparse, stats

TREND = "trend"
"""Fraction of a row that says by how much a ratio changes when data are doubled."""


@dataclass(frozen=True, eq=False)
class TestErrors:
    """Errors of the fits on each test configuration of one data set."""

    sums: Mapping[str, FloatArray]
    """Fit key → Σ over labels of |error| (or its square) per configuration, shape (n_configurations,)."""
    counts: FloatArray
    """Labels per configuration, shape (n_configurations,)."""

    def influence(self, shares: sparse.csr_array) -> FloatArray:
        """Return what each test configuration adds to combinations of the fits' log mean errors.

        log(Σ s / Σ n) over configurations with errors s and n labels changes by s / Σ s - n / Σ n when one of
        them counts a little more. The same configurations serve all fits, so that differences stay paired.

        Parameters
        ----------
        shares
            Share of each fit in each combination, shape (n_combinations, n_fits), fits as in ``sums``.

        Returns
        -------
        FloatArray
            Shape (n_combinations, n_configurations).
        """
        sums = np.array(list(self.sums.values())).reshape(len(self.sums), len(self.counts))
        relative = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-300)
        found: FloatArray = shares @ (relative - self.counts / self.counts.sum())
        return found

    def drawn(self, shares: sparse.csr_array, rng: np.random.Generator, n_draws: int) -> FloatArray:
        """Draw how combinations of log mean errors deviate on other test configurations of the same kind.

        Jointly normal by the influences, with Student's tails for so many configurations: what is made of
        the draws are differences of combinations, whose tails are not the heavy ones of each.

        Returns
        -------
        FloatArray
            Shape (n_combinations, n_draws).
        """
        n = len(self.counts)
        if n < 2:  # one configuration does not say how it would differ from another
            return np.zeros((shares.shape[0], n_draws))
        tails = float(stats.t.isf(0.025, n - 1) / stats.norm.isf(0.025))
        deviations = from_configurations(self.influence(shares)).deviations
        found: FloatArray = tails * deviations @ rng.standard_normal((n, n_draws))
        return found


@dataclass(frozen=True)
class Case:
    """One row of a table: which contrasts it averages, or whose slope against the fraction it takes."""

    model: str
    comparison: str
    fraction: float | str = EVERY_MODEL
    """One fraction, `TREND`, or all."""

    def rows(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which contrasts the row rests on."""
        found = (table["model"] == self.model) & (table["comparison"] == self.comparison)
        if not isinstance(self.fraction, str):
            found &= table["fraction"] == self.fraction
        return found.to_numpy(dtype=np.bool_)


def by_seed(
    table: pd.DataFrame, log_ratios: FloatArray, cases: Sequence[Case], used: Sequence[NDArray[np.bool_]]
) -> tuple[dict[str, FloatArray], sparse.csr_array]:
    """Average over settings within each seed, or take their slope against the logarithm of the fraction.

    The luck of one random draw is shared by all models and, sets being nested, by all fractions: the
    seeds, not the pairs, are the independent repeats. Each setting's own mean is taken out, so that one that
    is lost for a seed does not shift it.

    Returns
    -------
    tuple
        Data set → shape (n_cases, n_seeds), NaN where a seed says nothing; and the share of each contrast in
        each case's mean over the seeds of its data set, shape (n_cases, n_contrasts).
    """
    names, dataset = np.unique(table["dataset"].to_numpy(dtype=object), return_inverse=True)
    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    doublings = np.log2(table["fraction"].to_numpy(dtype=np.float64))
    setting = table["setting"].to_numpy()
    line: IntArray = np.asarray(table.groupby(["model", "method"]).ngroup(), dtype=np.int64)
    values = np.full((len(names), len(cases), len(seeds)), np.nan)
    entries = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))]
    for index, (case, rows) in enumerate(zip(cases, used, strict=True)):
        for name in range(len(names)):
            mine = np.flatnonzero(rows & (dataset == name))
            if not len(mine):
                continue
            if case.fraction == TREND:
                weights = _slopes(doublings[mine], seed[mine], line[mine], len(seeds))
                told = np.flatnonzero(weights.any(axis=1))
                values[name, index, told] = weights[told] @ log_ratios[mine]
                mean = weights[told].mean(axis=0) if len(told) else np.zeros(len(mine))
            else:
                there, found = _seed_means(log_ratios[mine], setting[mine], seed[mine])
                values[name, index, there] = found
                group = np.unique(setting[mine], return_inverse=True)[1]
                counts = np.bincount(group)
                mean = 1.0 / (len(counts) * counts[group])
            entries.append((np.full(len(mine), index), mine, mean))
    row, column, share = (np.concatenate(one) for one in zip(*entries, strict=True))
    shares = sparse.csr_array((share, (row, column)), shape=(len(cases), len(table)))
    return {str(one): values[number] for number, one in enumerate(names)}, shares


def _seed_means(values: FloatArray, setting: IntArray, seed: IntArray) -> tuple[IntArray, FloatArray]:
    """Return the seeds that say something, and the mean of each, settings' own means taken out."""
    setting = np.unique(setting, return_inverse=True)[1]
    there, seed = np.unique(seed, return_inverse=True)
    of_settings = np.bincount(setting, values) / np.bincount(setting)
    averages = np.bincount(seed, values - of_settings[setting]) / np.bincount(seed)
    return there, averages - averages.mean() + of_settings.mean()


def _slopes(x: FloatArray, seed: IntArray, line: IntArray, n_seeds: int) -> FloatArray:
    """Return the weights of each seed's slope by least squares, shape (n_seeds, n); 0 where x is constant.

    Each line of equal model and method has a height of its own, so that one which is not there at all
    fractions does not tilt the slope.
    """
    weights = np.zeros((n_seeds, len(x)))
    for one in np.unique(seed):
        mine = np.flatnonzero(seed == one)
        lines = np.unique(line[mine], return_inverse=True)[1]
        centred = x[mine] - (np.bincount(lines, x[mine]) / np.bincount(lines))[lines]
        if (squares := float(centred @ centred)) > 1e-12:
            weights[one, mine] = centred / squares
    return weights


def means(values: FloatArray) -> FloatArray:
    """Average each row over what is finite; NaN where nothing is."""
    there = np.isfinite(values)
    counts = there.sum(axis=1)
    return np.where(counts, np.where(there, values, 0.0).sum(axis=1) / np.maximum(counts, 1), np.nan)


def influences(
    contrasts: Contrasts, weights: sparse.csr_array, tests: Mapping[str, TestErrors]
) -> dict[str, FloatArray]:
    """Return what each test configuration adds to each case, by data set: shape (n_cases, n_test)."""
    found = {}
    for name, known in tests.items():
        mine = (contrasts.table["dataset"] == name).to_numpy(dtype=np.float64)
        by_cell = (weights.multiply(mine[None, :]).tocsr() @ contrasts.shares).tocoo()
        kept = by_cell.data != 0  # cells that are missing have no share in what is averaged
        row, column, data = by_cell.row[kept], by_cell.col[kept], by_cell.data[kept]
        fits = pd.Index(list(known.sums)).get_indexer(
            contrasts.errors["fit_key"].to_numpy(dtype=object)[column]
        )
        by_fit = sparse.csr_array((data, (row, fits)), shape=(weights.shape[0], len(known.sums)))
        found[name] = known.influence(by_fit)
    return found


def pooled_deviation(units: Sequence[FloatArray], n_cases: int) -> FloatArray:
    """Return the standard deviation over seeds within data sets, NaN where no data set has two seeds."""
    squares, freedom = np.zeros(n_cases), np.zeros(n_cases)
    for values in units:
        centred = values - means(values)[:, None]
        squares += np.nansum(np.square(centred), axis=1)
        freedom += np.maximum(np.isfinite(values).sum(axis=1) - 1, 0)
    return np.sqrt(np.where(freedom > 0, squares / np.maximum(freedom, 1), np.nan))
