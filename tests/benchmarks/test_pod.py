"""Times of POD: rows against LAMMPS's compute alone, and prediction by the pair style and by rows."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase.build import bulk
from pytest_benchmark.fixture import BenchmarkFixture

pod = pytest.importorskip("crossprune.adapters.pod", exc_type=ImportError)


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


@pytest.mark.parametrize("repeat", [3, 4], ids=["54 atoms", "128 atoms"])
def test_rows_beside_the_compute(benchmark: BenchmarkFixture, repeat, adapter, monkeypatch) -> None:
    """Processor time of rows over that of LAMMPS's compute, made and passed, is in the extra columns.

    What is around it, about 5 ms, loads the structure, and adds up images and the virial.
    """
    atoms = bulk("Mo", "bcc", 3.15, cubic=True).repeat(repeat)
    adapter.rows(atoms)
    lammps, spent = adapter._describer._session.lammps, {"make": 0.0, "pass": 0.0, "rows": 0.0}

    def timed(function, name):
        def call(*arguments):
            start = time.process_time()
            found = function(*arguments)
            if name != "make" or arguments[0].startswith("compute "):
                spent[name] += time.process_time() - start
            return found

        return call

    monkeypatch.setattr(lammps, "command", timed(lammps.command, "make"))
    monkeypatch.setattr(lammps, "extract_compute", timed(lammps.extract_compute, "pass"))
    assert benchmark(timed(adapter.rows, "rows"), atoms).stress is not None
    benchmark.extra_info["rows_over_compute"] = spent["rows"] / (spent["make"] + spent["pass"])
