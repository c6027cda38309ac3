"""Compute again what is damaged in the store, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from crossprune.harness.store.damage import Artefact
from crossprune.harness.store.objects import Store
from crossprune.harness.store.upkeep import worded

PATIENCE = 3
"""How often a job is submitted again: others may have read a damaged artefact before it was discarded."""


@dataclass
class Healing:
    """Discards damaged artefacts, so that the jobs that make them run again."""

    notes: list[str] = field(default_factory=list)
    """What was discarded, and why."""
    _tries: Counter[Artefact] = field(default_factory=Counter)
    _discarded: set[Artefact] = field(default_factory=set)

    def heal(
        self,
        store: Store,
        damaged: Artefact,
        reason: str,
        job: Artefact,
        outcomes: MutableMapping[Artefact, Any],
        put_dataset: Callable[[Store, str], None],
    ) -> None:
        """Make a job that met a damaged artefact run again, unless that was tried often enough.

        Parameters
        ----------
        store
            The store.
        damaged
            What it would have rested on.
        reason
            The message of its error.
        job
            Its stage and key.
        outcomes
            Of all jobs; that of the artefact, and of this job, are removed, so that they run again.
        put_dataset
            Stores the data set of a key again; no job makes data sets.
        """
        self._tries[job] += 1
        if self._tries[job] > PATIENCE:
            return
        fault = store.fault(*damaged)
        if fault is not None or damaged not in self._discarded:  # else another job's is whole again
            store.discard(*damaged)
            if damaged not in self._discarded:
                self.notes.append(worded(*damaged, fault) if fault else reason)
            self._discarded.add(damaged)
            outcomes.pop(damaged, None)
        outcomes.pop(job, None)
        if damaged[0] == "dataset":
            put_dataset(store, damaged[1])
