"""Data efficiency: the fraction at which a selection is as good as the full set."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.statistics import CONFIDENCE
from crossprune.harness.contract import FloatArray
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from scipy import stats

TOLERANCE = 0.05
"""A selection is as good as the full set once its error is at most this much larger."""
WAY = ["dataset", "model", "chooser", "method"]
COLUMNS = [
    *WAY,
    "fraction",
    "low",
    "high",
    "n_seeds",
    "n_censored",
    "remark",
]


def crossing(fractions: FloatArray, errors: FloatArray, target: float) -> float:
    """Return the fraction from which on the learning curve stays at or below ``target``.

    Straight lines between the points of log error against log fraction. The smallest fraction if the
    curve is never above, NaN if it ends above.
    """
    above = np.flatnonzero(errors > target)
    if len(above) == 0:
        return float(fractions[0])
    last = int(above[-1])
    if last == len(errors) - 1:
        return math.nan
    logs = np.log(errors[last : last + 2] / target)
    share = logs[0] / (logs[0] - logs[1])
    return float(np.exp(np.log(fractions[last]) * (1 - share) + np.log(fractions[last + 1]) * share))


def data_efficiency(
    results: pd.DataFrame, metric: str, *, split: str = "test", tolerance: float = TOLERANCE
) -> pd.DataFrame:
    """Find, per way of choosing and model, the fraction that does for the full set.

    Parameters
    ----------
    results
        The long results table; curves without the full set are left out.
    metric
        One of `crossprune.harness.evaluation.metrics.METRICS`.
    split
        ``test`` or ``ood``.
    tolerance
        Relative: the target is (1 + tolerance) × the error of the full set.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: ``fraction`` is the geometric mean over seeds, ``low`` to ``high`` its interval by
        Student's t on logarithms, cut at 1 and at the smallest fraction of the study, NaN for one
        seed. ``n_censored`` seeds lie at or below that smallest fraction; the remark says so.
    """
    table = labelled(clipped(results))
    done = (table["status"] == "done") & (table["split"] == split) & (table["group"] == ALL)
    curves = table[done].dropna(subset=[metric]).sort_values([*WAY, "seed", "fraction"])
    names, number = curves[WAY].to_numpy(dtype=object), curves.groupby(WAY, sort=True).ngroup()
    seeds, kept, errors = (curves[name].to_numpy(dtype=np.float64) for name in ("seed", "fraction", metric))
    rows = []
    for mine in np.split(np.arange(len(curves)), np.flatnonzero(np.diff(number)) + 1):
        found, smallest = [], 1.0
        for one in np.split(mine, np.flatnonzero(np.diff(seeds[mine])) + 1):
            if len(one) < 2 or not math.isclose(kept[one[-1]], 1.0) or errors[one].min() <= 0:
                continue
            smallest = float(kept[one[0]])
            found.append(crossing(kept[one], errors[one], errors[one[-1]] * (1 + tolerance)))
        if found:
            rows.append((*names[mine[0]], *_summary(np.log(found), smallest)))
    return pd.DataFrame(rows, columns=COLUMNS)


def _summary(logs: FloatArray, smallest: float) -> tuple[float, float, float, int, int, str]:
    """Average log fractions over seeds."""
    censored = int((logs <= math.log(smallest) + 1e-9).sum())
    low = high = math.nan
    if len(logs) > 1:
        half = stats.t.isf((1 - CONFIDENCE) / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs))
        low, high = np.clip(np.exp([logs.mean() - half, logs.mean() + half]), smallest, 1.0)
    remark = "" if not censored else f"{censored} of {len(logs)} seeds are there at the smallest fraction"
    return float(np.exp(logs.mean())), float(low), float(high), len(logs), censored, remark
