"""Tables as nested mappings for the page's script: keys as texts, numbers with few digits."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray

Tree = dict[str, Any]


def key_of(fraction: float) -> str:
    """Write a fraction as the page's address has it."""
    return f"{fraction:g}"


def few_digits(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Round to so many significant digits; what is no number is missing."""
    return [float(f"{one:.{digits}g}") if math.isfinite(one) else None for one in map(float, values)]


def put(tree: Tree, keys: Sequence[str], value: object) -> None:
    """Put a value into a tree of mappings."""
    *path, last = keys
    for one in path:
        tree = tree.setdefault(one, {})
    tree[last] = value


def parts_of(table: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Yield the values of some columns, as texts, and the rows that have them; fractions as `key_of`."""
    if table.empty:
        return
    for values, rows in table.groupby(list(by), sort=True):
        yield _texts(by, values), rows


def rows_of(
    table: pd.DataFrame, by: Sequence[str], column: str, names: Sequence[Hashable], values: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], FloatArray]]:
    """Yield the values of some columns, as texts, and the numbers that go with each.

    Numbers have the shape (len(values), len(names)), a column for each of the ``names`` that ``column`` has;
    NaN where there is no such row. For thousands of small tables `parts_of` takes ten times as long.
    """
    if table.empty:
        return
    owner = table.groupby(list(by), sort=True).ngroup().to_numpy()
    places = table[column].map({name: place for place, name in enumerate(names)}).to_numpy()
    cube = np.full((owner.max() + 1, len(values), len(names)), np.nan)
    cube[owner, :, places] = table[list(values)].to_numpy(dtype="float64")
    first = np.unique(owner, return_index=True)[1]
    for keys, numbers in zip(table[list(by)].iloc[first].itertuples(index=False), cube, strict=True):
        yield _texts(by, keys), numbers


def _texts(by: Sequence[str], values: Iterable[object]) -> tuple[str, ...]:
    names = zip(by, values, strict=True)
    return tuple(key_of(float(str(one))) if name == "fraction" else str(one) for name, one in names)


def records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return the rows as mappings by name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
