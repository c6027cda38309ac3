"""One static page per study: opens offline, readable without JavaScript, prints well."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from crossprune.harness.analysis import statistics_of
from crossprune.harness.comparisons import EVERY_MODEL, labelled
from crossprune.harness.metrics import ALL
from crossprune.harness.store import write_file
from crossprune.reports import figures, tables
from crossprune.reports.matrices import Block, blocks_of
from crossprune.reports.properties import property_errors, survival
from crossprune.reports.tables import METRICS, SPLITS, Metric
from crossprune.reports.wording import (
    KNOWN_PROVENANCE,
    answer,
    comparison_rows,
    provenance_rows,
    rounded,
    split_name,
)
from markupsafe import Markup

PAGE = "report.html"
CSV_SAFE = ",:;/()=+*!$'@~"
"""Characters that an address may hold as they are: the fewer are escaped, the smaller the page."""
TABLE = "results.csv"
FURTHER = {
    "ranks": "Average rank of each way of choosing over blocks of data set and model, 1 is best; two ways "
    "differ if their ranks do by more than the critical difference (Friedman, Nemenyi)",
    "efficiency": "Fraction that is as good as the full set, to 5 %, with its interval over seeds",
    "seeds": "Seeds that would find an effect of 5 or 10 % in 80 of 100 studies, by the scatter found here",
}
"""Captions of the tables below the answer."""


@dataclass(frozen=True)
class Panel:
    """What the page shows for one data set, metric and split."""

    dataset: str
    metric: Metric
    split: str
    table: pd.DataFrame
    blocks: Sequence[Block]
    ratios: Sequence[Markup]
    errors: Sequence[Markup]
    curves: Sequence[Markup]


def write_report(
    results: pd.DataFrame,
    folder: Path,
    provenance: Mapping[str, object],
    *,
    properties: pd.DataFrame | None = None,
    md: pd.DataFrame | None = None,
) -> Path:
    """Write ``report.html`` and ``results.csv`` into ``folder``.

    Parameters
    ----------
    results
        The long results table, one row per cell × split × group.
    folder
        Where to write; made if it does not exist. If it is the run's store, intervals rest on its
        errors per test configuration as well.
    provenance
        Any of ``study`` (name), ``toml`` (text of the study), ``command``, ``versions``, ``commit``,
        ``hardware``, ``date``, ``n_cells``; further keys are listed under their own name.
    properties, md
        The tables of properties and of molecular dynamics, if the study asked for them.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If the table lacks a column.
    """
    tables.check_columns(results)
    page = render(results, provenance, statistics_of(folder, results), properties=properties, md=md)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / TABLE, lambda path: results.to_csv(path, index=False))
    write_file(folder / PAGE, lambda path: path.write_text(page, encoding="utf-8"))
    return folder / PAGE


def render(
    results: pd.DataFrame,
    provenance: Mapping[str, object],
    statistics: Mapping[str, pd.DataFrame],
    *,
    properties: pd.DataFrame | None = None,
    md: pd.DataFrame | None = None,
) -> str:
    """Return the page as HTML; ``statistics`` are those of `statistics_of`, the rest as in `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("crossprune.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csv_uri"] = csv_uri
    environment.filters["split_name"] = split_name
    environment.filters["rounded"] = rounded
    results = labelled(results[results["group"] == ALL])
    cells = tables.cells(results)
    panels = _panels(results)
    return environment.get_template("page.html.jinja").render(
        title=str(provenance.get("study", "crossprune study")),
        style=_source("page.css"),
        script=_source("page.js"),
        plotly=Markup(get_plotlyjs()) if panels else "",
        statuses=cells["status"].value_counts().to_dict(),
        n_cells=len(cells),
        headlines=_headlines(statistics),
        further=[(name, statistics[name]) for name in FURTHER if name in statistics],
        captions=FURTHER,
        panels=panels,
        choices=_choices(panels),
        failures=tables.failures(results),
        property_errors=pd.DataFrame() if properties is None else property_errors(properties),
        survival=pd.DataFrame() if md is None else survival(md),
        kept=tables.data_kept(results),
        cost=tables.cost(results),
        provenance=provenance_rows(results, provenance),
        source={key: str(provenance.get(key, "")) for key in KNOWN_PROVENANCE},
    )


def csv_uri(table: pd.DataFrame) -> str:
    """Return a ``data:`` address that downloads the table as CSV."""
    return "data:text/csv;charset=utf-8," + quote(
        table.to_csv(index=False, float_format="%.6g"), safe=CSV_SAFE
    )


def _panels(results: pd.DataFrame) -> list[Panel]:
    """Make a panel for every data set, metric and split for which a cell has a number."""
    choosers = tables.random_first(results["chooser"])
    panels = []
    for metric in METRICS:
        for split in SPLITS:
            table = tables.summary(results, metric.column, split)
            for dataset, here in table.groupby("dataset"):
                if here["mean"].notna().any():
                    panels.append(_panel(str(dataset), metric, split, here, choosers))
    return sorted(panels, key=lambda panel: panel.dataset)


def _panel(dataset: str, metric: Metric, split: str, table: pd.DataFrame, choosers: Sequence[str]) -> Panel:
    """Lay out one panel's table and figures."""
    blocks = blocks_of(table)
    curves = tables.curves_of(table)
    lines = [figures.learning_curve(curves, metric, one, choosers) for one in sorted(set(curves["model"]))]
    ratios = _heat_maps({one.label: one.ratios for one in blocks if one.has_ratios}, metric, ratio=True)
    errors = _heat_maps({one.label: one.errors for one in blocks if not one.full}, metric, ratio=False)
    return Panel(dataset, metric, split, table, blocks, _embed(ratios), _embed(errors), _embed(lines))


def _heat_maps(matrices: Mapping[str, pd.DataFrame], metric: Metric, *, ratio: bool) -> list[figures.Figure]:
    """Draw the fractions of a panel on one colour scale."""
    span = figures.span_of(list(matrices.values()), ratio=ratio)
    return [
        figures.heat_map(values, metric, label, ratio=ratio, span=span) for label, values in matrices.items()
    ]


def _headlines(statistics: Mapping[str, pd.DataFrame]) -> list[dict[str, object]]:
    """Lay out the comparisons for the two metrics that the answer rests on."""
    blocks: list[dict[str, object]] = []
    if "answer" not in statistics:
        return blocks
    for (name, split), table in statistics["answer"].groupby(["metric", "split"], sort=False):
        choosers = statistics["choosers"]
        by_chooser = choosers[(choosers["metric"] == name) & (choosers["split"] == split)]
        blocks.append(
            {
                "metric": next(one for one in METRICS if one.column.startswith(f"{name}_mae")),
                "split": split,
                "answer": answer(table[table["model"] == EVERY_MODEL]),
                "rows": comparison_rows(table),
                "chooser_rows": comparison_rows(by_chooser[by_chooser["model"] == EVERY_MODEL]),
                "table": pd.concat([table, by_chooser]),
            }
        )
    return blocks


def _choices(panels: Sequence[Panel]) -> dict[str, list[tuple[str, str]]]:
    """List value and label of each switch of the page."""

    def unique(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return list(dict.fromkeys(pairs))

    return {
        "dataset": unique((one.dataset, one.dataset) for one in panels),
        "metric": [
            (one.column, f"{one.label} ({one.unit})") for one in METRICS if one in {p.metric for p in panels}
        ],
        "split": [(one, split_name(one)) for one in SPLITS if one in {p.split for p in panels}],
    }


def _embed(drawn: Sequence[figures.Figure]) -> list[Markup]:
    """Turn figures into JSON that is safe inside a script element: no text can end the element."""
    return [Markup(as_json(figure)) for figure in drawn]


def as_json(value: object) -> str:
    """Return JSON that is safe inside a script element: no text in it can end the element."""
    return json.dumps(compact(value), separators=(",", ":")).replace("<", "\\u003c")


def compact(value: object) -> object:
    """Round numbers to 5 digits, finer than a screen shows, and make NaN null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: compact(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [compact(one) for one in value]
    return value


def _source(name: str) -> Markup:
    return Markup(files("crossprune.reports").joinpath(name).read_text(encoding="utf-8"))
