"""Slopes of predicted on reference excess energies, within groups and between them: arrays in, numbers out.

An excess energy is an energy per atom less what the composition explains by least squares over the frames at
hand, of reference and prediction alike, so that no elemental reference and no functional's zero enters. What
is left of one element is surface, defect, strain and phase; of an alloy also mixing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.frames import beyond_composition
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.softening.intervals import (
    FEWEST,
    N_RESAMPLES,
    ends_of,
    n_effective,
    resampled_sums,
)
from crossprune.harness.evaluation.softening.summary import ABOVE, HARD, NEITHER, SOFT
from numpy.typing import NDArray

SMALLEST = 1e-3
"""eV/atom: what energies of density-functional theory are converged to in practice (ours). Excess energies
that scatter less tell no slope."""
CONSTANT = 1e-16
"""Squared predictions over squared references below which predictions are the composition's and rounding."""
N_SAMPLED = 400
"""Configurations that Theil and Sen's slope looks at: 8e4 pairs, a millisecond or two."""
NaN = math.nan


@dataclass(frozen=True, eq=False)
class Energies:
    """Reference and predicted energies of configurations."""

    reference: FloatArray
    """Of whole configurations, eV, shape (n_configurations,)."""
    predicted: FloatArray
    """eV, shape (n_configurations,)."""
    counts: FloatArray
    """Atoms of each element, shape (n_configurations, n_elements)."""


@dataclass(frozen=True)
class Excess:
    """Excess energies of a group; intervals, ``_low`` to ``_high``, and what is not known are NaN."""

    group: str
    """``all`` over all groups."""
    n_configurations: int
    verdict: str = NEITHER
    """``soft``: c > 1 with its interval; ``hard``: s > 1 with its; ``neither``."""
    said: str = ""
    """The verdict in words, or why there are no numbers."""
    scatter_mev_per_atom: float = NaN
    """Standard deviation of the reference's excess energies, compositions accounted for."""
    slope: float = NaN
    """s = Σ e·E / Σ E² of predicted (e) on reference (E) excess energies."""
    slope_low: float = NaN
    slope_high: float = NaN
    scale: float = NaN
    """c = Σ e·E / Σ e²: the factor on predicted excess energies that minimises their squared error."""
    scale_low: float = NaN
    scale_high: float = NaN
    theil_sen: float = NaN
    """Median slope over all pairs of configurations."""
    r2: float = NaN
    """Squared correlation, s·c."""
    n_effective: float = NaN
    """As how many configurations of equal weight c counts."""
    above_mev_per_atom: float = NaN
    """Mean of the reference's excess energies, less that of the lowest group."""
    above_ratio: float = NaN
    """The same difference as predicted, over it."""
    above_ratio_low: float = NaN
    above_ratio_high: float = NaN
    lowest: str = ""
    """Over all: the group of lowest mean, which differences are taken from; empty if there are none."""
    n_groups: int = 0
    """Over all: groups that lie above it by more than `SMALLEST`."""
    between_slope: float = NaN
    """Over all: s of these differences."""
    between_slope_low: float = NaN
    between_slope_high: float = NaN
    between_scale: float = NaN
    """Over all: c of these differences."""
    between_scale_low: float = NaN
    between_scale_high: float = NaN


def excess(
    energies: Energies, groups: Sequence[str], *, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> list[Excess]:
    """Compare predicted with reference excess energies, over all and in each group, and between groups.

    Parameters
    ----------
    energies
        Finite.
    groups
        Of each configuration.
    n_resamples, seed
        Of the intervals; configurations are resampled, between groups within each of them.

    Returns
    -------
    list
        Over all configurations, then each group, sorted.
    """
    names = np.asarray(groups)
    between = _between(energies, names, n_resamples, seed)
    found = []
    for name in (ALL, *np.unique(names).tolist()):
        mine = np.full(len(names), True) if name == ALL else names == name
        of_group = Energies(energies.reference[mine], energies.predicted[mine], energies.counts[mine])
        within = _within(of_group, n_resamples, seed)
        found.append(Excess(group=name, n_configurations=int(mine.sum()), **within, **between.get(name, {})))
    return found


def projected(sums: FloatArray) -> FloatArray:
    """Return ΣE², ΣEe and Σe² of what composition leaves of reference (E) and predicted (e) energies.

    The composition's part is that of least squares of E and e on the shares x of elements (Frisch and Waugh
    1933, doi:10.2307/1907330): ΣEe − (ΣxE)ᵀ (Σxxᵀ)⁺ (Σxe), and so on.

    Parameters
    ----------
    sums
        Of `sums_of`, shape (…, k² + 2k + 3) for k elements; the result has shape (…, 3).
    """
    k = math.isqrt(sums.shape[-1] - 2) - 1
    moments, sides, squares = np.split(sums, [k * k, k * k + 2 * k], axis=-1)
    moments = moments.reshape(*sums.shape[:-1], k, k)
    sides = sides.reshape(*sums.shape[:-1], 2, k)
    inverse = 1.0 / moments if k == 1 else np.linalg.pinv(moments, rcond=1e-10, hermitian=True)
    explained = sides @ inverse @ np.swapaxes(sides, -1, -2)
    found: FloatArray = squares - explained[..., [0, 0, 1], [0, 1, 1]]
    return found


def sums_of(reference: FloatArray, predicted: FloatArray, shares: FloatArray) -> FloatArray:
    """Return what each configuration adds to the sums of `projected`.

    Parameters
    ----------
    reference, predicted
        Per atom, best with the composition's part taken off, so that nothing cancels: eV/atom, shape (n,).
    shares
        Of elements, shape (n, k); the result has shape (n, k² + 2k + 3).
    """
    n, k = shares.shape
    products = (shares[:, :, None] * shares[:, None, :]).reshape(n, k * k)
    sides = np.concatenate([shares * reference[:, None], shares * predicted[:, None]], axis=1)
    squares = np.stack([reference**2, reference * predicted, predicted**2], axis=1)
    return np.concatenate([products, sides, squares], axis=1)


def _within(energies: Energies, n_resamples: int, seed: int) -> dict[str, Any]:
    """Compare excess energies of one group."""
    shares = energies.counts / energies.counts.sum(axis=1, keepdims=True)
    shares = shares[:, shares.any(axis=0)]
    rank, n = int(np.linalg.matrix_rank(shares, tol=1e-6)), len(shares)
    if n < FEWEST + rank - 1:
        of = "" if rank == 1 else f" for {rank} independent compositions"
        return {"said": f"too few: {n} configurations, {FEWEST + rank - 1} are needed{of}"}
    E, e = (beyond_composition(one, energies.counts) for one in (energies.reference, energies.predicted))
    sums = sums_of(E, e, shares)
    EE, Ee, ee = projected(sums.sum(axis=0))
    scatter = math.sqrt(max(EE, 0.0) / (n - rank))
    known: dict[str, Any] = {"scatter_mev_per_atom": 1e3 * scatter}
    if scatter < SMALLEST:
        words = f"reference excess energies scatter by {1e3 * scatter:.2g} meV/atom"
        return {**known, "said": f"{words}; a slope needs {1e3 * SMALLEST:g}"}
    if ee < CONSTANT * EE:
        return {**known, "slope": 0.0, "said": "predicted energies do not scatter: composition gives them"}
    drawn = np.concatenate([_slopes(projected(one)) for one in resampled_sums(sums, n_resamples, seed)])
    lost, counts_as = rank - 1, n_effective(e**2)
    slope_low, slope_high = ends_of(drawn[:, 0], n_effective(E**2) - lost)
    scale_low, scale_high = ends_of(drawn[:, 1], counts_as - lost)
    slope, scale = _slopes(np.array([EE, Ee, ee]))
    ends = {"slope_low": slope_low, "slope_high": slope_high}
    ends |= {"scale_low": scale_low, "scale_high": scale_high}
    verdict = SOFT if scale_low > ABOVE else HARD if slope_low > ABOVE else NEITHER
    known |= {"slope": float(slope), "scale": float(scale), **ends, "n_effective": counts_as}
    known |= {"theil_sen": _theil_sen(E, e), "r2": float(min(slope * scale, 1.0))}
    return {**known, "verdict": verdict, "said": _said(verdict, ends)}


def _slopes(sums: FloatArray) -> FloatArray:
    """Return s and c, shape (…, 2), of what `projected` gives; NaN where nothing is left."""
    EE, Ee, ee = np.moveaxis(sums, -1, 0)
    pairs = [np.divide(Ee, one, out=np.full_like(Ee, np.nan), where=one > 0) for one in (EE, ee)]
    return np.stack(pairs, axis=-1)


def _theil_sen(E: FloatArray, e: FloatArray) -> float:
    """Return the median slope over all pairs of (some) configurations; see `slopes.theil_sen`."""
    if len(E) > N_SAMPLED:
        some = np.random.default_rng(0).choice(len(E), N_SAMPLED, replace=False)
        E, e = E[some], e[some]
    first, second = np.triu_indices(len(E), 1)
    run, rise = E[second] - E[first], e[second] - e[first]
    return float(np.median(rise[run != 0] / run[run != 0]))


def _said(verdict: str, ends: Mapping[str, float]) -> str:
    """Say why a verdict is what it is."""
    if verdict == SOFT:
        return "soft: predicted excess energies are too small, c > 1"
    if verdict == HARD:
        return "hard: predicted excess energies are too large, s > 1"
    if ends["slope_high"] < 1.0:
        return "neither: s < 1, which noise explains; c is not above 1"
    return "neither: s is 1 within its interval, and c is not above 1"


@dataclass(frozen=True, eq=False)
class _Means:
    """Means of excess energies of a group."""

    name: str
    n: int
    means: FloatArray
    """Of reference and prediction, eV/atom, shape (2,)."""
    drawn: FloatArray = field(repr=False)
    """The same of resamples, shape (n_resamples, 2)."""


def _between(
    energies: Energies, names: NDArray[np.str_], n_resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Compare the means of groups with that of the lowest; fields of `Excess` by group.

    Groups of fewer than `FEWEST` configurations have no interval, and are left out. Which group is the lowest
    is not resampled, nor what composition explains.
    """
    both = [beyond_composition(one, energies.counts) for one in (energies.reference, energies.predicted)]
    pairs = np.stack(both, axis=1)
    groups = []
    for place, name in enumerate(np.unique(names).tolist()):
        mine = pairs[names == name]
        if len(mine) >= FEWEST:
            drawn = np.concatenate(list(resampled_sums(mine, n_resamples, (seed, place + 1)))) / len(mine)
            groups.append(_Means(name, len(mine), mine.mean(axis=0), drawn))
    if len(groups) < 2:
        return {}
    lowest = min(groups, key=lambda one: float(one.means[0]))
    found: dict[str, dict[str, Any]] = {lowest.name: {"above_mev_per_atom": 0.0}}
    far = []
    for one in groups:
        above = one.means - lowest.means
        if one is lowest:
            continue
        found[one.name] = {"above_mev_per_atom": 1e3 * float(above[0])}
        if above[0] >= SMALLEST:
            far.append(one)
            drawn = one.drawn - lowest.drawn
            low, high = ends_of(_ratio(drawn[:, 1], drawn[:, 0]), min(one.n, lowest.n))
            ratio = {"above_ratio": float(above[1] / above[0])}
            found[one.name] |= {**ratio, "above_ratio_low": low, "above_ratio_high": high}
    found[ALL] = {"lowest": lowest.name, "n_groups": len(far)}
    if far:
        found[ALL] |= _slopes_between(far, lowest)
    return found


def _slopes_between(far: Sequence[_Means], lowest: _Means) -> dict[str, float]:
    """Return s and c of the differences of groups from the lowest, through the origin."""
    above = np.stack([one.means - lowest.means for one in far])
    drawn = np.stack([one.drawn - lowest.drawn for one in far], axis=1)
    counts = min(one.n for one in (*far, lowest))
    known: dict[str, float] = {}
    for place, name in enumerate(("slope", "scale")):
        values, resampled = (_through_origin(one, place) for one in (above, drawn))
        low, high = ends_of(np.atleast_1d(resampled), counts)
        known |= {f"between_{name}": float(values)}
        known |= {f"between_{name}_low": low, f"between_{name}_high": high}
    return known


def _through_origin(pairs: FloatArray, place: int) -> FloatArray:
    """Return Σ e·E over ΣE² (``place`` 0) or Σe² (1) of pairs (E, e), shape (…, n_groups, 2)."""
    product = (pairs[..., 0] * pairs[..., 1]).sum(axis=-1)
    return _ratio(product, np.square(pairs[..., place]).sum(axis=-1))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide, NaN by 0."""
    above, below = np.asarray(above), np.asarray(below)
    found: FloatArray = np.divide(above, below, out=np.full(below.shape, np.nan), where=below != 0)
    return found
