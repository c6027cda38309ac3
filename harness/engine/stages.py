"""The stages of a cell as pure functions of stored inputs; workers run them, in any order, anywhere."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from crossprune.harness.contract import (
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Predictions,
    Weights,
)
from crossprune.harness.data import frames
from crossprune.harness.engine.grid import Choice
from crossprune.harness.engine.keys import fit_seed, selection_seed
from crossprune.harness.engine.memory import peak_memory_mb, reset_peak_memory
from crossprune.harness.engine.outcome import guarded
from crossprune.harness.engine.stored import (
    stage_store,
    stored_dataset,
    stored_features,
    stored_fit,
    stored_labels,
    stored_prepared,
    stored_selection,
)
from crossprune.harness.evaluation import soundness
from crossprune.harness.evaluation.metrics import errors_by_part, labels_of
from crossprune.harness.fingerprint import package_versions
from crossprune.harness.lookup import AdapterSpec, adapter_class
from crossprune.harness.selection.gathering import n_labels, select

PREDICTED = tuple(field.name for field in dataclasses.fields(Predictions))
OWN = "own_"
"""What marks predictions of frames that the model was fitted to, those that `soundness` looks at."""


@guarded
def features_stage(root: Path, dataset_key: str, spec: AdapterSpec, key: str) -> tuple[None, bool]:
    """Describe all frames of a data set."""
    store = stage_store(root)
    if store.has("features", key):
        return None, False
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    if not isinstance(adapter, Descriptor):
        raise TypeError(f"adapter {spec.adapter!r} is no descriptor, so it cannot choose data")
    values = np.asarray(adapter.features_many(dataset.frames), dtype=np.float64)
    n_atoms = sum(map(len, dataset.frames))
    if values.ndim != 2 or len(values) != n_atoms or not np.isfinite(values).all():
        raise ValueError(
            f"adapter {spec.adapter!r} gave features of shape {values.shape} for {n_atoms} atoms, "
            f"{np.count_nonzero(~np.isfinite(values))} of them not finite"
        )
    store.write("features", key, lambda folder: np.save(folder / "features.npy", values))
    return None, True


@guarded
def prepare_stage(root: Path, dataset_key: str, spec: AdapterSpec, key: str) -> tuple[None, bool]:
    """Compute everything of a model that does not depend on the chosen subset."""
    store = stage_store(root)
    if store.has("prepare", key):
        return None, False
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    if not isinstance(adapter, Fitter):
        raise TypeError(f"adapter {spec.adapter!r} is no fitter, so it cannot be retrained")

    def write(folder: Path) -> None:
        for name, array in adapter.prepare(dataset.frames, workspace=folder).arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
            else:
                np.save(folder / f"{name}.npy", array)

    store.write("prepare", key, write)
    return None, True


@guarded
def selection_stage(
    root: Path, dataset_key: str, features: str | None, choice: Choice, key: str
) -> tuple[IntArray, bool]:
    """Choose frames of the training part; return their indices in the data set, ascending."""
    store = stage_store(root)
    if (stored := stored_selection(store, key)) is not None:
        return stored, False
    values = None if features is None else stored_features(store, features)
    indices = select(
        stored_dataset(root, dataset_key),
        values,
        method=choice.method,
        scaling=choice.scaling,
        pooling=choice.pooling,
        fraction=choice.fraction,
        budget=choice.budget,
        rng=np.random.default_rng(selection_seed(dataset_key, choice)),
    )
    store.write("selection", key, lambda folder: np.save(folder / "indices.npy", indices))
    return indices, True


@guarded
def fit_stage(
    root: Path,
    dataset_key: str,
    spec: AdapterSpec,
    prepared_key: str,
    subset: IntArray,
    weights: Weights,
    seed: int | None,
    key: str,
) -> tuple[dict[str, Any], bool]:
    """Fit to ``subset``, predict all other frames, and compute the errors.

    Returns
    -------
    dict
        ``rows`` per split and group, and ``facts`` about the fit.
    """
    store = stage_store(root)
    dataset = stored_dataset(root, dataset_key)
    unseen = np.setdiff1d(np.arange(len(dataset.frames)), subset)
    computed = not store.has("fit", key)
    if computed:
        fit = functools.partial(
            _fit, root, dataset_key, spec, prepared_key, subset, unseen, weights, seed, key
        )
        store.write("fit", key, fit)
    arrays, stored_facts = stored_fit(store, key)
    own = Predictions(**{name: arrays.pop(OWN + name) for name in PREDICTED})
    predicted = Predictions(**arrays)
    facts = {
        **stored_facts,
        "n_configurations": len(subset),
        "n_atoms": sum(len(dataset.frames[index]) for index in subset),
        "n_labels": sum(n_labels(dataset.frames[index]) for index in subset),
        "flag": _flag(root, dataset_key, subset, own, unseen, predicted),
    }
    rows = errors_by_part(dataset, stored_labels(root, dataset_key), unseen, predicted)
    if facts["flag"].startswith(soundness.EXPLODED):
        mean = _as_mean(root, dataset_key, subset, unseen)
        rows = soundness.with_mean(
            rows, errors_by_part(dataset, stored_labels(root, dataset_key), unseen, mean)
        )
    return {"rows": rows, "facts": facts}, computed


def _as_mean(root: Path, dataset_key: str, subset: IntArray, unseen: IntArray) -> Predictions:
    dataset = stored_dataset(root, dataset_key)
    counts = _counts(root, dataset_key)
    energies = np.array([frames.energy_of(dataset.frames[index]) for index in subset])
    n_atoms = int(counts[unseen].sum())
    return soundness.as_mean(counts[subset], energies, counts[unseen], n_atoms)


def _flag(
    root: Path, dataset_key: str, subset: IntArray, own: Predictions, unseen: IntArray, predicted: Predictions
) -> str:
    """Say what makes a fit unsound, or its energies a guess; ``own`` predicts `soundness.looked_at`."""
    dataset = stored_dataset(root, dataset_key)
    again = soundness.looked_at(subset)
    sizes = np.array([len(atoms) for atoms in dataset.frames])
    own_labels = labels_of([dataset.frames[index] for index in again])
    flags = [soundness.explosion(own, own_labels, sizes[again], predicted, sizes[unseen])]
    if dataset.isolated_atom_energies is None and len(dataset.elements) > 1:
        counts = _counts(root, dataset_key)
        flags.append(soundness.undetermined(counts[subset], counts[unseen]))
    return "; ".join(filter(None, flags))


@functools.lru_cache(maxsize=2)
def _counts(root: Path, dataset_key: str) -> FloatArray:
    """Count atoms per element once for all fits of a data set."""
    dataset = stored_dataset(root, dataset_key)
    return frames.element_counts(dataset.frames, dataset.elements)


def _fit(
    root: Path,
    dataset_key: str,
    spec: AdapterSpec,
    prepared_key: str,
    subset: IntArray,
    unseen: IntArray,
    weights: Weights,
    seed: int | None,
    key: str,
    folder: Path,
) -> None:
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    assert isinstance(adapter, Fitter)
    prepared = stored_prepared(root, dataset_key, prepared_key)
    rng = np.random.default_rng(fit_seed(dataset_key, seed))
    reset_peak_memory()
    start = time.perf_counter()
    potential = adapter.fit(prepared, subset, weights=weights, rng=rng)
    fitted = time.perf_counter()
    predicted = adapter.predict(potential, prepared, unseen)
    end = time.perf_counter()
    own = adapter.predict(potential, prepared, soundness.looked_at(subset))
    _require_finite(predicted, spec.label)
    potential.save(folder / "potential")
    arrays: dict[str, Any] = {name: getattr(predicted, name) for name in PREDICTED}
    arrays |= {OWN + name: getattr(own, name) for name in PREDICTED}
    np.savez(folder / "predictions.npz", **arrays)
    np.save(folder / "subset.npy", subset)
    child = float(potential.info.get("child_peak_memory_mb", 0.0))
    facts = {
        "fit_s": fitted - start,
        "predict_s": end - fitted,
        "peak_memory_mb": max(peak_memory_mb(), child),
        "condition_number": potential.info.get("condition_number"),
        "fit_key": key,
        "dataset_key": dataset_key,
        "versions": _versions(spec),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    (folder / "facts.json").write_text(json.dumps(facts, sort_keys=True))


def _require_finite(predicted: Predictions, label: str) -> None:
    if not (np.isfinite(predicted.energies).all() and np.isfinite(predicted.forces).all()):
        raise FloatingPointError(f"model {label!r} predicts energies or forces that are not finite")


def _versions(spec: AdapterSpec) -> str:
    versions = package_versions(adapter_class(spec.adapter).distributions)
    return "; ".join(f"{name} {number}" for name, number in versions.items())
