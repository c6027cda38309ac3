"""Own, other and random choosers compared: from the long results table to effects with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis import statistics
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.contrasts import (
    COMPARISONS,
    EVERY_MODEL,
    Contrasts,
    joined,
    over_all,
    ownership,
    pairs_of_models,
    pairs_of_ways,
)
from crossprune.harness.analysis.units import (
    TREND,
    Case,
    TestErrors,
    by_seed,
    influences,
    means,
    pooled_deviation,
)
from crossprune.harness.contract import FloatArray

COLUMNS = [
    "model",
    "comparison",
    "ratio",
    "low",
    "high",
    "p",
    "verdict",
    "role",
    "design",
    "low_alone",
    "high_alone",
    "p_alone",
    "low_anywhere",
    "high_anywhere",
    "n_pairs",
    "n_units",
    "n_missing",
    "seed_deviation",
    "test_deviation",
    "n_test",
]
"""Columns of the tables that this module returns."""
SHOWN = ("metric", "split", "fraction", "model", *COLUMNS[1:8], "n_pairs", "n_units", "n_missing")
"""Those that people look at."""
UNKNOWN_OVERLAP = 0.25
"""Test over training configurations where a table does not say: one in five is for test, by default."""
PRIMARY, EXPLORATORY = "primary", "exploratory"
SQUARE, NO_SQUARE = "square", "no square"
"""Whether ownership can be told from what is good in a chooser for every model."""


def compare(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    primary: str = "",
    seed: int = 0,
) -> pd.DataFrame:
    """Compare own, other and random choosers, over all models and for each.

    A model's *own* chooser is its own descriptor (`cells.relation_of`). Over all models, ownership is told
    from the quality of choosers (`contrasts.ownership`); for one model it cannot be, and the ratio is that
    of pairs: own to the geometric mean of the others.

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
    primary
        The comparison over all models that was named before; its interval stands alone. Those of all
        other rows hold together.
    seed
        Seed of the draws behind them.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: ``ratio`` and the ends are ratios of errors; ``low`` to ``high``, ``p`` and ``verdict``
        (lower, higher, no difference, too few seeds or no pairs) go together; ``…_alone`` is what
        they were if this row had been named before. ``n_pairs`` counts own (or other) cells compared,
        ``n_units`` seeds of data sets, ``n_missing`` pairs lost to unfinished cells; ``design`` says
        whether ownership can be told from the quality of choosers.
    """
    errors = partial_errors(results, metric, split)
    return _over_fractions(errors, _own_and_other(errors), tests, split, primary, seed)


def compare_fractions(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare as `compare` does over all models, at each fraction, with the trend.

    Returns
    -------
    pd.DataFrame
        ``fraction`` and `COLUMNS`; in rows of `TREND` the ratio is the factor by which the ratio changes when
        the data are doubled. Intervals hold for all rows together.
    """
    errors = partial_errors(results, metric, split)
    return _at_fractions(errors, _own_and_other(errors), tests, split, seed)


def compare_both(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    primary: str = "",
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what `compare` and `compare_fractions` do, in little more than the time of one."""
    errors = partial_errors(results, metric, split)
    both = _own_and_other(errors)
    return (
        _over_fractions(errors, both, tests, split, primary, seed),
        _at_fractions(errors, both, tests, split, seed),
    )


def _over_fractions(
    errors: pd.DataFrame,
    both: tuple[Contrasts, str],
    tests: Mapping[str, TestErrors] | None,
    split: str,
    primary: str,
    seed: int,
) -> pd.DataFrame:
    models = sorted(set(errors["model"]))
    cases = [Case(model, name) for model in _with_all(models) for name in COMPARISONS]
    found = _table(both[0], cases, errors, tests, split, primary, seed)
    return found.assign(design=np.where(found["model"] == EVERY_MODEL, both[1], NO_SQUARE))


def _at_fractions(
    errors: pd.DataFrame,
    both: tuple[Contrasts, str],
    tests: Mapping[str, TestErrors] | None,
    split: str,
    seed: int,
) -> pd.DataFrame:
    fractions: list[float | str] = sorted(set(errors["fraction"]))
    if len(fractions) > 1:
        fractions.append(TREND)
    cases = [Case(EVERY_MODEL, name, fraction) for name in COMPARISONS for fraction in fractions]
    found = _table(both[0], cases, errors, tests, split, "", seed).assign(design=both[1])
    found.insert(0, "fraction", [str(one.fraction) for one in cases])
    return found


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
    pairs = pairs_of_ways(errors)
    both = joined([over_all(pairs), pairs], len(errors))
    models, names = sorted(set(errors["model"])), sorted(set(pairs.table["comparison"]))
    cases = [Case(model, name) for model in _with_all(models) for name in names]
    return _table(both, cases, errors, tests, split, "", seed).assign(design=SQUARE)


def _with_all(models: Sequence[str]) -> list[str]:
    return [EVERY_MODEL, *(models if len(models) > 1 else [])]


def _own_and_other(errors: pd.DataFrame) -> tuple[Contrasts, str]:
    """Return the contrasts over all models and of each, and whether the study is a square."""
    pairs, blocks = pairs_of_models(errors), ownership(errors)
    if blocks is None:
        return joined([over_all(pairs), pairs], len(errors)), NO_SQUARE
    return joined([blocks, pairs], len(errors)), SQUARE


def _table(
    contrasts: Contrasts,
    cases: Sequence[Case],
    errors: pd.DataFrame,
    tests: Mapping[str, TestErrors] | None,
    split: str,
    primary: str,
    seed: int,
) -> pd.DataFrame:
    """Summarise each case."""
    table = contrasts.table
    log_ratios = contrasts.shares @ errors["log_error"].to_numpy()  # NaN if a cell is missing: like with like
    planned = [case.rows(table) for case in cases]
    used = [rows & np.isfinite(log_ratios) for rows in planned]
    units, weights = by_seed(table, log_ratios, cases, used)
    moved = {} if tests is None else influences(contrasts, weights, errors, tests)
    estimates, sources = _by_data_set(units, moved, errors, len(cases), split)
    found = statistics.infer(estimates, sources, np.random.default_rng(seed))
    is_primary = np.array([case.model == EVERY_MODEL and case.comparison == primary for case in cases])
    low = np.where(is_primary, found.low, found.low_together)
    high = np.where(is_primary, found.high, found.high_together)
    n_pairs = np.array([int(table.loc[rows, "n_pairs"].sum()) for rows in used])
    n_planned = np.array([int(table.loc[rows, "n_planned"].sum()) for rows in planned])
    columns = {
        "model": [case.model for case in cases],
        "comparison": [case.comparison for case in cases],
        "ratio": np.exp(found.estimate),
        "low": np.exp(low),
        "high": np.exp(high),
        "p": np.where(is_primary, found.p, found.p_together),
        "verdict": [_verdict(*one) for one in zip(low, high, n_pairs, strict=True)],
        "role": np.where(is_primary, PRIMARY, EXPLORATORY),
        "low_alone": np.exp(found.low),
        "high_alone": np.exp(found.high),
        "p_alone": found.p,
        "low_anywhere": np.exp(found.low_anywhere),
        "high_anywhere": np.exp(found.high_anywhere),
        "n_pairs": n_pairs,
        "n_units": np.sum([np.isfinite(one).sum(axis=1) for one in units.values()], axis=0, dtype=np.int64),
        "n_missing": n_planned - n_pairs,
        "seed_deviation": pooled_deviation(list(units.values()), len(cases)),
        **_scatter_of_tests(list(moved.values())),
    }
    return pd.DataFrame(columns, index=range(len(cases))).reindex(columns=COLUMNS)


def _by_data_set(
    units: Mapping[str, FloatArray],
    moved: Mapping[str, FloatArray],
    errors: pd.DataFrame,
    n_cases: int,
    split: str,
) -> tuple[FloatArray, list[list[statistics.Source]]]:
    """Return what each data set says, and how it may err: by its pools, or by seeds and test configurations.

    Returns
    -------
    tuple
        Estimates, shape (n_data_sets, n_cases), and the sources of each data set.
    """
    pools = errors.drop_duplicates("dataset").groupby("source")["dataset"].agg(list)
    overlaps = errors.groupby("source")["overlap"].median().fillna(UNKNOWN_OVERLAP)
    # Pools have test parts of their own, but one ood part, unless they hold out groups in turn.
    same = set(errors.loc[errors["held_out"] == "", "source"]) if split == "ood" else set()
    estimates, sources = [], []
    for source, names in zip(pools.index.astype(str), pools, strict=True):
        known = [name for name in map(str, names) if name in units]
        if len(known) > 1:
            values = np.stack([means(units[name]) for name in known], axis=1)
            estimates.append(means(values))
            parts = [statistics.from_pools(values, float(overlaps[source]))]
            if source in same and all(name in moved for name in known):
                parts.append(statistics.from_configurations(np.mean([moved[name] for name in known], axis=0)))
            sources.append(parts)
            continue
        for name in known:
            estimates.append(means(units[name]))
            parts = [statistics.from_seeds(units[name])]
            if name in moved:
                parts.append(statistics.from_configurations(moved[name]))
            sources.append(parts)
    return np.array(estimates).reshape(len(estimates), n_cases), sources


def _scatter_of_tests(moved: Sequence[FloatArray]) -> dict[str, object]:
    """Return the standard deviation that one test configuration alone would give, and their mean number."""
    if not moved:
        return {"test_deviation": np.nan, "n_test": np.nan}
    squares = [np.square(one).sum(axis=1) * one.shape[1] for one in moved]
    return {
        "test_deviation": np.sqrt(np.mean(squares, axis=0)),
        "n_test": float(np.mean([one.shape[1] for one in moved])),
    }


def _verdict(low: float, high: float, n_pairs: int) -> str:
    if n_pairs == 0:
        return "no pairs"
    if np.isnan(low):
        return "too few seeds"
    if high < 0:
        return "lower"
    return "higher" if low > 0 else "no difference"
