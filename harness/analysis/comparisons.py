"""Own, other and random choosers compared: from the long results table to effects with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis import statistics
from crossprune.harness.contract import FloatArray
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from crossprune.harness.selection.methods import RANDOM
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm as normal
from scipy.stats import t as student

SETTING = ["dataset", "fraction", "model", "method"]
"""Pairs of one setting differ in the seed only."""
COLUMNS = [
    "model",
    "comparison",
    "ratio",
    "low",
    "high",
    "low_anywhere",
    "high_anywhere",
    "p",
    "p_holm",
    "p_smallest",
    "n_pairs",
    "n_units",
    "n_missing",
    "seed_deviation",
    "verdict",
]
"""Columns of the tables that this module returns."""
DEFAULTS = {"scaling": ("standard", ""), "pooling": ("mean", ""), "budget": ("configurations",)}
"""Values that go without saying in a method's label; empty where an axis plays no part."""
BLOCK = 500
"""Fits whose resampled errors are held at a time."""
NOUNS = {"scaling": " scaling", "pooling": " pooling", "budget": " budget"}
"""What follows such a value in a label."""
EVERY_MODEL = "all"
"""Model of a row over all models."""


@dataclass(frozen=True, eq=False)
class TestErrors:
    """Errors of the fits on each test configuration of one data set."""

    sums: Mapping[str, FloatArray]
    """Fit key → Σ over labels of |error| (or its square) per configuration, shape (n_configurations,)."""
    counts: FloatArray
    """Labels per configuration, shape (n_configurations,)."""

    def resampled(self, shares: sparse.csr_array, rng: np.random.Generator) -> FloatArray:
        """Return how combinations of the fits' log mean errors deviate over resampled configurations.

        The same configurations for all fits, so that differences stay paired. A bootstrap of n values is
        too narrow by √((n − 1) / n), and its normal tails lack Student's; both are put right with the
        effective number of configurations, (Σ s)² / Σ s², because a few hard ones carry most of the error.

        Parameters
        ----------
        shares
            Share of each fit in each combination, shape (n_combinations, n_fits), fits as in ``sums``.
        rng
            The only source of randomness.

        Returns
        -------
        FloatArray
            Shape (n_combinations, N_RESAMPLES).
        """
        n = len(self.counts)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=statistics.N_RESAMPLES).astype(np.float64)
        weights /= (weights @ self.counts)[:, None]
        keys, by_fit = list(self.sums), shares.tocsc()
        found = np.zeros((shares.shape[0], statistics.N_RESAMPLES))
        used = np.flatnonzero(np.diff(by_fit.indptr))
        for block in np.split(used, range(BLOCK, len(used), BLOCK)):  # 32 kB a fit: not all at once
            sums = np.array([self.sums[keys[fit]] for fit in block]).reshape(len(block), n)
            whole = sums.sum(axis=1, keepdims=True) / self.counts.sum()
            effective = np.maximum(np.square(sums.sum(axis=1)) / np.square(sums).sum(axis=1), 2.0)
            tails = student.ppf(0.975, effective - 1) / normal.ppf(0.975)
            moved = (sums / whole) @ weights.T
            np.log(moved, out=moved)
            moved *= (np.sqrt(effective / (effective - 1)) * tails)[:, None]
            found += by_fit[:, block] @ moved
        return found


def labelled(results: pd.DataFrame) -> pd.DataFrame:
    """Fold scaling, pooling and budget into ``method``: ``fps, max pooling``; defaults go without saying.

    The three columns are dropped, so that labelling twice changes nothing.
    """
    method = results["method"].astype(str)
    for column, silent in DEFAULTS.items():
        if column in results.columns:
            spoken = ~results[column].isin(silent)
            word = results[column].astype(str).map(lambda text, of=column: f", {text}{NOUNS[of]}")
            method = method + word.where(spoken, "")
    return results.drop(columns=list(DEFAULTS), errors="ignore").assign(method=method)


def way_of(table: pd.DataFrame) -> pd.Series[str]:
    """Name each row's way of choosing: ``random``, ``snap · fps``."""
    alone = table["chooser"] == table["method"]
    return table["chooser"].where(alone, table["chooser"] + " · " + table["method"])


def partial_errors(results: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    """Return every planned cell below the full set with the logarithm of its error.

    Columns of `SETTING`, ``chooser``, ``seed``, ``fit_key`` and ``log_error``, NaN where the cell is
    not done, in an order of their own; exploded fits are `clipped`. The full set is left out: all
    choosers agree there.
    """
    table = labelled(clipped(results))
    keys = [*SETTING, "chooser", "seed"]
    if "fit_key" not in table.columns:
        table = table.assign(fit_key="")
    cells = table.loc[table["fraction"] < 1.0 - 1e-9, keys].drop_duplicates().sort_values(keys)
    done = (table["status"] == "done") & (table["split"] == split) & (table["group"] == ALL)
    found = table.loc[done, [*keys, "fit_key", metric]].drop_duplicates(keys)
    errors = cells.merge(found, on=keys, how="left")
    values = errors.pop(metric).astype(float)
    return errors.assign(log_error=np.log(values.where(values > 0)))


def compare(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare own, other and random choosers, over all models and for each.

    A model's *own* chooser is the one of the same name, *other* the geometric mean over the remaining
    ones. Errors are paired by data set, fraction, model, method and seed.

    Parameters
    ----------
    results
        The long results table.
    metric
        One of `crossprune.harness.evaluation.metrics.METRICS`.
    split
        ``test`` or ``ood``.
    tests
        Data set → errors per test configuration; without them intervals are over seeds only.
    seed
        Seed of the resamples.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: see `crossprune.harness.analysis.statistics.Effect`; ``n_units`` counts pairs of data set
        and seed, ``n_missing`` pairs lost to unfinished cells; ``verdict`` is lower, higher, no
        difference, too few seeds or no pairs. Holm's correction is over the models of a comparison.
    """
    errors = partial_errors(results, metric, split)
    own = errors[errors["chooser"] == errors["model"]]
    other = errors[(errors["chooser"] != errors["model"]) & (errors["chooser"] != RANDOM)]
    random, n_cells = errors[errors["method"] == RANDOM], len(errors)
    pairs = {
        "own / random": _pair(own, random, SETTING, n_cells),
        "other / random": _pair(other, random, SETTING, n_cells),
        "own / other": _pair(own, other, SETTING, n_cells),
    }
    table = pd.concat([one.table.assign(comparison=number) for number, one in enumerate(pairs.values())])
    shares = sparse.vstack([one.shares for one in pairs.values()], format="csr")
    return _tables(Pairs(table, shares), list(pairs), errors, tests, seed)


def against_random(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare every chooser and method with random, over all models and for each; as `compare`."""
    errors = partial_errors(results, metric, split)
    random = errors["method"] == RANDOM
    ways = errors[~random].groupby(["chooser", "method"], sort=True)
    chosen = errors[~random].assign(comparison=ways.ngroup())
    pairs = _pair(chosen, errors[random], [*SETTING, "comparison"], len(errors))
    names = [f"{chooser} · {method} / random" for (chooser, method), _ in ways]
    return _tables(pairs, names, errors, tests, seed)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of averages over cells, as linear functions of the cells' log errors."""

    table: pd.DataFrame
    """Columns of `SETTING`, ``seed`` and ``comparison`` (its number)."""
    shares: sparse.csr_array
    """Share of each cell in each pair's log-ratio, shape (n_pairs, n_cells)."""


def _pair(first: pd.DataFrame, second: pd.DataFrame, by: Sequence[str], n_cells: int) -> Pairs:
    """Pair averages of two sets of cells; random has no method of its own and pairs with every method."""
    on = [*SETTING, "seed"]
    on = [key for key in on if key != "method"] if set(second["method"]) == {RANDOM} else on
    left, left_shares = _averages(first, [*by, "seed"], n_cells)
    right, right_shares = _averages(second, on, n_cells)
    table = left.merge(right, on=on, how="inner", suffixes=("", "_second"))
    shares = left_shares[table["average"].to_numpy()] - right_shares[table["average_second"].to_numpy()]
    return Pairs(table, shares)


def _averages(errors: pd.DataFrame, by: Sequence[str], n_cells: int) -> tuple[pd.DataFrame, sparse.csr_array]:
    """Average over the cells that agree in ``by``: a row for each average, and the share of every cell."""
    average = errors.groupby(list(by), sort=True).ngroup().to_numpy()
    table = errors[list(by)].assign(average=average).drop_duplicates("average")
    entries = (1.0 / np.bincount(average)[average], (average, errors.index.to_numpy()))
    return table, sparse.csr_array(entries, shape=(len(table), n_cells))


def _tables(
    pairs: Pairs,
    names: Sequence[str],
    errors: pd.DataFrame,
    tests: Mapping[str, TestErrors] | None,
    seed: int,
) -> pd.DataFrame:
    """Summarise each comparison over all models and for each."""
    models = sorted(set(errors["model"]))
    cases = list(itertools.product([EVERY_MODEL, *(models if len(models) > 1 else [])], range(len(names))))
    by_model, by_name = pairs.table["model"].to_numpy(dtype=object), pairs.table["comparison"].to_numpy()
    of_model = {model: (by_model == model) | (model == EVERY_MODEL) for model, _ in cases}
    planned = [of_model[model] & (by_name == number) for model, number in cases]
    log_ratios = pairs.shares @ errors["log_error"].to_numpy()  # NaN if a cell is missing: like with like
    chosen = [part & np.isfinite(log_ratios) for part in planned]
    spreads = None if tests is None else _test_deviations(pairs, chosen, errors, tests, seed)
    rows = []
    for index, (units, part) in enumerate(zip(_units(pairs.table, log_ratios, chosen), chosen, strict=True)):
        n_pairs = int(part.sum())
        counts = {"n_pairs": n_pairs, "n_missing": int(planned[index].sum()) - n_pairs}
        spread = None if spreads is None else [spreads[name][index] for name in units]
        named = {"model": cases[index][0], "comparison": names[cases[index][1]]}
        rows.append({**named, **counts, **_row(list(units.values()), spread, seed)})
    found = pd.DataFrame(rows, columns=[*COLUMNS])
    for which in found.groupby(found["model"] == EVERY_MODEL).groups.values():
        found.loc[which, "p_holm"] = statistics.holm(found.loc[which, "p"].to_numpy(dtype=float))
    return found


def _units(
    table: pd.DataFrame, log_ratios: FloatArray, chosen: Sequence[NDArray[np.bool_]]
) -> Iterator[dict[str, FloatArray]]:
    """Give the `seed_means` of each data set, by its name, for every choice of pairs."""
    names, dataset = np.unique(table["dataset"].to_numpy(dtype=object), return_inverse=True)
    seeds, seed = np.unique(table["seed"].to_numpy(), return_inverse=True)
    setting = table.groupby(SETTING, sort=True).ngroup().to_numpy()
    owner = np.empty(setting.max(initial=-1) + 1, dtype=np.int64)
    owner[setting] = dataset
    for part in chosen:
        square = np.full((len(owner), len(seeds)), np.nan)
        square[setting[part], seed[part]] = log_ratios[part]
        yield {
            str(names[code]): statistics.seed_means(square[owner == code])
            for code in np.unique(dataset[part])
        }


def _row(units: list[FloatArray], spread: list[FloatArray] | None, seed: int) -> dict[str, object]:
    """Summarise one comparison."""
    if not units:
        return {"n_units": 0, "verdict": "no pairs"}
    rng = np.random.default_rng(seed)
    found = statistics.effect(units, rng, spread)
    p, p_smallest = statistics.sign_flip(np.concatenate(units), rng)
    n_units = sum(map(len, units))
    return {**vars(found), "n_units": n_units, "p": p, "p_smallest": p_smallest, "verdict": _verdict(found)}


def _test_deviations(
    pairs: Pairs,
    chosen: Sequence[NDArray[np.bool_]],
    errors: pd.DataFrame,
    tests: Mapping[str, TestErrors],
    seed: int,
) -> dict[str, FloatArray]:
    """Average over the pairs of each choice what resampled test configurations change in a log-ratio.

    Returns
    -------
    dict[str, FloatArray]
        Data set → shape (n_choices, `crossprune.harness.analysis.statistics.N_RESAMPLES`).
    """
    found = {}
    for name, known in tests.items():
        mine = (pairs.table["dataset"] == name).to_numpy()
        here = np.array([part & mine for part in chosen], dtype=np.bool_).reshape(len(chosen), len(mine))
        shares = (sparse.csr_array(here).astype(np.float64) @ pairs.shares).tocoo()
        means = shares.data / here.sum(axis=1)[shares.row]
        fits = pd.Index(list(known.sums)).get_indexer(errors["fit_key"].to_numpy(dtype=object)[shares.col])
        by_fit = sparse.csr_array((means, (shares.row, fits)), shape=(len(here), len(known.sums)))
        found[name] = known.resampled(by_fit, np.random.default_rng(seed))
    return found


def _verdict(found: statistics.Effect) -> str:
    if np.isnan(found.low):
        return "too few seeds"
    if found.high < 1:
        return "lower"
    return "higher" if found.low > 1 else "no difference"
