"""What a report shows beyond the results table: maps of latent spaces, parity of predictions, overlaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.analysis.spaces.chosen import chosen_subsets
from crossprune.harness.analysis.spaces.described import of_chosen, of_errors
from crossprune.harness.analysis.spaces.latent import described, overlap, part_of
from crossprune.harness.analysis.spaces.predictions import holds_predictions, predicted
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data import frames
from crossprune.harness.engine.results import by_pool, not_held_out
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.selection.methods import RANDOM
from crossprune.harness.store.objects import Store
from scipy import linalg

MAX_CONFIGURATIONS = 1500
"""Configurations on one map or one parity plot; more are thinned at random, which a picture does not show."""
N_BINS = 48
"""Bins along each axis of the histogram of force components."""


@dataclass(frozen=True)
class LatentMap:
    """Training configurations on the two main axes of one latent space."""

    dataset: str
    space: str
    points: FloatArray
    """Standardised means over atoms, on principal axes, shape (n, 2), no unit."""
    shares: tuple[float, float]
    """Share of the variance along each axis."""
    frames: IntArray
    """Which configurations of the data set, ascending, shape (n,)."""
    groups: tuple[str, ...]
    """Group of each configuration."""
    chosen: Mapping[tuple[str, float], IntArray]
    """Way of choosing and fraction → which of the configurations are chosen, ascending."""
    seed: int
    """The seed of these choices."""
    n_all: int
    """Configurations before thinning."""


@dataclass(frozen=True)
class Parity:
    """Predictions of one model against labels on a part that it did not see."""

    dataset: str
    split: str
    model: str
    way: str
    fraction: float
    seed: int
    frames: IntArray
    """Which configurations of the data set have an energy here, shape (n,), thinned."""
    energies: FloatArray
    """Label and prediction of these, eV/atom, shape (n, 2)."""
    edges: tuple[float, float]
    """Ends of the histogram of force components, eV/Å; what lies beyond is counted in the outermost bins."""
    counts: IntArray
    """Force components by label and prediction, shape (N_BINS, N_BINS)."""
    n_beyond: int
    """Predicted components beyond the ends."""


@dataclass(frozen=True)
class Artefacts:
    """What the store of a run still holds; empty where it does not."""

    maps: tuple[LatentMap, ...] = ()
    parity: tuple[Parity, ...] = ()
    overlap: pd.DataFrame | None = None
    """As `crossprune.harness.analysis.spaces.latent.overlap`."""
    spaces: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """As `crossprune.harness.analysis.spaces.described.diagnostics_of`, but for what compares spaces."""
    subsets: pd.DataFrame | None = None
    """As `crossprune.harness.analysis.spaces.chosen.chosen_subsets`."""
    per_configuration: bool = False
    """Whether every finished cell's predictions are stored."""


def gather(root: Path, results: pd.DataFrame) -> Artefacts:
    """Collect what the store ``root`` holds for a results table; nothing is computed that needs a fit.

    Maps and parity are of the first pool of a data set, overlaps of all.
    """
    results = by_pool(not_held_out(results[results["group"] == ALL]))
    first = results[results["pool"] == 0] if "pool" in results else results
    if "fit_key" not in results.columns or not (root / "objects").is_dir():
        return Artefacts()
    subsets, store = chosen_subsets(root, results), Store(root)
    return Artefacts(
        maps=tuple(latent_maps(root, first, subsets)),
        parity=tuple(parities(store, first)),
        overlap=overlap(subsets),
        subsets=subsets,
        spaces={**of_chosen(root, subsets), **of_errors(root, results, subsets)},
        per_configuration=all_predictions_held(root, results),
    )


def latent_maps(root: Path, results: pd.DataFrame, subsets: pd.DataFrame) -> Iterator[LatentMap]:
    """Draw each latent space that chose, with the sets of every way of choosing by the first seed."""
    for name, space, dataset, stored in described(root, results):
        train = dataset.indices("train")
        points, shares = principal_axes(part_of(stored, dataset, train).points())
        shown = _thinned(len(train), MAX_CONFIGURATIONS)
        mine = subsets[subsets["dataset"] == name]
        first = mine[mine["seed"] == mine["seed"].min()]
        yield LatentMap(
            dataset=name,
            space=space,
            points=points[shown],
            shares=shares,
            frames=train[shown],
            groups=tuple(dataset.groups[index] for index in train[shown]),
            chosen={
                (str(row["way"]), float(row["fraction"])): np.flatnonzero(
                    np.isin(train[shown], row["subset"])
                )
                for row in first.sort_values(["fraction", "way"]).to_dict("records")
            },
            seed=int(first["seed"].min()) if len(first) else 0,
            n_all=len(train),
        )


def principal_axes(points: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
    """Project centred points on their two main axes.

    Returns
    -------
    tuple[FloatArray, tuple[float, float]]
        Shape (n, 2), the sign such that the farthest point is positive; and the shares of the variance.
    """
    n, k = points.shape
    if n < 3 or k < 2:
        flat = np.zeros((n, 2))
        flat[:, :k] = points[:, :2]
        return flat, (float(k > 0), 0.0)
    tall = n >= k
    square = points.T @ points if tall else points @ points.T
    m = len(square)
    values, axes = linalg.eigh(square, subset_by_index=[m - 2, m - 1])
    values, axes = values[::-1], axes[:, ::-1]
    projected: FloatArray = points @ axes if tall else axes * np.sqrt(np.maximum(values, 0.0))
    farthest = projected[np.abs(projected).argmax(axis=0), [0, 1]]
    shares = np.maximum(values, 0.0) / max(float(np.trace(square)), 1e-300)
    return projected * np.where(farthest < 0, -1.0, 1.0), (float(shares[0]), float(shares[1]))


def parities(store: Store, results: pd.DataFrame) -> Iterator[Parity]:
    """Compare predictions with labels: smallest and full set, chosen at random and by the model."""
    done = labelled(results)
    done = done[(done["status"] == "done") & done["split"].isin(("test", "ood"))]
    for (name, key), part in done.groupby(["dataset", "dataset_key"]):
        if not key or not store.has("dataset", str(key)):
            continue
        dataset = stored_dataset(store.root, str(key))
        for cell in _shown(part):
            if not (cell["fit_key"] and holds_predictions(store.path("fit", cell["fit_key"]))):
                continue
            for split in ("test", "ood"):
                if len(dataset.indices(split)):
                    yield _parity(store, dataset, str(name), split, cell)


def _shown(part: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Pick the fits to show of every model: one seed; smallest and largest fraction; random and own."""
    part = part.assign(way=way_of(part)).sort_values(["model", "fraction", "seed", "method"])
    for model, mine in part.groupby("model"):
        ends = sorted({float(mine["fraction"].min()), float(mine["fraction"].max())})
        for fraction in ends:
            here = mine[mine["fraction"] == fraction]
            for chooser in (RANDOM, str(model)):
                found = here[(here["chooser"] == chooser)].to_dict("records")
                if found and (chooser == RANDOM or fraction < 1 - 1e-9):
                    yield {str(name): value for name, value in found[0].items()}


def _parity(store: Store, dataset: frames.DataSet, name: str, split: str, cell: Mapping[str, Any]) -> Parity:
    """Lay out one model's predictions on one part."""
    chosen = dataset.indices(split)
    sizes = dataset.sizes
    energies, forces = predicted(store.path("fit", cell["fit_key"]), chosen, sizes)
    known = np.array([frames.energy_of(dataset.frames[index]) for index in chosen])
    labels = np.concatenate([frames.forces_of(dataset.frames[index]) for index in chosen]).ravel()
    per_atom = np.column_stack([known, energies]) / sizes[chosen, None]
    low, high = float(labels.min()), float(labels.max())
    margin = 0.05 * (high - low) or 1.0
    low, high = low - margin, high + margin
    shown = _thinned(len(chosen), MAX_CONFIGURATIONS // 4)
    counts, *_ = np.histogram2d(
        labels, np.clip(forces.ravel(), low, high), bins=N_BINS, range=[[low, high], [low, high]]
    )
    return Parity(
        dataset=name,
        split=split,
        model=str(cell["model"]),
        way=str(cell["way"]),
        fraction=float(cell["fraction"]),
        seed=int(cell["seed"]),
        frames=chosen[shown],
        energies=per_atom[shown],
        edges=(low, high),
        counts=counts.astype(np.int64),
        n_beyond=int(np.count_nonzero((forces < low) | (forces > high))),
    )


def _thinned(n: int, most: int) -> IntArray:
    """Draw at most ``most`` of ``n`` indices, ascending, always the same."""
    return np.sort(np.random.default_rng(0).permutation(n)[:most])


def all_predictions_held(root: Path, results: pd.DataFrame) -> bool:
    """Tell whether the store holds the predictions of every finished cell, of which there is one at least."""
    if "fit_key" not in results.columns or not (root / "objects").is_dir():
        return False
    store, fits = Store(root), set(results.loc[results["status"] == "done", "fit_key"])
    return bool(fits) and all(fit and holds_predictions(store.path("fit", fit)) for fit in fits)
