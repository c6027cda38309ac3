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
from ase import Atoms
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
from crossprune.harness.engine.memory import peak_memory_mb, reset_peak_memory
from crossprune.harness.engine.outcome import guarded
from crossprune.harness.engine.stored import stage_store, stored_dataset, stored_labels, stored_prepared
from crossprune.harness.evaluation import soundness
from crossprune.harness.evaluation.metrics import errors_by_part, labels_of
from crossprune.harness.fingerprint import package_versions, seed_from
from crossprune.harness.lookup import AdapterSpec, adapter_class
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import METHODS, choose
from crossprune.harness.store.objects import Store


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
    """Choose frames of the training part; return their indices in the data set, ascending.

    The generator depends on data set, method and seed only, so that all choosers start alike.
    """
    store = stage_store(root)
    path = store.path("selection", key) / "indices.npy"
    if path.exists():
        return np.load(path), False
    dataset = stored_dataset(root, dataset_key)
    train = dataset.indices("train")
    chosen_from = candidates_of(store, dataset, train, features, choice)
    rng = np.random.default_rng(seed_from("selection", dataset_key, choice.method, choice.seed))
    picked = choose(choice.method, chosen_from, choice.fraction, rng, _costs(dataset, train, choice.budget))
    indices = np.sort(train[picked])
    store.write("selection", key, lambda folder: np.save(folder / "indices.npy", indices))
    return indices, True


def candidates_of(
    store: Store, dataset: frames.DataSet, part: IntArray, features: str | None, choice: Choice
) -> Candidates:
    """Gather what a method may look at: stored features, groups and forces of the frames ``part``."""
    starts = frames.offsets(dataset.frames)
    lengths = np.diff(starts)[part]
    if features is None or not METHODS[choice.method].described:
        values = np.empty((int(lengths.sum()), 0))
    else:
        stored = np.load(store.path("features", features) / "features.npy", mmap_mode="r")
        values = np.concatenate([stored[starts[index] : starts[index + 1]] for index in part])
    forces = np.concatenate([frames.forces_of(dataset.frames[index]) for index in part])
    groups = dataset.groups
    return Candidates(
        features=values,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        groups=[groups[index] for index in part],
        force_norms=np.linalg.norm(forces, axis=1),
        scaling=choice.scaling,
        pooling=choice.pooling,
    )


def _costs(dataset: frames.DataSet, part: IntArray, budget: str) -> IntArray | None:
    """Return what each configuration costs in atoms or labels; None where each costs the same."""
    if budget == "configurations":
        return None
    cost = len if budget == "atoms" else _n_labels
    return np.array([cost(dataset.frames[index]) for index in part], dtype=np.int64)


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

    The generator depends on data set and seed only, so that networks of one seed start alike, whoever
    chose the data, and so that neither a renamed option nor moved code changes a fit.

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
    folder = store.path("fit", key)
    with np.load(folder / "predictions.npz") as archive:
        predicted = Predictions(**{name: archive[name] for name in archive.files})
    facts = json.loads((folder / "facts.json").read_text())
    rows = errors_by_part(dataset, stored_labels(root, dataset_key), unseen, predicted)
    if str(facts.get("flag", "")).startswith(soundness.EXPLODED):
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
    """Say what makes a fit unsound, or its energies a guess; ``own`` are predictions of `_looked_at`."""
    dataset = stored_dataset(root, dataset_key)
    looked_at = [dataset.frames[index] for index in _looked_at(subset)]
    sizes = np.array([len(atoms) for atoms in dataset.frames])
    flags = [
        soundness.explosion(own, labels_of(looked_at), sizes[_looked_at(subset)], predicted, sizes[unseen])
    ]
    if dataset.isolated_atom_energies is None and len(dataset.elements) > 1:
        counts = _counts(root, dataset_key)
        flags.append(soundness.undetermined(counts[subset], counts[unseen]))
    return "; ".join(filter(None, flags))


@functools.lru_cache(maxsize=2)
def _counts(root: Path, dataset_key: str) -> FloatArray:
    """Count atoms per element once for all fits of a data set."""
    dataset = stored_dataset(root, dataset_key)
    return frames.element_counts(dataset.frames, dataset.elements)


def _looked_at(subset: IntArray) -> IntArray:
    n_frames = min(len(subset), soundness.N_LOOKED_AT)
    return subset[np.linspace(0, len(subset) - 1, n_frames).round().astype(np.int64)]


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
    rng = np.random.default_rng(seed_from("fit", dataset_key, seed))
    reset_peak_memory()
    start = time.perf_counter()
    potential = adapter.fit(prepared, subset, weights=weights, rng=rng)
    fitted = time.perf_counter()
    predicted = adapter.predict(potential, prepared, unseen)
    end = time.perf_counter()
    own = adapter.predict(potential, prepared, _looked_at(subset))
    _require_finite(predicted, spec.label)
    potential.save(folder / "potential")
    arrays: dict[str, Any] = {
        field.name: getattr(predicted, field.name) for field in dataclasses.fields(predicted)
    }
    np.savez(folder / "predictions.npz", **arrays)
    np.save(folder / "subset.npy", subset)
    child = float(potential.info.get("child_peak_memory_mb", 0.0))
    facts = {
        "n_configurations": len(subset),
        "n_atoms": sum(len(dataset.frames[index]) for index in subset),
        "n_labels": sum(_n_labels(dataset.frames[index]) for index in subset),
        "fit_s": fitted - start,
        "predict_s": end - fitted,
        "peak_memory_mb": max(peak_memory_mb(), child),
        "flag": _flag(root, dataset_key, subset, own, unseen, predicted),
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


def _n_labels(atoms: Atoms) -> int:
    return 1 + 3 * len(atoms) + (0 if frames.stress_of(atoms) is None else 6)


def _versions(spec: AdapterSpec) -> str:
    versions = package_versions(adapter_class(spec.adapter).distributions)
    return "; ".join(f"{name} {number}" for name, number in versions.items())
