"""The comparison that a study was run for: declared before its results, or not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from crossprune.harness.engine.study import Primary
from crossprune.harness.store.declared import NAME, declared


@dataclass(frozen=True)
class Asked:
    """What a study asks, and whether it may be taken for more than exploration."""

    primary: Primary = field(default_factory=Primary)
    changed: str = ""
    """Why it does not count as asked before there were results, in a sentence; empty if it does."""

    def comparison(self, outcome: str, split: str) -> str:
        """Return the comparison of an outcome and part that was named before, or an empty string."""
        mine = (self.primary.outcome, self.primary.split) == (outcome, split)
        return self.primary.comparison if mine and not self.changed else ""


def asked(root: Path) -> Asked:
    """Read what the study of a store asked before it had results, and whether that was changed since.

    A store without a declaration, and a table without a store, ask what is asked by default.
    """
    known = declared(root)
    try:
        entries = [] if known is None else known.get(_study(root), [])
        said = [(Primary(**one["asked"]), one) for one in entries]
    except ValueError:  # not written by a study
        known, said = None, []
    if known is None:
        return Asked(
            changed=f"{NAME} is damaged, so that nobody knows what was asked before there were results"
        )
    now: Primary | None = None
    for primary, entry in said:
        if primary != now and entry["n_results"]:
            was = "was named" if now is None else f"was changed from {sentence(now)} to {sentence(primary)}"
            when = f"on {entry['date'][:10]}, when {entry['n_results']} cells had ended"
            return Asked(primary, f"the primary comparison {was} {when}")
        now = primary
    return Asked(now or Primary())


def sentence(primary: Primary) -> str:
    """Name a comparison: ``own / other, force error, test``."""
    said: Mapping[str, str] = asdict(primary)
    return f"{said['comparison']}, {said['outcome']} error, {said['split']}"


def _study(root: Path) -> str:
    try:
        return str(json.loads((root / "provenance.json").read_bytes())["study"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return ""
