"""Put fitted models to the test: physical properties and molecular dynamics, each fit once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import pandas as pd
from crossprune.harness.data.cards import Card, card_of
from crossprune.harness.engine.keys import md_key, properties_key
from crossprune.harness.engine.loading import data_options, load_splits
from crossprune.harness.engine.loop import Progress
from crossprune.harness.engine.results import AXES, REFERENCE_SEEN, md_table, properties_table
from crossprune.harness.engine.schedule import Task
from crossprune.harness.engine.stages import md_stage, properties_stage
from crossprune.harness.engine.stored import acquaintance, stored_dataset
from crossprune.harness.engine.study import PUBLISHED, Study
from crossprune.harness.engine.trials.loop import TrialLoop
from crossprune.harness.evaluation.motion.planning import Planned, md_runs
from crossprune.harness.evaluation.motion.runs import FS_PER_PS, MdOptions
from crossprune.harness.evaluation.properties import PropertyOptions, tasks
from crossprune.harness.evaluation.references import (
    NO_CRYSTAL,
    groups_behind,
    in_crystal,
    reference_of,
    setting_of,
)
from crossprune.harness.evaluation.seen import UNKNOWN
from crossprune.harness.evaluation.setting import Setting
from crossprune.harness.store.leases import leased
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record


@dataclass(frozen=True)
class Assessment:
    """Two tables: a row per cell and property, a row per cell and run."""

    properties: pd.DataFrame
    md: pd.DataFrame
    computed: Counter[str]
    """Number of stages that were computed, not taken from the store, by name."""
    left: int
    """Trials without a record: more than 0 only if the run was interrupted."""
    reused: int = 0
    """Trials that had ended before."""


@leased
def assess(
    study: Study,
    store: Store,
    executor: Executor,
    results: pd.DataFrame,
    *,
    retry: Iterable[str] = (),
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Assessment:
    """Compute the properties and run the dynamics of every fitted model of a study.

    Parameters
    ----------
    study
        Its tables ``[properties]`` and ``[md]`` say what.
    store
        That the study was run on; its fits are loaded, never repeated.
    executor
        Where trials run.
    results
        Table of the run.
    retry
        Statuses to try again.
    on_progress
        Called whenever a trial ends.
    """
    cells = results.drop_duplicates("cell")
    plans = {
        (name, pool): plan
        for name in sorted(set(cells["dataset"]))
        for pool, plan in _Plan.of_pools(study, store, name, cells[cells["dataset"] == name])
    }
    asked = [(plans[cell["dataset"], cell["pool"]], cell) for cell in _rows(cells)]
    trials = {trial.job[1]: trial for plan, cell in asked for trial in plan.trials(cell)}
    known = {key: record for key, record in store.records(trials).items() if record.status not in set(retry)}
    loop = TrialLoop(study, store, executor, on_progress, len(trials), len(known))
    loop.run([trial for key, trial in trials.items() if key not in known])
    records = {**known, **loop.records}
    return Assessment(
        properties_table(row for plan, cell in asked for row in plan.property_rows(cell, records, store)),
        md_table(row for plan, cell in asked for row in plan.md_rows(cell, records)),
        loop.computed,
        len(trials) - len(records),
        len(known),
    )


def _rows(cells: pd.DataFrame) -> Iterator[dict[str, Any]]:
    columns = [*AXES, "cell", "status", "reason", "fit_key", "dataset_key"]
    for values in cells[columns].itertuples(index=False):
        yield dict(zip(columns, values, strict=True))


@dataclass(frozen=True)
class _Plan:
    """What is asked of the models of one pool of a data set."""

    study: Study
    card: Card
    settings: Mapping[str, Setting]
    """Of each crystal, by its name."""
    runs: tuple[Planned, ...]

    @classmethod
    def of_pools(
        cls, study: Study, store: Store, name: str, cells: pd.DataFrame
    ) -> Iterator[tuple[int, _Plan]]:
        """Plan each pool: what counts as atoms too close in dynamics is known from its training part."""
        data, keys = data_options(study, name), [key for key in cells["dataset_key"] if key]
        elements = stored_dataset(store.root, keys[0]).elements if keys else ()
        card = card_of(study.labels[name], data, elements)
        settings = {label: setting_of(card, label) for label in card.every_crystal}
        if not study.md.enabled:
            yield from ((pool, cls(study, card, settings, ())) for pool in sorted(set(cells["pool"])))
            return
        for (_, pool), dataset in load_splits(study, [name]).items():
            yield pool, cls(study, card, settings, tuple(md_runs(card, study.md, dataset, data)))

    def trials(self, cell: Mapping[str, Any]) -> Iterator[Task]:
        """List the trials of a cell's fit; cells that share a fit share them."""
        if cell["status"] != "done":
            return
        fit = cell["fit_key"]
        for setting in self.settings.values() if self._wants_properties(cell) else ():
            key = properties_key(fit, setting, self.study.properties)
            arguments: tuple[Any, ...] = (fit, setting, self.study.properties)
            yield Task(("properties", key), properties_stage, arguments)
        for run in (one.run for one in self._runs_of(cell)):
            if run is not None and not run.missing:
                key = md_key(fit, run)
                yield Task(("md", key), md_stage, (fit, run, key))

    def property_rows(
        self, cell: Mapping[str, Any], records: Mapping[str, Record], store: Store
    ) -> Iterator[dict[str, Any]]:
        """Lay out a cell's properties beside the reference values; a row for every expected one."""
        if not self._wants_properties(cell):
            return
        if cell["status"] != "done" or not self.settings:
            reason = NO_CRYSTAL if cell["status"] == "done" else _without_model(cell)
            yield {**cell, "structure": "", "property": "", "status": "skipped", "reason": reason}
            return
        for label, setting in self.settings.items():
            record = records.get(properties_key(cell["fit_key"], setting, self.study.properties))
            if record is not None:
                yield from self._rows_of(cell, label, setting, record, store)

    def _rows_of(
        self, cell: Mapping[str, Any], label: str, setting: Setting, record: Record, store: Store
    ) -> Iterator[dict[str, Any]]:
        """Lay out the properties of one crystal."""
        found = {(row["structure"], row["name"]): row for row in record.rows}
        known = acquaintance(store, cell["dataset_key"], cell["fit_key"])
        for task in tasks(setting, self.study.properties.names):
            for key in task.keys:
                missing = {"status": record.status, "reason": record.reason}
                row = {**cell, **found.get(key, missing)}
                structure, name = in_crystal(label, key[0]), key[1]
                reference, source = reference_of(self.card, structure, name)
                row |= {"structure": structure, "property": name}
                groups = groups_behind(self.card, structure, name)
                seen = UNKNOWN if known is None else known.with_reference(groups)
                row |= dict(zip(REFERENCE_SEEN, seen, strict=True))
                yield {**row, "reference": reference, "reference_source": source}

    def md_rows(self, cell: Mapping[str, Any], records: Mapping[str, Record]) -> Iterator[dict[str, Any]]:
        """Lay out a cell's runs of molecular dynamics; a row for every run."""
        for planned in self._runs_of(cell):
            facts: dict[str, Any] = {"start": planned.start, "ensemble": planned.ensemble}
            if (run := planned.run) is not None:
                facts |= {
                    "temperature_k": run.temperature_k,
                    "velocity_seed": run.velocity_seed,
                    "n_atoms": None if run.missing else len(run.atoms()),
                    "timestep_fs": run.timestep_fs,
                    "planned_ps": run.steps * run.timestep_fs / FS_PER_PS,
                }
            reason = planned.reason
            if run is not None and run.missing:
                reason = f"no frame of group {run.missing!r} of two atoms or more is in test or ood"
            if cell["status"] != "done":
                yield {**cell, **facts, "status": "skipped", "reason": _without_model(cell)}
            elif run is None or reason:
                yield {**cell, **facts, "status": "skipped", "reason": reason}
            elif (record := records.get(md_key(cell["fit_key"], run))) is not None:
                ended = record.rows[0] if record.rows else {}
                status = {"status": record.status, "reason": record.reason}
                yield {**cell, **facts, **status, **ended, **record.facts}

    def _wants(self, cell: Mapping[str, Any], options: PropertyOptions | MdOptions) -> bool:
        if cell["chooser"] == PUBLISHED:
            return True
        of_seed = not options.seeds or cell["seed"] in options.seeds
        return of_seed and (not options.models or cell["model"] in options.models)

    def _wants_properties(self, cell: Mapping[str, Any]) -> bool:
        return self.study.properties.enabled and self._wants(cell, self.study.properties)

    def _runs_of(self, cell: Mapping[str, Any]) -> tuple[Planned, ...]:
        return self.runs if self._wants(cell, self.study.md) else ()


def _without_model(cell: Mapping[str, Any]) -> str:
    """Say why there is no model; the cell's own row has the whole traceback."""
    lines = str(cell["reason"]).strip().splitlines() or [""]
    return f"the model is {cell['status']}: {lines[-1]}"
