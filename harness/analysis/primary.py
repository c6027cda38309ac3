"""The comparison that a study was run for: declared before its results, or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crossprune.harness.engine.study import Primary
from crossprune.harness.store.declared import NAME, Entry, declared

OF_NO_PART = {
    "properties": "errors of properties",
    "properties_seen": "errors of properties whose structures were in the training pool",
    "properties_unseen": "errors of properties whose structures were not in the training pool",
    "survival": "survival time",
    "survival_temperature": "survival temperature",
}
"""Outcomes that are of no part of the data, as sentences have them."""


@dataclass(frozen=True)
class Asked:
    """What a study asks, and whether it may be taken for more than exploration."""

    primary: Primary = field(default_factory=Primary)
    changed: str = ""
    """Why it does not count as asked before there were results, in a sentence; empty if it does."""

    def comparison(self, outcome: str, split: str) -> str:
        """Return the comparison of an outcome and part that was named before, or an empty string."""
        return self.primary.comparison if self.is_about(outcome, split) and not self.changed else ""

    def is_about(self, outcome: str, split: str) -> bool:
        """Say whether an outcome and part are what is asked; properties and dynamics have no part."""
        return self.primary.outcome == outcome and split in ("", self.primary.split)


def asked(root: Path) -> Asked:
    """Read what the study of a store asked before it had results, and whether that was changed since.

    A store without a declaration, and a table without a store, ask what is asked by default.
    """
    known = declared(root)
    try:
        entries = [] if known is None else _entries(root, known)
        said = [(Primary(**one["asked"]), one) for one in entries]
    except ValueError:  # not written by a study
        known, said = None, []
    if known is None:
        return Asked(
            changed=f"{NAME} is damaged, so that nobody knows what was asked before there were results"
        )
    now: Primary | None = None
    late = []
    for primary, entry in said:
        if primary != now and entry["n_results"]:
            was = "named" if now is None else f"changed from {sentence(now)} to {sentence(primary)}"
            late.append(f"{was} on {entry['date'][:10]}, when {entry['n_results']} cells had ended")
        now = primary
    return Asked(now or Primary(), f"the primary comparison was {', and '.join(late)}" if late else "")


def sentence(primary: Primary) -> str:
    """Name a comparison: ``own / other, force error, test``."""
    if (noun := OF_NO_PART.get(primary.outcome)) is not None:
        return f"{primary.comparison}, {noun}"
    name, _, kind = primary.outcome.partition("_")
    noun = f"{name} error" + (f" ({kind.replace('_', ' ')})" if kind else "")
    return f"{primary.comparison}, {noun}, {primary.split}"


def _entries(root: Path, known: Mapping[str, Sequence[Entry]]) -> Sequence[Entry]:
    """Return what the store's study asked; of a run that was not finished, what was asked last."""
    if study := _study(root):
        return known.get(study, [])
    return max(known.values(), key=lambda entries: entries[-1]["date"] if entries else "", default=[])


def _study(root: Path) -> str:
    try:
        return str(json.loads((root / "provenance.json").read_bytes())["study"])
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return ""
