"""The matrix chooser × model, laid out for reading: one block per fraction."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray
from crossprune.reports.tables import RANDOM
from crossprune.reports.wording import chooser_name, fraction_label, measured

FULL_TINT = 1.5
"""Ratios beyond this factor, either way, get the strongest tint."""
MAX_TINT = 55
"""Strongest tint of a cell's background (%): text stays readable on it."""
Cell = Mapping[Hashable, Any]
"""A row of a summary."""


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
    ways: list[tuple[str, str]]
    """Chooser and method of each row."""
    errors: FloatArray
    """The metric's unit, NaN where there is none, shape (n_ways, n_models)."""
    ratios: FloatArray
    """To random, shape (n_ways, n_models)."""
    has_ratios: bool
    full: bool


def blocks_of(table: pd.DataFrame) -> list[Block]:
    """Lay one data set's `crossprune.reports.tables.summary` out, smallest fraction first."""
    by_fraction: dict[float, list[Cell]] = {}
    for cell in table.to_dict("records"):
        by_fraction.setdefault(cell["fraction"], []).append(cell)
    return [_block(fraction, by_fraction[fraction]) for fraction in sorted(by_fraction)]


def _block(fraction: float, cells: Sequence[Cell]) -> Block:
    full = fraction > 1 - 1e-9
    models = sorted({cell["model"] for cell in cells})
    ways = list(dict.fromkeys((cell["chooser"], cell["method"]) for cell in cells))
    absent = Entry("–", "", 0, 0, False, False)
    entries = [[absent] * len(models) for _ in ways]
    errors, ratios = np.full((2, len(ways), len(models)), np.nan)
    for cell in cells:
        row, column = ways.index((cell["chooser"], cell["method"])), models.index(cell["model"])
        entries[row][column] = _entry(cell, with_ratio=not full)
        errors[row, column], ratios[row, column] = cell["mean"], cell["ratio"]
    chosen = [chooser != RANDOM for chooser, _ in ways]
    return Block(
        fraction=fraction,
        label=fraction_label(fraction, float(pd.Series([one["n_configurations"] for one in cells]).mean())),
        models=models,
        rows=[(chooser_name(*way), found) for way, found in zip(ways, entries, strict=True)],
        ways=ways,
        errors=errors,
        ratios=ratios,
        has_ratios=not full and bool(np.isfinite(ratios[chosen]).any()),
        full=full,
    )


def _entry(cell: Cell, *, with_ratio: bool) -> Entry:
    ratio = float(cell["ratio"])
    shown = with_ratio and cell["chooser"] != RANDOM and math.isfinite(ratio)
    strength = min(abs(math.log(ratio)) / math.log(FULL_TINT), 1.0) if shown else 0.0
    return Entry(
        value=measured(cell["mean"], cell["standard_error"]),
        ratio=f"{ratio:.2f} × random" if shown else "",
        n_seeds=int(cell["n_seeds"]),
        tint=round(MAX_TINT * strength),
        better=ratio < 1,
        own=cell["chooser"] == cell["model"],
    )
