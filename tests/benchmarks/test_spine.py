"""Times of what every cell rests on: loading, describing, preparing, refitting, choosing, reporting."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.programs import read_potential
from crossprune.adapters.snap import Snap, SnapOptions
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.frames import DataSet, content_hash, offsets
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_point
from crossprune.harness.store.objects import Store
from crossprune.reports.page import write_report
from pytest_benchmark.fixture import BenchmarkFixture

OPTIONS = SnapOptions(twojmax=6, cutoff=4.7)


@pytest.fixture(scope="module")
def dataset() -> DataSet:
    return load_dataset("si-pbe")


@pytest.fixture
def snap(require_adapter) -> Snap:
    require_adapter("snap")
    return Snap(["Si"], OPTIONS)


def test_load(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(load_dataset, "si-pbe", options=DataOptions()).frames) == 352


def test_content_hash(benchmark: BenchmarkFixture, dataset: DataSet) -> None:
    assert benchmark(content_hash, dataset) == content_hash(dataset)


def test_snap_features(benchmark: BenchmarkFixture, dataset: DataSet, snap: Snap) -> None:
    features = benchmark(snap.features_many, dataset.frames[:50])
    assert features.shape[1] == 30


def test_snap_prepare(benchmark: BenchmarkFixture, dataset: DataSet, snap: Snap) -> None:
    assert benchmark(snap.prepare, dataset.frames[:50]).arrays["energy"].shape == (50, 30)


def test_snap_refit(benchmark: BenchmarkFixture, dataset: DataSet, snap: Snap) -> None:
    prepared = snap.prepare(dataset.frames)
    train, rng = dataset.indices("train"), np.random.default_rng(0)
    potential = benchmark(snap.fit, prepared, train, weights={}, rng=rng)
    assert potential.info["condition_number"] > 1


def test_snap_predict(benchmark: BenchmarkFixture, dataset: DataSet, require_adapter) -> None:
    require_adapter("snap")
    atoms = dataset.frames[0]
    prediction = benchmark(read_potential("snap:Si_Zuo_JPCA2020").predict, atoms)
    assert prediction.forces.shape == (len(atoms), 3)


def test_farthest_point(benchmark: BenchmarkFixture, dataset: DataSet) -> None:
    features = np.random.default_rng(0).normal(size=(offsets(dataset.frames)[-1], 50))
    candidates = Candidates(features, offsets(dataset.frames))
    picked = benchmark(farthest_point, candidates, 100, np.random.default_rng(0))
    assert len(set(picked.tolist())) == 100


def test_run_from_the_store_and_report(benchmark: BenchmarkFixture, tmp_path) -> None:
    axes = {
        "name": "b",
        "datasets": ["si-pbe"],
        "choosers": ["mean"],
        "models": ["mean"],
        "fractions": [0.1, 0.5],
    }
    study = parse_study({"study": axes, "data": {"si-pbe": {"smoke": True}}}, "b")
    store = Store(tmp_path / "store")
    run(study, store, SerialExecutor())

    def again() -> None:
        result = run(study, store, SerialExecutor())
        assert not +result.computed
        write_report(result.table, tmp_path / "report", {"study": "b"})

    benchmark(again)
