"""What a family's own metric must be: distances between what describes structures, and nothing else."""

from __future__ import annotations

import numpy as np
from crossprune.harness.checks.subject import SEED, NotClaimed, Subject, close
from crossprune.harness.contract import ENERGY_ROW, FORCE_ROW, Descriptor, FloatArray, IntArray
from scipy.spatial.distance import pdist, squareform


def metric_gives_distances(subject: Subject) -> None:
    """Metric: a point for each vector; equal ones are one point, others not; their order plays no part."""
    adapter = subject.descriptor
    if not adapter.capabilities.metric:
        raise NotClaimed("knows no metric of its fit")
    for vectors, kinds in _described(subject, adapter):
        points = adapter.metric(vectors, kinds)
        assert points.ndim == 2, f"the metric gave an array of shape {points.shape}"
        assert len(points) == len(vectors), f"the metric gave {len(points)} points for {len(vectors)} vectors"
        assert np.isfinite(points).all(), "the metric gives points that are not finite"
        distances = squareform(pdist(points))
        assert distances.max() > 0, "in the metric, all vectors are one point"
        equal = squareform(pdist(vectors)) == 0.0
        assert distances[equal].max() <= 1e-6 * distances.max(), "equal vectors are different points"
        order = np.random.default_rng(SEED).permutation(len(vectors))
        again = squareform(pdist(adapter.metric(vectors[order], kinds[order])))
        close(again, distances[np.ix_(order, order)], 1e-3, "distances of vectors in another order")


def _described(subject: Subject, adapter: Descriptor) -> list[tuple[FloatArray, IntArray]]:  # type: ignore[type-arg]
    """Give features of all atoms, and design rows if there are any, each with the kinds of the vectors."""
    frames = subject.frames[:4]
    place = {element: index for index, element in enumerate(subject.elements)}
    kinds = np.array([place[symbol] for atoms in frames for symbol in atoms.get_chemical_symbols()])
    found = [(adapter.features_many(frames), kinds)]
    if adapter.capabilities.rows:
        rows = np.concatenate([adapter.design_rows(atoms) for atoms in frames])
        kinds = np.concatenate([[ENERGY_ROW, *[FORCE_ROW] * (3 * len(atoms))] for atoms in frames])
        found.append((rows, kinds.astype(np.int64)))
    return found
