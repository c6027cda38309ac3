"""What goes into the page beside its text: figures as JSON, tables as CSV, all as small as they can be."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

CSV_SAFE = ",:;/()=+*!$'@~"
"""Characters that an address may hold as they are: the fewer are escaped, the smaller the page."""


def csv_uri(table: pd.DataFrame) -> str:
    """Return a ``data:`` address that downloads the table as CSV, numbers with six digits."""
    return "data:text/csv;charset=utf-8," + quote(
        table.to_csv(index=False, float_format="%.6g"), safe=CSV_SAFE
    )


def as_json(value: object) -> Markup:
    """Return JSON that is safe inside a script element: no text in it can end the element."""
    return Markup(json.dumps(compact(value), separators=(",", ":")).replace("<", "\\u003c"))


def compact(value: object) -> object:
    """Round numbers to 5 digits, finer than a screen shows, and make NaN null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: compact(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [compact(one) for one in value]
    return value
