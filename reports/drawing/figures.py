"""Figures of a report: heat-maps chooser × model and learning curves, as plotly figures."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray
from crossprune.reports.tables import RANDOM, Metric
from crossprune.reports.wording import chooser_name

Figure = dict[str, Any]
"""Traces and layout as plotly's script reads them; plotly's own classes take 30 ms each to check them."""

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
"""Colours that people with any colour vision tell apart (Okabe & Ito 2008, jfly.uni-koeln.de/color)."""
GREY = "#808080"
"""Colour of random: readable on light and dark."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross")
DIVERGING = [[0.0, "#67A9CF"], [0.5, "#F7F7F7"], [1.0, "#EF8A62"]]
"""Blue below 1, white at 1, red above (ColorBrewer RdBu): light enough for dark text throughout."""
SEQUENTIAL = [[0.0, "#FFF7EC"], [1.0, "#FC9F5B"]]
"""Pale is the column's least error (after ColorBrewer OrRd): light enough for dark text."""
INK = "#111111"
"""Text on coloured cells, on light and dark pages alike."""
NO_LEVELS: Mapping[str, float] = {}
MIN_SPAN = float(np.log2(1.1))
"""Scales span at least 10 % (as log2), so that noise is not painted as an effect."""


def span_of(values: Sequence[FloatArray], *, ratio: bool) -> float:
    """Return the widest colour span (log2) among matrices, so that their heat-maps share one scale."""
    spans = [np.fmax.reduce(np.abs(_logs(one, ratio)), axis=None, initial=0.0) for one in values]
    return max([MIN_SPAN, *map(float, spans)])


def heat_map(
    values: FloatArray,
    ways: Sequence[tuple[str, str]],
    models: Sequence[str],
    metric: Metric,
    title: str,
    *,
    ratio: bool,
    span: float,
) -> Figure:
    """Draw the matrix chooser × model; a model's own chooser is framed.

    Parameters
    ----------
    values
        Errors (the metric's unit) or ratios to random, shape (n_ways, n_models).
    ways
        Chooser and method of each row.
    models
        The columns.
    metric
        The metric shown.
    title
        Title of the figure.
    ratio
        Whether the values are ratios to random: colours diverge from 1 and are symmetric in the
        logarithm. Otherwise colours follow the logarithm of the error over the column's least.
    span
        Where the colours end, as log2 of the ratio, from `span_of`.
    """
    logs = _logs(values, ratio).tolist()
    unit = "× random" if ratio else metric.unit
    trace = {
        "type": "heatmap",
        "x": [escape(name, quote=False) for name in models],
        "y": [row_label(*way) for way in ways],
        "z": [[None if math.isnan(one) else one for one in row] for row in logs],
        "zmin": -span if ratio else 0.0,
        "zmax": span,
        "colorscale": DIVERGING if ratio else SEQUENTIAL,
        "showscale": False,
        "text": [
            ["" if math.isnan(one) else format(one, ".2f" if ratio else ".3g") for one in row]
            for row in values.tolist()
        ],
        "textfont": {"color": INK},
        "texttemplate": "%{text}",
        "hovertemplate": f"data chosen by %{{y}}<br>model %{{x}}<br>%{{text}} {unit}<extra></extra>",
        "xgap": 2,
        "ygap": 2,
    }
    drawn = layout(title, height=90 + 34 * len(values), shapes=_own_frames(ways, models))
    drawn["xaxis"] |= {"type": "category", "showgrid": False}
    drawn["yaxis"] |= {"type": "category", "showgrid": False, "autorange": "reversed"}
    return {"data": [trace], "layout": drawn}


def learning_curve(
    curves: pd.DataFrame,
    metric: Metric,
    model: str,
    choosers: Sequence[str],
    levels: Mapping[str, float] = NO_LEVELS,
) -> Figure:
    """Draw one model's error against the number of configurations, both logarithmic.

    Parameters
    ----------
    curves
        What `crossprune.reports.tables.learning_curves` returned.
    metric
        The metric shown.
    model
        The model whose curves are drawn.
    choosers
        All choosers of the study in a fixed order, which gives each its colour and mark.
    levels
        Published potentials and their errors (the metric's unit), as horizontal lines: what they were
        fitted to is not known.

    Notes
    -----
    Error bars are ± one standard error over seeds. Random is grey and drawn first.
    """
    here = curves[curves["model"] == model]
    methods = sorted(set(here["method"]) - {RANDOM})
    lines: dict[tuple[str, str], list[Mapping[Hashable, Any]]] = {}
    for point in here.to_dict("records"):
        lines.setdefault((point["chooser"], point["method"]), []).append(point)
    traces = [
        _line(way, lines[way], metric) | _style(*way, choosers, methods)
        for way in sorted(lines, key=lambda way: (way[0] != RANDOM, way))
    ]
    traces += [_level(name, value, here["n_configurations"], metric) for name, value in levels.items()]
    title = f"model {escape(model, quote=False)} · {metric.label} ({metric.unit})"
    drawn = layout(title, height=height_with_legend(len(traces)))
    drawn |= {"showlegend": True, "legend": {"orientation": "h", "y": -0.24, "x": 0}}
    sizes = _spread(sorted(set(here["n_configurations"].round().astype(int))))
    ticks = log_ticks(pd.concat([here["mean"], pd.Series(levels.values(), dtype="float64")]))
    drawn["xaxis"] |= {"type": "log", "tickvals": sizes, "ticktext": [str(size) for size in sizes]}
    drawn["xaxis"] |= {"title": {"text": "configurations kept", "standoff": 8}}
    drawn["yaxis"] |= {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    return {"data": traces, "layout": drawn}


def _logs(values: FloatArray, ratio: bool) -> FloatArray:
    """Return log2 of ratios, or of errors over the least error of their column."""
    logs: FloatArray = np.log2(np.where((values > 0) & np.isfinite(values), values, np.nan))
    return logs if ratio else logs - np.fmin.reduce(logs, axis=0, keepdims=True)


def _line(way: tuple[str, str], points: Sequence[Mapping[Hashable, Any]], metric: Metric) -> dict[str, Any]:
    """Return the trace of one way of choosing, without its style."""
    errors = [point["standard_error"] for point in points]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [point["n_configurations"] for point in points],
        "y": [point["mean"] for point in points],
        "error_y": {
            "array": [0.0 if math.isnan(error) else error for error in errors],
            "thickness": 1.2,
            "width": 3,
        },
        "name": row_label(*way),
        "customdata": [point["n_seeds"] for point in points],
        "hovertemplate": f"%{{x:.0f}} configurations<br>%{{y:.3g}} {metric.unit}<br>%{{customdata}} seeds",
    }


def _level(name: str, value: float, sizes: pd.Series[float], metric: Metric) -> dict[str, Any]:
    """Return the horizontal line of a published potential over the curves' range."""
    ends = sorted({float(sizes.min()), float(sizes.max())})
    return {
        "type": "scatter",
        "mode": "lines" if len(ends) > 1 else "markers",
        "x": ends,
        "y": [value] * len(ends),
        "name": f"published: {escape(name, quote=False)}",
        "line": {"color": GREY, "width": 1.5, "dash": "longdashdot"},
        "hovertemplate": f"%{{y:.3g}} {metric.unit}; what it was fitted to is not known",
    }


def row_label(chooser: str, method: str) -> str:
    """Name a way of choosing, safe inside a figure: ``random``, ``snap · fps``."""
    return escape(chooser_name(chooser, method), quote=False)


def layout(title: str, *, height: int, shapes: Sequence[dict[str, Any]] = ()) -> Figure:
    """Return what is special in a figure's layout; the page's script adds what all have in common."""
    drawn: Figure = {"title": {"text": title}, "height": height, "xaxis": {}, "yaxis": {}}
    return drawn | ({"shapes": list(shapes)} if shapes else {})


def height_with_legend(n_entries: int) -> int:
    """Return the height (pixels) that leaves the plot its room above a legend of two columns."""
    return max(340, 300 + 20 * ((n_entries + 1) // 2))


def _own_frames(ways: Sequence[tuple[str, str]], models: Sequence[str]) -> list[dict[str, Any]]:
    """Frame the cells whose chooser is the model itself."""
    frames = []
    for row, (chooser, _) in enumerate(ways):
        for column, model in enumerate(models):
            if chooser == model:
                box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
                frames.append({"type": "rect", "line": {"width": 2.5, "color": GREY}, **box})
    return frames


def _style(chooser: str, method: str, choosers: Sequence[str], methods: Sequence[str]) -> dict[str, Any]:
    """Colour and mark tell the chooser, the dash tells the method."""
    if chooser == RANDOM:
        return {"line": {"color": GREY, "width": 3}, "marker": {"symbol": "circle-open", "size": 8}}
    index = [name for name in choosers if name != RANDOM].index(chooser)
    colour = OKABE_ITO[index % len(OKABE_ITO)]
    dash = DASHES[methods.index(method) % len(DASHES)]
    marker = {"symbol": MARKERS[index % len(MARKERS)], "size": 8}
    return {"line": {"color": colour, "width": 2, "dash": dash}, "marker": marker}


def _spread(sizes: Sequence[int]) -> list[int]:
    """Drop numbers that would overlap on a logarithmic axis (closer than a factor 1.25)."""
    kept: list[int] = []
    for size in sizes:
        if not kept or size >= 1.25 * kept[-1]:
            kept.append(size)
    return kept


def log_ticks(values: pd.Series) -> list[float]:
    """Return up to about six round ticks within the range of the values, evenly spread in the logarithm."""
    positive = values[(values > 0) & np.isfinite(values)]
    if positive.empty:
        return []
    low, high = np.log10(float(positive.min())), np.log10(float(positive.max()))
    places = np.linspace(low, high, 6 if high - low > 0.05 else 2)
    digits = 1 if high - low > 1.5 else 2
    return sorted({float(f"{10.0**place:.{digits}g}") for place in places})
