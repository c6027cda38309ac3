"""Own against other choosers as a plot of intervals: an SVG that needs no script and prints."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.reports.wording import VERDICTS
from markupsafe import Markup

WIDTH, LEFT, ROW, TOP, BOTTOM = 380, 150, 20, 8, 34
"""Sizes in units of the drawing: narrow, so that text stays readable on a phone."""
TICKS = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 5.0, 10.0)
WIDEST = math.log(12.0)
"""Intervals beyond a factor of 12 are cut."""
MAX_LABEL = 24


def forest_plot(table: pd.DataFrame, title: str) -> Markup:
    """Draw ratios with their intervals, a row per comparison and model, on a logarithmic axis.

    Parameters
    ----------
    table
        As `crossprune.harness.analysis.comparisons.compare` returns it.
    title
        What the drawing shows, for those who do not see it.

    Returns
    -------
    Markup
        An ``svg`` element, empty where no comparison has a ratio.
    """
    order = list(dict.fromkeys(table["comparison"]))
    rows = [row for name in order for row in table[table["comparison"] == name].to_dict("records")]
    rows = [row for row in rows if np.isfinite(row["ratio"])]
    if not rows:
        return Markup("")
    ends = [abs(math.log(row[key])) for row in rows for key in ("ratio", "low", "high") if row[key] > 0]
    span = min(WIDEST, 1.08 * max([math.log(1.1), *filter(math.isfinite, ends)]))
    bottom = TOP + ROW * len(rows)
    parts = [_axis(span, bottom)]
    parts += [_row(row, TOP + ROW * (number + 0.5), span) for number, row in enumerate(rows)]
    return Markup('<svg class="forest" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, bottom + BOTTOM, title, Markup("").join(parts)
    )


def _place(log_ratio: float, span: float) -> float:
    """Return where a logarithm lies on the drawing."""
    half = (WIDTH - LEFT - 8) / 2
    return LEFT + half + half * max(-1.0, min(1.0, log_ratio / span))


def _axis(span: float, bottom: float) -> Markup:
    """Draw the line at 1, and as many round ticks as have room."""
    parts = [
        Markup('<line class="one" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(
            _place(0, span), bottom
        )
    ]
    for tick in _spaced([one for one in TICKS if abs(math.log(one)) <= span], span):
        x = _place(math.log(tick), span)
        parts.append(
            Markup(
                '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/><text x="{0:.1f}" y="{3}">{4:g}</text>'
            ).format(x, bottom, bottom + 4, bottom + 15, tick)
        )
    label = Markup('<text x="{:.1f}" y="{}">ratio</text>').format(_place(0, span), bottom + 29)
    return Markup('<g class="axis">{}{}</g>').format(Markup("").join(parts), label)


def _spaced(ticks: Sequence[float], span: float) -> list[float]:
    """Drop ticks that would overlap, nearest to 1 first."""
    kept: list[float] = []
    for tick in sorted(ticks, key=lambda one: abs(math.log(one))):
        if all(abs(_place(math.log(tick), span) - _place(math.log(one), span)) > 26 for one in kept):
            kept.append(tick)
    return sorted(kept)


def _row(row: Mapping[Hashable, Any], y: float, span: float) -> Markup:
    """Draw one comparison: its name, the interval, the ratio."""
    everyone = row["model"] == EVERY_MODEL
    name = f"{row['comparison']}" if everyone else f"model {row['model']}"
    name = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
    low, high, ratio = (math.log(row[key]) if row[key] > 0 else math.nan for key in ("low", "high", "ratio"))
    interval = Markup("")
    if math.isfinite(low) and math.isfinite(high):
        interval = Markup('<line x1="{:.1f}" x2="{:.1f}" y1="{y}" y2="{y}"/>').format(
            _place(low, span), _place(high, span), y=y
        )
    marker = Markup('<circle cx="{:.1f}" cy="{}" r="{}"/>').format(
        _place(ratio, span), y, 4.5 if everyone else 3.2
    )
    told = f"{row['comparison']}, {name}: {row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
    return Markup('<g class="{} {}"><title>{}</title><text x="{}" y="{}">{}</text>{}{}</g>').format(
        _class(str(row["verdict"])), "whole" if everyone else "single", told,
        0 if everyone else 14, y + 4, name, interval, marker,
    )  # fmt: skip


def _class(verdict: str) -> str:
    return {"lower": "lower", "higher": "higher"}.get(verdict, "open") if verdict in VERDICTS else "open"
