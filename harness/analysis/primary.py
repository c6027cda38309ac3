"""The comparison that a study was run for: declared before its results, or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from crossprune.harness.engine.study import Primary
from crossprune.harness.store.declared import declared


@dataclass(frozen=True)
class Asked:
    """What a study asks, and whether it may be taken for more than exploration."""

    primary: Primary = field(default_factory=Primary)
    changed: str = ""
    """How it was changed when there were results already; empty if it was not."""

    def comparison(self, outcome: str, split: str) -> str:
        """Return the comparison of an outcome and part that was named before, or an empty string."""
        mine = (self.primary.outcome, self.primary.split) == (outcome, split)
        return self.primary.comparison if mine and not self.changed else ""


def asked(root: Path) -> Asked:
    """Read what the study of a store asked first, and whether that was changed after it had results.

    A store without a declaration, and a table without a store, ask what is asked by default.
    """
    entries = declared(root).get(_study(root), [])
    try:
        said = [(Primary(**one["asked"]), one) for one in entries]
    except (TypeError, ValueError):  # not written by a study
        said = []
    now = Primary()
    for primary, entry in said:
        if primary != now and entry["n_results"]:
            return Asked(
                primary,
                f"from {sentence(now)} to {sentence(primary)} on {entry['date'][:10]}, when "
                f"{entry['n_results']} cells had ended",
            )
        now = primary
    return Asked(now)


def sentence(primary: Primary) -> str:
    """Name a comparison: ``own / other, force error, test``."""
    said: Mapping[str, str] = asdict(primary)
    return f"{said['comparison']}, {said['outcome']} error, {said['split']}"


def _study(root: Path) -> str:
    try:
        return str(json.loads((root / "provenance.json").read_bytes())["study"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return ""
