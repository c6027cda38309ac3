"""Hand tasks to an executor: the most urgent first, cheap ones in batches; a death costs one."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crossprune.harness.engine.outcome import Outcome, Stage, outcomes_of, run_all

Job = tuple[str, str]
"""A stage and its key."""
BATCH_S = 0.5
"""How long a batch may take, seconds: long beside the milliseconds that handing it over costs, and short
enough that cells end all the time."""
LARGEST_BATCH = 200
SHARE_OF_LIMIT = 0.1
"""Largest share of a stage's wall-time limit that a batch may take."""
AT_ONCE = 1
"""Tasks that an executor which says nothing of its size is given at a time."""


@dataclass(frozen=True)
class Task:
    """A stage with its arguments, ready to run."""

    job: Job
    stage: Stage
    arguments: tuple[Any, ...]
    spec: Any = None
    """The adapter whose stage it is, if it is one's."""
    place: str = ""
    """What its stage reads: tasks of one place and adapter may share a batch."""
    urgency: int = 0
    """Tasks of smaller numbers run first."""

    @property
    def group(self) -> tuple[int, str, str, str]:
        """Tasks of one group take about as long as each other, and may share a batch."""
        return self.urgency, self.place, self.job[0], getattr(self.spec, "label", "")


@dataclass
class Schedule:
    """Tasks that wait, and those that run.

    A task whose worker dies, hangs or runs out of memory in a batch runs again, alone: only then is it
    known whose fault it was, and it costs nobody else anything. One whose worker was killed from outside
    runs again as well, once: many cells may wait for it.

    Parameters
    ----------
    root
        The store.
    executor
        If it has ``queue_of(spec)`` and ``capacity_of(queue)``, these say where an adapter's tasks go, and
        how many of them are of use at a time.
    timeout_s
        Wall-time limit of a stage, seconds.
    on_death
        Called when a worker died.
    """

    root: Path
    executor: Executor
    timeout_s: float
    on_death: Callable[[], None] = lambda: None
    running: Counter[str] = field(default_factory=Counter)
    """Number of tasks that run, by stage."""
    _waiting: dict[tuple[int, str, str, str], deque[Task]] = field(default_factory=dict)
    _alone: set[Job] = field(default_factory=set)
    """Tasks that must not share a batch: their worker died. They are not tried a third time."""
    _handed: Counter[str] = field(default_factory=Counter)
    """Batches that each queue of the executor holds."""
    _futures: dict[Future[list[Outcome]], Sequence[Task]] = field(default_factory=dict)
    _ended: queue.SimpleQueue[Future[list[Outcome]]] = field(default_factory=queue.SimpleQueue)
    _seconds: dict[tuple[int, str, str, str], deque[float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is left to do."""
        return bool(self._futures or self._waiting)

    def add(self, task: Task) -> None:
        """Let a task wait for its turn."""
        self._waiting.setdefault(task.group, deque()).append(task)

    def next(self, patience_s: float | None = None) -> list[tuple[Task, Outcome]]:
        """Wait for a task to end; an empty list if none did, after ``patience_s``, or was fit to be judged.

        Raises
        ------
        DiskFull
            If a task cannot write.
        NoWorkers
            If no worker comes up.
        """
        self._fill()
        try:
            future = self._ended.get(timeout=patience_s)
        except queue.Empty:
            return []
        batch = self._futures.pop(future)
        self.running.subtract(task.job[0] for task in batch)
        self._handed[self._queue_of(batch[0].spec)] -= 1
        found = outcomes_of(future, self.root)
        if isinstance(found, Outcome):
            self.on_death()
            if len(batch) > 1 or (found.killed and batch[0].job not in self._alone):
                self._alone |= {task.job for task in batch}
                self._waiting.setdefault(batch[0].group, deque()).extendleft(reversed(batch))
                return []
            found = [found]
        elif any(one.status == "done" for one in found):
            self._learn(batch[0].group, found)
        return list(zip(batch, found, strict=True))

    def _fill(self) -> None:
        """Give the executor what it can use."""
        while batch := self._take():
            calls = [(task.stage, task.arguments) for task in batch]
            future = self.executor.submit(run_all, self.root, batch[0].spec, calls)
            self._futures[future] = batch
            self._handed[self._queue_of(batch[0].spec)] += 1
            self.running.update(task.job[0] for task in batch)
            future.add_done_callback(self._ended.put)

    def _take(self) -> list[Task]:
        """Take the next batch out of those that wait; groups of the same urgency and place take turns."""
        for group in sorted(self._waiting, key=lambda one: one[:2]):
            waiting = self._waiting[group]
            queue = self._queue_of(waiting[0].spec)
            capacity = self._capacity_of(queue)
            if self._handed[queue] >= capacity:
                continue
            del self._waiting[group]
            n = min(self._size(group), -(-len(waiting) // capacity))
            batch = [waiting.popleft()]
            while len(batch) < n and not {batch[0].job, waiting[0].job} & self._alone:
                batch.append(waiting.popleft())
            if waiting:
                self._waiting[group] = waiting
            return batch
        return []

    def _queue_of(self, spec: Any) -> str:
        return self.executor.queue_of(spec) if hasattr(self.executor, "queue_of") else ""

    def _capacity_of(self, queue: str) -> int:
        return self.executor.capacity_of(queue) if hasattr(self.executor, "capacity_of") else AT_ONCE

    def _size(self, group: tuple[int, str, str, str]) -> int:
        """Return how many tasks of a group make a batch; one as long as it is not known what they take."""
        longest = min(BATCH_S, SHARE_OF_LIMIT * self.timeout_s)
        seconds = max(self._seconds.get(group, [longest]))
        return max(1, min(LARGEST_BATCH, int(longest / max(seconds, 1e-6))))

    def _learn(self, group: tuple[int, str, str, str], found: Sequence[Outcome]) -> None:
        """Keep what a task took in the last two batches: the first one of a worker includes imports."""
        times = [one.wall_s for one in found if one.status == "done"]
        self._seconds.setdefault(group, deque(maxlen=2)).append(sum(times) / len(times))
