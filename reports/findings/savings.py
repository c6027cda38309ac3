"""The slider of the page: how much data is enough for what somebody accepts, and what it costs in labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.efficiency.saving import TOLERANCE
from crossprune.reports.pictures import key_of, measure
from crossprune.reports.tables import random_first
from crossprune.reports.wording import split_name

BELOW = -1
"""Stands in the page's data for −inf: less than the study's smallest fraction does."""
LISTS = {
    "f": "fraction",
    "low": "low",
    "high": "high",
    "c": "n_configurations",
    "n": "n_labels",
}
"""Name in the page's data → column of the table ``enough``; each a list over the tolerances."""


@dataclass(frozen=True)
class Savings:
    """What the section shows: data for the slider, and a table for those without a script."""

    data: Mapping[str, Any]
    table: pd.DataFrame
    """At the tolerance that the efficiency of the statistics is for."""
    tolerance: float = TOLERANCE


def savings(table: pd.DataFrame | None, kept: pd.DataFrame) -> Savings | None:
    """Lay the table ``enough`` of an analysis out for the page; None where there is none.

    Parameters
    ----------
    table
        Of `crossprune.harness.analysis.efficiency.enough.enough`, with ``metric`` and ``split``.
    kept
        Of `crossprune.reports.tables.data_kept`: what the smallest fractions and the full set cost.

    Returns
    -------
    Savings
        Its ``data``: ``tolerances``; and ``outcomes``: ``force:test`` → ``text`` and ``sets``: data set →
        ``smallest`` (fraction), ``full`` (labels), ``ways``, ``models`` and ``cells``: model → way →
        `LISTS`, and ``least`` (configurations and labels of the smallest fraction).
    """
    if table is None or table.empty:
        return None
    named = table.assign(way=way_of(table))
    sizes = kept.assign(way=way_of(kept))
    outcomes = {}
    for (metric, split), here in named.groupby(["metric", "split"], sort=False):
        known = measure(str(metric))
        sets = {
            str(name): _set(one, sizes[sizes["dataset"] == name]) for name, one in here.groupby("dataset")
        }
        text = f"{known.label}, {split_name(str(split))}"
        outcomes[key_of(str(metric), str(split))] = {"text": text, "sets": sets}
    data = {"tolerances": sorted(set(table["tolerance"])), "outcomes": outcomes}
    return Savings(data, _table(named))


def _set(table: pd.DataFrame, sizes: pd.DataFrame) -> dict[str, Any]:
    """Lay one data set out; all its curves have the same tolerances."""
    ranked = table.sort_values(["model", "way", "tolerance"], kind="stable")
    n = ranked["tolerance"].nunique()
    numbers = ranked[list(LISTS.values())].replace(-np.inf, BELOW).to_numpy().reshape(-1, n, len(LISTS))
    smallest = float(sizes["fraction"].min())
    of_least = sizes[sizes["fraction"] == smallest]
    least = dict(zip(of_least["way"], of_least[["n_configurations", "n_labels"]].to_numpy(), strict=True))
    cells: dict[str, dict[str, Any]] = {}
    heads = ranked[["model", "way", "n_seeds"]].iloc[::n].itertuples(index=False)
    for (model, way, n_seeds), one in zip(heads, numbers, strict=True):
        lists = dict(zip(LISTS, one.T.tolist(), strict=True))
        taken = least[way].tolist() if way in least else [math.nan, math.nan]
        cells.setdefault(str(model), {})[str(way)] = {**lists, "seeds": n_seeds, "least": taken}
    known = table[["chooser", "way"]].drop_duplicates().sort_values("way")
    return {
        "smallest": smallest,
        "full": float(sizes.loc[sizes["fraction"] > 1 - 1e-9, "n_labels"].mean()),
        "ways": [
            way for name in random_first(known["chooser"]) for way in known["way"][known["chooser"] == name]
        ],
        "models": sorted(cells),
        "cells": cells,
    }


def _table(named: pd.DataFrame) -> pd.DataFrame:
    here = named[(named["tolerance"] - TOLERANCE).abs() < 1e-9]
    columns = ["dataset", "metric", "split", "model", "way", "fraction", "low", "high"]
    return here[[*columns, "n_configurations", "n_labels", "n_seeds"]]
