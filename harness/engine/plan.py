"""What a run has to do: the cells of a study with their keys, and the graph of the jobs that they rest on."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossprune.harness.contract import Fitter, IntArray
from crossprune.harness.contract.environments import frames_of
from crossprune.harness.data.frames import SPLITS, DataSet, frames_hash, prepared_hash
from crossprune.harness.data.names import pool_name
from crossprune.harness.data.partition import MOST_POOLS
from crossprune.harness.engine import stages
from crossprune.harness.engine.grid import KIN, OTHER, OWN, Cell, Choice, expand, require_known
from crossprune.harness.engine.keys import (
    cell_key,
    features_key,
    fit_key,
    prepare_key,
    rows_key,
    selection_key,
)
from crossprune.harness.engine.loading import (
    Split,
    ids_of,
    load_splits,
    require_crystals,
    require_given,
    require_groups,
    require_published,
    require_source,
    require_weight,
)
from crossprune.harness.engine.outcome import Stage
from crossprune.harness.engine.schedule import Job, Task
from crossprune.harness.engine.stored import STAGE_OF, put_dataset
from crossprune.harness.engine.study import Study
from crossprune.harness.lookup import AdapterSpec, adapter_class, resolve
from crossprune.harness.selection.axes import MODEL
from crossprune.harness.selection.gathering import Pool
from crossprune.harness.selection.methods import GIVEN_MARK, RANDOM, SHARES, method_of
from crossprune.harness.store.objects import Store

ONCE, FITS, CHOICES = range(3)
"""Urgencies. What is computed once per data set comes first, for all else waits for it; then fits, so that
cells end; then the choice of more data to fit to."""
ONCE_STAGES: Mapping[str, tuple[Callable[[str, AdapterSpec], str], Stage]] = {
    "features": (features_key, stages.features_stage),
    "rows": (rows_key, stages.rows_stage),
    "prepare": (prepare_key, stages.prepare_stage),
}
"""Stages that look at every frame for itself, and at no split; their keys."""


@dataclass(frozen=True)
class Plan:
    """The cells of a study with their keys, and what it takes to run them."""

    study: Study
    specs: Mapping[str, AdapterSpec]
    """Adapters as the study says, by label."""
    following: Mapping[tuple[str, str], AdapterSpec]
    """The same for each data set, by its name and the label: what the study leaves open follows the data."""
    dataset_keys: Mapping[Split, str]
    pools: Mapping[Split, Pool]
    """What may be chosen of each."""
    keys: Mapping[Cell, str]
    tasks: Mapping[Job, Task]
    """Everything but the fits: features, what is prepared, and orders of picking."""
    before: Mapping[Job, tuple[Job, ...]]
    """The jobs that a task, or a cell's fit, waits for."""
    needs: Mapping[Cell, tuple[Job, ...]]
    """The order that a cell's data are taken from, and what its model prepares, if it has one."""
    notes: Mapping[str, Sequence[str]]
    """What a user must know of each data set."""

    @classmethod
    def of(cls, study: Study, store: Store) -> Plan:
        """Load the data sets of a study and work out its jobs; the data sets are stored for the workers."""
        labels = {*study.models, *study.choosers} - {RANDOM}
        specs = {label: resolve(label, study.options) for label in sorted(labels)}
        if study.tune:
            specs = {
                label: spec.tuned_inside() if label in study.models else spec for label, spec in specs.items()
            }
        for label in study.options:
            if label not in specs:
                resolve(label, study.options)
        require_source(study, specs)
        require_known(study)
        datasets = load_splits(study, study.labels)
        require_groups(study, datasets.values())
        require_given(study, datasets.values())
        require_published(study, {name: one for (name, pool), one in datasets.items() if pool == 0})
        require_weight(study, {pool_name(*split): dataset for split, dataset in datasets.items()})
        own = {name: dataset for (name, pool), dataset in datasets.items() if pool == 0}
        require_crystals(study, own)
        cells = expand(study, {name: ids_of(study, dataset) for name, dataset in own.items()})
        frames_keys = {name: frames_hash(dataset) for name, dataset in own.items()}
        prepared_keys = {name: prepared_hash(dataset) for name, dataset in own.items()}
        following = {
            (name, label): spec.following(dataset.spacing)
            for (label, spec), (name, dataset) in itertools.product(specs.items(), own.items())
        }
        for (name, label), spec in following.items():
            dataset = own[name]
            if label in study.models or not store.has("features", features_key(frames_keys[name], spec)):
                spec.make(dataset.elements)  # reports a missing package, or elements it cannot take, at once
        dataset_keys = {split: put_dataset(store, dataset) for split, dataset in datasets.items()}
        keys = {
            cell: cell_key(
                dataset_keys[_split_of(cell)],
                following.get((cell.choice.dataset, cell.choice.chooser)),
                cell.choice.how,
                following.get((cell.choice.dataset, cell.model)),
                study.weights,
            )
            for cell in cells
        }
        jobs = _Jobs(study, following, dataset_keys, frames_keys, prepared_keys)
        needs = {cell: jobs.of(cell) for cell in cells}
        return cls(
            study=study,
            specs=specs,
            following=following,
            dataset_keys=dataset_keys,
            pools={
                split: Pool.of(dataset, study.budget, GIVEN_MARK.join(study.given))
                for split, dataset in datasets.items()
            },
            keys=keys,
            tasks=jobs.tasks,
            before=jobs.before,
            needs=needs,
            notes=_notes(datasets, jobs.n_shared()),
        )

    @property
    def pool_keys(self) -> dict[tuple[str, int, str], str]:
        """Name of a data set, number of its pool and the group that it holds out, to its content's key."""
        found = {(one.choice.dataset, one.choice.pool, one.choice.held_out) for one in self.keys}
        return {(name, pool, held_out): self.dataset_keys[name, pool] for name, pool, held_out in found}

    def put_again(self, store: Store, key: str) -> None:
        """Store a data set again."""
        names = {name for (name, _), one in self.dataset_keys.items() if one == key}
        for split, dataset in load_splits(self.study, names).items():
            if self.dataset_keys[split] == key:
                put_dataset(store, dataset)

    def rests_on(self, cell: Cell) -> list[Job]:
        """List the artefacts that a cell's fit rests on."""
        order, *prepared = self.needs[cell]
        dataset = ("dataset", self.dataset_keys[_split_of(cell)])
        return [dataset, *prepared, *self.before[order], order]

    def relation(self, cell: Cell) -> str:
        """Say whose descriptor chose a cell's data: random, or the model's own, its kin's, another family's.

        Own is the same family with the same features, whatever its fitter's options are; kin is the same
        family with others (see `Adapter.lineage`). Where there is no model, or a control chose, nothing is
        said.
        """
        if cell.choice.method.endswith(f"@{SHARES}"):
            return ""
        if cell.choice.chooser == RANDOM or not cell.model:
            return RANDOM if cell.choice.chooser == RANDOM else ""
        chooser = self.following[cell.choice.dataset, cell.choice.chooser]
        model = self.following[cell.choice.dataset, cell.model]
        if chooser.lineage != model.lineage:
            return OTHER
        return OWN if chooser.features_fingerprint == model.features_fingerprint else KIN

    def settings(self, cell: Cell) -> str:
        """Say what of a cell's model follows the data, or was chosen by their labels."""
        if not cell.model:
            return ""
        spec, said = self.following[cell.choice.dataset, cell.model], []
        if spec.followed:
            said.append(f"from structures: {spec.followed}")
        if spec.tuned_on:
            said.append(f"options tuned on all training labels of {spec.tuned_on}")
        if self.study.tune:
            said.append(spec.tuning)
        return "; ".join(said)

    def unable(self, cell: Cell) -> str:
        """Say why an adapter cannot take its part in a cell, or return an empty string."""
        chooser = cell.choice.chooser
        if chooser != RANDOM:
            name = self.specs[chooser].adapter
            if not adapter_class(name).capabilities.describes:
                return f"adapter {name!r} has no descriptor, so it cannot choose data"
            if cell.choice.pooling == "std" and getattr(adapter_class(name), "level", "") == "structure":
                return f"adapter {name!r} gives a structure one vector, which has no deviation to choose by"
            if cell.choice.scaling == MODEL and not adapter_class(name).capabilities.metric:
                return f"adapter {name!r} knows no metric of a fit of its own, in which it could choose"
            if STAGE_OF[cell.choice.space] == "rows" and not adapter_class(name).capabilities.rows:
                return f"adapter {name!r} is not linear in its coefficients, so it has no rows to choose by"
            if cell.choice.mask == "atoms" and getattr(adapter_class(name), "level", "") == "structure":
                return f"adapter {name!r} describes whole structures, so it cannot choose single atoms"
        if cell.model and not adapter_class(self.specs[cell.model].adapter).capabilities.fits:
            return f"adapter {self.specs[cell.model].adapter!r} has no fitter, so it cannot be retrained"
        if cell.model and (transfer := self.specs[cell.model].transfer) is not None:
            if cell.choice.mask == "atoms":
                return f"model {cell.model!r} carries over from whole frames (masks = ['atoms'])"
            if transfer.way in ("delta", "prior") and not self._starts(self.specs[cell.model]):
                name = self.specs[cell.model].adapter
                return f"adapter {name!r} with these options cannot be fitted towards a source model"
        if cell.model and cell.choice.mask == "atoms" and not self._masks(self.specs[cell.model]):
            label = self.specs[cell.model].label
            return f"model {label!r} cannot be fitted to the forces of some atoms only (masks = ['atoms'])"
        return ""

    @staticmethod
    def _masks(spec: AdapterSpec) -> bool:
        """Tell whether a model can be fitted to the forces of chosen atoms."""
        cls = adapter_class(spec.adapter)
        return issubclass(cls, Fitter) and cls.can_mask(spec.options)

    @staticmethod
    def _starts(spec: AdapterSpec) -> bool:
        """Tell whether a model can be fitted towards an earlier one."""
        cls = adapter_class(spec.adapter)
        return issubclass(cls, Fitter) and cls.can_start(spec.options)

    def chosen(self, cell: Cell, order: IntArray) -> dict[str, Any]:
        """Return what a cell without a model is: the sizes of what was chosen."""
        pool = self.pools[_split_of(cell)]
        subset = pool.subset(order, cell.choice.fraction)
        sizes = {"n_configurations": len(frames_of(subset)), "n_atoms": pool.atoms_of(subset)}
        return {"rows": [], "facts": sizes | {"dataset_key": self.dataset_keys[_split_of(cell)]}}

    def fit(self, cell: Cell, order: IntArray) -> Task:
        """Return the fit of a cell, whose data come first in ``order``; cells may share one."""
        choice, weights = cell.choice, self.study.weights
        spec = self.following[choice.dataset, cell.model]
        seed = choice.seed if adapter_class(spec.adapter).is_seeded(spec.options) else None
        dataset_key, prepared = self.dataset_keys[_split_of(cell)], self.needs[cell][1][1]
        subset = self.pools[_split_of(cell)].subset(order, choice.fraction)
        key = fit_key(dataset_key, prepared, spec, subset, weights, seed)
        arguments = (dataset_key, spec, prepared, subset, dict(weights), seed, key)
        return Task(("fit", key), stages.fit_stage, arguments, spec, dataset_key, FITS)


def _split_of(cell: Cell) -> Split:
    return cell.choice.dataset, cell.choice.pool


def _notes(datasets: Mapping[Split, DataSet], n_shared: Mapping[str, Counter[str]]) -> dict[str, list[str]]:
    """Gather what loading found, and say what pools share."""
    found = {pool_name(*split): list(dataset.notes) for split, dataset in datasets.items()}
    n_pools = Counter(name for name, _ in datasets)
    for (name, pool), dataset in datasets.items():
        if pool == 0 and n_pools[name] > 1:
            sizes = ", ".join(f"{dataset.split.count(one)} {one}" for one in SPLITS if one in dataset.split)
            jobs = ", ".join(f"{count} {stage}" for stage, count in sorted(n_shared[name].items()))
            left_out = sum(one == name and number > MOST_POOLS for one, number in datasets)
            drawn = f"{n_pools[name] - left_out} pools of {sizes} frames"
            if left_out:
                drawn += f", and {left_out} with a group held out"
            found[name].append(f"{drawn}; computed once for all of them: {jobs}")
    return {name: lines for name, lines in found.items() if lines or name in n_pools}


class _Jobs:
    """Gathers the jobs of cells, each once."""

    def __init__(
        self,
        study: Study,
        specs: Mapping[tuple[str, str], AdapterSpec],
        dataset_keys: Mapping[Split, str],
        frames_keys: Mapping[str, str],
        prepared_keys: Mapping[str, str],
    ) -> None:
        self._specs, self._dataset_keys = specs, dataset_keys
        self._frames_keys, self._prepared_keys = frames_keys, prepared_keys
        below = [fraction for fraction in study.fractions if fraction < 1]
        self._largest = max(below, default=1.0)
        self._orders: dict[Choice, Job] = {}
        self._shared: dict[tuple[str, str, str], Job] = {}
        self.tasks: dict[Job, Task] = {}
        self.before: dict[Job, tuple[Job, ...]] = {}

    def of(self, cell: Cell) -> tuple[Job, ...]:
        """Return the order and what is prepared for a cell."""
        choice = cell.choice
        if method_of(choice.method).nested:
            choice = replace(choice, fraction=self._largest)
        if choice not in self._orders:
            self._orders[choice] = self._order(choice)
        prepared = [self._once("prepare", choice.dataset, cell.model)] if cell.model else []
        return self._orders[choice], *prepared

    def n_shared(self) -> dict[str, Counter[str]]:
        """Count the jobs that serve all pools of a data set, by stage."""
        jobs = {(name, job) for (_, name, _), job in self._shared.items()}
        names = {name for name, _ in jobs}
        return {one: Counter(stage for name, (stage, _) in jobs if name == one) for one in names}

    def _once(self, stage: str, name: str, label: str) -> Job:
        """Return what an adapter computes for all frames of a data set, which all of its pools share."""
        if (stage, name, label) not in self._shared:
            spec, dataset = self._specs[name, label], self._dataset_keys[name, 0]
            key_of, run = ONCE_STAGES[stage]
            key = key_of((self._prepared_keys if stage == "prepare" else self._frames_keys)[name], spec)
            task = Task((stage, key), run, (dataset, spec, key), spec, dataset, ONCE)
            self._shared[stage, name, label] = self._add(task)
        return self._shared[stage, name, label]

    def _order(self, choice: Choice) -> Job:
        dataset, spec, features = self._dataset_keys[choice.dataset, choice.pool], None, None
        before: tuple[Job, ...] = ()
        if choice.chooser != RANDOM:
            spec = self._specs[choice.dataset, choice.chooser]
            before = (self._once(STAGE_OF[choice.space], choice.dataset, choice.chooser),)
            features = before[0][1]
        metric = spec if choice.scaling == MODEL else None
        key = selection_key(dataset, features, choice, metric)
        arguments = (dataset, features, choice, key, metric)
        return self._add(
            Task(("selection", key), stages.selection_stage, arguments, spec, dataset, CHOICES), before
        )

    def _add(self, task: Task, before: tuple[Job, ...] = ()) -> Job:
        self.tasks[task.job], self.before[task.job] = task, before
        return task.job
