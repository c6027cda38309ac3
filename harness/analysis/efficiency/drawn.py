"""Learning curves of a study, gathered by way of choosing and model, and drawn again with other repeats."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.efficiency.curves import ends, inverse, monotone, seed_moves
from crossprune.harness.analysis.units import TestErrors
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from numpy.typing import NDArray
from scipy import sparse

N_RESAMPLES = 4000
"""Draws of an interval: its ends move by less than its second digit."""
WAY = ["dataset", "model", "chooser", "method"]
SIZES = ("n_configurations", "n_labels")
"""What a choice costs: means over seeds, of a table that says."""
NO_SPREAD = 1e-12
"""Relative spread of draws that rounding alone makes: seeds that repeat each other."""
ROUNDING = 1e-9
"""Least tolerance: a curve's last point is the full set's error but for rounding."""


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
    sizes: FloatArray
    """Means of `SIZES` over the seeds, NaN where a table does not say, shape (2, n_fractions)."""
    n_lost: int
    """Seeds left out because one of their cells is not done."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A curve, its monotone fit, and the same with other seeds and test configurations."""

    curve: Curve
    fit: FloatArray
    """Shape (1, n_fractions); shape (0, n_fractions) if no seed has every fraction."""
    full: FloatArray
    """Log error of the full set, shape (1,)."""
    draws: FloatArray
    """Shape (n_draws, n_fractions); no draws if there is nothing to draw from."""
    drawn_full: FloatArray
    """Log error of the full set in each draw, shape (n_draws,)."""

    def reached(self, tolerances: FloatArray) -> FloatArray:
        """Find where it comes down to (1 + tolerance) × the error of the full set.

        Parameters
        ----------
        tolerances
            Relative, shape (n,).

        Returns
        -------
        FloatArray
            Log fraction, and both ends of its 95 % interval, shape (3, n): −inf is below the study's
            fractions, NaN is not known.
        """
        found = np.full((3, len(tolerances)), np.nan)
        allowed = np.maximum(np.log1p(tolerances), ROUNDING)
        if len(self.fit):
            found[0] = inverse(self.curve.log_fractions, self.fit, self.full[:, None] + allowed)[0]
        if len(self.draws):
            again = inverse(self.curve.log_fractions, self.draws, self.drawn_full[:, None] + allowed)
            found[1:] = ends(again, again)
        return found


def drawn_curves(
    results: pd.DataFrame,
    metric: str,
    *,
    split: str = "test",
    tests: Mapping[str, TestErrors] | None = None,
    seed: int = 0,
) -> list[Drawn]:
    """Fit one non-increasing curve of log error against log fraction to each way's and model's means.

    Parameters
    ----------
    results
        The long results table; curves without the full set are left out.
    metric
        One of `crossprune.harness.evaluation.metrics.METRICS`.
    split
        ``test`` or ``ood``.
    tests
        Data set → errors per test configuration of all fits, the full set's too; without them draws
        are over seeds only.
    seed
        Seed of the draws.

    Raises
    ------
    ValueError
        If ``tests`` lack a fit.
    """
    names: dict[str, list[Curve]] = {}
    for curve in _curves(results, metric, split):
        names.setdefault(curve.way[0], []).append(curve)
    return [
        one
        for dataset, curves in names.items()
        for one in _drawn(curves, None if tests is None else tests.get(dataset), seed)
    ]


def _curves(results: pd.DataFrame, metric: str, split: str) -> Iterator[Curve]:
    """Gather the curves that end at the full set, by way and model."""
    table = labelled(clipped(results))
    if "fit_key" not in table.columns:
        table = table.assign(fit_key="")
    table = table.assign(**{name: np.nan for name in SIZES if name not in table.columns})
    done = (table["status"] == "done") & (table["split"] == split) & (table["group"] == ALL)
    cells = table[done & (table[metric] > 0)].sort_values([*WAY, "seed", "fraction"])
    names, number = cells[WAY].to_numpy(dtype=object), cells.groupby(WAY, sort=True).ngroup()
    kept, errors = (cells[name].to_numpy(dtype=np.float64) for name in ("fraction", metric))
    all_seeds, fits = cells["seed"].to_numpy(dtype=np.int64), cells["fit_key"].to_numpy(dtype=object)
    all_sizes = cells[list(SIZES)].to_numpy(dtype=np.float64).T
    for mine in np.split(np.arange(len(cells)), np.flatnonzero(np.diff(number)) + 1):
        fractions, column = np.unique(kept[mine], return_inverse=True)
        if len(fractions) < 2 or not math.isclose(fractions[-1], 1.0):
            continue
        seeds, row = np.unique(all_seeds[mine], return_inverse=True)
        logs = np.full((len(seeds), len(fractions)), np.nan)
        keys = np.full(logs.shape, "", dtype=object)
        sizes = np.full((len(SIZES), *logs.shape), np.nan)
        logs[row, column], keys[row, column] = np.log(errors[mine]), fits[mine]
        sizes[:, row, column] = all_sizes[:, mine]
        whole = np.isfinite(logs).all(axis=1)
        way = tuple(map(str, names[mine[0]]))
        mean = sizes[:, whole].mean(axis=1) if whole.any() else sizes[:, 0] * np.nan
        n_lost = int((~whole).sum())
        yield Curve(way, np.log(fractions), seeds[whole], logs[whole], keys[whole], mean, n_lost)


def _drawn(curves: Sequence[Curve], tests: TestErrors | None, seed: int) -> Iterator[Drawn]:
    """Fit the curves of one data set, and draw them again: all with the same seeds and configurations."""
    rng = np.random.default_rng(seed)
    n_draws = N_RESAMPLES
    seeds = np.unique(np.concatenate([curve.seeds for curve in curves]))
    normals, quantiles = rng.normal(size=(n_draws, len(seeds))), rng.uniform(size=n_draws)
    moved = None if tests is None else np.split(_test_moves(curves, tests, seed), _starts(curves)[1:-1])
    for index, curve in enumerate(curves):
        none = np.zeros((0, len(curve.log_fractions)))
        if not len(curve.seeds):
            yield Drawn(curve, none, none[:, -1], none, none[:, -1])
            continue
        mean, draws = curve.log_errors.mean(axis=0), none
        if len(curve.seeds) > 1:
            mine = np.searchsorted(seeds, curve.seeds)
            draws = mean + seed_moves(curve.log_errors, normals[:, mine], quantiles)
            draws = draws if moved is None else draws + moved[index].T
        if len(draws) and np.ptp(draws, axis=0).max() < NO_SPREAD:
            draws = none
        again = monotone(draws) if len(draws) else draws
        yield Drawn(curve, monotone(mean[None]), mean[-1:], again, draws[:, -1])


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
