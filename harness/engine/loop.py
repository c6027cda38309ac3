"""Run the cells of a study on any executor; what is in the store is not computed again."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pandas as pd
from crossprune.harness.data.names import pool_name
from crossprune.harness.engine.grid import Cell
from crossprune.harness.engine.outcome import Outcome
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.results import PIECE, code_version, only_overall, pieces_of, to_table
from crossprune.harness.engine.schedule import Job, Schedule, Task
from crossprune.harness.engine.study import Study
from crossprune.harness.errors import DiskFull, NoWorkers
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.damage import Damaged
from crossprune.harness.store.declared import declare
from crossprune.harness.store.healing import Healing
from crossprune.harness.store.leases import leased
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record, Status
from crossprune.harness.store.tables import write_pieces

KEEP_S, KEEP_RECORDS = 1.0, 500
"""How long, and how many, records wait to be stored in one transaction."""


@dataclass(frozen=True)
class Progress:
    """How far a run is, in cells."""

    total: int
    reused: int
    done: int
    failed: int
    running: tuple[str, ...]

    @property
    def left(self) -> int:
        """Cells that have not ended yet."""
        return self.total - self.reused - self.done - self.failed


@dataclass(frozen=True)
class RunResult:
    """The cells of a run and what they took."""

    cells: Callable[[], Iterator[tuple[int, Cell, Record]]]
    """Reads the cells that have ended: place in the table, cell, record, in the order of the table."""
    statuses: Counter[str]
    computed: Counter[str]
    """Number of stages that were computed, not taken from the store, by name."""
    left: int
    """Cells without a record: more than 0 only if the run was interrupted."""
    inputs: Mapping[str, Any]
    """What the results rest on: options, code and versions per adapter, content per data set."""
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What loading each data set left out, changed or warns of."""
    healed: Sequence[str] = ()
    """What was damaged in the store, and was computed again."""
    pools: Mapping[tuple[str, int, str], str] = field(default_factory=dict)
    """Name of a data set, number of its pool and the group that it holds out, to the key of its content."""
    reused: int = 0
    """Cells that had ended before the run."""

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """The results table: a row per cell, part and group, which may be large."""
        return to_table(self.cells())

    @functools.cached_property
    def overall(self) -> pd.DataFrame:
        """The rows of the table over all groups."""
        return to_table(only_overall(self.cells()))

    def write(self, path: Path, beside: pd.DataFrame | None = None) -> None:
        """Write the results table as Parquet, in pieces; keep its rows over all groups.

        ``beside`` holds rows of published potentials, which come last.

        Raises
        ------
        DiskFull
            If it cannot be written.
        """
        kept = []

        def pieces() -> Iterator[pd.DataFrame]:
            for piece in pieces_of(self.cells()):
                kept.append(piece[piece["group"] == ALL])
                yield piece
            if beside is not None and len(beside):
                yield beside

        write_pieces(pieces(), path)
        vars(self)["overall"] = pd.concat(kept, ignore_index=True)


@leased
def run(
    study: Study,
    store: Store,
    executor: Executor,
    *,
    retry: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_notes: Callable[[Mapping[str, Sequence[str]]], None] = lambda notes: None,
) -> RunResult:
    """Run every cell of ``study`` that ``store`` does not hold, and return all of them.

    Parameters
    ----------
    study
        What to run.
    store
        Where results are looked up and kept.
    executor
        Where tasks run. It is stopped at once if the run is interrupted by Ctrl-C.
    retry
        Statuses to run again. Cells that are ``done`` are never run again.
    on_progress
        Called whenever a cell ends or a task starts.
    on_notes
        Called once, before anything runs, with what loading each data set left out, changed or warns of.

    Raises
    ------
    UserError
        If the study names an unknown adapter, option, method or data set, or data are broken.
    MissingPackage
        If an adapter of the study needs a package that is not installed.
    DiskFull
        If a task or the store cannot write; cells that have not ended have no record.
    NoWorkers
        If no worker process comes up, or the cluster takes no tasks any more.
    """
    try:
        if hasattr(executor, "warm_up"):
            executor.warm_up()
        plan = Plan.of(study, store)
        declare(store, study.name, dataclasses.asdict(study.primary), list(plan.keys.values()))
        on_notes(plan.notes)
    except BaseException:
        executor.shutdown(wait=True, cancel_futures=True)
        raise
    again = set(retry)
    known = {key: status for key, status in store.statuses(plan.keys.values()).items() if status not in again}
    loop = _Loop(plan, store, executor, on_progress, total=len(plan.keys), reused=len(known))
    loop.run([cell for cell, key in plan.keys.items() if key not in known])
    statuses = {**known, **loop.statuses}
    ended = [statuses[key] for key in plan.keys.values() if key in statuses]
    return RunResult(
        cells=functools.partial(_in_order, plan, store),
        statuses=Counter(ended),
        computed=loop.computed,
        left=len(plan.keys) - len(ended),
        inputs={
            "adapters": {label: spec.ingredients() for label, spec in plan.specs.items()},
            "datasets": {pool_name(*split): key for split, key in plan.dataset_keys.items()},
        },
        notes=plan.notes,
        healed=tuple(loop.healing.notes),
        pools=plan.pool_keys,
        reused=len(known),
    )


def stored_cells(study: Study, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the cells of a study that have a record, one by one: place in its table, cell, record."""
    return _in_store(Plan.of(study, store), store)


def _in_order(plan: Plan, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the records of a plan in the order of its cells."""
    cells = enumerate(plan.keys.items())
    while some := list(itertools.islice(cells, PIECE)):
        records = store.records({key for _, (_, key) in some})
        yield from (
            (place, cell, _with_relation(plan, cell, records[key]))
            for place, (cell, key) in some
            if key in records
        )


def _in_store(plan: Plan, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the records of a plan one by one; cells of the same content share one."""
    cells: dict[str, list[tuple[int, Cell]]] = {}
    for place, (cell, key) in enumerate(plan.keys.items()):
        cells.setdefault(key, []).append((place, cell))
    for record in store.read(cells):
        for place, cell in cells[record.key]:
            yield place, cell, _with_relation(plan, cell, record)


def _with_relation(plan: Plan, cell: Cell, record: Record) -> Record:
    """Add whose descriptor chose, and where options are from: cells of one content may differ in labels."""
    own = {"relation": plan.relation(cell), "settings": plan.settings(cell)}
    return replace(record, facts={**record.facts, **own})


@dataclass
class _Loop:
    """Submits a task as soon as its inputs are there, each task once, and records cells as they end."""

    plan: Plan
    store: Store
    executor: Executor
    on_progress: Callable[[Progress], None]
    total: int
    reused: int
    statuses: dict[str, Status] = field(default_factory=dict)
    computed: Counter[str] = field(default_factory=Counter)
    _ended: dict[Job, Outcome] = field(default_factory=dict)
    """Outcomes of tasks, and of fits that failed."""
    _fitting: dict[Job, list[Cell]] = field(default_factory=dict)
    """Fits that were submitted, and the cells that share them."""
    _remade: dict[Job, list[Task]] = field(default_factory=dict)
    """Damaged artefacts that are made again, and the tasks that wait for them."""
    _unsaved: list[Record] = field(default_factory=list)
    _oldest: float = 0.0
    _failed: int = 0
    healing: Healing = field(default_factory=Healing)

    def run(self, cells: list[Cell]) -> None:
        """Run ``cells`` to their ends, or until Ctrl-C."""
        timeout_s = self.plan.study.limits.timeout_s
        self._schedule = Schedule(self.store.root, self.executor, timeout_s, self.store.remove_leftovers)
        self._graph = self._graph_of(cells)
        try:
            self._graph.prepare()
            self._advance()
            while self._schedule:
                self._report()
                for task, outcome in self._schedule.next(self._patience()):
                    self._finish(task, outcome)
                self._advance()
                if self._unsaved and not self._patience():
                    self._save()
            self._save()
            self._report()
        except KeyboardInterrupt:
            self.executor.shutdown(wait=True, cancel_futures=True)
            self.store.remove_leftovers()
            self._save()
        except (DiskFull, NoWorkers, Damaged):
            self.executor.shutdown(wait=True, cancel_futures=True)
            self.store.remove_leftovers()
            with contextlib.suppress(DiskFull):
                self._save()
            raise

    def _graph_of(self, cells: list[Cell]) -> TopologicalSorter[Job | Cell]:
        """Say once what waits for what: orders for features, cells for their order and what is prepared."""
        graph: TopologicalSorter[Job | Cell] = TopologicalSorter()
        for cell in cells:
            if reason := self.plan.unable(cell):
                self._end(cell, Outcome("skipped", reason))
                continue
            graph.add(cell, *self.plan.needs[cell])
            for job in self.plan.needs[cell]:
                graph.add(job, *self.plan.before[job])
        return graph

    def _patience(self) -> float | None:
        """Return how long, in seconds, records may still wait to be stored; None if there are none."""
        if not self._unsaved:
            return None
        full = len(self._unsaved) >= KEEP_RECORDS
        return 0.0 if full else max(0.0, self._oldest + KEEP_S - time.monotonic())

    def _finish(self, task: Task, outcome: Outcome) -> None:
        self.computed[task.job[0]] += outcome.computed
        damaged = outcome.damaged
        if damaged is not None and self.healing.discard(self.store, damaged, outcome.reason, task.job):
            self._make_again(damaged, task)
            return
        if task.job in self._remade:
            for one in self._remade.pop(task.job):
                self._schedule.add(one)
            if task.job in self._ended:
                return
        if task.job not in self._fitting:
            self._ended[task.job] = outcome
            self._graph.done(task.job)
            return
        for cell in self._fitting.pop(task.job):
            self._end(cell, outcome)
        if outcome.status != "done":  # a later cell that shares a fit that ended well reads it again
            self._ended[task.job] = outcome

    def _make_again(self, damaged: Job, task: Task) -> None:
        """Make a damaged artefact, and run the task that met it when it is there."""
        if damaged[0] == "dataset":
            self.plan.put_again(self.store, damaged[1])
        if damaged == task.job or damaged not in self.plan.tasks:
            self._schedule.add(task)
            return
        if damaged not in self._remade:
            self._remade[damaged] = []
            self._schedule.add(self.plan.tasks[damaged])
        self._remade[damaged].append(task)

    def _advance(self) -> None:
        """Let everything whose inputs have ended take its turn."""
        while ready := self._graph.get_ready():
            for one in ready:
                if isinstance(one, Cell):
                    self._graph.done(one)
                    self._fit(one)
                elif (failed := self._failure(self.plan.before[one])) is not None:
                    self._ended[one] = failed
                    self._graph.done(one)
                else:
                    self._schedule.add(self.plan.tasks[one])

    def _failure(self, jobs: Iterable[Job]) -> Outcome | None:
        """Return the outcome of the first of ``jobs`` that did not end well."""
        return next((self._ended[job] for job in jobs if self._ended[job].status != "done"), None)

    def _fit(self, cell: Cell) -> None:
        """Submit a cell's fit unless it was, or end the cell if there is nothing to fit to."""
        needs = self.plan.needs[cell]
        if (failed := self._failure(needs)) is not None:
            self._end(cell, failed)
            return
        order = self._ended[needs[0]].value
        if not cell.model:
            self._end(cell, Outcome("done", value=self.plan.chosen(cell, order)))
            return
        task = self.plan.fit(cell, order)
        if task.job in self._ended:
            self._end(cell, self._ended[task.job])
        elif task.job in self._fitting:
            self._fitting[task.job].append(cell)
        else:
            self._fitting[task.job] = [cell]
            self._schedule.add(task)

    def _end(self, cell: Cell, outcome: Outcome) -> None:
        key = self.plan.keys[cell]
        value = outcome.value if outcome.status == "done" else {"rows": [], "facts": {}}
        axes = {**vars(cell.choice), "model": cell.model}
        facts = {**value["facts"], **code_version(), "axes": axes, "rests_on": self.plan.rests_on(cell)}
        facts["selection_key"] = self.plan.needs[cell][0][1]
        record = Record(key, outcome.status, outcome.reason, value["rows"], facts)
        if not self._unsaved:
            self._oldest = time.monotonic()
        self._unsaved.append(record)
        self.statuses[key] = outcome.status
        self._failed += outcome.status not in ("done", "skipped")

    def _save(self) -> None:
        records, self._unsaved = self._unsaved, []
        if records:
            self.store.put(records)

    def _report(self) -> None:
        running = tuple(sorted(+self._schedule.running))
        done = len(self.statuses) - self._failed
        self.on_progress(Progress(self.total, self.reused, done, self._failed, running))
