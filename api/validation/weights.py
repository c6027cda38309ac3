"""Group weights of a linear model, chosen by cross-validation on a data set's training part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossprune.harness.contract import Fitter, GroupWeight, IntArray, Prepared, Weights
from crossprune.harness.data.cards import DataOptions, load_dataset, load_pools
from crossprune.harness.data.frames import DataSet, frames_hash
from crossprune.harness.engine.keys import prepare_key
from crossprune.harness.engine.stages import prepare_stage
from crossprune.harness.engine.stored import put_dataset, stored_prepared
from crossprune.harness.engine.study import as_toml
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import labels_of
from crossprune.harness.lookup import AdapterSpec, resolve
from crossprune.harness.store.objects import Store
from crossprune.harness.tables import from_table


@dataclass(frozen=True)
class Reweighted:
    """Weights of each group, and what validation says of them."""

    model: str
    dataset: str
    """Whose training labels chose."""
    weights: Weights
    before: tuple[float, float]
    """Mean absolute errors over all folds with equal weights: energies meV/atom, forces eV/Å."""
    after: tuple[float, float]
    """The same with these weights; they were chosen on these folds, so a little too good."""
    search_s: float
    """Time that the search took, s: what is prepared once is not in it."""

    def to_toml(self) -> str:
        """Write the weights as tables for a study."""
        lines = [f"# chosen for {self.model} by all training labels of {self.dataset}"]
        for group, one in self.weights.items():
            lines += [f"[weights.{as_toml(group)}]"]
            lines += [f"{name} = {value:.6g}" for name, value in vars(one).items() if value != 1]
        return "\n".join(lines) + "\n"


def reweight(
    model: str,
    data: str,
    *,
    store: Store,
    folds: int = 5,
    options: Mapping[str, Any] | None = None,
    loading: Mapping[str, Any] | None = None,
) -> Reweighted:
    """Choose the weights of each group's energies and forces that predict left-out folds best.

    Parameters
    ----------
    model, data, store, folds, options, loading
        As for `crossprune.validation.search.search`.

    Raises
    ------
    StudyError
        If the family is not linear in its coefficients.
    """
    table = dict(loading or {})
    pools = load_pools(
        data, folds, options=from_table(DataOptions, {**table, "folds": folds}, f"[data.{data}]")
    )
    whole = load_dataset(data, options=from_table(DataOptions, table, f"[data.{data}]"))
    spec = resolve(model, {model: dict(options or {})}).following(whole.spacing)
    fitter = spec.make(pools[0].elements, pools[0].isolated_atom_energies)
    if not isinstance(fitter, Fitter):
        raise StudyError(f"adapter {model!r} fits nothing, so there is nothing to weigh")
    prepared = _prepared(store, spec, pools[0])
    numbers = np.array([[part == "test" for part in pool.split] for pool in pools]).argmax(axis=0)
    start = time.perf_counter()
    found = fitter.group_weights(prepared, np.arange(len(numbers)), numbers.astype(np.int64))
    elapsed = time.perf_counter() - start
    before, after = (_validated(fitter, prepared, numbers, one) for one in ({}, found))
    return Reweighted(model, data, found, before, after, elapsed)


def _prepared(store: Store, spec: AdapterSpec, dataset: DataSet) -> Prepared:
    """Prepare a data set, or take what the store holds."""
    dataset_key, key = put_dataset(store, dataset), prepare_key(frames_hash(dataset), spec)
    prepare_stage(store.root, dataset_key, spec, key)
    return stored_prepared(store.root, dataset_key, key)


def _validated(
    fitter: Fitter[Any], prepared: Prepared, numbers: IntArray, weights: Mapping[str, GroupWeight]
) -> tuple[float, float]:
    """Return mean absolute errors over all folds, each predicted by a fit to the others."""
    sizes = np.array([len(atoms) for atoms in prepared.frames])
    energies, forces = [], []
    for fold in sorted(set(numbers.tolist())):
        inside, own = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        potential = fitter.fit(prepared, inside, weights=weights, rng=np.random.default_rng(0))
        predicted, labels = (
            fitter.predict(potential, prepared, own),
            labels_of([prepared.frames[index] for index in own.tolist()]),
        )
        energies.append(np.abs(predicted.energies - labels.energies) / sizes[own])
        forces.append(np.abs(predicted.forces - labels.forces).ravel())
    return 1e3 * float(np.concatenate(energies).mean()), float(np.concatenate(forces).mean())
