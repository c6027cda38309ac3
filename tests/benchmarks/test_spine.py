"""Time of what every cell does: hash a data set, describe its frames."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from crossprune.adapters.mean import Mean
from crossprune.harness.frames import DataSet, content_hash, label
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(scope="module")
def dataset() -> DataSet:
    """Return 50 rattled silicon cells of 64 atoms with made-up labels."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(50):
        atoms = bulk("Si", cubic=True).repeat(2)
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        forces = rng.normal(size=atoms.positions.shape)
        frames.append(
            label(atoms, energy=rng.normal(), forces=forces, stress=rng.normal(size=6), group="rattled")
        )
    return DataSet("benchmark", tuple(frames), ("train",) * 40 + ("test",) * 10)


def test_content_hash(benchmark: BenchmarkFixture, dataset: DataSet) -> None:
    assert benchmark(content_hash, dataset) == content_hash(dataset)


def test_features_of_mean(benchmark: BenchmarkFixture, dataset: DataSet) -> None:
    features = benchmark(Mean(["Si"]).features_many, dataset.frames)
    assert features.shape == (50 * 64, 2)
