"""What single seeds and test configurations say of the rows of a table: the independent repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.contrasts import EVERY_MODEL, Contrasts
from crossprune.harness.analysis.statistics import Source, from_clusters, from_configurations
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
    power: int = 1
    """2 if ``sums`` are of squares, so that the mean error is a root."""

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
        found: FloatArray = shares @ (relative - self.counts / self.counts.sum()) / self.power
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
        found = _equal(table["model"], self.model) & _equal(table["comparison"], self.comparison)
        if not isinstance(self.fraction, str):
            found &= table["fraction"].to_numpy() == self.fraction
        return found


def _equal(column: pd.Series[str], name: str) -> NDArray[np.bool_]:
    """Compare as NumPy does: tables have few rows and many cases, and pandas takes its time over each."""
    found: NDArray[np.bool_] = column.to_numpy(dtype=object) == name
    return found


@dataclass(frozen=True, eq=False)
class Seeds:
    """What the seeds of one data set say of each case."""

    estimates: FloatArray
    """Shape (n_cases,), NaN where the data set says nothing."""
    source: Source
    """How far they may err."""
    counts: IntArray
    """Seeds that say something, shape (n_cases,)."""


def by_seed(
    contrasts: Contrasts, log_ratios: FloatArray, cases: Sequence[Case], used: Sequence[NDArray[np.bool_]]
) -> tuple[dict[str, Seeds], sparse.csr_array]:
    """Average over settings and seeds, or take the mean slope against the logarithm of the fraction.

    The luck of one random draw is shared by all models and, sets being nested, by all fractions: the
    seeds, not the pairs, are the independent repeats. Each setting's own mean is taken out, so that one that
    is lost for a seed does not shift it.

    Returns
    -------
    tuple
        Data set → what its seeds say; and the share of each contrast in each case's estimate of its data
        set, shape (n_cases, n_contrasts).
    """
    table = contrasts.table
    names, dataset = np.unique(table["dataset"].to_numpy(dtype=object), return_inverse=True)
    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    doublings = np.log2(table["fraction"].to_numpy(dtype=np.float64))
    setting = table["setting"].to_numpy()
    line: IntArray = np.asarray(table.groupby(["of", "method"]).ngroup(), dtype=np.int64)
    wide = _with_luck(contrasts)
    entries = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))]
    found = {}
    for number, name in enumerate(names):
        estimates, freedom = np.full(len(cases), np.nan), np.zeros(len(cases))
        deviations, counts = np.zeros((len(cases), len(seeds))), np.zeros(len(cases), dtype=np.int64)
        of_cells = wide[np.flatnonzero(dataset == number)].tocsc()
        own = of_cells[:, np.flatnonzero(np.diff(of_cells.indptr))].tocsr()
        place = np.cumsum(dataset == number) - 1
        for index, (case, rows) in enumerate(zip(cases, used, strict=True)):
            mine = np.flatnonzero(rows & (dataset == number))
            if case.fraction == TREND:
                shares, parts = _slopes(doublings[mine], seed[mine], line[mine], len(seeds))
            else:
                shares, parts = _seed_means(setting[mine], seed[mine], len(seeds))
            counts[index] = np.count_nonzero(np.bincount(seed[mine], np.abs(shares), len(seeds)))
            if not counts[index]:
                continue
            estimates[index] = shares @ log_ratios[mine]
            terms: FloatArray = (own[place[mine]].T @ np.vstack([parts, shares]).T).T
            scatter, expected = terms[:-1] @ terms[:-1].T, float(terms[-1] @ terms[-1])
            deviations[index], freedom[index] = from_clusters(parts @ log_ratios[mine], scatter, expected)
            entries.append((np.full(len(mine), index), mine, shares))
        labels = [(str(name), one) for one in seeds.tolist()]
        found[str(name)] = Seeds(estimates, Source(deviations, freedom, labels=labels), counts)
    row, column, share = (np.concatenate(one) for one in zip(*entries, strict=True))
    return found, sparse.csr_array((share, (row, column)), shape=(len(cases), len(table)))


def _with_luck(contrasts: Contrasts) -> sparse.csr_array:
    """Return what contrasts are made of if cells err as much alone as by the luck of their draw.

    Returns
    -------
    sparse.csr_array
        Shape (n_contrasts, n_cells + n_draws): products of two rows are the covariance of two contrasts.
    """
    draw = contrasts.errors.groupby(["dataset", "chooser", "method", "seed"]).ngroup().to_numpy()
    n_cells = len(draw)
    shape = (n_cells, int(draw.max(initial=-1)) + 1)
    luck = sparse.csr_array((np.ones(n_cells), (np.arange(n_cells), draw)), shape=shape)
    return sparse.csr_array(sparse.hstack([contrasts.shares, contrasts.shares @ luck]))


def _seed_means(setting: IntArray, seed: IntArray, n_seeds: int) -> tuple[FloatArray, FloatArray]:
    """Return the share of each contrast in the mean over settings and seeds, and in what seeds add to it.

    Settings and seeds are terms of an additive model, fitted by least squares, so that a setting that is lost
    for a seed shifts neither. Where nothing is lost, these are means.

    Returns
    -------
    tuple
        Shapes (n,) and (n_seeds, n).
    """
    group, place = (np.unique(one, return_inverse=True)[1] for one in (setting, seed))
    n, shape = len(setting), (int(group.max(initial=-1)) + 1, int(place.max(initial=-1)) + 1)
    if n == 0:
        return np.empty(0), np.empty((n_seeds, 0))
    counts = np.zeros(shape)
    np.add.at(counts, (group, place), 1.0)
    of_settings = counts / counts.sum(axis=1, keepdims=True)
    centred = (np.arange(shape[1])[:, None] == place) - of_settings[group].T
    terms = np.linalg.pinv(np.diag(counts.sum(axis=0)) - counts.T @ of_settings, rcond=1e-10) @ centred
    shift = of_settings.mean(axis=0) - 1.0 / shape[1]
    shares = 1.0 / (shape[0] * counts.sum(axis=1)[group]) - shift @ terms
    parts = np.zeros((n_seeds, n))
    parts[np.unique(seed)] = (terms - terms.mean(axis=0)) / shape[1]
    return shares, parts


def _slopes(x: FloatArray, seed: IntArray, line: IntArray, n_seeds: int) -> tuple[FloatArray, FloatArray]:
    """Return the share of each contrast in the mean of the seeds' slopes, and in what each seed adds to it.

    Each line of equal model and method has a height of its own, so that one which is not there at all
    fractions does not tilt the slope. A seed with one fraction has no slope.
    """
    weights = np.zeros((n_seeds, len(x)))
    for one in np.unique(seed):
        mine = np.flatnonzero(seed == one)
        lines = np.unique(line[mine], return_inverse=True)[1]
        centred = x[mine] - (np.bincount(lines, x[mine]) / np.bincount(lines))[lines]
        if (squares := float(centred @ centred)) > 1e-12:
            weights[one, mine] = centred / squares
    told = np.where(weights.any(axis=1), 1.0, 0.0)
    n_told = max(float(told.sum()), 1.0)
    shares: FloatArray = weights.sum(axis=0) / n_told
    return shares, (weights - np.outer(told, shares)) / n_told


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


def pooled_deviation(seeds: Sequence[Seeds], n_cases: int) -> FloatArray:
    """Return the standard deviation of one seed within data sets, NaN where no data set has two seeds."""
    squares, freedom = np.zeros(n_cases), np.zeros(n_cases)
    for one in seeds:
        known = one.source.freedom > 0
        squares += known * np.square(one.source.deviations).sum(axis=1) * one.counts * one.source.freedom
        freedom += one.source.freedom
    return np.sqrt(np.where(freedom > 0, squares / np.maximum(freedom, 1e-9), np.nan))
