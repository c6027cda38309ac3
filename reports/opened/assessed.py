"""Properties and runs of molecular dynamics of each cell, packed by data set and model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.engine.results import not_held_out
from crossprune.reports.opened.nested import Tree, few_digits, key_of, parts_of, put, records, rows_of

MOST_REASON = 120
"""Letters of a reason; tables have the rest."""
NUMBERS = ["value", "n", "of", "suspect", "why"]
MARK = "\n"
"""Between structure and property; names hold none."""
MOST_ROWS = 200_000
"""Rows of a table that are looked at; those of a larger one are named by where they are."""


def values_of(properties: pd.DataFrame | None) -> Tree:
    """Average the properties of each cell over repeats.

    Returns
    -------
    dict
        Data set and model (``SET/MODEL``) → ``names`` (structure and property), ``reference``, ``reasons``
        and ``ways``: way → fraction → ``value`` (mean over repeats that have one), ``n`` of ``of`` repeats
        that have one, how many are ``suspect``, and ``why``: the place of the first reason, −1 for none.
    """
    found: Tree = {}
    table = _named(properties)
    if len(table) > MOST_ROWS:
        return {key: {"left_out": "properties.parquet"} for key in _keys(table)}
    for (source, model), here in parts_of(_means(table), ["source", "model"]):
        names = list(dict.fromkeys(here.sort_values("place")["name"]))
        reference = here.groupby("name")["reference"].first().reindex(names)
        tree: Tree = {
            "names": [one.split(MARK) for one in names],
            "reference": few_digits(reference, 5),
            "reasons": [],
            "ways": {},
        }
        reasons: list[str] = tree["reasons"]
        numbered = here.assign(why=[_place(reasons, one) for one in here["why"]])
        for keys, (values, *counts) in rows_of(numbered, ["way", "fraction"], "name", names, NUMBERS):
            whole = np.nan_to_num(np.array(counts), nan=-1.0).astype(int).tolist()
            known = dict(zip(NUMBERS[1:], whole, strict=True))
            put(tree["ways"], keys, {"value": few_digits(values, 5), **known})
        found[f"{source}/{model}"] = tree
    return found


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Average properties over repeats: `NUMBERS`, the ``reference``, and the ``place`` in the table."""
    if table.empty:
        return table
    here = table.assign(
        name=table["structure"] + MARK + table["property"],
        suspect=table["status"] == "suspect",
        why=table["reason"].replace("", None),
        place=np.arange(len(table)),
    )
    return (
        here.groupby(["source", "model", "way", "fraction", "name"])
        .agg(
            value=("value", "mean"),
            n=("value", "count"),
            of=("status", "size"),
            suspect=("suspect", "sum"),
            why=("why", "first"),
            reference=("reference", "mean"),
            place=("place", "min"),
        )
        .reset_index()
    )


def runs_of(md: pd.DataFrame | None) -> Tree:
    """List the runs of each cell.

    Returns
    -------
    dict
        Data set and model (``SET/MODEL``) → ``reasons`` and ``ways``: way → fraction → a list of runs: seed,
        start, ensemble, temperature (K), whether it survived (null where it did not take place), how long
        and of how long (ps), and the place of the failure or reason, −1 for none.
    """
    found: Tree = {}
    table = _named(md)
    if len(table) > MOST_ROWS:
        return {key: {"left_out": "md.parquet"} for key in _keys(table)}
    for row in records(table):
        tree = found.setdefault(f"{row['source']}/{row['model']}", {"reasons": [], "ways": {}})
        runs = tree["ways"].setdefault(row["way"], {}).setdefault(key_of(row["fraction"]), [])
        runs.append(_run(row, tree["reasons"]))
    return found


def _run(row: Mapping[str, Any], reasons: list[str]) -> list[Any]:
    survived = None if pd.isna(row["survived"]) else int(row["survived"])
    why = ": ".join(str(row[one]).replace("_", " ") for one in ("failure", "reason") if row[one])
    numbers = few_digits([row["temperature_k"], row["survival_ps"], row["planned_ps"]])
    kelvin, *lengths = numbers
    head = [int(row["seed"]), row.get("start", ""), row["ensemble"], kelvin]
    return [*head, survived, *lengths, _place(reasons, why)]


def _place(reasons: list[str], reason: object) -> int:
    """Return where a reason stands in a list, which it joins if it is new."""
    text = (str(reason or "").strip().splitlines() or [""])[-1][:MOST_REASON]
    if not text or text == "nan":
        return -1
    if text not in reasons:
        reasons.append(text)
    return reasons.index(text)


def _named(table: pd.DataFrame | None) -> pd.DataFrame:
    """Name data sets and ways of choosing; leave out the full set, where all choosers agree."""
    if table is None or table.empty:
        return pd.DataFrame(columns=["source", "model"])
    known = labelled(not_held_out(table))
    known = known.assign(way=way_of(known), source=known["source"] if "source" in known else known["dataset"])
    below: pd.DataFrame = known[known["fraction"] < 1 - 1e-9]
    return below


def _keys(table: pd.DataFrame) -> list[str]:
    return sorted(set(table["source"].astype(str) + "/" + table["model"].astype(str)))
