"""The matrix chooser × model, laid out for reading: one block per fraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.reports.tables import RANDOM
from crossprune.reports.wording import chooser_name, fraction_label, measured

FULL_TINT = 1.5
"""Ratios beyond this factor, either way, get the strongest tint."""
MAX_TINT = 55
"""Strongest tint of a cell's background (%): text stays readable on it."""


@dataclass(frozen=True)
class Entry:
    """One cell of the matrix as text."""

    value: str
    ratio: str
    n_seeds: int
    tint: int
    better: bool
    own: bool


@dataclass(frozen=True)
class Block:
    """The matrix of one fraction: text for the table, values for the heat-maps."""

    fraction: float
    label: str
    models: list[str]
    rows: list[tuple[str, list[Entry]]]
    errors: pd.DataFrame
    ratios: pd.DataFrame
    has_ratios: bool
    full: bool


def blocks_of(table: pd.DataFrame) -> list[Block]:
    """Lay one data set's `crossprune.reports.tables.summary` out, smallest fraction first."""
    fractions = sorted(set(table["fraction"].tolist()))
    return [_block(fraction, table[table["fraction"] == fraction]) for fraction in fractions]


def _block(fraction: float, here: pd.DataFrame) -> Block:
    full = fraction > 1 - 1e-9
    models = sorted(here["model"].unique())
    entries: dict[tuple[str, str], dict[str, Entry]] = {}
    errors: dict[tuple[str, str], dict[str, float]] = {}
    ratios: dict[tuple[str, str], dict[str, float]] = {}
    for cell in here.to_dict("records"):
        row, model = (cell["chooser"], cell["method"]), cell["model"]
        entries.setdefault(row, {})[model] = _entry(cell, with_ratio=not full)
        errors.setdefault(row, {})[model] = cell["mean"]
        ratios.setdefault(row, {})[model] = cell["ratio"]
    absent = Entry("–", "", 0, 0, False, False)
    return Block(
        fraction=fraction,
        label=fraction_label(fraction, float(here["n_configurations"].mean())),
        models=models,
        rows=[
            (chooser_name(*row), [found.get(one, absent) for one in models]) for row, found in entries.items()
        ],
        errors=pd.DataFrame.from_dict(errors, orient="index", columns=models),
        ratios=pd.DataFrame.from_dict(ratios, orient="index", columns=models),
        has_ratios=not full and bool(here.loc[here["chooser"] != RANDOM, "ratio"].notna().any()),
        full=full,
    )


def _entry(cell: Mapping[str, object] | dict[object, object], *, with_ratio: bool) -> Entry:
    fields = {str(key): value for key, value in cell.items()}
    ratio = float(str(fields["ratio"]))
    shown = with_ratio and fields["chooser"] != RANDOM and np.isfinite(ratio)
    strength = min(abs(np.log(ratio)) / np.log(FULL_TINT), 1.0) if shown else 0.0
    return Entry(
        value=measured(float(str(fields["mean"])), float(str(fields["standard_error"]))),
        ratio=f"{ratio:.2f} × random" if shown else "",
        n_seeds=int(str(fields["n_seeds"])),
        tint=round(MAX_TINT * strength),
        better=ratio < 1,
        own=fields["chooser"] == fields["model"],
    )
