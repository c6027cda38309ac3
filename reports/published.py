"""Published potentials beside the refits: tables of the page, and levels in its learning curves."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from crossprune.reports.properties import property_errors, ramps, survival
from crossprune.reports.tables import METRICS, Metric

NOBODY = ["chooser", "method", "fraction"]
"""Columns that say nothing of them."""


def levels(rows: pd.DataFrame, dataset: str, metric: Metric, split: str) -> Mapping[str, float]:
    """Return the error of each published potential on a part of a data set (the metric's unit)."""
    here = rows[(rows["dataset"] == dataset) & (rows["split"] == split) & (rows["status"] == "done")]
    known = here.dropna(subset=[metric.column])
    return dict(zip(known["model"], known[metric.column].astype(float), strict=True))


def errors(rows: pd.DataFrame) -> pd.DataFrame:
    """List the errors of published potentials: a row per data set, potential and part.

    Parameters
    ----------
    rows
        Of published potentials in the results table, over all groups.

    Returns
    -------
    pandas.DataFrame
        Errors with their units, how many configurations they are of, the status, and what is not known.
    """
    columns = [one.column for one in METRICS if rows[one.column].notna().any()]
    shown = ["dataset", "model", "split", "n_eval_configurations", *columns, "status"]
    remarks = rows["flag"].where(rows["status"] == "done", rows["reason"].map(_last_line))
    return rows[shown].rename(columns={"model": "potential"}).assign(remark=remarks)


def assessed(properties: pd.DataFrame | None, md: pd.DataFrame | None) -> list[tuple[str, str, pd.DataFrame]]:
    """Lay out what published potentials make of properties and dynamics: name, caption and table each."""
    found = []
    if properties is not None:
        caption = "Their properties: sizes of relative errors (%)"
        found.append(("published-properties", caption, property_errors(_filled(properties))))
    if md is not None:
        found.append(("published-stability", "Their dynamics", survival(_filled(md))))
        found.append(("published-heating", "Their survival temperatures", ramps(_filled(md))))
    return [(name, caption, table.drop(columns=NOBODY)) for name, caption, table in found if len(table)]


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    """Give rows a fraction, without which they are of no group."""
    return table.assign(fraction=1.0)


def _last_line(reason: object) -> str:
    return (str(reason).strip().splitlines() or [""])[-1]
