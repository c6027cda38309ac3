"""What a stage raises is an error; a warning of another package is none, whatever filters are set."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

OTHERS = r"(?!crossprune(\.|$))"
"""Modules whose warnings are not ours."""


@contextlib.contextmanager
def warnings_of_others_shown() -> Iterator[None]:
    """Show warnings of other packages where filters (``python -W error``) would raise them.

    What NumPy or ASE announce for a later version says nothing about a model, so it must not end a cell.
    What no filter raises stays as it is: phonopy's filter for one kind must not make all others visible.
    """
    before: list[tuple[Any, ...]] = list(warnings.filters)
    if not any(action == "error" for action, *_ in before):
        yield
        return
    with warnings.catch_warnings():
        warnings.resetwarnings()
        for action, message, category, module, line in reversed(before):  # the last one added comes first
            place = _pattern(module)
            warnings.filterwarnings(action, _pattern(message), category, place, line)
            if action == "error" and not place:
                warnings.filterwarnings("default", _pattern(message), category, OTHERS, line)
        yield


def _pattern(part: str | re.Pattern[str] | None) -> str:
    """Return the text of a filter's pattern; the interpreter's own filters hold plain words."""
    if isinstance(part, re.Pattern):
        return part.pattern
    return re.escape(part) + r"\Z" if part else ""
