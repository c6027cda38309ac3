"""The results as one long table: a row per cell, split and group."""

from __future__ import annotations

import functools
import itertools
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.data.partition import MOST_POOLS
from crossprune.harness.engine.grid import Cell
from crossprune.harness.engine.study import PUBLISHED
from crossprune.harness.evaluation.metrics import ALL, METRICS
from crossprune.harness.evaluation.soundness import CLIPS
from crossprune.harness.store.records import Record
from crossprune.harness.store.tables import Columns, read_pieces

AXES = (
    "dataset",
    "pool",
    "held_out",
    "chooser",
    "method",
    "mask",
    "given",
    "space",
    "scaling",
    "pooling",
    "budget",
    "fraction",
    "seed",
    "model",
)
STATE = ("relation", "split", "group", "status", "reason", "flag")
SIZES = ("n_configurations", "n_atoms", "n_labels", "n_eval_configurations", "n_eval_atoms")
COSTS = ("fit_s", "predict_s", "peak_memory_mb", "condition_number")
PROVENANCE = (
    "settings",
    "cell",
    "fit_key",
    "selection_key",
    "dataset_key",
    "crossprune_version",
    "commit",
    "versions",
    "hardware",
)
COLUMNS = (*AXES, *STATE, *METRICS, *CLIPS, *SIZES, *COSTS, *PROVENANCE)
NUMBERS = (*METRICS, *CLIPS, *SIZES, *COSTS)
PER_ROW = ("split", "group", *METRICS, *CLIPS, "n_eval_configurations", "n_eval_atoms")
SHARED = tuple(name for name in COLUMNS if name not in PER_ROW)
NUMBER_AXES = ("pool", "fraction", "seed")
TEXT_AXES = tuple(axis for axis in AXES if axis not in NUMBER_AXES)
"""The two kinds of axes."""
RESULTS = Columns(
    texts=tuple(name for name in COLUMNS if name not in (*NUMBER_AXES, *NUMBERS)),
    numbers=(*NUMBER_AXES, *NUMBERS),
    optional=(
        *(
            "pool",
            "held_out",
            "mask",
            "given",
            "space",
            "scaling",
            "pooling",
            "budget",
            "relation",
            "flag",
            *CLIPS,
            *PROVENANCE,
        ),
        *METRICS[5:],
        *("n_eval_configurations", "n_eval_atoms", "predict_s", "condition_number"),
    ),
)
"""What the results table holds; a table from elsewhere may lack what only adds to a report."""
PIECE = 500
"""Cells that are laid out at a time."""
VOLATILE = ("fit_s", "predict_s", "peak_memory_mb", "crossprune_version", "commit", "versions", "hardware")
"""Columns that may differ between two runs of the same study; all others are equal bit for bit."""

REFERENCE_SEEN = ("reference_seen", "n_reference_chosen", "n_reference_pool")
"""What a model saw of a reference's structures: a word, and frames chosen and in the training pool."""
PROPERTY_COLUMNS = (
    *AXES, "structure", "property", "value", "reference", "error", "relative_error", "status", "reason",
    "wall_s", "reference_source", *REFERENCE_SEEN, "cell", "fit_key",
)  # fmt: skip
"""Columns of the table of properties: a row per cell and property; units are in the property's name."""
PROPERTY_TEXTS = (
    *TEXT_AXES,
    "structure",
    "property",
    "status",
    "reason",
    "reference_source",
    REFERENCE_SEEN[0],
)
PROPERTIES = Columns(
    PROPERTY_TEXTS,
    (*NUMBER_AXES, "value", "reference", "error", "relative_error", "wall_s", *REFERENCE_SEEN[1:]),
    optional=("pool", "held_out", "mask", "given", "space", *REFERENCE_SEEN),
)
"""What readers of the table of properties rely on."""
MD_NUMBERS = (
    "temperature_k", "velocity_seed", "n_atoms", "timestep_fs", "survival_ps", "length_ps", "planned_ps",
    "drift_mev_per_atom_per_ps", "rdf_error", "msd_angstrom2", "mean_temperature_k", "ms_per_atom_step",
)  # fmt: skip
MD_LATER = (
    "survival_temperature_k", "rdf_noise", "adf_error", "adf_noise", "pressure_gpa", "reference_pressure_gpa",
    "pressure_noise_gpa", "vibration_thz", "reference_vibration_thz", "vibration_noise_thz",
    "volume_angstrom3_per_atom",
)  # fmt: skip
"""Numbers that older tables lack."""
MD_COLUMNS = (
    *AXES, "start", "ensemble", "status", "reason", "survived", "failure", *MD_NUMBERS, *MD_LATER,
    "trajectory", "cell", "fit_key",
)  # fmt: skip
"""Columns of the table of molecular dynamics: a row per cell and run."""
MD_TEXTS = (*TEXT_AXES, "start", "ensemble", "status", "reason", "failure", "trajectory", "fit_key")
MD = Columns(
    MD_TEXTS,
    (*NUMBER_AXES, *MD_NUMBERS, *MD_LATER),
    truths=("survived",),
    optional=("pool", "held_out", "mask", "given", "space", "start", *MD_LATER),
)
"""What readers of the table of molecular dynamics rely on."""
ONE_RUN = ("fit_key", "start", "ensemble", "temperature_k", "velocity_seed", "n_atoms", "trajectory")
"""What tells runs apart: cells that share a fit show the same runs."""


def to_table(cells: Iterable[tuple[int, Cell, Record]]) -> pd.DataFrame:
    """Lay out records as the results table; a cell without metrics is one row with its status.

    Parameters
    ----------
    cells
        Place in the table, cell and record; in any order, looked at one by one.
    """
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    places: list[int] = []
    lengths: list[int] = []
    for place, cell, record in cells:
        shared = {**vars(cell.choice), "model": cell.model, "status": record.status}
        shared |= {"reason": record.reason, "cell": record.key, **record.facts}
        for name in SHARED:
            columns[name].append(shared.get(name))
        rows = record.rows or [{"split": "test", "group": ALL}]
        for name in PER_ROW:
            columns[name] += [row.get(name) for row in rows]
        places.append(place)
        lengths.append(len(rows))
    counts = np.array(lengths, dtype=np.int64)
    order = np.argsort(np.repeat(np.array(places, dtype=np.int64), counts), kind="stable")
    owner = np.repeat(np.arange(len(places)), counts)[order]
    taken = {name: owner if name in SHARED else order for name in COLUMNS}
    return pd.DataFrame({name: _column(name, columns[name]).take(taken[name]) for name in COLUMNS})


def _column(name: str, values: Sequence[Any]) -> Any:
    """Turn values into an array of the column's type; a missing text is empty."""
    if name in NUMBER_AXES:
        return np.asarray(values)
    if name in NUMBERS:
        return np.array(values, dtype="float64")
    return pd.array(["" if value is None else str(value) for value in values], dtype="str")


def properties_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Lay out properties: value, reference, error (value − reference) and error over reference."""
    table = pd.DataFrame(list(rows), columns=list(PROPERTY_COLUMNS))
    numbers = ["value", "reference", "wall_s", *REFERENCE_SEEN[1:]]
    table[numbers] = table[numbers].astype("float64")
    table["error"] = table["value"] - table["reference"]
    table["relative_error"] = table["error"] / table["reference"].abs()
    return _with_texts(table, PROPERTY_TEXTS)


def md_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Lay out runs of molecular dynamics; ``survived`` is missing where a run did not take place."""
    table = pd.DataFrame(list(rows), columns=list(MD_COLUMNS))
    numbers = [*MD_NUMBERS, *MD_LATER]
    table[numbers] = table[numbers].astype("float64")
    table["survived"] = table["survived"].astype("boolean")
    return _with_texts(table, MD_TEXTS)


def distinct_runs(md: pd.DataFrame, within: Sequence[str] = ()) -> pd.DataFrame:
    """Return the runs that took place, each once (within each value of some columns); and ``cut``.

    A run is cut if its budget ended it, so that it neither failed nor reached its planned length.
    """
    names = [name for name in (*within, *ONE_RUN) if name in md.columns]  # older tables hold no start
    ended = md[md["survived"].notna()].drop_duplicates(names)
    reached = ended["survival_ps"] >= ended["planned_ps"] * (1 - 1e-9)  # whole steps times a step in ps
    return ended.assign(cut=(ended["failure"] == "") & ~reached)


def _with_texts(table: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    texts = list(columns)
    table[texts] = table[texts].astype("object").where(table[texts].notna(), "").astype("str")
    return table


def by_pool(table: pd.DataFrame) -> pd.DataFrame:
    """Name the pools of a data set, where it has several, as data sets of their own: ``si-pbe, pool 3``.

    Those that hold out a group are called after it: ``si-pbe without vacancy``.

    What shares a training and a test part is then named by ``dataset`` alone, so that no average and no pair
    goes over two pools. The column ``pool`` stays, and the data set as ``source``; doing it
    twice changes nothing.
    """
    if "pool" not in table.columns or not table["pool"].any() or "source" in table.columns:
        return table
    several = table.groupby("dataset")["pool"].transform("nunique") > 1
    drawn = table["pool"][table["pool"] < MOST_POOLS]
    digits = len(str(drawn.max()))
    named = table["dataset"] + ", pool " + table["pool"].astype("int64").astype(str).str.zfill(digits)
    if "held_out" in table.columns:
        named = named.where(table["held_out"] == "", table["dataset"] + " without " + table["held_out"])
    return table.assign(source=table["dataset"], dataset=named.where(several, table["dataset"]))


def not_held_out(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the pools in which a group is held out, which are there for their part ood."""
    return table[table["held_out"] == ""] if "held_out" in table.columns else table


def held_out_or_all(table: pd.DataFrame) -> pd.DataFrame:
    """Return of each data set the pools in which a group is held out, all pools where there are none."""
    if "held_out" not in table.columns:
        return table
    is_held_out = table["held_out"] != ""
    owner = table["source"] if "source" in table.columns else table["dataset"]
    return table[is_held_out | ~is_held_out.groupby(owner).transform("any")]


def refits(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of published potentials, which take no part in comparisons."""
    is_published = table["chooser"] == PUBLISHED
    return table[~is_published].reset_index(drop=True) if is_published.any() else table


def published_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of published potentials."""
    return table[table["chooser"] == PUBLISHED].reset_index(drop=True)


def only_overall(cells: Iterable[tuple[int, Cell, Record]]) -> Iterator[tuple[int, Cell, Record]]:
    """Leave out of each record the rows of single groups, of which there may be dozens."""
    for place, cell, record in cells:
        yield place, cell, replace(record, rows=[row for row in record.rows if row["group"] == ALL])


def pieces_of(cells: Iterable[tuple[int, Cell, Record]], size: int = PIECE) -> Iterator[pd.DataFrame]:
    """Lay out cells in their order, some at a time, so that no large table has to fit into memory."""
    iterator = iter(cells)
    piece = list(itertools.islice(iterator, size))
    yield to_table(piece)
    while piece := list(itertools.islice(iterator, size)):
        yield to_table(piece)


def read_overall(path: Path) -> pd.DataFrame:
    """Read the rows over all groups of a results table, but for those of published potentials.

    Raises
    ------
    StudyError
        If it is not as it was written; running the study writes it again.
    """
    return refits(read_with_published(path))


def read_with_published(path: Path) -> pd.DataFrame:
    """As `read_overall`, with the rows of published potentials."""
    return pd.concat(
        [piece[piece["group"] == ALL] for piece in read_pieces(path, RESULTS)], ignore_index=True
    )


@functools.cache
def code_version() -> Mapping[str, str]:
    """Return the installed version and, for a checkout, its commit (``+`` if it has local changes)."""
    folder = Path(__file__).parent
    commit = ""
    try:
        git = functools.partial(subprocess.run, cwd=folder, capture_output=True, text=True, timeout=10)
        found = git(["git", "rev-parse", "--short=12", "HEAD"])
        if found.returncode == 0:
            changed = git(["git", "status", "--porcelain", "--untracked-files=no"]).stdout.strip()
            commit = found.stdout.strip() + ("+" if changed else "")
    except (OSError, subprocess.TimeoutExpired):
        pass
    return {"crossprune_version": version("crossprune"), "commit": commit}
