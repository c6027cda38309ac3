"""What a study said that it would ask, before it had results: written once, and every change of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossprune.harness.store.objects import Store, write_file
from crossprune.harness.store.readonly import can_write

NAME = "primary.json"
MOST = 1000
"""Entries beyond which a file was not written by this module."""
Entry = Mapping[str, Any]
"""``asked`` (the primary comparison), ``date``, and ``n_results``: cells of the study that had ended then."""


def declare(store: Store, study: str, asked: Mapping[str, str], keys: Sequence[str]) -> None:
    """Write down what a study asks, if it has not said so before; nothing if the store cannot be written.

    Parameters
    ----------
    store
        Where results are kept.
    study
        Its name.
    asked
        The primary comparison.
    keys
        Of all cells of the study; those that have ended are counted.
    """
    known = declared(store.root)
    if known is None:  # damaged: what it said must not be forgotten by writing it anew
        return
    before = known.get(study, [])
    if before and before[-1]["asked"] == dict(asked):
        return
    path = store.root / NAME
    if not can_write(store.root):
        return
    entry = {
        "asked": dict(asked),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "n_results": len(store.statuses(keys)),
    }
    text = json.dumps({**known, study: [*before, entry]}, indent=1, sort_keys=True)
    write_file(path, lambda temporary: temporary.write_text(text))


def declared(root: Path) -> dict[str, list[Entry]] | None:
    """Read what each study asked, oldest first; None if the file is damaged, so that nobody knows."""
    try:
        found = json.loads((root / NAME).read_bytes())
        return {
            str(name): [
                {
                    "asked": {str(key): str(one["asked"][key]) for key in ("outcome", "split", "comparison")},
                    "date": str(one["date"]),
                    "n_results": int(one["n_results"]),
                }
                for one in entries[:MOST]
            ]
            for name, entries in found.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
