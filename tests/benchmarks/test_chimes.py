"""Times of ChIMES: design rows, features, refit and prediction."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import DataSet
from pytest_benchmark.fixture import BenchmarkFixture

chimes = pytest.importorskip("crossprune.adapters.chimes", exc_type=ImportError)


@pytest.fixture(scope="module")
def dataset() -> DataSet:
    return load_dataset("si-pbe")


@pytest.fixture(scope="module", params=[0, 3], ids=["2+3-body", "2+3+4-body"])
def adapter(request):
    made = chimes.Chimes(["Si"], chimes.ChimesOptions(order_3b=7, order_4b=request.param))
    made.rows(load_dataset("si-pbe").frames[0])  # compile
    return made


def test_chimes_prepare(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    prepared = benchmark(adapter.prepare, dataset.frames[:50])
    assert prepared.arrays["energy"].shape == (50, adapter.n_columns)


def test_chimes_features(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    features = benchmark(adapter.features_many, dataset.frames[:50])
    assert features.shape[1] == adapter.n_columns - 1


def test_chimes_refit_and_predict(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    frames = dataset.frames[:100]
    prepared, rng = adapter.prepare(frames), np.random.default_rng(0)
    potential = adapter.fit(prepared, np.arange(100), weights={}, rng=rng)
    atoms = max(frames, key=len)
    assert benchmark(potential.predict, atoms).forces.shape == (len(atoms), 3)
