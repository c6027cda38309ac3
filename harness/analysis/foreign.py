"""A results table without its store: of several machines, or of another engine."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.tables import UNREADABLE, Columns, first_line, load_table

TEXTS = ("dataset", "chooser", "method", "model")
SILENT = {"split": "test", "group": ALL, "status": "done"}
"""Columns that may be left out, and what goes without saying."""
VARIANTS = ("scaling", "pooling", "budget", "relation", "fit_key", "flag", "reason")
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
    if path.suffix not in SUFFIXES:
        raise StudyError(f"{path}: give a finished run's folder, or a table that ends in .parquet or .csv")
    try:
        table = load_table(path) if path.suffix == ".parquet" else _read_csv(path)
        for name, value in SILENT.items():
            if name not in table.columns:
                table[name] = value
        present = [name for name in VARIANTS if name in table.columns]
        table[present] = table[present].astype("object").where(table[present].notna(), "").astype("str")
        there = tuple(name for name in metrics if name in table.columns)
        if not there:
            raise ValueError(f"it has no column of errors; known: {', '.join(metrics)}")
        Columns((*TEXTS, *SILENT, *present), ("fraction", "seed", *there)).check(table)
    except UNREADABLE as error:
        raise StudyError(
            f"{path} is no results table: {first_line(error)}; it needs a row per cell and part with "
            f"{', '.join(TEXTS)}, fraction, seed, and one of {', '.join(metrics)}"
        ) from None
    if bad := [float(one) for one in table["fraction"].unique() if not 0 < one <= 1]:
        raise StudyError(f"{path}: fraction {bad[0]:g} is not in (0, 1]")
    return table.assign(**{name: float("nan") for name in metrics if name not in there})


def _read_csv(path: Path) -> pd.DataFrame:
    """Read CSV; texts stay texts, whatever they look like."""
    texts = dict.fromkeys((*TEXTS, *SILENT, *VARIANTS), str)
    table: pd.DataFrame = pd.read_csv(path, dtype=texts, keep_default_na=True, na_values=["–"])
    for name in texts:
        if name in table.columns and name not in VARIANTS and table[name].isna().any():
            raise ValueError(f"the column {name} has an empty cell")
    return table
