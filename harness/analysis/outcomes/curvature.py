"""Curvature of fitted models over the reference's: elastic constants, bulk moduli, squared frequencies."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.contract import FloatArray
from crossprune.harness.engine.results import AXES, PROPERTIES, properties_table, refits
from crossprune.harness.evaluation.properties import AT_CELL, AT_STRAIN
from crossprune.harness.evaluation.references import plain_name
from crossprune.harness.store.tables import read_table

KINDS = {
    "C11": r"c11_gpa",
    "C12": r"c12_gpa",
    "C44": r"c44_gpa",
    "C44 clamped": r"c44_clamped_gpa",
    "B": r"bulk_modulus_gpa",
    "phonons": r"(?!lowest).+_thz",
}
"""Kind to the property's name on cards; of phonons the square of the frequency is the curvature."""
SMALLEST = {"_gpa": 1.0, "_thz": 0.5}
"""References below which a ratio is one of noise: GPa, THz (ours)."""
COMPUTED = {AT_CELL: "in the reference's cell", AT_STRAIN: "with the reference's strain"}
OWN_CELL = "in its own cell"
"""How a value was computed."""
CELL = [*AXES, "kind", "computed", "fit"]
BY = ["dataset", "way", "fraction", "model", "kind", "computed"]
RATIOS = ["ratio", "ratio_lowest", "ratio_highest"]


def curvature_of(root: Path) -> dict[str, pd.DataFrame]:
    """Compare the curvatures that a run computed as properties with their references; nothing is computed.

    Parameters
    ----------
    root
        Folder of a run.

    Returns
    -------
    dict
        ``curvature``: a row per cell, ``kind`` and how it was ``computed``: ``n_values`` with a reference,
        ``n_failed`` of them without a value, and of value over reference the median ``ratio`` and its range
        ``ratio_lowest`` to ``ratio_highest``. Below 1 is soft; an imaginary frequency counts below 0.
        ``curvature_summary``: `BY`, ``n_fits``, and median and range over them of ``ratio``. Both are
        empty where the study asked for no such property.

    Raises
    ------
    StudyError
        If the table is not as it was written.
    """
    path = root / "properties.parquet"
    if not path.is_file():
        return tables_of(properties_table([]))
    return tables_of(refits(read_table(path, PROPERTIES)))


def tables_of(properties: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """As `curvature_of`, of the rows of a table of properties; cells that share a fit count once."""
    plain, fit = properties["property"].map(plain_name), properties["fit_key"].astype("object")
    kind = plain.map(_kind)
    known = properties["reference"] >= plain.map(_smallest).astype("float64")
    rows = properties.assign(
        kind=kind,
        computed=properties["property"].map(_computed),
        fit=fit.where(fit.notna() & (fit != ""), properties["cell"]),
        ratio=ratios(properties["value"].to_numpy(float), properties["reference"].to_numpy(float), kind),
        **{name: "" for name in AXES if name not in properties.columns},
    )[known & kind.ne("")]
    cells = _over(rows, CELL, {"n_values": "size", "n_with_value": "count"})
    cells.insert(len(CELL) + 1, "n_failed", cells["n_values"] - cells.pop("n_with_value"))
    named = labelled(cells)
    named = named.assign(way=way_of(named)).drop_duplicates([*BY, "fit"])
    return {
        "curvature": cells.drop(columns="fit"),
        "curvature_summary": _over(named, BY, {"n_fits": "size"}),
    }


def ratios(values: FloatArray, references: FloatArray, kinds: pd.Series[str]) -> FloatArray:
    """Divide curvatures by their references; frequencies are squared, imaginary ones, given as negative, < 0.

    ``values`` and ``references`` have one unit, GPa or THz, and shape (n,), as the result.
    """
    quotient = np.divide(values, references, out=np.full(len(values), np.nan), where=references > 0)
    found: FloatArray = np.where(kinds == "phonons", np.sign(quotient) * quotient**2, quotient)
    return found


def _over(rows: pd.DataFrame, by: list[str], sizes: dict[str, str]) -> pd.DataFrame:
    """Return counts, median and range of ``ratio`` of what agrees in ``by``."""
    groups = rows.groupby(by, sort=False, dropna=False)["ratio"]
    counts = {name: groups.agg(one) for name, one in sizes.items()}
    middle = {"ratio": groups.median(), "ratio_lowest": groups.min(), "ratio_highest": groups.max()}
    return pd.DataFrame({**counts, **middle}).reset_index()


def _kind(name: str) -> str:
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, name)), "")


def _smallest(name: str) -> float:
    return next((value for unit, value in SMALLEST.items() if name.endswith(unit)), np.inf)


def _computed(name: str) -> str:
    return next((words for mark, words in COMPUTED.items() if mark in name), OWN_CELL)
