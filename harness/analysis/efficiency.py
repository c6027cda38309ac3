"""Data efficiency: how much data a way of choosing needs, for the full set's error and against random."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import budget_of, is_random, labelled
from crossprune.harness.analysis.curves import ends, inverse, log_saving, monotone, seed_moves
from crossprune.harness.analysis.units import TestErrors
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from crossprune.harness.selection.methods import RANDOM
from numpy.typing import NDArray
from scipy import sparse

N_RESAMPLES = 4000
"""Draws of an interval: its ends move by less than its second digit."""
TOLERANCE = 0.05
"""A selection is as good as the full set once its error is at most this much larger."""
WAY = ["dataset", "model", "chooser", "method"]
NUMBERS = ["fraction", "low", "high", "data_ratio", "data_ratio_low", "data_ratio_high"]
COLUMNS = [*WAY, *NUMBERS, "n_seeds", "remark"]
NO_SPREAD = 1e-12
"""Relative spread of draws that rounding alone makes: seeds that repeat each other."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Errors of one way of choosing and model at all fractions, by seed."""

    way: tuple[str, ...]
    """Values of `WAY`."""
    log_fractions: FloatArray
    """Ascending, the last is 0, shape (n_fractions,)."""
    seeds: IntArray
    """Those with every fraction, shape (n_seeds,)."""
    log_errors: FloatArray
    """Shape (n_seeds, n_fractions)."""
    fits: NDArray[np.object_]
    """Fit keys, shape (n_seeds, n_fractions)."""
    n_lost: int
    """Seeds left out because one of their cells is not done."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A curve's monotone fit, and the same with other seeds and test configurations."""

    fit: FloatArray
    """Shape (1, n_fractions)."""
    target: FloatArray
    """Log error that is as good as the full set's, shape (1,)."""
    draws: FloatArray
    """Shape (n_draws, n_fractions); no draws if there is nothing to draw from."""
    targets: FloatArray
    """Shape (n_draws,)."""


def data_efficiency(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tolerance: float = TOLERANCE,
    tests: Mapping[str, TestErrors] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Find the fraction that does for the full set, and how much more data random needs.

    One non-increasing curve of log error against log fraction is fitted to the means over seeds. The
    target is (1 + ``tolerance``) × the error of the full set.

    Parameters
    ----------
    results
        The long results table; curves without the full set are left out.
    metric
        One of `crossprune.harness.evaluation.metrics.METRICS`.
    split
        ``test`` or ``ood``.
    tolerance
        Relative.
    tests
        Data set → errors per test configuration of all fits, the full set's too; without them intervals
        are over seeds only.
    seed
        Seed of the draws.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: ``fraction``, and ``data_ratio``: how many times as much data random needs for the
        errors that the way reaches, geometric mean over the errors above the target that both curves
        pass through. Each with the ends of its interval. −inf is below, inf above what the study's
        fractions can tell; NaN is not known. The remark says why.

    Raises
    ------
    ValueError
        If ``tests`` lack a fit.
    """
    names: dict[str, list[Curve]] = {}
    for curve in _curves(results, metric, split):
        names.setdefault(curve.way[0], []).append(curve)
    rows = []
    for dataset, curves in names.items():
        known = None if tests is None else tests.get(dataset)
        drawn = _drawn(curves, known, tolerance, seed)
        bases = {_base(curve): one for curve, one in zip(curves, drawn, strict=True) if _is_random(curve)}
        fractions = {_base(curve): curve.log_fractions for curve in curves if _is_random(curve)}
        for curve, one in zip(curves, drawn, strict=True):
            key = _base(curve)
            base = None if _is_random(curve) or key not in bases else (fractions[key], bases[key])
            rows.append((*curve.way, *_row(curve, one, base)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _curves(results: pd.DataFrame, metric: str, split: str) -> Iterator[Curve]:
    """Gather the curves that end at the full set, by way and model."""
    table = labelled(clipped(results))
    if "fit_key" not in table.columns:
        table = table.assign(fit_key="")
    done = (table["status"] == "done") & (table["split"] == split) & (table["group"] == ALL)
    cells = table[done & (table[metric] > 0)].sort_values([*WAY, "seed", "fraction"])
    names, number = cells[WAY].to_numpy(dtype=object), cells.groupby(WAY, sort=True).ngroup()
    kept, errors = (cells[name].to_numpy(dtype=np.float64) for name in ("fraction", metric))
    all_seeds, fits = cells["seed"].to_numpy(dtype=np.int64), cells["fit_key"].to_numpy(dtype=object)
    for mine in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(number)) + 1):
        fractions, column = np.unique(kept[mine], return_inverse=True)
        if len(fractions) < 2 or not math.isclose(fractions[-1], 1.0):
            continue
        seeds, row = np.unique(all_seeds[mine], return_inverse=True)
        logs = np.full((len(seeds), len(fractions)), np.nan)
        keys = np.full(logs.shape, "", dtype=object)
        logs[row, column], keys[row, column] = np.log(errors[mine]), fits[mine]
        whole = np.isfinite(logs).all(axis=1)
        way = tuple(map(str, names[mine[0]]))
        n_lost = int((~whole).sum())
        yield Curve(way, np.log(fractions), seeds[whole], logs[whole], keys[whole], n_lost)


def _is_random(curve: Curve) -> bool:
    return curve.way[2] == RANDOM and is_random(curve.way[3])


def _base(curve: Curve) -> tuple[str, str]:
    """Return the model and the budget that a curve shares with its base line."""
    return curve.way[1], budget_of(curve.way[3])


def _drawn(
    curves: Sequence[Curve], tests: TestErrors | None, tolerance: float, seed: int
) -> list[Drawn | None]:
    """Fit the curves of one data set, and draw them again: all with the same seeds and configurations."""
    rng = np.random.default_rng(seed)
    n_draws = N_RESAMPLES
    seeds = np.unique(np.concatenate([curve.seeds for curve in curves]))
    normals, quantiles = rng.normal(size=(n_draws, len(seeds))), rng.uniform(size=n_draws)
    moved = None if tests is None else np.split(_test_moves(curves, tests, seed), _starts(curves)[1:-1])
    found: list[Drawn | None] = []
    for index, curve in enumerate(curves):
        if not len(curve.seeds):
            found.append(None)
            continue
        mean = curve.log_errors.mean(axis=0)
        draws = np.zeros((0, len(mean)))
        if len(curve.seeds) > 1:
            mine = np.searchsorted(seeds, curve.seeds)
            draws = mean + seed_moves(curve.log_errors, normals[:, mine], quantiles)
            draws = draws if moved is None else draws + moved[index].T
        if len(draws) and np.ptp(draws, axis=0).max() < NO_SPREAD:
            draws = draws[:0]
        allowed = math.log1p(tolerance)
        target = mean[-1:] + allowed
        again = monotone(draws) if len(draws) else draws
        found.append(Drawn(monotone(mean[None]), target, again, draws[:, -1] + allowed))
    return found


def _starts(curves: Sequence[Curve]) -> IntArray:
    """Return where each curve's fractions begin in a list of all, and where the last one ends."""
    return np.cumsum([0, *(len(curve.log_fractions) for curve in curves)])


def _test_moves(curves: Sequence[Curve], tests: TestErrors, seed: int) -> FloatArray:
    """Return how the seeds' mean at each fraction moves over resampled test configurations.

    Returns
    -------
    FloatArray
        Shape (sum of all curves' fractions, n_draws).
    """
    starts = _starts(curves)
    places = [
        np.broadcast_to(start + np.arange(curve.fits.shape[1]), curve.fits.shape).ravel()
        for start, curve in zip(starts[:-1], curves, strict=True)
    ]
    shares = [np.full(curve.fits.size, 1 / max(len(curve.seeds), 1)) for curve in curves]
    keys = np.concatenate([curve.fits.ravel() for curve in curves])
    fits = pd.Index(list(tests.sums)).get_indexer(pd.Index(keys))
    if (fits < 0).any():
        lacking = sorted(set(keys[fits < 0]))
        raise ValueError(f"errors per configuration of {len(lacking)} fits are missing, {lacking[0]!r} first")
    entries = (np.concatenate(shares), (np.concatenate(places), fits))
    whole = sparse.csr_array(entries, shape=(int(starts[-1]), len(tests.sums)))
    return tests.drawn(whole, np.random.default_rng(seed), N_RESAMPLES)


def _row(
    curve: Curve, drawn: Drawn | None, base: tuple[FloatArray, Drawn | None] | None
) -> tuple[float | int | str, ...]:
    """Return `NUMBERS`, the seeds and the remark of one curve."""
    smallest = math.exp(curve.log_fractions[0])
    remarks = []
    if curve.n_lost:
        remarks.append(
            f"{curve.n_lost} of {curve.n_lost + len(curve.seeds)} seeds lost a cell and are left out"
        )
    if drawn is None:
        return (*[math.nan] * len(NUMBERS), 0, "; ".join(remarks))
    crossed = inverse(curve.log_fractions, drawn.fit, drawn.target[:, None])[0, 0]
    low = high = math.nan
    if len(drawn.draws):
        again = inverse(curve.log_fractions, drawn.draws, drawn.targets[:, None])[:, 0]
        low, high = ends(again, again)
    else:
        remarks.append(
            "one seed: no interval" if len(curve.seeds) == 1 else "seeds do not differ: no interval"
        )
    numbers = [_plain(one) for one in (crossed, low, high)]
    remarks += _censored(numbers, smallest)
    ratios, words = _ratio(curve.log_fractions, drawn, base)
    return (*numbers, *ratios, len(curve.seeds), "; ".join([*remarks, *words]))


def _plain(log: float) -> float:
    """Return the number of a logarithm; ±inf, which is beyond the study's range, stays."""
    return math.exp(log) if math.isfinite(log) else log


def _censored(numbers: Sequence[float], smallest: float) -> list[str]:
    """Say which of a fraction and its ends lie at or below the smallest fraction of the study."""
    ends = ("fraction", "low of fraction", "high of fraction")
    names = [name for name, one in zip(ends, numbers, strict=True) if one == -math.inf]
    return [f"{', '.join(names)} ≤ {smallest:g}, the smallest"] if names else []


def _ratio(
    log_fractions: FloatArray, drawn: Drawn, base: tuple[FloatArray, Drawn | None] | None
) -> tuple[list[float], list[str]]:
    """Return the ratio of data of random over the way's with its ends, and remarks."""
    if base is None or base[1] is None:
        return [math.nan] * 3, []
    both, random = (log_fractions, base[0]), base[1]
    least, most = log_saving(both, (drawn.fit, random.fit), np.maximum(drawn.target, random.target))
    low = high = math.nan
    if len(drawn.draws) and len(random.draws):
        floors = np.maximum(drawn.targets, random.targets)
        low, high = ends(*log_saving(both, (drawn.draws, random.draws), floors))
    centre = float(least[0]) if least[0] == most[0] else math.nan
    remarks = []
    if math.isnan(centre):
        remarks.append("data ratio unknown: both are there at the smallest")
    beyond = [
        name
        for name, one in zip(
            ("data ratio", "low of data ratio", "high of data ratio"), (centre, low, high), strict=True
        )
        if math.isinf(one)
    ]
    if beyond:
        remarks.append(f"{', '.join(beyond)} beyond the study")
    return [_plain(one) for one in (centre, low, high)], remarks
