"""What a stage raises is an error; a warning of another package is none, whatever filters are set."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

OTHERS = r"(?!crossprune(\.|$))"
"""Modules whose warnings are not ours."""


@contextlib.contextmanager
def warnings_of_others_shown() -> Iterator[None]:
    """Show warnings of other packages where filters (``python -W error``) would raise them.

    What NumPy or ASE announce for a later version says nothing about a model, so it must not end a cell.
    Filters that raise nothing stay as they are.
    """
    if not any(action == "error" for action, *_ in warnings.filters):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("default", module=OTHERS)
        yield
