"""Tables as nested mappings for the page's script: keys as texts, numbers with few digits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

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
        names = zip(by, values, strict=True)
        yield tuple(key_of(float(str(one))) if name == "fraction" else str(one) for name, one in names), rows


def records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return the rows as mappings by name."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
