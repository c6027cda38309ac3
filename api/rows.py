"""The tables of a finished run, and the one row that fits a description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

STORE = "store"
"""Column that says which store a row is of."""
OPTIONS = {
    "dataset": "--data",
    "pool": "--pool",
    "model": "--model",
    "chooser": "--chooser",
    "method": "--method",
    "fraction": "--fraction",
    "seed": "--seed",
}
"""What tells rows apart, and the option of the command line that names it."""
MOST_LISTED = 20
"""Rows that an error lists."""


def results(store: str | Path, table: Literal["results", "properties", "md"] = "results") -> pd.DataFrame:
    """Read a table of a finished run.

    Parameters
    ----------
    store
        Folder of the run.
    table
        ``results``: errors, a row per cell, split and group; ``properties`` and ``md``: those of every model,
        where the study asked for them. The README lists the columns of the first.

    Returns
    -------
    pandas.DataFrame
        The table, and a last column ``store``, by which `load_potential` finds the model of a row.

    Raises
    ------
    StudyError
        If there is no such table, or it is not as it was written.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> study = {"study": {"name": "t", "datasets": ["si-pbe"], "models": ["mean"], "fractions": [1.0],
    ...                    "seeds": [0]}, "data": {"si-pbe": {"smoke": True}}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = crossprune.run(study, store=folder, workers=0)
    ...     table = crossprune.results(folder)
    >>> table.loc[table["group"] == "all", ["model", "split", "status"]].values.tolist()
    [['mean', 'test', 'done'], ['mean', 'ood', 'done']]
    """
    from crossprune.harness.engine.results import MD, PROPERTIES, RESULTS
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.store.tables import read_table

    known = {"results": RESULTS, "properties": PROPERTIES, "md": MD}
    if table not in known:
        raise StudyError(unknown_name("table", table, known))
    root = Path(store)
    if not (root / "results.parquet").is_file():
        raise StudyError(f"{root} holds no finished run: crossprune run STUDY.toml --store {root}")
    path = root / f"{table}.parquet"
    if not path.is_file():
        raise StudyError(f"{root} has no table {table!r}: its study asks for none; see [{table}] of a study")
    return read_table(path, known[table]).assign(**{STORE: str(root.resolve())})


def fitting(root: Path, table: pd.DataFrame, wanted: Mapping[str, str | float | int]) -> pd.DataFrame:
    """Return the rows that fit a description; ``table`` has one per cell, `labelled`.

    A method may be named without what follows its first comma.

    Raises
    ------
    StudyError
        If a name is unknown.
    """
    import numpy as np
    from crossprune.harness.errors import StudyError, unknown_name

    heads = table["method"].map(lambda text: text.split(", ")[0])
    found = table
    for name, value in wanted.items():
        known = set(table[name])
        if name in ("dataset", "model", "chooser", "method") and value not in (known | set(heads)):
            words = unknown_name("data set" if name == "dataset" else name, str(value), known)
            raise StudyError(f"{root}: {words}")
        is_head = name == "method" and value not in known
        same = np.isclose(found[name], float(value)) if name == "fraction" else found[name] == value
        found = found[heads[found.index] == value if is_head else same]
    return found


def choices(table: pd.DataFrame, axes: Mapping[str, str]) -> str:
    """Say what there is to choose from: options and their values, where there are several."""
    lists = {option: sorted(table[name].dropna().unique()) for name, option in axes.items()}
    return "; ".join(
        f"{option}: {', '.join(_quoted(str(one)) for one in values)}"
        for option, values in lists.items()
        if len(values) > 1
    )


def _quoted(value: str) -> str:
    """Quote a value that the shell, or a reader of a list, would cut in two."""
    return f'"{value}"' if " " in value else value


def one_row(store: str | Path, wanted: Mapping[str, str | float | int]) -> pd.Series[Any]:
    """Return the one row of a run's table, over the test part, that fits a description.

    Parameters
    ----------
    store
        Folder of a finished run.
    wanted
        Any of dataset, pool, model, chooser, method, fraction and seed.

    Raises
    ------
    StudyError
        If none fits, or several do, which are listed; or the model has not ended well.
    """
    from crossprune.harness.analysis.cells import labelled
    from crossprune.harness.errors import StudyError

    root, whole = Path(store), results(store)
    table = labelled(whole)
    table = (table if "pool" in table else table.assign(pool=0)).drop_duplicates(list(OPTIONS))
    found = fitting(root, table, wanted)
    if len(found) != 1:
        shown = table if found.empty else found
        listed = "".join(f"\n  {_described(row)}" for _, row in found.head(MOST_LISTED).iterrows())
        more = f"\n  and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
        raise StudyError(f"{len(found)} rows of {root} fit; {choices(shown, OPTIONS)}{listed}{more}")
    row = found.iloc[0]
    if row["status"] != "done":
        reason = (str(row["reason"]).strip().splitlines() or ["no reason given"])[-1]
        raise StudyError(f"{root}: {_described(row)} has no potential: it is {row['status']}: {reason}")
    if not row["model"]:
        raise StudyError(f"{root}: {_described(row)} has no potential: its study only chooses")
    kept: pd.Series[Any] = whole.loc[found.index[0]]
    return kept


def _described(row: pd.Series[Any]) -> str:
    pool = f", pool {row['pool']}" if row["pool"] else ""
    way = row["chooser"] if row["chooser"] == row["method"] else f"{row['chooser']} ({row['method']})"
    part = "" if row["fraction"] != row["fraction"] else f", fraction {row['fraction']:g}, seed {row['seed']}"
    return f"model {row['model'] or '–'}, data {row['dataset']}{pool}, chooser {way}{part}"
