"""Results as tables: pure functions from the long results table to small frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import budget_of, is_random
from crossprune.harness.errors import DataError, unknown_name
from crossprune.harness.evaluation.soundness import EXPLODED, UNDETERMINED, clipped

RANDOM = "random"
"""Chooser and method of the base line."""
CELL = ["dataset", "chooser", "method", "fraction", "seed", "model"]
"""Columns that name a cell."""
SIZES = ["n_configurations", "n_atoms", "n_labels"]
"""Columns that say how much of the training set a cell kept."""
COSTS = ["fit_s", "peak_memory_mb"]
"""Columns that say what a cell's fit cost."""


@dataclass(frozen=True)
class Metric:
    """An error metric of the results table."""

    column: str
    """Column of the results table; its name ends in the unit."""
    label: str
    """Name for people, without the unit."""
    unit: str
    """Unit of the column."""


METRICS = (
    Metric("force_mae_ev_per_angstrom", "Force MAE", "eV/Å"),
    Metric("energy_mae_mev_per_atom", "Energy MAE", "meV/atom"),
    Metric("stress_mae_gpa", "Stress MAE", "GPa"),
    Metric("force_rmse_ev_per_angstrom", "Force RMSE", "eV/Å"),
    Metric("energy_rmse_mev_per_atom", "Energy RMSE", "meV/atom"),
)
"""Errors that a report can show, the most telling first."""
SPLITS = ("test", "ood")
"""Parts on which choosers can be compared; ``remainder`` is another set for every chooser."""


def check_columns(results: pd.DataFrame) -> None:
    """Raise `DataError` if the table lacks a column that a report reads."""
    needed = [*CELL, "split", "group", "status", "reason", *SIZES, *COSTS]
    needed += [metric.column for metric in METRICS]
    if missing := [name for name in needed if name not in results.columns]:
        raise DataError(
            f"the results table lacks the column {', '.join(missing)}; "
            "give the table that `crossprune run` writes (results.parquet)"
        )


def cells(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, whatever its status, with its sizes, costs, status and reason."""
    columns = [*CELL, *SIZES, *COSTS, "status", "reason", *(["flag"] if "flag" in results else [])]
    first = results.sort_values("split", key=lambda split: split != "test", kind="stable")
    return first.loc[:, columns].drop_duplicates(CELL).sort_values(CELL, ignore_index=True)


def cell_errors(results: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    """Return every cell with its error over all groups of one split.

    Parameters
    ----------
    results
        The long results table.
    metric
        A column name of `METRICS`.
    split
        ``test`` or ``ood``.

    Returns
    -------
    pd.DataFrame
        Columns of `CELL`, ``n_configurations`` and ``error`` (the metric's unit), NaN where the cell
        is not done or has no such error; of an exploded fit the error of `mean`.

    Raises
    ------
    DataError
        For an unknown metric.
    """
    known = [one.column for one in METRICS]
    if metric not in known:
        raise DataError(unknown_name("metric", metric, known))
    chosen = (results["status"] == "done") & (results["split"] == split) & (results["group"] == "all")
    errors = clipped(results).loc[chosen, [*CELL, metric]].rename(columns={metric: "error"})
    return cells(results)[[*CELL, "n_configurations"]].merge(errors, on=CELL, how="left")


def matrix(
    results: pd.DataFrame, metric: str, *, dataset: str, fraction: float, split: str = "test"
) -> pd.DataFrame:
    """Average a metric over seeds for every pair of chooser and model.

    Returns
    -------
    pd.DataFrame
        Rows (chooser, method), random first; columns (statistic, model) with the statistics ``mean``
        and ``standard_error`` (the metric's unit; NaN for a single seed) and ``n_seeds``. A pair
        whose cells all failed is NaN with 0 seeds.
    """
    table = summary(results, metric, split)
    return _square(table, dataset, fraction, ["mean", "standard_error", "n_seeds"])


def relative(
    results: pd.DataFrame, metric: str, *, dataset: str, fraction: float, split: str = "test"
) -> pd.DataFrame:
    """Average the ratio to random, paired by seed, for every pair of chooser and model.

    Rows and columns as in `matrix`, with the statistics ``ratio``, ``ratio_standard_error`` and
    ``n_pairs`` of `summary`.
    """
    table = summary(results, metric, split)
    return _square(table, dataset, fraction, ["ratio", "ratio_standard_error", "n_pairs"])


def summary(results: pd.DataFrame, metric: str, split: str = "test") -> pd.DataFrame:
    """Average errors and their ratios to random over seeds.

    Returns
    -------
    pd.DataFrame
        One row per data set, fraction, chooser, method and model, random first, with
        ``n_configurations`` (mean), ``mean`` and ``standard_error`` of the error (the metric's unit),
        ``n_seeds``; and the geometric mean ``ratio`` of errors paired by seed, so that 2 and 1/2 cancel,
        with ``ratio_standard_error`` (that of the mean logarithm times the ratio) and ``n_pairs``.
    """
    errors = with_random(cell_errors(results, metric, split))
    errors["log_ratio"] = np.log(errors["ratio"])
    groups = errors.groupby(["dataset", "fraction", "chooser", "method", "model"])
    table = groups.agg(
        n_configurations=("n_configurations", "mean"),
        mean=("error", "mean"),
        standard_error=("error", "sem"),
        n_seeds=("error", "count"),
        ratio=("log_ratio", "mean"),
        ratio_standard_error=("log_ratio", "sem"),
        n_pairs=("log_ratio", "count"),
    ).reset_index()
    table["ratio"] = np.exp(table["ratio"])
    table["ratio_standard_error"] *= table["ratio"]
    return table.sort_values(
        ["dataset", "fraction", "chooser", "method", "model"],
        key=lambda column: column.where(column != RANDOM, "") if column.name == "chooser" else column,
        ignore_index=True,
    )


def with_random(errors: pd.DataFrame) -> pd.DataFrame:
    """Add ``ratio``: error over that of random with the same data set, fraction, seed, model and budget.

    NaN where one of the two is missing or not positive (a ratio of errors needs both).
    """
    pair = ["dataset", "fraction", "seed", "model", "budget"]
    told = errors.assign(budget=errors["method"].map(budget_of))
    random = told.loc[told["method"].map(is_random), [*pair, "error"]].drop_duplicates(pair)
    joined = told.merge(random.rename(columns={"error": "random_error"}), on=pair, how="left")
    usable = (joined["error"] > 0) & (joined["random_error"] > 0)
    joined["ratio"] = (joined["error"] / joined["random_error"]).where(usable)
    return joined.drop(columns=["budget", "random_error"])


def learning_curves(results: pd.DataFrame, metric: str, *, dataset: str, split: str = "test") -> pd.DataFrame:
    """Average a metric over seeds against the number of configurations.

    Returns
    -------
    pd.DataFrame
        Rows ordered by model, chooser, method and fraction, with ``n_configurations`` (mean over
        seeds), ``mean``, ``standard_error`` (the metric's unit) and ``n_seeds``; points without a
        finished cell are left out.
    """
    table = summary(results, metric, split)
    return curves_of(table[table["dataset"] == dataset])


def curves_of(table: pd.DataFrame) -> pd.DataFrame:
    """Take the learning curves of one data set out of its `summary`."""
    columns = ["model", "chooser", "method", "fraction", "n_configurations"]
    columns += ["mean", "standard_error", "n_seeds"]
    curves = table.loc[table["n_seeds"] > 0, columns]
    return curves.sort_values(["model", "chooser", "method", "fraction"], ignore_index=True)


def failures(results: pd.DataFrame) -> pd.DataFrame:
    """List the cells that are not done, with status and reason, and those whose fits exploded."""
    table = cells(results)
    if "flag" in table:
        gone = table["flag"].astype(str).str.startswith(EXPLODED)
        table.loc[gone, "status"], table.loc[gone, "reason"] = EXPLODED, table.loc[gone, "flag"]
    return table.loc[table["status"] != "done", [*CELL, "status", "reason"]].reset_index(drop=True)


def n_guessed(results: pd.DataFrame) -> int:
    """Count the cells whose fits guess energies of compositions that the chosen frames do not determine."""
    table = cells(results)
    if "flag" not in table:
        return 0
    return int(table["flag"].astype(str).str.contains(UNDETERMINED, regex=False).sum())


def data_kept(results: pd.DataFrame) -> pd.DataFrame:
    """Average what each chooser kept over seeds: configurations, atoms, labels."""
    table = cells(results).drop_duplicates(["dataset", "chooser", "method", "fraction", "seed"])
    table = table.dropna(subset=["n_configurations"])
    by = ["dataset", "fraction", "chooser", "method"]
    return table.groupby(by)[SIZES].mean().reset_index()


def cost(results: pd.DataFrame) -> pd.DataFrame:
    """Summarise what the finished fits of a model cost: time (s) and peak memory (MB)."""
    table = cells(results)
    table = table[table["status"] == "done"]
    return (
        table.groupby(["dataset", "model", "fraction"])
        .agg(
            n_cells=("fit_s", "size"),
            fit_median_s=("fit_s", "median"),
            fit_max_s=("fit_s", "max"),
            peak_memory_max_mb=("peak_memory_mb", "max"),
        )
        .reset_index()
    )


def random_first(names: Iterable[str]) -> list[str]:
    """Sort choosers by name, with the base line at the top."""
    return sorted(set(names), key=lambda name: (name != RANDOM, name))


def _square(table: pd.DataFrame, dataset: str, fraction: float, statistics: list[str]) -> pd.DataFrame:
    """Lay one fraction of a summary out as (chooser, method) × (statistic, model)."""
    here = table[(table["dataset"] == dataset) & np.isclose(table["fraction"], fraction)]
    order = list(dict.fromkeys(zip(here["chooser"], here["method"], strict=True)))
    square = here.pivot(index=["chooser", "method"], columns="model", values=statistics)
    square = square.reindex(pd.MultiIndex.from_tuples(order, names=["chooser", "method"]))
    counts = [name for name in square.columns if name[0] == statistics[-1]]
    return square.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int))
