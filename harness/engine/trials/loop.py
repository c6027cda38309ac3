"""Run what is done with models beside the cells: tasks that do not depend on each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

from crossprune.harness.engine.loop import Progress
from crossprune.harness.engine.outcome import Outcome
from crossprune.harness.engine.schedule import Job, Schedule, Task
from crossprune.harness.engine.study import Study
from crossprune.harness.errors import DiskFull, NoWorkers
from crossprune.harness.store.damage import Damaged
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record


@dataclass
class TrialLoop:
    """Runs trials, which do not depend on each other, and records them as they end."""

    study: Study
    store: Store
    executor: Executor
    on_progress: Callable[[Progress], None]
    total: int
    reused: int
    facts: Mapping[Job, Mapping[str, Any]] = field(default_factory=dict)
    """What the record of a task says besides, however it ended."""
    records: dict[str, Record] = field(default_factory=dict)
    computed: Counter[str] = field(default_factory=Counter)

    def run(self, trials: list[Task]) -> None:
        """Run ``trials`` to their ends, or until Ctrl-C."""
        timeout_s = self.study.limits.timeout_s
        schedule = Schedule(self.store.root, self.executor, timeout_s, self.store.remove_leftovers)
        for trial in trials:
            schedule.add(trial)
        try:
            while schedule:
                self._report(+schedule.running)
                self._end(schedule.next())
            self._report(())
        except KeyboardInterrupt:
            self.executor.shutdown(wait=True, cancel_futures=True)
        except (DiskFull, NoWorkers, Damaged):
            self.executor.shutdown(wait=True, cancel_futures=True)
            raise

    def _end(self, ended: list[tuple[Task, Outcome]]) -> None:
        records = []
        for trial, outcome in ended:
            if outcome.damaged is None:  # else no result: the fit is made again first
                value = outcome.value if outcome.status == "done" else {"rows": [], "facts": {}}
                stage, key = trial.job
                facts = {**self.facts.get(trial.job, {}), **value["facts"]}
                records.append(Record(key, outcome.status, outcome.reason, value["rows"], facts))
                self.computed[stage] += outcome.computed
        if records:
            self.store.put(records)
        self.records |= {record.key: record for record in records}
        for _, outcome in ended:
            if (artefact := outcome.damaged) is not None:
                raise Damaged(self.store.root, self.store.path(*artefact), outcome.reason, artefact)

    def _report(self, running: Iterable[str]) -> None:
        failed = sum(record.status != "done" for record in self.records.values())
        done = len(self.records) - failed
        self.on_progress(Progress(self.total, self.reused, done, failed, tuple(sorted(running))))
