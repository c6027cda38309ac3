"""A results table without its store: of several machines, or of another engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import NOBODY
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.outcomes.scales import ERRORS
from crossprune.harness.engine.grid import KIN, OTHER, OWN
from crossprune.harness.engine.results import refits
from crossprune.harness.engine.study import PARTS
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import CLIPS
from crossprune.harness.selection.methods import RANDOM
from crossprune.harness.store.tables import UNREADABLE, Columns, first_line, load_table

TEXTS = ("dataset", "chooser", "method", "model")
SILENT = {"split": "test", "group": ALL, "status": "done"}
"""Columns that may be left out, and what goes without saying."""
VARIANTS = (
    *("held_out", "mask", "given", "space", "scaling", "pooling", "budget", "relation"),
    *("fit_key", "flag", "reason"),
)
SIZES = ("n_configurations", "n_eval_configurations", "n_labels")
DIGITS = 12
"""Of fractions: 0.1 × 3 and 0.3 are one, whichever program wrote them."""
RELATIONS = ("", OWN, KIN, OTHER, NOBODY, RANDOM)
CELL = (
    *("dataset", "pool", "held_out", "chooser", "method", "mask", "given", "space", "scaling", "pooling"),
    *("budget", "fraction", "seed", "model", "split", "group"),
)
WHOLE = ("seed", "pool")
SUFFIXES = (".parquet", ".csv")


def read_foreign(path: Path, metrics: tuple[str, ...]) -> pd.DataFrame:
    """Read a results table from Parquet or CSV; see docs/statistics.md for its columns.

    Parameters
    ----------
    path
        File that ends in .parquet or .csv.
    metrics
        Columns of errors, of which there is one at least.

    Raises
    ------
    StudyError
        If the file is missing, cannot be read, lacks a column, or has one of another kind.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise StudyError(f"{path}: give a finished run's folder, or a table that ends in .parquet or .csv")
    try:
        table = load_table(path) if kind == ".parquet" else _read_csv(path)
        for name, value in SILENT.items():
            if name not in table.columns:
                table[name] = value
        present = [name for name in VARIANTS if name in table.columns]
        table[present] = table[present].astype("object").where(table[present].notna(), "").astype("str")
        there = tuple(name for name in metrics if name in table.columns)
        if not there:
            raise ValueError("it has no column of errors")
        if "pool" in table.columns:
            table["pool"] = pd.to_numeric(table["pool"]).fillna(0)
        sizes = tuple(name for name in SIZES if name in table.columns)
        Columns((*TEXTS, *SILENT, *present), ("fraction", "seed", *there, *sizes)).check(table)
        table = refits(table)
        table["fraction"] = table["fraction"].astype("float64").map(_rounded)
        _check(table)
        if not ((table["group"] == ALL) & table["split"].isin(PARTS)).any():
            raise ValueError(
                f"no row is of the group {ALL!r}, over all groups, and of the split {' or '.join(PARTS)}"
            )
        whole = [name for name in WHOLE if name in table.columns]
        table = table.astype(dict.fromkeys(whole, "int64"))
        if not set(CLIPS) & set(table.columns):
            # Nothing says what the error of an exploded fit is clipped at.
            table = table.drop(columns="flag", errors="ignore")
    except UNREADABLE as error:
        raise StudyError(
            f"{path} is no results table: {first_line(error)}; it needs a row per cell and part with "
            f"{', '.join(TEXTS)}, fraction, seed, and one of {', '.join(metrics)}"
        ) from None
    return table.assign(**{name: float("nan") for name in metrics if name not in there})


def _check(table: pd.DataFrame) -> None:
    """Raise `ValueError` for values that no table of results has."""
    if bad := [float(one) for one in table["fraction"].unique() if not 0 < one <= 1]:
        raise ValueError(f"fraction {bad[0]:g} is not in (0, 1]")
    if table.empty:
        raise ValueError("it has no rows")
    done = table["status"] == "done"
    if not done.any():
        raise ValueError(f"no row has the status 'done'; there are {', '.join(sorted(set(table['status'])))}")
    compared = done & (table["group"] == ALL) & table["split"].isin(PARTS)
    for name in (one for one in ERRORS.values() if one in table.columns):
        values = table.loc[compared, name].astype("float64")
        if (values < 0).any():
            raise ValueError(f"{name} has a value below 0, which no error has")
        if (values == 0).any() or np.isinf(values).any():
            raise ValueError(
                f"{name} is {'0' if (values == 0).any() else 'infinite'} in a row that is done, and has no "
                "logarithm; give what it is to count as (a run's table: of exploded fits the error of mean), "
                "or another status"
            )
    for name in (one for one in SIZES if one in table.columns):
        values = table.loc[done, name].astype("float64")
        if ((values <= 0) | np.isinf(values)).any():
            raise ValueError(
                f"{name} has a value that is no number of things: give 1 or more, or leave it out"
            )
    for name in (one for one in WHOLE if one in table.columns):
        numbers = table[name].astype("float64")
        if bad := [one for one in numbers.unique() if not (abs(one) < 2.0**63 and one == np.floor(one))]:
            raise ValueError(f"{name} {bad[0]:g} is no whole number of 64 bits")
    for name in ("model", "dataset"):
        if (table[name] == EVERY_MODEL).any():
            raise ValueError(f"the {name} {EVERY_MODEL!r} stands for all of them; rename it")
    if "relation" in table.columns and (unknown := sorted(set(table["relation"]) - set(RELATIONS))):
        raise ValueError(f"relation {unknown[0]!r} is unknown; known: {', '.join(filter(None, RELATIONS))}")
    key = [name for name in CELL if name in table.columns]
    if (twice := table.duplicated(key)).any():
        row = table.loc[twice, key].iloc[0].to_dict()
        raise ValueError(f"{int(twice.sum())} rows are of a cell that another row has, such as {row}")


def _rounded(fraction: float) -> float:
    """Round to `DIGITS` digits."""
    return float(f"{fraction:.{DIGITS}g}")


def _read_csv(path: Path) -> pd.DataFrame:
    """Read CSV; texts stay texts, whatever they look like: a model may be called ``nan``."""
    texts = dict.fromkeys((*TEXTS, *SILENT, *VARIANTS), str)
    names = pd.read_csv(path, nrows=1, header=None, dtype=str, keep_default_na=False).iloc[0].tolist()
    if len(names) == 1:
        raise ValueError("it has one column; are its fields separated by commas?")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"it has two columns {twice[0]!r}")
    missing = {name: [""] if name in texts else ["", "–", "nan", "NaN", "NA", "None"] for name in names}
    table: pd.DataFrame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=missing)
    for name in texts:
        if name in table.columns and name not in VARIANTS and table[name].isna().any():
            raise ValueError(f"the column {name} has an empty cell")
    return table
