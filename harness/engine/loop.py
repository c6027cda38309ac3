"""Run the cells of a study on any executor; what is in the store is not computed again."""

from __future__ import annotations

import contextlib
import itertools
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.data.cards import DataOptions, list_cards, load_dataset
from crossprune.harness.data.frames import DataSet
from crossprune.harness.data.names import table_of
from crossprune.harness.engine import stages
from crossprune.harness.engine.grid import Cell, Choice, expand
from crossprune.harness.engine.keys import cell_key, features_key, fit_key, prepare_key, selection_key
from crossprune.harness.engine.outcome import Outcome, outcome_of
from crossprune.harness.engine.results import code_version, to_table
from crossprune.harness.engine.stored import put_dataset
from crossprune.harness.engine.study import Study
from crossprune.harness.errors import DiskFull, NoWorkers, StudyError, unknown_name
from crossprune.harness.lookup import AdapterSpec, adapter_class, resolve
from crossprune.harness.selection.methods import RANDOM
from crossprune.harness.store.damage import Damaged
from crossprune.harness.store.healing import Healing
from crossprune.harness.store.leases import leased
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record, Status
from crossprune.harness.tables import from_table

Job = tuple[str, str]
"""A stage and its key."""
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
    """The table of a run and what it took."""

    table: pd.DataFrame
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
    """Run every cell of ``study`` that ``store`` does not hold, and return the table of all.

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
    plan = _Plan.of(study, store)
    on_notes(plan.notes)
    again = set(retry)
    known = {key: status for key, status in store.statuses(plan.keys.values()).items() if status not in again}
    loop = _Loop(plan, store, executor, on_progress, total=len(plan.keys), reused=len(known))
    loop.run([cell for cell, key in plan.keys.items() if key not in known])
    statuses = {**known, **loop.statuses}
    ended = [statuses[key] for key in plan.keys.values() if key in statuses]
    return RunResult(
        table=to_table(_in_store(plan, store)),
        statuses=Counter(ended),
        computed=loop.computed,
        left=len(plan.keys) - len(ended),
        inputs={
            "adapters": {label: spec.ingredients() for label, spec in plan.specs.items()},
            "datasets": dict(plan.dataset_keys),
        },
        notes=plan.notes,
        healed=tuple(loop.healing.notes),
    )


def stored_cells(study: Study, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the cells of a study that have a record, one by one: place in its table, cell, record."""
    return _in_store(_Plan.of(study, store), store)


def needs(study: Study, store: Store) -> tuple[set[str], set[Job]]:
    """Return the keys of a study's cells, and the artefacts that they need before they are fitted."""
    plan = _Plan.of(study, store)
    return set(plan.keys.values()), {job for cell in plan.keys for job in plan.rests_on(cell)}


def _in_store(plan: _Plan, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the records of a plan one by one; cells of the same content share one."""
    cells: dict[str, list[tuple[int, Cell]]] = {}
    for place, (cell, key) in enumerate(plan.keys.items()):
        cells.setdefault(key, []).append((place, cell))
    for record in store.read(cells):
        for place, cell in cells[record.key]:
            yield place, cell, record


def data_options(study: Study, name: str) -> DataOptions:
    """Read a study's ``[data.NAME]`` table; one that belongs to no data set of the study is an error."""
    table = table_of(study.data, study.datasets, name, list_cards())
    return from_table(DataOptions, table or {}, f"[data.{name}]")


def require_groups(study: Study, datasets: Iterable[DataSet]) -> None:
    """Raise `StudyError` if a ``[weights.GROUP]`` table names a group that no data set of the study has."""
    known = {group for dataset in datasets for group in dataset.groups}
    for group in study.weights:
        if group not in known:
            raise StudyError(f"[weights.{group}]: {unknown_name('group', group, known)}")


@dataclass(frozen=True)
class _Plan:
    """The cells of a study with their keys, and what it takes to run them."""

    study: Study
    specs: Mapping[str, AdapterSpec]
    dataset_keys: Mapping[str, str]
    keys: Mapping[Cell, str]
    notes: Mapping[str, Sequence[str]]
    """What a user must know of each data set."""

    @classmethod
    def of(cls, study: Study, store: Store) -> _Plan:
        labels = {*study.models, *study.choosers} - {RANDOM}
        specs = {label: resolve(label, study.options) for label in sorted(labels)}
        for label in study.options:
            if label not in specs:
                resolve(label, study.options)
        cells = expand(study)
        datasets = {
            name: load_dataset(name, options=data_options(study, name)) for name in sorted(study.datasets)
        }
        require_groups(study, datasets.values())
        for spec, dataset in itertools.product(specs.values(), datasets.values()):
            spec.make(dataset.elements)  # reports a missing package, or elements it cannot handle, at once
        dataset_keys = {name: put_dataset(store, dataset) for name, dataset in datasets.items()}
        keys = {
            cell: cell_key(
                dataset_keys[cell.choice.dataset],
                specs.get(cell.choice.chooser),
                cell.choice.how,
                specs[cell.model],
                study.weights,
            )
            for cell in cells
        }
        notes = {name: dataset.notes for name, dataset in datasets.items()}
        return cls(study, specs, dataset_keys, keys, notes)

    def put_again(self, store: Store, key: str) -> None:
        """Store a data set again."""
        for name, one in self.dataset_keys.items():
            if one == key:
                put_dataset(store, load_dataset(name, options=data_options(self.study, name)))

    def rests_on(self, cell: Cell) -> list[Job]:
        """List the artefacts that a cell's fit rests on."""
        choice, dataset = cell.choice, self.dataset_keys[cell.choice.dataset]
        found = [("dataset", dataset), ("prepare", prepare_key(dataset, self.specs[cell.model]))]
        features = None
        if choice.chooser != RANDOM:
            features = features_key(dataset, self.specs[choice.chooser])
            found.append(("features", features))
        return [*found, ("selection", selection_key(dataset, features, choice))]


@dataclass
class _Loop:
    """Submits a task as soon as its inputs are there, each task once, and records cells as they end."""

    plan: _Plan
    store: Store
    executor: Executor
    on_progress: Callable[[Progress], None]
    total: int
    reused: int
    statuses: dict[str, Status] = field(default_factory=dict)
    computed: Counter[str] = field(default_factory=Counter)
    _outcomes: dict[Job, Outcome] = field(default_factory=dict)
    _waiting: dict[Job, list[Cell]] = field(default_factory=dict)
    _futures: dict[Future[Outcome], Job] = field(default_factory=dict)
    _running: Counter[str] = field(default_factory=Counter)
    _ended: queue.SimpleQueue[Future[Outcome]] = field(default_factory=queue.SimpleQueue)
    _unsaved: list[Record] = field(default_factory=list)
    _oldest: float = 0.0
    _failed: int = 0
    healing: Healing = field(default_factory=Healing)

    def run(self, cells: list[Cell]) -> None:
        """Run ``cells`` to their ends, or until Ctrl-C."""
        try:
            for model, dataset in sorted({(cell.model, cell.choice.dataset) for cell in cells}):
                self._prepare(model, dataset)
            for cell in cells:
                self._advance(cell)
            while self._futures:
                self._report()
                self._finish(self._next())
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

    def _next(self) -> Future[Outcome]:
        """Wait for a task to end; records that wait too long meanwhile are stored."""
        if self._unsaved:
            with contextlib.suppress(queue.Empty):
                return self._ended.get(timeout=max(0.0, self._oldest + KEEP_S - time.monotonic()))
            self._save()
        return self._ended.get()

    def _finish(self, future: Future[Outcome]) -> None:
        job = self._futures.pop(future)
        self._running[job[0]] -= 1
        outcome = self._outcomes[job] = outcome_of(future, self.store.root)
        if outcome.damaged:
            given = (outcome.damaged, outcome.reason, job, self._outcomes, self.plan.put_again)
            self.healing.heal(self.store, *given)
        self.computed[job[0]] += outcome.computed
        if outcome.status in ("timeout", "out_of_memory", "crashed"):
            self.store.remove_leftovers()
        for cell in self._waiting.pop(job, []):
            self._advance(cell)
        if job[0] == "fit" and outcome.status == "done":
            del self._outcomes[job]  # its rows; a later cell that shares the fit reads them again

    def _advance(self, cell: Cell) -> None:
        """Take a cell as far as it goes: to the job that it has to wait for, or to its end."""
        if reason := self._unable(cell):
            self._end(cell, Outcome("skipped", reason))
            return
        chosen = self._selection(cell.choice)
        if not isinstance(chosen, Outcome):
            self._waiting.setdefault(chosen, []).append(cell)
            return
        prepared = self._prepare(cell.model, cell.choice.dataset)
        if chosen.status != "done" or prepared not in self._outcomes:
            if chosen.status != "done":
                self._end(cell, chosen)
            else:
                self._waiting.setdefault(prepared, []).append(cell)
            return
        if self._outcomes[prepared].status != "done":
            self._end(cell, self._outcomes[prepared])
            return
        fit = self._fit(cell, chosen.value, prepared[1])
        if fit in self._outcomes:
            self._end(cell, self._outcomes[fit])
        else:
            self._waiting.setdefault(fit, []).append(cell)

    def _unable(self, cell: Cell) -> str:
        """Say why an adapter cannot take this part, or return an empty string."""
        specs = self.plan.specs
        chooser = cell.choice.chooser
        if chooser != RANDOM and not adapter_class(specs[chooser].adapter).capabilities.describes:
            return f"adapter {specs[chooser].adapter!r} has no descriptor, so it cannot choose data"
        if not adapter_class(specs[cell.model].adapter).capabilities.fits:
            return f"adapter {specs[cell.model].adapter!r} has no fitter, so it cannot be retrained"
        return ""

    def _prepare(self, model: str, dataset: str) -> Job:
        spec, dataset_key = self.plan.specs[model], self.plan.dataset_keys[dataset]
        key = prepare_key(dataset_key, spec)
        return self._submit(("prepare", key), stages.prepare_stage, dataset_key, spec, key)

    def _selection(self, choice: Choice) -> Outcome | Job:
        """Return the outcome of a selection, or the job to wait for."""
        dataset_key = self.plan.dataset_keys[choice.dataset]
        features = None
        if choice.chooser != RANDOM:
            spec = self.plan.specs[choice.chooser]
            features = features_key(dataset_key, spec)
            job = self._submit(("features", features), stages.features_stage, dataset_key, spec, features)
            if job not in self._outcomes:
                return job
            if self._outcomes[job].status != "done":
                return self._outcomes[job]
        key = selection_key(dataset_key, features, choice)
        job = self._submit(("selection", key), stages.selection_stage, dataset_key, features, choice, key)
        return self._outcomes.get(job, job)

    def _fit(self, cell: Cell, subset: np.ndarray[Any, Any], prepared: str) -> Job:
        spec, weights = self.plan.specs[cell.model], self.plan.study.weights
        seed = cell.choice.seed if adapter_class(spec.adapter).is_seeded(spec.options) else None
        dataset_key = self.plan.dataset_keys[cell.choice.dataset]
        key = fit_key(dataset_key, prepared, spec, subset, weights, seed)
        return self._submit(
            ("fit", key), stages.fit_stage, dataset_key, spec, prepared, subset, dict(weights), seed, key
        )

    def _submit(self, job: Job, stage: Callable[..., Outcome], *args: Any) -> Job:
        """Submit a job unless it was submitted before."""
        if job not in self._outcomes and job not in self._waiting:
            self._waiting[job] = []
            future = self.executor.submit(stage, self.store.root, *args)
            self._futures[future] = job
            self._running[job[0]] += 1
            future.add_done_callback(self._ended.put)
        return job

    def _end(self, cell: Cell, outcome: Outcome) -> None:
        key = self.plan.keys[cell]
        value = outcome.value if outcome.status == "done" else {"rows": [], "facts": {}}
        axes = {**vars(cell.choice), "model": cell.model}
        facts = {**value["facts"], **code_version(), "axes": axes, "rests_on": self.plan.rests_on(cell)}
        record = Record(key, outcome.status, outcome.reason, value["rows"], facts)
        if not self._unsaved:
            self._oldest = time.monotonic()
        self._unsaved.append(record)
        if len(self._unsaved) >= KEEP_RECORDS or time.monotonic() > self._oldest + KEEP_S:
            self._save()
        self.statuses[key] = outcome.status
        self._failed += outcome.status not in ("done", "skipped")
        self._report()

    def _save(self) -> None:
        records, self._unsaved = self._unsaved, []
        if records:
            self.store.put(records)

    def _report(self) -> None:
        running = tuple(sorted(+self._running))
        done = len(self.statuses) - self._failed
        self.on_progress(Progress(self.total, self.reused, done, self._failed, running))
