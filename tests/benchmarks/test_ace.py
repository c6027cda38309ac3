"""Times of linear ACE: describing, design rows, prediction, reading a potential."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions, AcePotential, read_potential
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import label
from pytest_benchmark.fixture import BenchmarkFixture

OPTIONS = AceOptions(cutoff=4.7)
"""The basis that meets the project's bar on mlearn-Mo: 812 functions."""


@pytest.fixture(scope="module")
def ace() -> Ace:
    return Ace(["Mo"], OPTIONS)


@pytest.fixture(scope="module")
def cell() -> Atoms:
    atoms = bulk("Mo", cubic=True).repeat(3)
    atoms.rattle(0.05, seed=1)
    return label(atoms, energy=-500.0, forces=np.zeros((len(atoms), 3)), stress=None, group="cell")


@pytest.fixture(scope="module")
def potential(ace: Ace, cell: Atoms) -> AcePotential:
    return ace.fit(ace.prepare([cell]), np.array([0]), weights={}, rng=np.random.default_rng(0))


def test_ace_basis(benchmark: BenchmarkFixture) -> None:
    assert benchmark(Ace, ["Mo"], OPTIONS).n_columns == 812


def test_ace_features(benchmark: BenchmarkFixture, ace: Ace, cell: Atoms) -> None:
    assert benchmark(ace.features, cell).shape == (54, 812)


def test_ace_rows(benchmark: BenchmarkFixture, ace: Ace, cell: Atoms) -> None:
    assert benchmark(ace.rows, cell).forces.shape == (162, 812)


def test_ace_predict(benchmark: BenchmarkFixture, potential: AcePotential, cell: Atoms) -> None:
    """Energy, forces and stress of 54 atoms: at most 0.15 ms per atom on a quiet core."""
    assert benchmark(potential.predict, cell).stress is not None


def test_ace_read(benchmark: BenchmarkFixture, potential: AcePotential, tmp_path: Path) -> None:
    (tilde, _) = potential.export(tmp_path)
    assert benchmark(read_potential, tilde).elements == ("Mo",)


def test_ace_prepare_mlearn(benchmark: BenchmarkFixture, ace: Ace, data_folder) -> None:
    """Design rows of all 10,087 training atoms: at most 45 s on two cores."""
    data_folder("mlearn")
    dataset = load_dataset("mlearn-Mo")
    frames = [dataset.frames[index] for index in dataset.indices("train")]
    prepared = benchmark.pedantic(ace.prepare, args=(frames,), rounds=1)
    assert prepared.arrays["forces"].shape == (3 * 10087, 812)
