"""Time and peak memory of every selection method, and of farthest point beside scikit-matter's."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import offsets
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import greedy_farthest
from crossprune.harness.selection.methods import METHODS
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(scope="module")
def silicon(request: pytest.FixtureRequest) -> Candidates:
    """Return the SNAP features of mlearn-Si, or of the embedded silicon where that is absent."""
    request.getfixturevalue("require_adapter")("snap")
    from crossprune.adapters.snap import Snap, SnapOptions
    from crossprune.harness.errors import DataError

    try:
        dataset = load_dataset("mlearn-Si")
    except DataError:
        dataset = load_dataset("si-pbe")
    frames = [dataset.frames[index] for index in dataset.indices("train")]
    features = Snap(["Si"], SnapOptions(twojmax=8, cutoff=4.9)).features_many(frames)
    forces = [np.linalg.norm(atoms.get_forces(), axis=1).mean() for atoms in frames]
    groups = [dataset.groups[index] for index in dataset.indices("train")]
    energies = np.array([atoms.get_potential_energy() / len(atoms) for atoms in frames])
    return Candidates(features, offsets(frames), groups, np.array(forces), energies)


@pytest.mark.parametrize("method", METHODS)
def test_every_method(benchmark: BenchmarkFixture, silicon: Candidates, method: str) -> None:
    n_chosen = silicon.n_configurations // 5

    def go() -> int:
        return len(METHODS[method].choose(silicon, n_chosen, np.random.default_rng(0)))

    tracemalloc.start()
    go()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    benchmark.extra_info["peak_memory_mb"] = peak / 2**20
    assert peak < 6 * silicon.features.nbytes + 2**27  # a few copies and blocks, nothing quadratic
    assert benchmark.pedantic(go, rounds=3) == n_chosen


LARGE, MANY = (100_000, 100), 1000


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["crossprune", "scikit-matter"])
def test_farthest_point_of_100000(benchmark: BenchmarkFixture, implementation: str) -> None:
    points = np.random.default_rng(0).normal(size=LARGE)
    picked = {"crossprune": _ours, "scikit-matter": _theirs}[implementation]
    assert len(benchmark.pedantic(picked, (points,), rounds=1)) == MANY


def _ours(points: np.ndarray) -> np.ndarray:
    return greedy_farthest(points, np.zeros(1, dtype=int), MANY)


def _theirs(points: np.ndarray) -> np.ndarray:
    from skmatter.sample_selection import FPS

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FPS(n_to_select=MANY, initialize=0).fit(points).selected_idx_


@pytest.mark.slow
def test_farthest_point_needs_linear_memory() -> None:
    points = np.random.default_rng(0).normal(size=LARGE)
    tracemalloc.start()
    greedy_farthest(points, np.zeros(1, dtype=int), 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * points.nbytes
