"""Discard what is damaged in the store, so that it is made again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

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

    def discard(self, store: Store, damaged: Artefact, reason: str, job: Artefact) -> bool:
        """Discard a damaged artefact that a job met; tell whether to make it, and to run the job, again.

        Parameters
        ----------
        store
            The store.
        damaged
            What the job would have rested on.
        reason
            The message of its error.
        job
            Its stage and key; it is not run again for ever.
        """
        self._tries[job] += 1
        if self._tries[job] > PATIENCE:
            return False
        fault = store.fault(*damaged)
        if fault is not None or damaged not in self._discarded:  # else another job's is whole again
            store.discard(*damaged)
            if damaged not in self._discarded:
                self.notes.append(worded(*damaged, fault) if fault else reason)
            self._discarded.add(damaged)
        return True
