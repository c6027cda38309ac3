"""How much data is good enough, for each error above the full set's that somebody accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.efficiency.drawn import SIZES, WAY, Curve, Drawn
from crossprune.harness.contract import FloatArray

LADDER = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""Relative errors above the full set's that somebody may accept."""
NUMBERS = ["tolerance", "fraction", "low", "high"]
COLUMNS = [*WAY, *NUMBERS, *SIZES, "n_labels_low", "n_labels_high", "n_seeds"]


def enough(curves: Sequence[Drawn], tolerances: Sequence[float] = LADDER) -> pd.DataFrame:
    """Find the smallest fraction that does, for a ladder of tolerances, and what it costs.

    Parameters
    ----------
    curves
        Of `crossprune.harness.analysis.efficiency.drawn.drawn_curves`: one set of draws serves all
        tolerances, so that a fraction never grows with what is accepted.
    tolerances
        Relative: error at most (1 + tolerance) × that of the full set.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`; ``fraction`` with the ends of its 95 % interval as in
        `crossprune.harness.analysis.efficiency.saving.data_efficiency`; ``n_configurations`` and
        ``n_labels`` that the way takes at ``fraction`` and ``n_labels`` at both ends, between the study's
        fractions on straight lines. −inf: the study's smallest fraction is more than enough.
    """
    parts = list(_rows(curves, np.asarray(tolerances, dtype=np.float64)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _rows(curves: Sequence[Drawn], tolerances: FloatArray) -> Iterator[pd.DataFrame]:
    for one in curves:
        found = _plain(one.reached(tolerances))
        configurations, labels = (_cost(one.curve, row, found) for row in range(len(SIZES)))
        yield pd.DataFrame(
            {
                **dict(zip(WAY, one.curve.way, strict=True)),
                "tolerance": tolerances,
                **dict(zip(NUMBERS[1:], found, strict=True)),
                SIZES[0]: configurations[0],
                SIZES[1]: labels[0],
                "n_labels_low": labels[1],
                "n_labels_high": labels[2],
                "n_seeds": len(one.curve.seeds),
            }
        )


def _plain(logs: FloatArray) -> FloatArray:
    """Return the numbers of logarithms; ±inf, which is beyond the study's range, stays."""
    return np.where(np.isfinite(logs), np.exp(logs), logs)


def _cost(curve: Curve, row: int, fractions: FloatArray) -> FloatArray:
    """Return what a way takes of `SIZES` at fractions between the study's; what is censored stays."""
    taken = np.interp(fractions, np.exp(curve.log_fractions), curve.sizes[row])
    return np.where(np.isfinite(fractions), taken, fractions)
