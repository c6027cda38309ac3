"""Softness of predicted forces in numbers: pooled, over configurations, and what may be claimed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import DataError
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.softening.intervals import (
    FEWEST,
    N_RESAMPLES,
    median_interval,
    n_effective,
    pooled_interval,
)
from crossprune.harness.evaluation.softening.slopes import Forces, r2, scale, slope, sums_of, tells, theil_sen
from numpy.typing import NDArray

MOST_HARD = 10.0
"""Above it, how much too large predicted forces are at most is not said: noise decides."""
SOFT, HARD, NEITHER = "soft", "hard", "neither"
"""Verdicts."""
ABOVE = 1.0 + 1e-6
"""What is called above 1: forces are written to 8 digits, and codes differ by 1e-7 in their units."""


@dataclass(frozen=True)
class Summary:
    """Softness over a group of configurations; intervals, ``_low`` to ``_high``, are NaN for too few."""

    group: str
    """``all`` over all groups."""
    n_configurations: int
    """With an atom in the window, if there is one."""
    n_slopes: int
    """Whose reference forces tell a slope: they are not zero by symmetry."""
    n_atoms: int
    verdict: str
    """``soft``, ``hard`` or ``neither``."""
    said: str
    """The verdict in words, with its reason."""
    median_scale: float
    """Median over configurations of c = Σ F·f / Σ f²; the claim of softness rests on it."""
    median_scale_low: float
    median_scale_high: float
    median_slope: float
    """Median over configurations of the least-squares slope s, with intercept; hardness rests on it."""
    median_slope_low: float
    median_slope_high: float
    theil_sen: float
    """Median over configurations of Theil and Sen's slope."""
    theil_sen_low: float
    theil_sen_high: float
    pooled_slope: float
    """Least-squares slope, with intercept, of all predicted on all reference components."""
    pooled_slope_low: float
    pooled_slope_high: float
    scale: float
    """c of all forces: the factor on predictions that minimises their squared error."""
    scale_low: float
    scale_high: float
    n_effective: float
    """As how many configurations of equal weight the pooled c counts."""
    r2: float
    """Squared correlation of all components."""
    mae: float
    """Mean absolute error of a component, eV/Å."""
    mae_corrected: float
    """The same of predictions over ``pooled_slope``."""
    mae_scaled: float
    """The same of predictions times ``scale``."""
    share_below_one: float
    """Share of configurations with s < 1."""
    share_above_one: float
    """Share of configurations with c > 1."""
    scale_by_prediction: float = math.nan
    """``median_scale`` of the configurations whose predicted forces scatter, whatever the reference does;
    with a window, of the atoms whose predicted force is in it."""
    scale_by_prediction_low: float = math.nan
    scale_by_prediction_high: float = math.nan
    slope_by_prediction: float = math.nan
    """With a window: ``median_slope`` of the atoms whose predicted force is in it."""
    slope_by_prediction_low: float = math.nan
    slope_by_prediction_high: float = math.nan


@dataclass(frozen=True, eq=False)
class Softness:
    """What forces say of softness."""

    summaries: Sequence[Summary]
    """Over all configurations, then over each group, sorted."""
    slopes: FloatArray
    """s of each configuration, shape (n_configurations,); NaN where there is none, as below."""
    scales: FloatArray
    """c of each configuration."""
    theil_sen: FloatArray
    """Theil and Sen's slope of each configuration."""
    n_atoms: IntArray
    """Atoms of each configuration, in the window."""


def softness(
    forces: Forces,
    groups: Sequence[str],
    *,
    window: tuple[float, float] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    with_theil_sen: bool = True,
) -> Softness:
    """Say whether predicted forces are too small (soft) or too large (hard), over all and by group.

    Parameters
    ----------
    forces
        Finite.
    groups
        Of each configuration.
    window
        eV/Å: atoms count whose reference force is from the first to below the second.
    n_resamples, seed
        Of the intervals; configurations are resampled whole. A line's draws do not depend on other lines.
    with_theil_sen
        Whether Theil and Sen's slopes are computed, which take longest; NaN otherwise.

    Raises
    ------
    DataError
        If the window is empty, reference or predicted forces are constant, or too few configurations tell a
        slope.
    """
    inside = forces if window is None else forces.within(*window)
    sums = sums_of(inside)
    has_slope = tells(sums)
    _check(forces, inside, sums, has_slope, window)
    with_nan = np.where(has_slope, 1.0, np.nan)
    robust = theil_sen(inside, has_slope & with_theil_sen)
    known = _Known(inside, sums, slope(sums) * with_nan, scale(sums) * with_nan, robust)
    there = sums if window is None else sums_of(forces.within(*window, by_prediction=True))
    others = {"scale_by_prediction": np.where(tells(there, by_prediction=True), scale(there), np.nan)}
    if window is not None:
        others["slope_by_prediction"] = np.where(tells(there), slope(there), np.nan)
    names = np.asarray(groups)
    summaries = []
    for name in (ALL, *np.unique(names).tolist()):
        mine = np.full(len(names), True) if name == ALL else names == name
        if sums[mine, 0].any():
            by_prediction = {label: one[mine] for label, one in others.items()}
            summaries.append(_summary(name, known.of(mine), by_prediction, n_resamples, seed))
    return Softness(summaries, known.slopes, known.scales, known.theil_sen, inside.sizes)


@dataclass(frozen=True, eq=False)
class _Known:
    """Forces of configurations, their sums, and the slopes of each."""

    forces: Forces
    sums: FloatArray
    slopes: FloatArray
    scales: FloatArray
    theil_sen: FloatArray

    def of(self, chosen: NDArray[np.bool_]) -> _Known:
        arrays = (one[chosen] for one in (self.sums, self.slopes, self.scales, self.theil_sen))
        return _Known(self.forces.of(chosen), *arrays)


def _check(
    forces: Forces,
    inside: Forces,
    sums: FloatArray,
    has_slope: NDArray[np.bool_],
    window: tuple[float, float] | None,
) -> None:
    """Refuse forces that tell nothing."""
    where = "" if window is None else f" from {window[0]:g} to {window[1]:g} eV/Å"
    if not len(inside.reference):
        norms = np.linalg.norm(forces.reference, axis=1)
        raise DataError(
            f"no atom has a reference force{where}: they are from {norms.min():.3g} to {norms.max():.3g} "
            "eV/Å; give a wider --force-window"
        )
    n_there = int((sums[:, 0] > 0).sum())
    if not has_slope.any():
        raise DataError(
            f"the reference forces{where} of all {n_there} configurations are constant, such as zero by "
            "symmetry, so there is no slope: give configurations away from equilibrium"
        )
    if has_slope.sum() < FEWEST:
        raise DataError(
            f"{has_slope.sum()} of {n_there} configurations have reference forces{where} that tell a slope; "
            f"an interval over configurations needs {FEWEST} at least"
        )
    if not inside.predicted.any():
        raise DataError(f"all predicted forces{where} are zero, so no factor on them can be fitted")


def _summary(
    name: str, known: _Known, by_prediction: Mapping[str, FloatArray], n_resamples: int, seed: int
) -> Summary:
    """Summarise a group of configurations."""
    sums = known.sums[known.sums[:, 0] > 0]
    total = sums.sum(axis=0)
    F, f = known.forces.reference, known.forces.predicted
    pooled, factor = _defined(slope(total), tells(total)), float(scale(total))
    values = {"median_scale": known.scales, "median_slope": known.slopes, "theil_sen": known.theil_sen}
    values |= by_prediction
    medians: dict[str, float] = {}
    for label, one in values.items():
        there = _known_of(one)
        low, high = median_interval(there, n_resamples, seed)
        middle = float(np.median(there)) if len(there) else math.nan
        medians |= {label: middle, f"{label}_low": low, f"{label}_high": high}
    slopes, scales = _known_of(known.slopes), _known_of(known.scales)
    slope_low, slope_high = pooled_interval(sums, slope, sums[:, 3], n_resamples, seed)
    scale_low, scale_high = pooled_interval(sums, scale, sums[:, 5], n_resamples, seed)
    verdict = _verdict(medians)
    return Summary(
        group=name,
        n_configurations=len(sums),
        n_slopes=len(slopes),
        n_atoms=len(F),
        verdict=verdict,
        said=_said(verdict, medians, len(slopes)),
        pooled_slope=pooled,
        pooled_slope_low=slope_low,
        pooled_slope_high=slope_high,
        scale=factor,
        scale_low=scale_low,
        scale_high=scale_high,
        n_effective=n_effective(sums[:, 5]),
        r2=_defined(r2(total), tells(total)),
        mae=float(np.abs(f - F).mean()),
        mae_corrected=float(np.abs(f / pooled - F).mean()) if pooled else math.nan,
        mae_scaled=float(np.abs(factor * f - F).mean()) if math.isfinite(factor) else math.nan,
        share_below_one=float((slopes < 1).mean()) if len(slopes) else math.nan,
        share_above_one=float((scales > 1).mean()) if len(scales) else math.nan,
        **medians,
    )


def _least(medians: dict[str, float], name: str) -> float:
    """Return a median over configurations, the lower of both if references and predictions choose them."""
    both = (medians[f"median_{name}"], medians.get(f"{name}_by_prediction", math.nan))
    return min(one for one in both if not math.isnan(one))


def _by(least: float, most: float, largest: float) -> str:
    """Say between which two a share lies, if that is what they are: noise may turn medians round."""
    if not 0 < least <= most:
        return ""
    low, high = (
        f"{100 * one:.2g}" if one < 0.995 else f"{100 * one:.0f}" for one in (least, min(most, largest))
    )
    return f" by {low} to {high} %" if most <= largest else f" by {low} % at least"


def _known_of(values: FloatArray) -> FloatArray:
    return values[~np.isnan(values)]


def _defined(value: FloatArray, is_known: NDArray[np.bool_]) -> float:
    return float(value) if is_known else math.nan


def _verdict(medians: dict[str, float]) -> str:
    """Judge by the medians over configurations chosen by either force, see docs/softening.md."""
    if _lowest(medians, "scale") > ABOVE:
        return SOFT
    return HARD if _lowest(medians, "slope") > ABOVE else NEITHER


def _lowest(medians: dict[str, float], name: str) -> float:
    """Return the low end of an interval, the lower of both if there are two; NaN if one is not known."""
    ends = [medians[f"median_{name}_low"]]
    if f"{name}_by_prediction_low" in medians:
        ends.append(medians[f"{name}_by_prediction_low"])
    return math.nan if any(map(math.isnan, ends)) else min(ends)


def _said(verdict: str, medians: dict[str, float], n: int) -> str:
    """Say why a verdict is what it is."""
    if n < FEWEST:
        return f"too few: {n} configurations with a slope, {FEWEST} are needed"
    c, s = (_least(medians, name) for name in ("scale", "slope"))
    if verdict == SOFT:
        by = _by(1 - 1 / c, 1 - medians["median_slope"], 1.0)
        return f"soft: predicted forces are too small{by}, c > 1"
    if verdict == HARD:
        factor = medians["median_scale"]
        by = _by(s - 1, 1 / factor - 1 if factor else math.inf, MOST_HARD)
        return f"hard: predicted forces are too large{by}, s > 1"
    if medians["median_scale_low"] > ABOVE or medians["median_slope_low"] > ABOVE:
        return "neither: beyond 1 only where reference forces choose, which chooses errors with them"
    if medians["median_slope_high"] < 0.0:
        return "neither: s < 0, predictions point against the reference; one of both may be a gradient"
    if medians["median_slope_low"] <= 0.0:
        return (
            "neither: s may be 0, so that predictions tell nothing; see that the order of atoms is the same"
        )
    if medians["median_slope_high"] < 1.0:
        return "neither: s < 1, which noise explains; that a factor would help is not shown, c is not above 1"
    return "neither: s is 1 within its interval, and c is not above 1"
