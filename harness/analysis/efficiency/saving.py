"""How much data a way of choosing needs for the full set's error, and how much more random needs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import budget_of, is_random
from crossprune.harness.analysis.efficiency.curves import ends, log_saving
from crossprune.harness.analysis.efficiency.drawn import WAY, Curve, Drawn
from crossprune.harness.selection.methods import RANDOM

TOLERANCE = 0.05
"""A selection is as good as the full set once its error is at most this much larger."""
NUMBERS = ["fraction", "low", "high", "data_ratio", "data_ratio_low", "data_ratio_high"]
COLUMNS = [*WAY, *NUMBERS, "n_seeds", "remark"]


def data_efficiency(curves: Sequence[Drawn], tolerance: float = TOLERANCE) -> pd.DataFrame:
    """Find the fraction that does for the full set, and how much more data random needs.

    The target is (1 + ``tolerance``) × the error of the full set.

    Parameters
    ----------
    curves
        Of `crossprune.harness.analysis.efficiency.drawn.drawn_curves`.
    tolerance
        Relative.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: ``fraction``, and ``data_ratio``: how many times as much data random needs for the
        errors that the way reaches, geometric mean over the errors above the target that both curves
        pass through. Each with the ends of its interval. −inf is below, inf above what the study's
        fractions can tell; NaN is not known. The remark says why.
    """
    bases = {_base(one.curve): one for one in curves if _is_random(one.curve)}
    rows = []
    for one in curves:
        base = None if _is_random(one.curve) else bases.get(_base(one.curve))
        rows.append((*one.curve.way, *_row(one, base, tolerance)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _is_random(curve: Curve) -> bool:
    return curve.way[2] == RANDOM and is_random(curve.way[3])


def _base(curve: Curve) -> tuple[str, str, str]:
    """Return data set, model and budget, which a curve shares with its base line."""
    return curve.way[0], curve.way[1], budget_of(curve.way[3])


def _row(drawn: Drawn, base: Drawn | None, tolerance: float) -> tuple[float | int | str, ...]:
    """Return `NUMBERS`, the seeds and the remark of one curve."""
    curve, remarks = drawn.curve, []
    n_seeds = len(curve.seeds)
    if curve.n_lost:
        remarks.append(f"{curve.n_lost} of {curve.n_lost + n_seeds} seeds lost a cell and are left out")
    if not n_seeds:
        return (*[math.nan] * len(NUMBERS), 0, "; ".join(remarks))
    if not len(drawn.draws):
        remarks.append("one seed: no interval" if n_seeds == 1 else "seeds do not differ: no interval")
    numbers = [plain(one) for one in drawn.reached(np.array([tolerance]))[:, 0].tolist()]
    remarks += _censored(numbers, math.exp(curve.log_fractions[0]))
    ratios, words = _ratio(drawn, base, math.log1p(tolerance))
    return (*numbers, *ratios, n_seeds, "; ".join([*remarks, *words]))


def plain(log: float) -> float:
    """Return the number of a logarithm; ±inf, which is beyond the study's range, stays."""
    return math.exp(log) if math.isfinite(log) else log


def _censored(numbers: Sequence[float], smallest: float) -> list[str]:
    """Say which of a fraction and its ends lie at or below the smallest fraction of the study."""
    ends = ("fraction", "low of fraction", "high of fraction")
    names = [name for name, one in zip(ends, numbers, strict=True) if one == -math.inf]
    return [f"{', '.join(names)} ≤ {smallest:g}, the smallest"] if names else []


def _ratio(drawn: Drawn, base: Drawn | None, allowed: float) -> tuple[list[float], list[str]]:
    """Return the ratio of data of random over the way's with its ends, and remarks."""
    if base is None or not len(base.fit):
        return [math.nan] * 3, []
    both = (drawn.curve.log_fractions, base.curve.log_fractions)
    least, most = log_saving(both, (drawn.fit, base.fit), np.maximum(drawn.full, base.full) + allowed)
    low = high = math.nan
    if len(drawn.draws) and len(base.draws):
        floors = np.maximum(drawn.drawn_full, base.drawn_full) + allowed
        low, high = map(float, ends(*log_saving(both, (drawn.draws, base.draws), floors)))
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
    return [plain(one) for one in (centre, low, high)], remarks
