"""One page that follows the errors of every model over the nights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from crossprune.harness.analysis.nights import WATCHED, Night, compare, history
from crossprune.harness.engine.results import by_pool
from crossprune.reports.drawing.figures import DASHES, GREY, OKABE_ITO, Figure
from crossprune.reports.embedding import Bundle, bundle
from crossprune.reports.several.shell import write_page
from crossprune.reports.tables import METRICS, RANDOM, Metric

PAGE = "nights.html"
OF_COLUMN = {one.column: one for one in METRICS}


class Change(NamedTuple):
    """What a night changed, in numbers and words."""

    night: str
    alarm: bool
    worse: int
    better: int
    newly_failing: int
    newly_done: int
    causes: str


@dataclass(frozen=True)
class Panel:
    """A data set's test errors by night."""

    dataset: str
    figures: Bundle
    tables: list[tuple[Metric, pd.DataFrame]]


def write_history(nights: list[Night], folder: Path) -> Path:
    """Write ``nights.html`` into ``folder``: a line per model and chooser at the largest fraction."""
    table = by_pool(history(nights))
    largest = table[table["fraction"] == table.groupby("dataset")["fraction"].transform("max")]
    names = [night.name for night in nights]
    panels = [
        Panel(
            str(dataset),
            bundle([_figure(lines, OF_COLUMN[metric], names) for metric in WATCHED]),
            [(OF_COLUMN[metric], _by_night(cells, metric, names)) for metric in reversed(WATCHED)],
        )
        for (dataset, lines), (_, cells) in zip(
            largest.groupby("dataset"), table.groupby("dataset"), strict=True
        )
    ]
    return write_page(folder / PAGE, "nights", names=names, panels=panels, changes=_changes(nights))


def _changes(nights: list[Night]) -> list[Change]:
    """Compare each night with the one before, the last first."""
    found = []
    for before, after in itertools.pairwise(nights):
        one = compare(before, after)
        counts = (len(one.worse), len(one.better), len(one.newly_failing), len(one.newly_done))
        causes = "; ".join(one.causes) or "no change of options, code, versions or data"
        found.append(Change(after.name, one.alarm, *counts, causes))
    return found[::-1]


def _by_night(table: pd.DataFrame, metric: str, names: list[str]) -> pd.DataFrame:
    """Lay errors out by night; the last night first, so that it is seen on a phone."""
    cells = ["model", "chooser", "method", "fraction"]
    wide = table.pivot_table(index=cells, columns="night", values=metric, dropna=False)
    wide = wide.reindex(columns=names).dropna(how="all", axis=0)
    return wide[names[::-1]].reset_index()


def _figure(table: pd.DataFrame, metric: Metric, names: list[str]) -> Figure:
    models = sorted(set(table["model"]))
    traces: list[dict[str, Any]] = []
    colours: dict[tuple[str, str], str] = {}
    for (model, chooser, method, fraction), line in table.groupby(["model", "chooser", "method", "fraction"]):
        way = (str(chooser), str(method))
        known = OKABE_ITO[len(colours) % len(OKABE_ITO)] if way not in colours else colours[way]
        colours[way] = GREY if way[0] == RANDOM else known
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": escape(f"{model} on {fraction:.0%} chosen by {chooser}"),
                "x": line["night"].map(lambda one: escape(str(one))).tolist(),
                "y": line[metric.column].tolist(),
                "line": {"color": colours[way], "dash": DASHES[models.index(model) % len(DASHES)]},
            }
        )
    return {
        "data": traces,
        "layout": {
            "title": {"text": f"{metric.label}, test set"},
            "height": 420,
            "legend": {"orientation": "h", "y": -0.2, "x": 0},
            "xaxis": {"type": "category", "categoryorder": "array", "categoryarray": [*map(escape, names)]},
            "yaxis": {"title": {"text": metric.unit}, "rangemode": "tozero"},
        },
    }
