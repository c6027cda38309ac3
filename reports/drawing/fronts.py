"""What an error costs: test error against labels and against fit time, with the Pareto front."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray
from crossprune.reports.drawing.figures import (
    GREY,
    MARKERS,
    OKABE_ITO,
    Figure,
    height_with_legend,
    layout,
    log_ticks,
)
from crossprune.reports.tables import CELL, RANDOM, Metric
from crossprune.reports.wording import chooser_name

BY = ["dataset", "fraction", "chooser", "method", "model"]
WAY = ["chooser", "method", "fraction"]
COSTS = {"n_labels": "labels kept", "fit_s": "time of the fit (s)"}
"""What is paid, by column of `cell_costs`."""


def cell_costs(cells: pd.DataFrame) -> pd.DataFrame:
    """Summarise what the finished cells of a pair paid: mean labels, median time of the fit (s).

    Parameters
    ----------
    cells
        One row per cell, as `crossprune.reports.tables.cells`.
    """
    done = cells[cells["status"] == "done"].drop_duplicates(CELL)
    return done.groupby(BY).agg(n_labels=("n_labels", "mean"), fit_s=("fit_s", "median")).reset_index()


def pareto(costs: FloatArray, errors: FloatArray) -> list[int]:
    """Return the indices of the points that no other beats in both, by rising cost.

    Parameters
    ----------
    costs, errors
        Shape (n,), lower is better; points that are not finite are never on the front.
    """
    front, least = [], np.inf
    for index in np.lexsort((errors, costs)):
        if np.isfinite(costs[index]) and errors[index] < least:
            front.append(int(index))
            least = float(errors[index])
    return front


def front_figure(table: pd.DataFrame, metric: Metric, cost: str) -> Figure:
    """Draw every pair of chooser and model at every fraction, and the line that none is below.

    Parameters
    ----------
    table
        One data set's `crossprune.reports.tables.summary` joined with `cell_costs`.
    metric
        The metric shown.
    cost
        A key of `COSTS`.
    """
    known = table[(table["mean"] > 0) & (table[cost] > 0)]
    known = known.sort_values("chooser", key=lambda names: names == RANDOM, kind="stable", ignore_index=True)
    costs, errors = known[cost].to_numpy(float), known["mean"].to_numpy(float)
    front = pareto(costs, errors)
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": "Pareto front", "hoverinfo": "skip",
            "x": costs[front].tolist(), "y": errors[front].tolist(),
            "line": {"color": GREY, "width": 6, "shape": "hv"}, "opacity": 0.45,
        }
    ]  # fmt: skip
    told = np.array(_told(known), dtype=object)
    models, choosers = known["model"].to_numpy(dtype=object), known["chooser"].to_numpy(dtype=object)
    for number, model in enumerate(sorted(set(models))):
        mine = models == model
        colour = OKABE_ITO[number % len(OKABE_ITO)]
        symbol = MARKERS[number % len(MARKERS)]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": escape(model, quote=False),
                "x": costs[mine].tolist(), "y": errors[mine].tolist(), "text": told[mine].tolist(),
                "marker": {
                    "color": colour, "size": 7,
                    "symbol": [symbol + ("-open" if one == RANDOM else "") for one in choosers[mine]],
                },
                "hovertemplate": f"%{{text}}<br>%{{y:.3g}} {metric.unit}<br>%{{x:.3g}} {COSTS[cost]}",
            }
        )  # fmt: skip
    drawn = layout(f"{metric.label} ({metric.unit}) by {COSTS[cost]}", height=height_with_legend(len(traces)))
    drawn |= {"showlegend": True, "legend": {"orientation": "h", "y": -0.24, "x": 0}}
    for name, values in (("xaxis", known[cost]), ("yaxis", known["mean"])):
        ticks = log_ticks(values)
        drawn[name] = {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}
    drawn["xaxis"] |= {"title": {"text": COSTS[cost], "standoff": 8}}
    return {"data": traces, "layout": drawn}


def _told(table: pd.DataFrame) -> list[str]:
    """Name each point: who chose, and which share."""
    return [
        escape(f"{chooser_name(chooser, method)}, {100 * fraction:g} %", quote=False)
        for chooser, method, fraction in zip(*(table[name] for name in WAY), strict=True)
    ]
