"""Times of POD: rows against LAMMPS's compute alone, and prediction by the pair style and by rows."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase.build import bulk
from pytest_benchmark.fixture import BenchmarkFixture

pod = pytest.importorskip("crossprune.adapters.pod", exc_type=ImportError)
MOST = 1.2
"""Rows over the compute alone, which has the same derivatives without the virial: what is around it."""


@pytest.fixture(scope="module")
def atoms():
    made = bulk("Mo", "bcc", 3.15, cubic=True).repeat(3)
    made.rattle(0.1, seed=0)
    return made


@pytest.fixture(scope="module")
def adapter(require_adapter):
    require_adapter("pod")
    return pod.Pod(["Mo"])


def test_pod_rows(benchmark: BenchmarkFixture, adapter, atoms) -> None:
    assert benchmark(adapter.rows, atoms).forces.shape == (3 * len(atoms), adapter.n_columns)


def test_pod_features(benchmark: BenchmarkFixture, adapter, atoms) -> None:
    assert benchmark(adapter.features, atoms).shape == (len(atoms), adapter.n_columns)


def test_pod_predict(benchmark: BenchmarkFixture, adapter, atoms) -> None:
    model = np.ones((1, adapter.n_columns))
    potential = pod.PodPotential.of(adapter.basis, pod.Coefficients(np.zeros(1), model, np.empty(0)))
    assert benchmark(potential.predict, atoms).forces.shape == (len(atoms), 3)


def test_rows_cost_little_more_than_the_compute(adapter, atoms, monkeypatch) -> None:
    """Processor time within one run: what rows take in all, and what LAMMPS's compute takes of it."""
    adapter.rows(atoms)
    own, lammps = [], adapter._describer._session.lammps
    extract = lammps.extract_compute

    def timed(*arguments):
        start = time.process_time()
        found = extract(*arguments)
        own.append(time.process_time() - start)
        return found

    monkeypatch.setattr(lammps, "extract_compute", timed)
    whole = []
    for _ in range(20):
        start = time.process_time()
        adapter.rows(atoms)
        whole.append(time.process_time() - start)
    ratio = float(np.median(np.array(whole) / np.array(own)))
    print(f"rows {1e3 * np.median(whole):.1f} ms, compute alone {1e3 * np.median(own):.1f} ms, {ratio:.2f}")
    assert ratio <= MOST
