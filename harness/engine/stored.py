"""What is in the store, loaded once per process and kept while it is needed."""

from __future__ import annotations

import functools
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray, Potential, Predictions, Prepared
from crossprune.harness.data import frames
from crossprune.harness.engine.grid import Choice
from crossprune.harness.errors import DataError
from crossprune.harness.evaluation.metrics import labels_of
from crossprune.harness.evaluation.seen import Acquaintance
from crossprune.harness.lookup import AdapterSpec, load_potential
from crossprune.harness.names import fault_of_path
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.gathering import gather
from crossprune.harness.store.damage import place_of
from crossprune.harness.store.objects import Store

STAGE_OF = {"atoms": "features", "rows": "rows", "force_rows": "rows"}
"""Space to the stage that computes its vectors, and the name of its file."""
SIZES = "sizes.npy"
"""File beside features of structures: how many atoms each has."""
SUBSET = "subset.npy"
"""File of the frames that a model was fitted to; a published potential has none."""
SOURCE = "published.txt"
"""File beside a published potential: where it is from."""
KEPT_BYTES = 1 << 27
"""Size of features up to which they stay in a worker's memory between two choices."""


@functools.lru_cache(maxsize=2)
def stage_store(root: Path) -> Store:
    """Open a store once per process, not once per stage."""
    return Store(root)


@functools.lru_cache(maxsize=2)
def stored_dataset(root: Path, key: str) -> frames.DataSet:
    """Load a data set from the store."""
    with stage_store(root).reading("dataset", key, contents=True) as folder:
        return frames.load(folder)


@functools.lru_cache(maxsize=2)
def stored_labels(root: Path, key: str) -> Predictions:
    """Gather the labels of all frames of a data set in the store."""
    return labels_of(stored_dataset(root, key).frames)


@functools.lru_cache(maxsize=2)
def stored_prepared(root: Path, dataset_key: str, key: str) -> Prepared:
    """Load what was prepared, memory-mapped, so that all workers share one copy."""
    _compare(root, "prepare", key)
    with stage_store(root).reading("prepare", key) as folder:
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    dataset = stored_dataset(root, dataset_key)
    if (source := dataset.source) is None:
        return Prepared(dataset.frames, arrays)
    usable = len(dataset.frames) + np.flatnonzero(source.usable)
    return Prepared((*dataset.frames, *source.frames), arrays, usable.astype(np.int64))


def stored_potential(root: Path, fit_key: str) -> Potential:
    """Load a fitted potential from the store; never kept, because its files may lie in a stage's folder."""
    with stage_store(root).reading("fit", fit_key) as folder:
        return load_potential(folder / "potential")


def stored_features(store: Store, key: str) -> FloatArray:
    """Load the features of all atoms of a data set; those of a structure are those of each of its atoms."""
    values = stored_vectors(store, key, "atoms")
    with store.reading("features", key) as folder:
        path = folder / SIZES
        return np.repeat(values, np.load(path), axis=0) if path.exists() else values


def stored_vectors(store: Store, key: str, space: str) -> FloatArray:
    """Load the features of a data set, or the design rows of all frames, memory-mapped."""
    stage = STAGE_OF[space]
    _compare(store.root, stage, key)
    with store.reading(stage, key) as folder:
        values: FloatArray = np.load(folder / f"{stage}.npy", mmap_mode="r")
        return values


@functools.lru_cache(maxsize=256)
def _compare(root: Path, stage: str, key: str) -> None:
    """Compare the digests of a large artefact once in a process: arrays in memory maps hold no checksums."""
    with stage_store(root).reading(stage, key, contents=True):
        pass


def stored_candidates(
    root: Path,
    dataset_key: str,
    features: str | None,
    choice: Choice,
    metric: AdapterSpec | None = None,
) -> Candidates:
    """Gather the training part in a latent space, None for none; a small one is kept for the next seed.

    With ``metric``, in that of this family's fit.
    """
    values = None if features is None else stored_vectors(stage_store(root), features, choice.space)
    is_small = values is None or values.nbytes <= KEPT_BYTES
    make = _candidates if is_small else _candidates.__wrapped__
    own = None if metric is None else _Metric(metric)
    axes = (choice.space, choice.scaling, choice.pooling, choice.given)
    return make(root, dataset_key, features, *axes, own)


class _Metric:
    """A family in whose metric candidates are gathered, equal to another of the same fingerprint."""

    def __init__(self, spec: AdapterSpec) -> None:
        self.spec = spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Metric) and other.spec.fingerprint == self.spec.fingerprint

    def __hash__(self) -> int:
        return hash(self.spec.fingerprint)


@functools.lru_cache(maxsize=2)
def _candidates(
    root: Path,
    dataset_key: str,
    features: str | None,
    space: str,
    scaling: str,
    pooling: str,
    given: str,
    own: _Metric | None,
) -> Candidates:
    dataset = stored_dataset(root, dataset_key)
    metric = None if own is None else own.spec.make(dataset.elements, dataset.isolated_atom_energies).metric
    values = None if features is None else stored_vectors(stage_store(root), features, space)
    train = dataset.indices("train")
    axes = {"space": space, "scaling": scaling, "pooling": pooling, "given": given}
    return gather(dataset, train, values, metric=metric, **axes)


def stored_selection(store: Store, key: str) -> IntArray | None:
    """Load an order of picking, if it is stored; its digest is compared."""
    if not store.has("selection", key):
        return None
    with store.reading("selection", key, contents=True) as folder:
        picked: IntArray = np.load(folder / "order.npy")
        return picked


@functools.lru_cache(maxsize=20_000)
def stored_subset(root: Path, fit_key: str) -> IntArray:
    """Load the indices of the frames that a model was fitted to; kept, for a report asks more than once."""
    with stage_store(root).reading("fit", fit_key, contents=("subset.npy",)) as folder:
        indices: IntArray = np.load(folder / "subset.npy")
    indices.flags.writeable = False
    return indices


def acquaintance(store: Store, dataset_key: str, fit_key: str) -> Acquaintance | None:
    """Count what a model was fitted to, by group; None if the store does not know it, or not any more."""
    if not (store.path("fit", fit_key) / SUBSET).is_file():
        return None
    return Acquaintance.of(stored_dataset(store.root, dataset_key), stored_subset(store.root, fit_key))


def stored_fit(store: Store, fit_key: str) -> tuple[dict[str, FloatArray], dict[str, Any]]:
    """Load what a fit predicted, as arrays by name, and the facts about it."""
    with store.reading("fit", fit_key, contents=True) as folder:
        with np.load(folder / "predictions.npz") as archive:
            arrays = dict(archive)
        return arrays, json.loads((folder / "facts.json").read_text())


def put_dataset(store: Store, dataset: frames.DataSet) -> str:
    """Store a data set for the workers; return its key."""
    key = frames.content_hash(dataset)
    if not store.has("dataset", key):
        store.write("dataset", key, lambda folder: frames.save(dataset, folder))
    return key


@dataclass(frozen=True)
class FitData:
    """What a stored potential was fitted on."""

    dataset: frames.DataSet
    """The study's data set, with its split."""
    subset: IntArray
    """Indices of the frames that were chosen."""


def data_of_fit(source: str | Path) -> FitData | None:
    """Load what the store holds beside a fitted potential; None if it holds none, or it is a published one.

    Parameters
    ----------
    source
        ``STORE/objects/fit/xx/KEY/potential``, a file in it, or either of them after ``SCHEME:``.

    Raises
    ------
    DataError
        If the store's facts, subset or data set are missing or damaged.
    """
    fit = _fit_of(str(source))
    if fit is None or _is_published(fit):
        return None
    try:
        key = str(json.loads((fit / "facts.json").read_text())["dataset_key"])
        subset = np.load(fit / "subset.npy").astype(np.int64)
        dataset = frames.load(place_of(fit.parents[3], "dataset", key))
        chosen = set(np.array(dataset.split)[subset].tolist())
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise DataError(
            f"{fit}: the store does not hold whole what this potential was fitted to "
            f"({type(error).__name__}: {error}); run the study again, or copy the folder of the potential "
            "out of the store to evaluate it like one of unknown origin"
        ) from None
    if chosen - {"train"}:
        raise DataError(f"{fit}: subset.npy names frames of {', '.join(sorted(chosen))}; run the study again")
    return FitData(dataset, subset)


def _is_published(fit: Path) -> bool:
    """Tell whether the folder of a fit holds a published potential."""
    return not (fit / SUBSET).exists() and (fit / SOURCE).is_file()


def _fit_of(source: str) -> Path | None:
    """Return the folder of the fit that a potential belongs to, if it lies in a store."""
    for text in (source, source.partition(":")[2]):
        if not text or fault_of_path(text):
            continue
        path = Path(text).resolve()
        for folder in (path, path.parent):
            stage = folder.parents[2] if len(folder.parents) > 2 else folder
            in_store = folder.name == "potential" and (stage.name, stage.parent.name) == ("fit", "objects")
            if in_store and folder.is_dir():
                return folder.parent
    return None
