"""What goes into the page beside its text: figures as JSON, tables as CSV, all as small as they can be."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd
from crossprune.harness.store.spreadsheet import without_formulas
from crossprune.reports.definitions import heading, word_of
from crossprune.reports.wording import exact, rounded, split_name
from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment

TABLES = "vendor/datatables.min.js"
"""Sorts, filters and hides columns of tables."""
CSV_SAFE = ",:;/()=+*!$'@~"
"""Characters that an address may hold as they are: the fewer are escaped, the smaller the page."""

SCRIPTS = (
    *("shared/base", "shared/state", "structure", "shared/files", "shared/draw", "map", "view", "panels"),
    *("matrix", "enough", "behind", "cell", "words", "formats", "filters", "tables", "drawings", "links"),
    *("supplement", "main"),
)
"""Scripts of the page in the order in which they are joined."""


def environment(**filters: Callable[..., object]) -> Environment:
    """Return where the templates of the folder ``assets`` are rendered: whatever they show is escaped.

    ``filters`` are those that the macros do not need.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("crossprune.reports", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "csv_uri": csv_uri,
        "exact": exact,
        "heading": heading,
        "rounded": rounded,
        "split_name": split_name,
        "word_of": word_of,
        **filters,
    }
    return made


def source(name: str) -> Markup:
    """Return a text of the folder ``assets`` as it is."""
    return Markup(files("crossprune.reports").joinpath("assets", name).read_text(encoding="utf-8"))


def styles() -> Markup:
    """Join the style sheets, the page's own first."""
    folder = files("crossprune.reports").joinpath("assets", "styles")
    further = sorted(one.name for one in folder.iterdir() if one.name != "page.css")
    return Markup("\n").join(source(f"styles/{name}") for name in ("page.css", *further))


def script(names: Sequence[str] = SCRIPTS) -> Markup:
    """Join the scripts of a page: one scope, which the rest of the browser does not see."""
    parts = [source(f"scripts/{name}.js") for name in names]
    return Markup('(() => {\n"use strict";\n') + Markup("\n").join(parts) + Markup("})();")


def csv_uri(table: pd.DataFrame) -> str:
    """Return a ``data:`` address that downloads the table as CSV, numbers with six digits."""
    return text_uri(without_formulas(table).to_csv(index=False, float_format="%.6g"), "text/csv")


def text_uri(text: str, kind: str = "text/plain") -> str:
    """Return a ``data:`` address that downloads a text."""
    return f"data:{kind};charset=utf-8," + quote(text, safe=CSV_SAFE)


@dataclass(frozen=True)
class Bundle:
    """Figures of one place on the page, compressed: a fifth of their size."""

    n: int
    packed: str


def bundle(figures: Sequence[object]) -> Bundle:
    """Pack figures as JSON for the script."""
    return Bundle(len(figures), packed_json(figures))


def packed_json(value: object) -> str:
    """Pack data as JSON for the script."""
    return packed(json.dumps(compact(value), separators=(",", ":")))


def packed(text: str) -> str:
    """Compress text (gzip) and write it in base 64: safe in any element, and the same on every day."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


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
