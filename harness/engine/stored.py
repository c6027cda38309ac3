"""What is in the store, loaded once per process and kept while it is needed."""

from __future__ import annotations

import functools
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crossprune.harness.contract import IntArray, Potential, Predictions, Prepared
from crossprune.harness.data import frames
from crossprune.harness.errors import DataError
from crossprune.harness.evaluation.metrics import labels_of
from crossprune.harness.lookup import load_potential
from crossprune.harness.names import fault_of_path
from crossprune.harness.store.objects import Store


@functools.lru_cache(maxsize=2)
def stage_store(root: Path) -> Store:
    """Open a store once per process, not once per stage."""
    return Store(root)


@functools.lru_cache(maxsize=2)
def stored_dataset(root: Path, key: str) -> frames.DataSet:
    """Load a data set from the store."""
    return frames.load(stage_store(root).path("dataset", key))


@functools.lru_cache(maxsize=2)
def stored_labels(root: Path, key: str) -> Predictions:
    """Gather the labels of all frames of a data set in the store."""
    return labels_of(stored_dataset(root, key).frames)


@functools.lru_cache(maxsize=2)
def stored_prepared(root: Path, dataset_key: str, key: str) -> Prepared:
    """Load what was prepared, memory-mapped, so that all workers share one copy."""
    folder = stage_store(root).path("prepare", key)
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
    return Prepared(stored_dataset(root, dataset_key).frames, arrays)


def stored_potential(root: Path, fit_key: str) -> Potential:
    """Load a fitted potential from the store; never kept, because its files may lie in a stage's folder."""
    return load_potential(stage_store(root).path("fit", fit_key) / "potential")


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
    """Load what the store holds beside a fitted potential; None if ``source`` is not in a store.

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
    if fit is None:
        return None
    try:
        key = str(json.loads((fit / "facts.json").read_text())["dataset_key"])
        subset = np.load(fit / "subset.npy").astype(np.int64)
        dataset = frames.load(fit.parents[2] / "dataset" / key[:2] / key)
        chosen = set(np.array(dataset.split)[subset].tolist())
    except (OSError, ValueError, TypeError, LookupError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{fit}: the store does not hold whole what this potential was fitted to "
            f"({type(error).__name__}: {error}); run the study again, or copy the folder of the potential "
            "out of the store to evaluate it like one of unknown origin"
        ) from None
    if chosen - {"train"}:
        raise DataError(f"{fit}: subset.npy names frames of {', '.join(sorted(chosen))}; run the study again")
    return FitData(dataset, subset)


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
