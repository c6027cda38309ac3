"""Own, other and random choosers compared: from the long results table to effects with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from crossprune.harness.analysis import statistics
from crossprune.harness.analysis.cells import overlaps
from crossprune.harness.analysis.contrasts import (
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
    Seeds,
    TestErrors,
    by_seed,
    influences,
    means,
    pooled_deviation,
)
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.study import COMPARISONS
from scipy import sparse

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
    "pool_deviation",
    "n_pools",
    "pool_overlap",
    "n_data_sets",
    "label_ratio",
    "at_end",
    "repeat",
]
"""Columns of the tables that this module returns."""
SHOWN = (
    *("metric", "outcome", "split", "source", "group", "n_groups", "better", "fraction", "model"),
    *(*COLUMNS[1:8], "label_ratio", "n_pairs", "n_units", "n_missing"),
)
"""Those that people look at."""
PRIMARY, EXPLORATORY = "primary", "exploratory"
SQUARE, NO_SQUARE = "square", "no square"
"""Whether ownership can be told from what is good in a chooser for every model."""


def compare(
    errors: pd.DataFrame,
    *,
    tests: Mapping[str, TestErrors] | None = None,
    primary: str = "",
    pooled: bool = False,
) -> dict[str, pd.DataFrame]:
    """Compare own, other and random choosers, and every way of choosing with random.

    A model's *own* chooser is its own descriptor (`cells.relation_of`). Over all models, ownership is told
    from the quality of choosers (`contrasts.ownership`); for one model it cannot be, and the ratio is that
    of pairs: own to the geometric mean of the others.

    Parameters
    ----------
    errors
        Of `crossprune.harness.analysis.cells.partial_errors`.
    tests
        Data set → errors per test configuration; without them intervals are over seeds only.
    primary
        The comparison over all models that was named before; its interval stands alone. Those of all
        other rows hold for all rows of their table together.
    pooled
        Only pools tell how these errors scatter: with one pool there are no intervals.

    Returns
    -------
    dict
        ``answer``: own, other and random over all models and for each, `COLUMNS`. ``ratio`` and the ends are
        ratios of errors; ``low`` to ``high``, ``p`` and ``verdict`` (lower, higher, none found, all alike,
        too few seeds, needs pools or no pairs) go together; ``…_alone`` is what they were if this row had
        been named before. ``n_pairs`` counts own (or other) cells compared, ``n_units`` seeds of data sets,
        ``n_missing`` pairs lost to cells without a value; ``label_ratio`` says how many times as many labels
        the first had (equal budgets of configurations are no equal budgets of labels); ``at_end`` is the
        share of the compared values on an end of their scale, ``repeat`` what is independent (seed, pool or
        group); ``design`` says whether ownership can be told from the quality of choosers. ``fractions``: the
        same over all models at each ``fraction``; in rows of `TREND` the ratio is the factor by which the
        ratio changes when the data are doubled. ``choosers``: every chooser and method against random, over
        all models and for each.
    """
    models = _with_all(sorted(set(errors["model"])))
    of_models = pairs_of_models(errors)
    of_all, design = of_all_models(errors, of_models)
    own = joined([of_all, of_models])
    wanted = [Case(model, name) for model in models for name in COMPARISONS]
    answer = _table(own, wanted, tests, primary, pooled=pooled)
    fractions: list[float | str] = sorted(set(errors["fraction"]))
    if len(fractions) > 1:
        fractions.append(TREND)
    cases = [Case(EVERY_MODEL, name, fraction) for name in COMPARISONS for fraction in fractions]
    at_fractions = _table(own, cases, tests, pooled=pooled).assign(design=design)
    at_fractions.insert(0, "fraction", [str(one.fraction) for one in cases])
    pairs = pairs_of_ways(errors)
    names = sorted(set(pairs.table["comparison"]))
    ways = _table(
        joined([over_all(pairs), pairs]), [Case(model, name) for model in models for name in names], tests
    )
    return {
        "answer": answer.assign(design=np.where(answer["model"] == EVERY_MODEL, design, NO_SQUARE)),
        "fractions": at_fractions,
        "choosers": ways.assign(design=SQUARE),
    }


def _with_all(models: Sequence[str]) -> list[str]:
    return [EVERY_MODEL, *(models if len(models) > 1 else [])]


def of_all_models(errors: pd.DataFrame, pairs: Contrasts | None = None) -> tuple[Contrasts, str]:
    """Return own, other and random over all models, and whether the study is a square; ``pairs`` if known."""
    blocks = ownership(errors)
    if blocks is None:
        return over_all(pairs_of_models(errors) if pairs is None else pairs), NO_SQUARE
    return blocks, SQUARE


@dataclass(frozen=True, eq=False)
class Estimated:
    """What is known of cases before it is said how sure that is."""

    cases: Sequence[Case]
    by_source: Mapping[str, tuple[FloatArray, Sequence[statistics.Source]]]
    """Data set to estimates, shape (n_cases,), and how they may err."""
    n_pairs: IntArray
    """Own or other cells that are compared."""
    facts: Mapping[str, object]
    """Other columns that do not depend on how sure it is."""
    pooled: bool = False
    """Only pools tell how it scatters."""


def estimate(
    contrasts: Contrasts,
    cases: Sequence[Case],
    tests: Mapping[str, TestErrors] | None,
    *,
    pooled: bool = False,
) -> Estimated:
    """Estimate each case; where only pools can tell how it scatters (``pooled``), one pool tells nothing."""
    errors, table = contrasts.errors, contrasts.table
    log_ratios = contrasts.shares @ errors["log_error"].to_numpy()  # NaN if a cell is missing: like with like
    planned = [case.rows(table) for case in cases]
    used = [rows & np.isfinite(log_ratios) for rows in planned]
    units, weights = by_seed(contrasts, log_ratios, cases, used)
    moved = {} if tests is None else influences(contrasts, weights, tests)
    pairs, all_pairs = table["n_pairs"].to_numpy(), table["n_planned"].to_numpy()
    n_pairs = np.array([int(pairs[rows].sum()) for rows in used])
    n_planned = np.array([int(all_pairs[rows].sum()) for rows in planned])
    by_source = _by_data_set(units, moved, errors, pooled=pooled)
    told = [np.isfinite(one) for one, _ in by_source.values()]
    several = max(map(len, _pools_of(units, errors).values()), default=0) > 1
    unit = "group" if (errors["held_out"] != "").any() else "pool"
    facts = {
        "n_units": np.sum([one.counts for one in units.values()], axis=0, dtype=np.int64),
        "n_missing": n_planned - n_pairs,
        "seed_deviation": pooled_deviation(list(units.values()), len(cases)),
        **_scatter_of_tests([] if _own_tests(errors) else list(moved.values())),
        **_scatter_of_pools(units, errors, len(cases)),
        "n_data_sets": np.sum(told, axis=0, dtype=np.int64) if told else 0,
        "label_ratio": _label_ratios(contrasts, weights),
        "at_end": _at_end(contrasts, weights),
        "repeat": unit if several else "seed",
    }
    return Estimated(cases, by_source, n_pairs, facts, pooled)


def inferred(several: Sequence[Estimated]) -> list[statistics.Inference]:
    """Say how sure the cases of several tables are, with intervals that hold for all of them together."""
    names = sorted({name for one in several for name in one.by_source})
    estimates, sources = [], []
    for name in names:
        known = [one.by_source.get(name) for one in several]
        sizes = [len(one.cases) for one in several]
        none = [np.full(size, np.nan) for size in sizes]
        estimates.append(np.concatenate([b if a is None else a[0] for a, b in zip(known, none, strict=True)]))
        parts = [() if one is None else one[1] for one in known]
        sources.append(statistics.stacked(parts, sizes))
    n_cases = sum(len(one.cases) for one in several)
    found = statistics.infer(
        np.array(estimates).reshape(len(names), n_cases), sources, np.random.default_rng(0)
    )
    ends = np.cumsum([len(one.cases) for one in several])
    return [found.part(slice(end - len(one.cases), end)) for end, one in zip(ends, several, strict=True)]


def _table(
    contrasts: Contrasts,
    cases: Sequence[Case],
    tests: Mapping[str, TestErrors] | None,
    primary: str = "",
    *,
    pooled: bool = False,
) -> pd.DataFrame:
    """Summarise each case; intervals hold for all of them together."""
    known = estimate(contrasts, cases, tests, pooled=pooled)
    return laid_out(known, inferred([known])[0], primary)


def laid_out(known: Estimated, found: statistics.Inference, primary: str = "") -> pd.DataFrame:
    """Lay out the columns `COLUMNS`, but for ``design``."""
    cases = known.cases
    is_primary = np.array([case.model == EVERY_MODEL and case.comparison == primary for case in cases])
    low = np.where(is_primary, found.low, found.low_together)
    high = np.where(is_primary, found.high, found.high_together)
    with np.errstate(over="ignore"):  # of few repeats, intervals have no end that a number holds
        columns = {
            "model": [case.model for case in cases],
            "comparison": [case.comparison for case in cases],
            "ratio": np.exp(found.estimate),
            "low": np.exp(low),
            "high": np.exp(high),
            "p": np.where(is_primary, found.p, found.p_together),
            "verdict": [
                _verdict(*one, pooled=known.pooled)
                for one in zip(found.estimate, low, high, known.n_pairs, strict=True)
            ],
            "role": np.where(is_primary, PRIMARY, EXPLORATORY),
            "low_alone": np.exp(found.low),
            "high_alone": np.exp(found.high),
            "p_alone": found.p,
            "low_anywhere": np.exp(found.low_anywhere),
            "high_anywhere": np.exp(found.high_anywhere),
            "n_pairs": known.n_pairs,
            **known.facts,
        }
    return pd.DataFrame(columns, index=range(len(cases))).reindex(columns=COLUMNS)


def _by_data_set(
    units: Mapping[str, Seeds], moved: Mapping[str, FloatArray], errors: pd.DataFrame, *, pooled: bool
) -> dict[str, tuple[FloatArray, Sequence[statistics.Source]]]:
    """Return what each data set says, and how it may err: by pools, or by seeds and test configurations."""
    shares = overlaps(errors)
    part = str(errors["split"].iloc[0]) if len(errors) else ""
    # Pools have test parts of their own, but one ood part, unless they hold out groups in turn.
    same = set(errors.loc[(errors["split"] == "ood") & (errors["held_out"] == ""), "source"])
    found: dict[str, tuple[FloatArray, Sequence[statistics.Source]]] = {}
    for source, known in _pools_of(units, errors).items():
        if len(known) > 1:
            values = np.stack([units[name].estimates for name in known], axis=1)
            parts = [statistics.from_pools(values, float(shares[source]), known)]
            if source in same and all(name in moved for name in known):
                influence = np.mean([moved[name] for name in known], axis=0)
                parts.append(statistics.from_configurations(influence, part))
            found[source] = means(values), parts
            continue
        for name in known:
            parts = [units[name].source]
            if pooled:
                parts = [replace(parts[0], freedom=np.zeros(len(parts[0].freedom)))]
            if name in moved:
                parts.append(statistics.from_configurations(moved[name], part))
            found[source] = units[name].estimates, parts
    return found


def _pools_of(units: Mapping[str, Seeds], errors: pd.DataFrame) -> dict[str, list[str]]:
    """Return the pools of each data set that say something; one of its own name if it has no others."""
    names = errors.drop_duplicates("dataset").groupby("source")["dataset"].agg(list)
    return {str(source): [one for one in map(str, own) if one in units] for source, own in names.items()}


def _label_ratios(contrasts: Contrasts, weights: sparse.csr_array) -> FloatArray:
    """Return how many times as many labels one side had as the other, NaN where that is not known."""
    labels = contrasts.shares @ contrasts.errors["log_labels"].to_numpy()
    datasets = contrasts.table["dataset"].to_numpy(dtype=object)
    if not len(datasets):
        return np.full(weights.shape[0], np.nan)
    there = sparse.csr_array((np.ones(len(datasets)), (np.arange(len(datasets)), pd.factorize(datasets)[0])))
    n_data_sets = np.asarray(((abs(weights) @ there) > 0).sum(axis=1)).ravel()
    found: FloatArray = np.exp(weights @ labels / np.maximum(n_data_sets, 1))
    return np.where(n_data_sets > 0, found, np.nan)


def _at_end(contrasts: Contrasts, weights: sparse.csr_array) -> FloatArray:
    """Return which share of what is compared lies on an end of its scale, NaN where nothing is compared."""
    counted = abs(weights @ contrasts.shares)
    total = counted.sum(axis=1)
    found: FloatArray = counted @ contrasts.errors["at_end"].to_numpy() / np.where(total > 0, total, np.nan)
    return found


def _scatter_of_tests(moved: Sequence[FloatArray]) -> dict[str, object]:
    """Return the standard deviation that one test configuration alone would give, and their mean number."""
    if not moved:
        return {"test_deviation": np.nan, "n_test": np.nan}
    squares = [np.square(one).sum(axis=1) * one.shape[1] for one in moved]
    return {
        "test_deviation": np.sqrt(np.mean(squares, axis=0)),
        "n_test": float(np.mean([one.shape[1] for one in moved])),
    }


def _own_tests(errors: pd.DataFrame) -> bool:
    """Say whether pools have test frames of their own, so that their scatter holds that of the frames."""
    several = bool((errors.groupby("source")["dataset"].nunique() > 1).any())
    return several and not ((errors["split"] == "ood") & (errors["held_out"] == "")).any()


def _scatter_of_pools(units: Mapping[str, Seeds], errors: pd.DataFrame, n_cases: int) -> dict[str, object]:
    """Return the standard deviation of one pool, the pools of a data set, and their overlap; NaN without."""
    several = [names for names in _pools_of(units, errors).values() if len(names) > 1]
    values = [np.stack([units[name].estimates for name in names]) for names in several]
    if not values:
        return {"pool_deviation": np.nan, "n_pools": np.nan, "pool_overlap": np.nan}
    counts = np.array([np.isfinite(one).sum(axis=0) for one in values])
    centred = [one - means(one.T) for one in values]
    freedom = np.maximum(counts - 1, 0).sum(axis=0)
    squares = np.sum([np.nansum(np.square(one), axis=0) for one in centred], axis=0).reshape(n_cases)
    return {
        "pool_deviation": np.sqrt(np.where(freedom > 0, squares / np.maximum(freedom, 1), np.nan)),
        "n_pools": counts.mean(axis=0),
        "pool_overlap": overlaps(errors).mean(),
    }


def _verdict(estimate: float, low: float, high: float, n_pairs: int, *, pooled: bool) -> str:
    if n_pairs == 0:
        return "no pairs"
    if np.isnan(low):
        if n_pairs > 1 and abs(estimate) < statistics.ROUNDING:
            return "all alike"
        return "needs pools" if pooled else "too few seeds"
    if high < 0:
        return "lower"
    return "higher" if low > 0 else "none found"
