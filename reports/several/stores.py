"""One page for two stores: what changed between them, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.stores import (
    HIGHER,
    LOWER,
    ONE_SEED,
    SAME,
    UNTOLD,
    Changes,
    compare_runs,
    read_finished,
)
from crossprune.reports.drawing.figures import MARKERS, OKABE_ITO, Figure
from crossprune.reports.embedding import Bundle, bundle
from crossprune.reports.pictures import BY_NAME, key_of, measure
from crossprune.reports.several.shell import write_page
from crossprune.reports.tables import Metric
from crossprune.reports.wording import split_name

PAGE = "compared.html"
MOST_ROWS = 100
"""Changes listed on the page; their file has all."""


@dataclass(frozen=True)
class Panel:
    """The changes of one metric and part; ``sentence`` says what they are together."""

    dataset: str
    metric: Metric
    split: str
    sentence: str
    figures: Bundle
    table: pd.DataFrame
    whole: pd.DataFrame


def write_comparison(before: Path, after: Path, page: Path) -> Changes:
    """Compare two finished runs and write one page; return what it shows.

    Raises
    ------
    StudyError
        If one is no finished run, or they have no cell in common.
    """
    runs = [read_finished(root) for root in (before, after)]
    changes = compare_runs(*runs)
    names = [one.name for one in runs]
    names = [str(before), str(after)] if names[0] == names[1] else names
    panels = _panels(changes.errors, names)
    outcomes = {key_of(one.name, one.split): one for one in _parts(changes.errors)}
    write_page(
        page,
        "compared",
        names=names,
        changes=changes,
        finding=finding(changes),
        panels=panels,
        choices=_choices(panels, list(outcomes)),
        most_rows=MOST_ROWS,
    )
    return changes


def finding(changes: Changes) -> str:
    """Say in a sentence whether anything changed."""
    table = changes.errors
    if changes.is_none:
        return f"No difference: {len(table)} errors of the same cells agree to 0.1 %."
    counts = {name: int((table["verdict"] == name).sum()) for name in (LOWER, HIGHER, UNTOLD, ONE_SEED, SAME)}
    told = [f"{counts[HIGHER]} rose and {counts[LOWER]} fell beyond what their seeds tell"]
    told += [f"{counts[UNTOLD]} moved within it"] if counts[UNTOLD] else []
    told += [f"{counts[ONE_SEED]} moved, with one seed to tell by"] if counts[ONE_SEED] else []
    told += [f"{counts[SAME]} stayed"] if counts[SAME] else []
    text = f"Of {len(table)} mean errors of common settings {', '.join(told)}."
    others = [
        (len(changes.newly_failing), "cell", "newly failing"),
        (len(changes.newly_done), "cell", "newly done"),
        (len(changes.only_before), "setting", "gone"),
        (len(changes.only_after), "setting", "new"),
    ]
    rest = ", ".join(f"{n} {noun}{'' if n == 1 else 's'} {what}" for n, noun, what in others if n)
    return f"{text} Beside them: {rest}." if rest else text


@dataclass(frozen=True)
class _Part:
    name: str
    split: str
    metric: Metric


def _parts(errors: pd.DataFrame) -> list[_Part]:
    pairs = errors[["metric", "split"]].drop_duplicates().itertuples(index=False)
    return [_Part(str(name), str(split), BY_NAME[str(name)]) for name, split in pairs]


def _panels(errors: pd.DataFrame, names: list[str]) -> list[Panel]:
    panels = []
    for part in _parts(errors):
        here = errors[(errors["metric"] == part.name) & (errors["split"] == part.split)]
        for dataset, table in here.groupby("dataset"):
            order = np.log(table["ratio"]).abs().sort_values(ascending=False, kind="stable").index
            whole = table.loc[order].drop(columns=["metric", "split", "dataset"])
            sentence = _sentence(table)
            drawn = bundle([_scatter(table, part.metric, names)])
            shown = whole.head(MOST_ROWS)
            panels.append(Panel(str(dataset), part.metric, part.split, sentence, drawn, shown, whole))
    return sorted(panels, key=lambda one: one.dataset)


def _sentence(table: pd.DataFrame) -> str:
    n, told = len(table), int(table["verdict"].isin([LOWER, HIGHER]).sum())
    mean = float(np.exp(np.log(table["ratio"]).mean()))
    if (table["verdict"] == SAME).all():
        return f"All {n} are the same."
    chance = f" (some {max(1, round(0.05 * n))} would by chance)" if told else ""
    return f"The mean ratio is {mean:.3f}; {told} of {n} changed beyond what their seeds tell{chance}."


def _scatter(table: pd.DataFrame, metric: Metric, names: list[str]) -> Figure:
    """Draw errors after against errors before, and the line on which nothing changed."""
    ends = [float(table[["before", "after"]].min().min()), float(table[["before", "after"]].max().max())]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": ends,
            "y": ends,
            "name": "no change",
            "hoverinfo": "skip",
            "line": {"color": "#808080", "width": 1, "dash": "dot"},
        }
    ]
    for number, (model, mine) in enumerate(table.groupby("model")):
        shares = [f"{100 * one:g} %" for one in mine["fraction"]]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(str(model)),
                "x": mine["before"].tolist(),
                "y": mine["after"].tolist(),
                "text": [escape(f"{way}, {share}") for way, share in zip(way_of(mine), shares, strict=True)],
                "hovertemplate": "%{text}<br>%{x:.4g} → %{y:.4g}<extra>%{fullData.name}</extra>",
                "marker": {
                    "color": OKABE_ITO[number % len(OKABE_ITO)],
                    "symbol": MARKERS[number % len(MARKERS)],
                    "size": 8,
                },
            }
        )
    axis = {"type": "log", "exponentformat": "none", "tickangle": 0}
    return {
        "data": traces,
        "layout": {
            "height": 420,
            "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
            "xaxis": {**axis, "title": {"text": f"{escape(names[0])} ({metric.unit})"}},
            "yaxis": {**axis, "title": {"text": f"{escape(names[1])} ({metric.unit})"}},
        },
    }


def _choices(panels: list[Panel], keys: list[str]) -> dict[str, Any]:
    """List the switches of the page as `crossprune.reports.pictures.choices` does."""
    datasets = list(dict.fromkeys(one.dataset for one in panels))
    outcomes = []
    for key in keys:
        name, _, split = key.partition(":")
        text = f"{measure(name).label}, {split_name(split)}"
        outcomes.append({"key": key, "text": text, "metric": BY_NAME[name].column, "split": split})
    return {
        "dataset": [(one, one) for one in datasets],
        "outcome": [(one["key"], one["text"]) for one in outcomes],
        "fraction": [],
        "outcomes": outcomes,
        "sources": {one: one for one in datasets},
        "first": {
            "dataset": datasets[0] if datasets else "",
            "outcome": keys[0] if keys else "",
            "fraction": "",
        },
    }
