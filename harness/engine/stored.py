"""What is in the store, loaded once per process and kept while it is needed."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from crossprune.harness.contract import Potential, Predictions, Prepared
from crossprune.harness.data import frames
from crossprune.harness.evaluation.metrics import labels_of
from crossprune.harness.lookup import load_potential
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
