"""CSV is opened with spreadsheets: texts that these would take for formulas are marked as texts."""

from __future__ import annotations

import pandas as pd

FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""First characters that spreadsheets read as a formula, or skip before one (OWASP, "CSV Injection")."""


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``'`` before texts, headings included, that begin like a formula.

    Numbers stay numbers, and texts that are numbers stay as they are. A table without such texts is
    returned as it is.
    """
    changed = {}
    for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        marked = {value: as_text(value) for value in table[name].unique() if as_text(value) != value}
        if marked:
            changed[name] = (
                table[name].astype(object).map(lambda value, marked=marked: marked.get(value, value))
            )
    safe = table.assign(**changed) if changed else table
    return safe.rename(columns=as_text)


def as_text(value: object) -> object:
    """Put ``'`` before a text that begins like a formula, and end its lines with line feeds.

    A bare carriage return would begin a new row, and with it a new cell.

    Examples
    --------
    >>> as_text("=1+1"), as_text("-1.5"), as_text(-1.5), as_text("a=b")
    ("'=1+1", '-1.5', -1.5, 'a=b')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r\n", "\n").replace("\r", "\n")
    if not value.startswith(FORMULA):
        return text
    try:
        float(value)
    except ValueError:
        return f"'{text}"
    return value
