"""The stages of a cell as pure functions of stored inputs; workers run them, in any order, anywhere."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from crossprune.harness.contract import (
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Potential,
    Predictions,
    Weights,
    allocate,
    require_weight,
    save_arrays,
)
from crossprune.harness.contract.environments import by_frame, frames_of, sizes_of
from crossprune.harness.data import frames
from crossprune.harness.engine.grid import Choice
from crossprune.harness.engine.keys import fit_seed, selection_seed
from crossprune.harness.engine.processes.memory import peak_memory_mb, reset_peak_memory
from crossprune.harness.engine.stored import (
    SIZES,
    stage_store,
    stored_candidates,
    stored_dataset,
    stored_fit,
    stored_labels,
    stored_potential,
    stored_prepared,
    stored_selection,
)
from crossprune.harness.engine.transfer import Labels, fit_with_source, source_key
from crossprune.harness.evaluation import soundness
from crossprune.harness.evaluation.metrics import chosen_from, errors_by_part
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.selection.gathering import n_labels, order, places
from crossprune.harness.selection.methods import method_of
from crossprune.harness.store.objects import Store

if TYPE_CHECKING:
    from crossprune.harness.evaluation.motion.runs import MdRun
    from crossprune.harness.evaluation.properties import PropertyOptions
    from crossprune.harness.evaluation.setting import Setting

PREDICTED = tuple(field.name for field in dataclasses.fields(Predictions))
TRAJECTORY = "trajectory.extxyz"
ENVIRONMENTS = "environments.npy"
"""File beside a masked fit's frames: the chosen frames and atoms."""


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
    n_vectors = sum(map(adapter.n_vectors, dataset.frames))
    if values.ndim != 2 or len(values) != n_vectors or not np.isfinite(values).all():
        described = "atoms" if adapter.level == "atoms" else "structures"
        raise ValueError(
            f"adapter {spec.adapter!r} gave features of shape {values.shape} for {n_vectors} {described}, "
            f"{np.count_nonzero(~np.isfinite(values))} of them not finite"
        )

    def write(folder: Path) -> None:
        np.save(folder / "features.npy", values)
        if adapter.level == "structure":
            np.save(folder / SIZES, dataset.sizes)

    store.write("features", key, write)
    return None, True


def rows_stage(root: Path, dataset_key: str, spec: AdapterSpec, key: str) -> tuple[None, bool]:
    """Compute the design rows of all frames of a data set, one frame below the other."""
    store = stage_store(root)
    if store.has("rows", key):
        return None, False
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    first, last = places(dataset.sizes, "rows")

    def write(folder: Path) -> None:
        rows: FloatArray | None = None
        for atoms, start, end in zip(dataset.frames, first.tolist(), last.tolist(), strict=True):
            values = adapter.design_rows(atoms)
            if rows is None:
                rows = allocate(folder, "rows", (int(last[-1]), values.shape[1]))
            if not np.isfinite(values).all():
                raise ValueError(f"adapter {spec.adapter!r} gave design rows that are not finite")
            rows[start:end] = values
        if isinstance(rows, np.memmap):
            rows.flush()

    store.write("rows", key, write)
    return None, True


def prepare_stage(root: Path, dataset_key: str, spec: AdapterSpec, key: str) -> tuple[None, bool]:
    """Compute everything of a model that does not depend on the chosen subset."""
    store = stage_store(root)
    if store.has("prepare", key):
        return None, False
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    if not isinstance(adapter, Fitter):
        raise TypeError(f"adapter {spec.adapter!r} is no fitter, so it cannot be retrained")

    labelled = dataset.frames if dataset.source is None else (*dataset.frames, *dataset.source.frames)

    def write(folder: Path) -> None:
        for name, array in adapter.prepare(labelled, workspace=folder).arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
            else:
                np.save(folder / f"{name}.npy", array)

    store.write("prepare", key, write)
    return None, True


def selection_stage(
    root: Path,
    dataset_key: str,
    features: str | None,
    choice: Choice,
    key: str,
    metric: AdapterSpec | None = None,
) -> tuple[IntArray, bool]:
    """Choose frames of the training part, or environments; return them in the order of picking."""
    store = stage_store(root)
    if (stored := stored_selection(store, key)) is not None:
        return stored, False
    described = features if method_of(choice.method).described else None
    candidates = None
    if choice.fraction < 1.0:
        candidates = stored_candidates(root, dataset_key, described, choice, metric)
    picked = order(
        stored_dataset(root, dataset_key),
        candidates,
        method=choice.method,
        fraction=choice.fraction,
        budget=choice.budget,
        mask=choice.mask,
        rng=np.random.default_rng(selection_seed(dataset_key, choice)),
    )
    store.write("selection", key, lambda folder: np.save(folder / "order.npy", picked))
    return picked, True


def fit_stage(
    root: Path,
    dataset_key: str,
    spec: AdapterSpec,
    prepared_key: str,
    chosen: IntArray,
    weights: Weights,
    seed: int | None,
    key: str,
) -> tuple[dict[str, Any], bool]:
    """Fit to ``chosen``, predict all other frames, and compute the errors.

    Parameters
    ----------
    chosen
        Frames, shape (n,), or environments, shape (n, 2): frame and atom.

    Returns
    -------
    dict
        ``rows`` per split and group, and ``facts`` about the fit.
    """
    store = stage_store(root)
    dataset, labels = stored_dataset(root, dataset_key), stored_labels(root, dataset_key)
    subset = frames_of(chosen)
    is_unseen = np.ones(len(dataset.frames), dtype=np.bool_)
    is_unseen[subset] = False
    unseen = np.flatnonzero(is_unseen)
    computed = not store.has("fit", key)
    if computed:
        fitted: list[_Fitted] = []
        fit = functools.partial(
            _fit, root, dataset_key, spec, prepared_key, chosen, unseen, weights, seed, key
        )
        store.write("fit", key, lambda folder: fitted.append(fit(folder)))
        found = fitted[0]
    else:
        found = _read_fit(store, key, len(unseen), int(dataset.sizes[unseen].sum()))
    facts = {
        **found.facts,
        **sizes_of(chosen, dataset.sizes, _label_counts(root, dataset_key)),
        "flag": _flag(root, dataset_key, chosen, found, unseen, carried=spec.transfer is not None),
    }
    rows = errors_by_part(dataset, labels, unseen, found.predicted)
    if facts["flag"].startswith(soundness.EXPLODED):
        mean = _as_mean(root, dataset_key, subset, unseen)
        rows = soundness.with_mean(rows, errors_by_part(dataset, labels, unseen, mean))
    return {"rows": rows, "facts": facts}, computed


@dataclass(frozen=True)
class _Fitted:
    """What a fit's folder holds beside the potential."""

    predicted: Predictions
    """Of all frames that were not fitted to."""
    own: Predictions
    """Of some frames that were, those that `soundness.looked_at` names."""
    facts: dict[str, Any]


def _read_fit(store: Store, key: str, n_frames: int, n_atoms: int) -> _Fitted:
    """Read a fit; its own frames come after the ``n_frames`` that it did not see, with ``n_atoms``."""
    arrays, facts = stored_fit(store, key)
    ends = {"energies": n_frames, "forces": n_atoms, "stresses": n_frames}
    predicted = Predictions(**{name: arrays[name][: ends[name]] for name in PREDICTED})
    return _Fitted(predicted, Predictions(**{name: arrays[name][ends[name] :] for name in PREDICTED}), facts)


@functools.lru_cache(maxsize=2)
def _label_counts(root: Path, dataset_key: str) -> IntArray:
    """Count each frame's labels once for all fits of a data set."""
    dataset = stored_dataset(root, dataset_key)
    return np.array([n_labels(atoms) for atoms in dataset.frames], dtype=np.int64)


def _as_mean(root: Path, dataset_key: str, subset: IntArray, unseen: IntArray) -> Predictions:
    dataset = stored_dataset(root, dataset_key)
    counts = _counts(root, dataset_key)
    energies = np.array([frames.energy_of(dataset.frames[index]) for index in subset])
    n_atoms = int(dataset.sizes[unseen].sum())
    return soundness.as_mean(counts[subset], energies, counts[unseen], n_atoms)


def _flag(
    root: Path,
    dataset_key: str,
    chosen: IntArray,
    found: _Fitted,
    unseen: IntArray,
    *,
    carried: bool = False,
) -> str:
    """Say what makes a fit unsound, or its energies a guess, and what the potential says of itself.

    Of masked frames only the forces that were fitted to are looked at; of what is ``carried`` over from
    another level, energies from whatever they are counted: a wrong zero is an error and no explosion.
    """
    dataset, subset = stored_dataset(root, dataset_key), frames_of(chosen)
    own, predicted = found.own, found.predicted
    again, sizes = soundness.looked_at(subset), dataset.sizes
    own_labels = chosen_from(stored_labels(root, dataset_key), sizes, again)
    if chosen.ndim == 2:
        fitted = set(map(tuple, chosen.tolist()))
        known = np.array([(frame, atom) in fitted for frame in again for atom in range(sizes[frame])])
        own, own_labels = (dataclasses.replace(one, forces=one.forces[known]) for one in (own, own_labels))
    if carried:
        counts = _counts(root, dataset_key)
        zero = np.linalg.lstsq(counts[again], own_labels.energies - own.energies, rcond=1e-10)[0]
        own = dataclasses.replace(own, energies=own.energies + counts[again] @ zero)
        predicted = dataclasses.replace(predicted, energies=predicted.energies + counts[unseen] @ zero)
    flags = [soundness.explosion(own, own_labels, sizes[again], predicted, sizes[unseen])]
    if dataset.isolated_atom_energies is None and len(dataset.elements) > 1:
        counts = _counts(root, dataset_key)
        flags.append(soundness.undetermined(counts[subset], counts[unseen]))
    flags.append(str(found.facts.get("warning", "")))
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
    chosen: IntArray,
    unseen: IntArray,
    weights: Weights,
    seed: int | None,
    key: str,
    folder: Path,
) -> _Fitted:
    dataset = stored_dataset(root, dataset_key)
    adapter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    assert isinstance(adapter, Fitter)
    subset, kept = (chosen, None) if chosen.ndim == 1 else by_frame(chosen)
    require_weight({dataset.groups[index] for index in subset}, weights)
    prepared = stored_prepared(root, dataset_key, prepared_key)
    rng = np.random.default_rng(fit_seed(dataset_key, seed))
    reset_peak_memory()
    start = time.perf_counter()
    if spec.transfer is not None:
        labels = Labels(prepared, subset, weights, rng)
        potential = _fit_with_source(dataset, spec, labels, dataset_key, prepared_key)
    elif kept is None:
        potential = adapter.fit(prepared, subset, weights=weights, rng=rng)
    else:
        potential = adapter.fit_masked(prepared, subset, kept, weights=weights, rng=rng)
    fitted = time.perf_counter()
    predicted = adapter.predict(potential, prepared, unseen)
    end = time.perf_counter()
    own = adapter.predict(potential, prepared, soundness.looked_at(subset))
    _require_finite(predicted, spec.label)
    potential.save(folder / "potential")
    both = {name: [getattr(predicted, name), getattr(own, name)] for name in PREDICTED}
    arrays: dict[str, Any] = {name: np.concatenate(parts) for name, parts in both.items()}
    save_arrays(folder / "predictions.npz", arrays)
    np.save(folder / "subset.npy", subset)
    if kept is not None:
        np.save(folder / ENVIRONMENTS, chosen)
    child = float(potential.info.get("child_peak_memory_mb", 0.0))
    facts = {
        "fit_s": fitted - start,
        "predict_s": end - fitted,
        "peak_memory_mb": max(peak_memory_mb(), child),
        "condition_number": potential.info.get("condition_number"),
        "warning": potential.info.get("warning", ""),
        "fit_key": key,
        "dataset_key": dataset_key,
        "versions": _versions(spec),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
    }
    (folder / "facts.json").write_text(json.dumps(facts, sort_keys=True))
    return _Fitted(predicted, own, facts)


def _fit_with_source(dataset: frames.DataSet, spec: AdapterSpec, labels: Labels, *rests_on: str) -> Potential:
    assert spec.transfer is not None

    def make(energies: Mapping[str, float] | None) -> Fitter[Any]:
        adapter = spec.make(dataset.elements, energies)
        assert isinstance(adapter, Fitter)
        return adapter

    plain = dataclasses.replace(spec, transfer=None).fingerprint
    key = source_key(*rests_on, plain, spec.transfer.references, dict(labels.weights))
    return fit_with_source(make, spec.transfer, labels, key)


def _require_finite(predicted: Predictions, label: str) -> None:
    if not (np.isfinite(predicted.energies).all() and np.isfinite(predicted.forces).all()):
        raise FloatingPointError(f"model {label!r} predicts energies or forces that are not finite")


def _versions(spec: AdapterSpec) -> str:
    return "; ".join(f"{name} {number}" for name, number in sorted(spec.versions().items()))


def properties_stage(
    root: Path, fit_key: str, setting: Setting, options: PropertyOptions
) -> tuple[dict[str, Any], bool]:
    """Compute the properties of a fitted potential; a row each, whatever fails."""
    from crossprune.harness.evaluation.properties import compute_properties  # no fit needs it

    found = compute_properties(stored_potential(root, fit_key).calculator(), setting, options)
    facts = {"trial": True, "fit_key": fit_key}
    return {"rows": [dataclasses.asdict(one) for one in found], "facts": facts}, True


def md_stage(root: Path, fit_key: str, run: MdRun, key: str) -> tuple[dict[str, Any], bool]:
    """Run molecular dynamics with a fitted potential; keep frames up to and including the failure."""
    from ase.calculators.calculator import PropertyNotImplementedError
    from ase.io import write
    from crossprune.harness.evaluation.motion.stability import run_md

    facts: dict[str, Any] = {"trial": True, "fit_key": fit_key}
    try:
        result, kept = run_md(stored_potential(root, fit_key), run)
    except PropertyNotImplementedError:
        if run.ensemble != "npt":
            raise
        row = {"status": "skipped", "reason": "npt needs the stress, and this model predicts none"}
        return {"rows": [row], "facts": facts}, True
    folder = stage_store(root).write("md", key, lambda path: write(path / TRAJECTORY, kept, format="extxyz"))
    facts["trajectory"] = str((folder / TRAJECTORY).relative_to(root))
    return {"rows": [{**dataclasses.asdict(result), "survived": result.survived}], "facts": facts}, True
