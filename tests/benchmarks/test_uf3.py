"""Times of UF3: rows, features, refits and predictions, and motion in LAMMPS beside SNAP's."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import DataSet
from crossprune.harness.lookup import adapter_class, resolve
from pytest_benchmark.fixture import BenchmarkFixture

uf3 = pytest.importorskip("crossprune.adapters.uf3", exc_type=ImportError)
N_STEPS = 20
PACKAGE = {"cutoff": 5.5, "resolution_2b": 15, "cutoff_3b": 3.6, "resolution_3b": 6, "inner_fraction": 0.487}
"""About the knots of the model that the package uf3 took 53 ms per atom to make rows of."""


@pytest.fixture(scope="module")
def dataset() -> DataSet:
    return load_dataset("si-pbe")


@pytest.fixture(scope="module")
def adapter():
    made = uf3.Uf3(["Si"])
    made.rows(load_dataset("si-pbe").frames[0])  # compile
    return made


def test_uf3_rows_of_54_atoms(benchmark: BenchmarkFixture) -> None:
    """Rows of a cell of 54 atoms of molybdenum: of energy, forces and, beside the package's, stress."""
    made, atoms = uf3.Uf3(["Mo"], uf3.Uf3Options(**PACKAGE)), bulk("Mo", "bcc", 3.17, cubic=True).repeat(3)
    atoms.rattle(0.1, seed=0)
    made.rows(atoms)
    rows = benchmark(made.rows, atoms)
    assert rows.forces.shape == (162, made.n_columns)


def test_uf3_prepare(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    prepared = benchmark(adapter.prepare, dataset.frames[:50])
    assert prepared.arrays["energy"].shape == (50, adapter.n_columns)


def test_uf3_features(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    assert benchmark(adapter.features_many, dataset.frames[:50]).shape[1] == adapter.n_columns


def test_uf3_refit(benchmark: BenchmarkFixture, dataset: DataSet, adapter) -> None:
    prepared, rng = adapter.prepare(dataset.frames[:100]), np.random.default_rng(0)
    fitted = benchmark(adapter.fit, prepared, np.arange(100), weights={}, rng=rng)
    assert np.isfinite(fitted.coefficients).all()


@pytest.mark.parametrize("name", ["uf3", "snap"])
def test_motion_in_lammps(benchmark: BenchmarkFixture, require_adapter, dataset: DataSet, name) -> None:
    """Twenty steps of 432 atoms of silicon, by the defaults of each family at the spacing of silicon."""
    require_adapter(name)
    frames = dataset.frames[:100]
    made = resolve(name, {name: dict(adapter_class(name).geometry(2.73))}).make(("Si",))
    potential = made.fit(made.prepare(frames), np.arange(100), weights={}, rng=np.random.default_rng(0))
    atoms = bulk("Si", "diamond", 5.46, cubic=True).repeat((3, 3, 6))
    motion = potential.dynamics(atoms, timestep=1.0, thermostat=None)
    state = benchmark(motion.advance, N_STEPS)
    assert np.isfinite(state.forces).all()
