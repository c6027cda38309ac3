"""Evaluate published potentials on the data sets of a study, beside its refits."""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.contract import Potential
from crossprune.harness.engine.grid import Cell, Choice
from crossprune.harness.engine.loop import Progress, RunResult
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.results import code_version, to_table
from crossprune.harness.engine.schedule import Job, Task
from crossprune.harness.engine.stored import (
    SOURCE,
    stored_dataset,
    stored_labels,
    stored_potential,
)
from crossprune.harness.engine.study import PUBLISHED, Study
from crossprune.harness.engine.trials.loop import TrialLoop
from crossprune.harness.evaluation import metrics
from crossprune.harness.fingerprint import canonical_hash, package_versions, source_hash
from crossprune.harness.lookup import adapter_class, families, load_potential
from crossprune.harness.store.leases import leased
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record

NOBODY_CHOSE = Choice("", PUBLISHED, PUBLISHED, float("nan"), 0, "", "", "", space="", mask="none")
UNKNOWN = "published: what it was fitted to is not known"
"""The flag of its rows."""


@dataclass(frozen=True)
class Published:
    """The rows of published potentials."""

    table: pd.DataFrame
    """As the results table; the fraction is missing."""
    computed: int
    """Evaluations that were computed, not taken from the store."""
    left: int
    """Evaluations without a record: more than 0 only if the run was interrupted."""

    @property
    def overall(self) -> pd.DataFrame:
        """The rows over all groups."""
        return self.table[self.table["group"] == metrics.ALL].reset_index(drop=True)


@dataclass(frozen=True)
class _Trial:
    """A published potential on one pool of a data set."""

    cell: Cell
    task: Task
    dataset_key: str
    fit_key: str


@leased
def evaluate_published(
    study: Study,
    store: Store,
    executor: Executor,
    result: RunResult,
    *,
    retry: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Published:
    """Evaluate the potentials that a study names on the test and ood parts of its data sets.

    Each is evaluated on the data sets all of whose elements it knows.

    Parameters
    ----------
    study
        Its entry ``published`` names them.
    store
        That the study was run on.
    executor
        Where they are evaluated.
    result
        Of the run; nothing is done if it was interrupted.
    retry
        Statuses to try again.
    on_progress
        Called whenever an evaluation ends.
    """
    trials = [] if result.left else list(_trials(study, store, result.pools))
    keys = [one.task.job[1] for one in trials]
    known = {key: record for key, record in store.records(keys).items() if record.status not in set(retry)}
    loop = TrialLoop(study, store, executor, on_progress, len(trials), len(known), facts=_facts_of(trials))
    if todo := [one.task for one in trials if one.task.job[1] not in known]:
        loop.run(todo)
    records = {**known, **loop.records}
    ended = [(one, records[key]) for one, key in zip(trials, keys, strict=True) if key in records]
    table = to_table((place, one.cell, record) for place, (one, record) in enumerate(ended))
    return Published(table, sum(loop.computed.values()), len(trials) - len(ended))


def needs(study: Study, store: Store) -> tuple[set[str], set[Job]]:
    """Return the keys of a study's rows, and the artefacts that its cells need before they are fitted."""
    plan = Plan.of(study, store)
    published = {one.task.job[1] for one in _trials(study, store, plan.pool_keys)}
    return {*plan.keys.values(), *published}, {job for cell in plan.keys for job in plan.rests_on(cell)}


def stored_published(study: Study, store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read the records of a study's published potentials: place in its table, cell, record."""
    if not study.published:
        return
    trials = {one.task.job[1]: one for one in _trials(study, store, Plan.of(study, store).pool_keys)}
    for place, record in enumerate(store.read(list(trials))):
        yield place, trials[record.key].cell, record


def _trials(study: Study, store: Store, pools: Mapping[tuple[str, int, str], str]) -> Iterator[_Trial]:
    """Store each potential, and say what is to be done with it."""
    for source in study.published:
        potential = load_potential(source)
        for (name, pool, held_out), dataset_key in sorted(pools.items()):
            if not set(stored_dataset(store.root, dataset_key).elements) <= set(potential.elements):
                continue
            fit_key = _put(store, potential, source, dataset_key)
            code = source_hash(metrics.__name__)
            key = canonical_hash("published", fit_key, dataset_key, _code_of(potential), code)
            task = Task(("published", key), published_stage, (dataset_key, fit_key))
            cell = Cell(replace(NOBODY_CHOSE, dataset=name, pool=pool, held_out=held_out), source)
            yield _Trial(cell, task, dataset_key, fit_key)


def _facts_of(trials: Sequence[_Trial]) -> dict[Job, dict[str, Any]]:
    """Say of each record what it is of, and what it rests on."""
    return {
        one.task.job: {
            "fit_key": one.fit_key,
            "dataset_key": one.dataset_key,
            "axes": {**vars(one.cell.choice), "model": one.cell.model},
            "rests_on": [("dataset", one.dataset_key)],
            "flag": UNKNOWN,
            **code_version(),
        }
        for one in trials
    }


def _put(store: Store, potential: Potential, source: str, dataset_key: str) -> str:
    """Keep a potential as fits are kept; return its key, which rests on what its files hold."""
    with tempfile.TemporaryDirectory(prefix="crossprune-published-") as folder:
        potential.save(Path(folder))
        digest = hashlib.blake2b(digest_size=16)
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    key = canonical_hash("published potential", dataset_key, digest.hexdigest())

    def write(folder: Path) -> None:
        potential.save(folder / "potential")
        (folder / SOURCE).write_text(source)

    if not store.has("fit", key):
        store.write("fit", key, write)
    return key


def _code_of(potential: Potential) -> tuple[str, Mapping[str, str]]:
    """Return the hash of the code that computes a potential, and the versions of packages it rests on."""
    owners = [one.name for one in families().values() if potential.adapter in (one.name, *one.potentials)]
    return source_hash(type(potential).__module__), _versions(owners[0])


def _versions(family: str) -> Mapping[str, str]:
    return package_versions(adapter_class(family).distributions)


def published_stage(root: Path, dataset_key: str, fit_key: str) -> tuple[dict[str, Any], bool]:
    """Predict the test and ood frames of a data set, and compute the errors."""
    dataset, labels = stored_dataset(root, dataset_key), stored_labels(root, dataset_key)
    unseen = np.flatnonzero(dataset.parts != "train").astype(np.int64)
    potential = stored_potential(root, fit_key)
    start = time.perf_counter()
    predicted = potential.predict_many([dataset.frames[index] for index in unseen])
    wall_s = time.perf_counter() - start
    if not (np.isfinite(predicted.energies).all() and np.isfinite(predicted.forces).all()):
        raise FloatingPointError("the potential predicts energies or forces that are not finite")
    versions = _code_of(potential)[1]
    facts = {
        "predict_s": wall_s,
        "versions": "; ".join(f"{name} {number}" for name, number in versions.items()),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    return {"rows": metrics.errors_by_part(dataset, labels, unseen, predicted), "facts": facts}, True
