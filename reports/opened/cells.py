"""What lies behind each cell of the matrix, by data set and model: a browser unpacks what is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.analysis.details.gathered import Details
from crossprune.harness.analysis.details.groups import ERRORS
from crossprune.harness.contract import FloatArray
from crossprune.harness.engine.results import not_held_out
from crossprune.harness.engine.study import as_toml
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped, exploded
from crossprune.reports.opened.assessed import runs_of, values_of
from crossprune.reports.opened.nested import Tree, few_digits, key_of, parts_of, put, records, rows_of
from crossprune.reports.opened.studies import head_of, lines_of_way, options_of, tail_of, ways_in
from crossprune.reports.pictures import BY_NAME
from crossprune.reports.pictures import key_of as outcome_key
from crossprune.reports.tables import SPLITS

MOST_REASON = 200
"""Letters of a reason; tables have the rest."""


def cell_data(
    results: pd.DataFrame,
    details: Details,
    *,
    properties: pd.DataFrame | None = None,
    md: pd.DataFrame | None = None,
) -> dict[str, Tree]:
    """Lay out what the page's script shows of a cell.

    Parameters
    ----------
    results
        The results table (pools named, see `crossprune.harness.engine.results.by_pool`).
    details
        What table and store hold beside it.
    properties, md
        Tables of the refits.

    Returns
    -------
    dict
        ``cells``: the data set (``sets``) behind what switches call one, and how many fits are ``shown`` of
        how many;
        ``set/SET``: what its cells share; ``cell/SET/MODEL``: the cells of one model, by way of choosing and
        fraction.
    """
    table = _prepared(results)
    names = results["source"] if "source" in results else results["dataset"]
    shared = {str(source): _shared(str(source), rows, details) for source, rows in table.groupby("source")}
    by_model: Tree = {}
    for (source, model), rows in parts_of(table, ["source", "model"]):
        by_model[f"{source}/{model}"] = _of_model(source, model, rows, details)
    _add_groups(by_model, details.groups)
    _add_fits(by_model, details)
    for name, lay_out, assessed in (("properties", values_of, properties), ("md", runs_of, md)):
        for key, tree in lay_out(assessed).items():
            if key in by_model:
                by_model[key][name] = tree
    sets = dict(zip(results["dataset"], names, strict=True))
    index = {"sets": sets, "shown": _n_cells(details.fits), "fits": details.n_fits}
    return {
        "cells": index,
        **{f"set/{source}": one for source, one in shared.items()},
        **{f"cell/{key}": one for key, one in by_model.items()},
    }


def _prepared(results: pd.DataFrame) -> pd.DataFrame:
    """Name ways, data sets and repeats; leave out choices without a model, and all but test and ood."""
    overall = results[(results["group"] == ALL) & (results["model"] != "")]
    overall = clipped(overall[overall["split"].isin(SPLITS)]).assign(exploded=exploded(overall))
    source = overall["source"] if "source" in overall else overall["dataset"]
    table = overall.assign(way=way_of(labelled(overall)), source=source)
    return table.assign(run=_runs(table))


def _runs(table: pd.DataFrame) -> pd.Series[str]:
    """Name each repeat: ``seed 0``, or where there are several pools ``pool 1, seed 0``."""
    seeds = "seed " + table["seed"].astype(str)
    if "pool" not in table or table["pool"].nunique() < 2:
        return seeds
    pools = "pool " + table["pool"].astype(str)
    if "held_out" in table:
        pools = pools.where(table["held_out"] == "", "without " + table["held_out"].astype(str))
    return pools + ", " + seeds


def _n_cells(fits: pd.DataFrame) -> int:
    return 0 if fits.empty else len(fits.drop_duplicates(["source", "way", "fraction", "model"]))


def _shared(source: str, rows: pd.DataFrame, details: Details) -> Tree:
    """Lay out what all cells of a data set share."""
    study = details.study
    found: Tree = {
        "fractions": {key_of(one): as_toml(float(one)) for one in sorted(set(rows["fraction"]))},
        "ways": {
            str(one["way"]): {
                "chooser": str(one["chooser"]),
                "method": str(one["method"]),
                "study": lines_of_way(one),
                "options": options_of(study, str(one["chooser"])),
            }
            for one in ways_in(rows)
        },
        "study": "" if study is None else head_of(study, source),
        "parts": {},
    }
    if len(details.kept):
        found["kept"] = _kept(details.kept[details.kept["source"] == source])
    if len(details.parts):
        for row in records(details.parts[details.parts["source"] == source]):
            found["parts"][row["part"]] = _labels(row)
    return found


def _labels(row: Mapping[str, Any]) -> Tree:
    """Lay out what the fits of a data set are compared with on one part; labels in tenths of meV/atom."""
    return {
        "frames": [int(one) for one in row["frames"]],
        "labels": np.rint(1e4 * np.asarray(row["labels"])).astype(np.int64).tolist(),
        "ends": few_digits([row["low"], row["high"]], 6),
        "side": int(row["side"]),
        "edges": few_digits(row["edges"], 3),
        "sizes": few_digits(row["sizes"], 3),
        "atoms": int(row["n_atoms"]),
        "n": int(row["n_frames"]),
    }


def _kept(kept: pd.DataFrame) -> Tree:
    """Lay out what each way kept: ``groups``, their sizes in the ``pool``, and by way and fraction."""
    groups = sorted(set(kept["group"]))
    pool = kept.groupby("group")["n_pool"].max().reindex(groups)
    found: Tree = {"groups": groups, "pool": few_digits(pool), "ways": {}}
    for keys, (counts,) in rows_of(kept, ["way", "fraction"], "group", groups, ["n_chosen"]):
        put(found["ways"], keys, few_digits(np.nan_to_num(counts)))
    return found


def _of_model(source: str, model: str, rows: pd.DataFrame, details: Details) -> Tree:
    """Lay out the curves of one model over repeats, and what its cells rest on."""
    study = details.study
    groups = _groups_of(details, source)
    used = [model, *sorted(set(rows["chooser"]) - {model})]
    settings = [one for one in rows.get("settings", pd.Series(dtype="str")).unique() if one]
    return {
        "curves": _curves(rows),
        "unfinished": _unfinished(rows),
        "options": options_of(study, model),
        "settings": settings,
        "versions": sorted({str(one) for one in rows["versions"].unique() if one})
        if "versions" in rows
        else [],
        "study": "" if study is None else tail_of(details.document, study, source, used, groups),
    }


def _groups_of(details: Details, source: str) -> set[str]:
    return {group for one in details.structures if one.source == source for group in one.dataset.groups}


def _curves(rows: pd.DataFrame) -> Tree:
    """Lay out every repeat's errors: outcome → way → ``runs`` and their ``values`` over fractions.

    ``sizes`` are configurations kept (means) by way, at the ``fractions``.
    """
    done = rows[rows["status"] == "done"]
    fractions = sorted(set(rows["fraction"]))
    found: Tree = {"fractions": [key_of(one) for one in fractions], "sizes": {}, "outcomes": {}}
    sizes = done.groupby(["way", "fraction"])["n_configurations"].mean().reset_index()
    for (way,), (known,) in rows_of(sizes, ["way"], "fraction", fractions, ["n_configurations"]):
        found["sizes"][way] = few_digits(known)
    columns = [metric.column for metric in BY_NAME.values()]
    for split in SPLITS:
        part = done[done["split"] == split]
        part = part if split == "ood" else not_held_out(part)
        for (way, run), numbers in rows_of(part, ["way", "run"], "fraction", fractions, columns):
            for name, values in zip(BY_NAME, numbers, strict=True):
                if np.isfinite(values).any():
                    ways = found["outcomes"].setdefault(outcome_key(name, split), {})
                    line = ways.setdefault(way, {"runs": [], "values": []})
                    line["runs"].append(run)
                    line["values"].append(few_digits(values))
    return found


def _unfinished(rows: pd.DataFrame) -> Tree:
    """Say which repeats are not done, or exploded, and why: way → fraction → sentences."""
    found: Tree = {}
    lost = rows[(rows["status"] != "done") | rows["exploded"]].drop_duplicates(["way", "fraction", "run"])
    for keys, here in parts_of(lost, ["way", "fraction"]):
        put(found, keys, [_why(row) for row in records(here)])
    return found


def _why(row: Mapping[str, Any]) -> str:
    if row["exploded"]:
        return f"{row['run']}: {row['flag']}; its errors count as those of mean on the same frames"[
            :MOST_REASON
        ]
    reason = (str(row["reason"]).strip().splitlines() or ["no reason given"])[-1]
    return f"{row['run']}: {str(row['status']).replace('_', ' ')}: {reason}"[:MOST_REASON]


def _add_groups(by_model: Tree, groups: pd.DataFrame) -> None:
    """Add errors by group: part → ``names``, ``frames``, and by way and fraction energies and forces."""
    for (source, model, part), here in parts_of(groups, ["dataset", "model", "split"]):
        if f"{source}/{model}" not in by_model:
            continue
        names = sorted(set(here["group"]))
        sizes = here.groupby("group")["n_frames"].max().reindex(names)
        ways: Tree = {}
        for keys, errors in rows_of(here, ["way", "fraction"], "group", names, ERRORS):
            put(ways, keys, [few_digits(one, 3) for one in errors])
        put(
            by_model[f"{source}/{model}"],
            ["groups", part],
            {"names": names, "frames": few_digits(sizes), "ways": ways},
        )


def _add_fits(by_model: Tree, details: Details) -> None:
    """Add what the first seed of each cell predicted (part → way → fraction), and ``keys`` of fits."""
    labels: Mapping[tuple[str, str], FloatArray] = {
        (row["source"], row["part"]): np.asarray(row["labels"]) for row in records(details.parts)
    }
    for row in records(details.fits):
        errors = 1e3 * (np.asarray(row["energies"]) - labels[row["source"], row["part"]])
        known = {
            "seed": int(row["seed"]),
            "errors": few_digits(errors, 3),
            "filled": np.diff(np.asarray(row["filled"]), prepend=0).tolist(),
            "counts": np.asarray(row["counts"]).tolist(),
            "beyond": int(row["n_beyond"]),
            "by_force": few_digits(row["force_mae"], 3),
        }
        keys = [row["way"], key_of(row["fraction"])]
        if (tree := by_model.get(f"{row['source']}/{row['model']}")) is not None:
            put(tree, ["fits", row["part"], *keys], known)
            put(tree, ["keys", *keys], row["fit_key"])
