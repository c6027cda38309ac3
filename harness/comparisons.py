"""Own, other and random choosers compared: from the long results table to effects with intervals."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness import statistics
from crossprune.harness.contract import FloatArray
from crossprune.harness.metrics import ALL
from crossprune.harness.selection import RANDOM
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

    def resampled(self, rng: np.random.Generator) -> pd.DataFrame:
        """Return the deviations of each fit's log mean error over resampled test configurations.

        The same configurations for all fits, so that differences stay paired. Rows are fit keys,
        columns the N_RESAMPLES resamples. A bootstrap of n values is too narrow by √((n − 1) / n), and
        its normal tails lack Student's; both are put right with the effective number of
        configurations, (Σ s)² / Σ s², because a few hard ones carry most of the error.
        """
        n = len(self.counts)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=statistics.N_RESAMPLES).astype(np.float64)
        sums = np.array(list(self.sums.values()))
        means = sums @ weights.T / (weights @ self.counts)
        whole = sums.sum(axis=1, keepdims=True) / self.counts.sum()
        effective = np.maximum(np.square(sums.sum(axis=1)) / np.square(sums).sum(axis=1), 2.0)
        tails = [student.ppf(0.975, one - 1) / normal.ppf(0.975) for one in effective]
        inflate = (np.sqrt(effective / (effective - 1)) * tails)[:, None]
        return pd.DataFrame(inflate * np.log(means / whole), index=list(self.sums))


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
    not done. The full set is left out: all choosers agree there.
    """
    table = labelled(results)
    keys = [*SETTING, "chooser", "seed"]
    if "fit_key" not in table.columns:
        table = table.assign(fit_key="")
    cells = table.loc[table["fraction"] < 1.0 - 1e-9, keys].drop_duplicates()
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
        One of `crossprune.harness.metrics.METRICS`.
    split
        ``test`` or ``ood``.
    tests
        Data set → errors per test configuration; without them intervals are over seeds only.
    seed
        Seed of the resamples.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: see `crossprune.harness.statistics.Effect`; ``n_units`` counts pairs of data set and
        seed, ``n_missing`` pairs lost to unfinished cells; ``verdict`` is lower, higher, no
        difference, too few seeds or no pairs. Holm's correction is over the models of a comparison.
    """
    errors = partial_errors(results, metric, split)
    own = errors[errors["chooser"] == errors["model"]]
    other = errors[(errors["chooser"] != errors["model"]) & (errors["chooser"] != RANDOM)]
    pairs = {
        "own / random": _pair(own, _random(errors)),
        "other / random": _pair(other, _random(errors)),
        "own / other": _pair(own, other),
    }
    return _tables(pairs, errors, _resampled(tests, seed), seed)


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
    ways = errors[errors["method"] != RANDOM].groupby(["chooser", "method"], sort=True)
    pairs = {f"{chooser} · {method} / random": _pair(way, _random(errors)) for (chooser, method), way in ways}
    return _tables(pairs, errors, _resampled(tests, seed), seed)


def units_of(pairs: pd.DataFrame) -> list[FloatArray]:
    """Return the `seed_means` of each data set of a table of pairs; ``setting`` numbers the settings."""
    units = []
    for _, part in pairs.groupby("dataset", sort=True):
        _, setting = np.unique(part["setting"].to_numpy(), return_inverse=True)
        seeds, seed = np.unique(part["seed"].to_numpy(), return_inverse=True)
        square = np.full((setting.max() + 1, len(seeds)), np.nan)
        square[setting, seed] = part["log_ratio"]
        units.append(statistics.seed_means(square))
    return units


Deviations = Mapping[str, pd.DataFrame]
"""Data set → what `TestErrors.resampled` returns."""


def _resampled(tests: Mapping[str, TestErrors] | None, seed: int) -> Deviations | None:
    if tests is None:
        return None
    return {name: _deviations(one, seed) for name, one in tests.items()}


@functools.lru_cache(maxsize=8)
def _deviations(tests: TestErrors, seed: int) -> pd.DataFrame:
    """Resample once for all comparisons of a data set: 30 kB a fit."""
    return tests.resampled(np.random.default_rng(seed))


def _random(errors: pd.DataFrame) -> pd.DataFrame:
    return errors[errors["method"] == RANDOM]


def _pair(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Pair two sets of cells; random has no method of its own and pairs with every method."""
    by = [*SETTING, "seed"]
    on = [key for key in by if key != "method"] if set(second["method"]) == {RANDOM} else by
    left, right = _merged(first, by), _merged(second, on)
    pairs = left.merge(right, on=on, how="inner", suffixes=("", "_second"))
    setting = pairs.groupby(SETTING, sort=True).ngroup()
    return pairs.assign(log_ratio=pairs["log_error"] - pairs["log_error_second"], setting=setting)


def _merged(errors: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average logarithms over choosers; NaN if one is missing, so that pairs compare like with like."""
    if not errors.duplicated(list(by)).any():  # nothing to average, and groups take seconds
        alone = errors.sort_values(list(by), ignore_index=True)
        return alone[[*by, "log_error"]].assign(fits=alone["fit_key"].map(lambda key: (key,)))
    groups = errors.groupby(list(by), sort=True)
    merged = groups.agg(log_error=("log_error", "mean"), n=("log_error", "count"), fits=("fit_key", tuple))
    merged["log_error"] = merged["log_error"].where(merged["n"] == groups.size())
    return merged.drop(columns="n").reset_index()


def _tables(
    pairs: Mapping[str, pd.DataFrame], errors: pd.DataFrame, deviations: Deviations | None, seed: int
) -> pd.DataFrame:
    models = sorted(set(errors["model"]))
    rows = []
    for model in [EVERY_MODEL, *(models if len(models) > 1 else [])]:
        for name, table in pairs.items():
            part = table if model == EVERY_MODEL else table[table["model"] == model]
            rows.append({"model": model, "comparison": name, **_row(part, deviations, seed)})
    found = pd.DataFrame(rows, columns=[*COLUMNS])
    for index in found.groupby(found["model"] == EVERY_MODEL).groups.values():
        found.loc[index, "p_holm"] = statistics.holm(found.loc[index, "p"].to_numpy(dtype=float))
    return found


def _row(planned: pd.DataFrame, deviations: Deviations | None, seed: int) -> dict[str, object]:
    """Summarise one comparison."""
    pairs = planned.dropna(subset=["log_ratio"])
    counts = {"n_pairs": len(pairs), "n_missing": len(planned) - len(pairs), "n_units": 0}
    if pairs.empty:
        return {**counts, "verdict": "no pairs"}
    units = units_of(pairs)
    rng = np.random.default_rng(seed)
    spread = None if deviations is None else list(_test_deviations(pairs, deviations))
    found = statistics.effect(units, rng, spread)
    p, p_smallest = statistics.sign_flip(np.concatenate(units), rng)
    return {
        **counts,
        **vars(found),
        "n_units": sum(map(len, units)),
        "p": p,
        "p_smallest": p_smallest,
        "verdict": _verdict(found),
    }


def _test_deviations(pairs: pd.DataFrame, deviations: Deviations) -> Iterator[FloatArray]:
    """Average over pairs, per data set, what resampled test configurations change in a log-ratio."""
    for name, part in pairs.groupby("dataset", sort=True):
        known = deviations[str(name)]
        shares: dict[str, float] = defaultdict(float)
        for column, sign in (("fits", 1.0), ("fits_second", -1.0)):
            for fits in part[column]:
                for key in fits:
                    shares[key] += sign / (len(fits) * len(part))
        total: FloatArray = np.array(list(shares.values())) @ known.loc[list(shares)].to_numpy()
        yield total


def _verdict(found: statistics.Effect) -> str:
    if np.isnan(found.low):
        return "too few seeds"
    if found.high < 1:
        return "lower"
    return "higher" if found.low > 1 else "no difference"
