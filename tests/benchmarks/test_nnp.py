"""Times of the symmetry functions, their derivatives, training steps and predictions of NNP."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.checks.subject import sample_frames
from pytest_benchmark.fixture import BenchmarkFixture

SHARPNESS, ZETAS = (1.0, 2.0, 5.0), (1.0, 2.0, 4.0, 16.0)


@pytest.fixture
def molybdenum(require_adapter) -> Atoms:
    """54 atoms, as the cells of mlearn-Mo."""
    require_adapter("nnp")
    atoms = bulk("Mo", "bcc", 3.17, cubic=True).repeat(3)
    atoms.rattle(0.1, seed=1)
    return atoms


@pytest.fixture
def functions(molybdenum: Atoms) -> Any:
    """25 functions within 5.2 Å: one radial, 24 angular."""
    from crossprune.adapters.nnp.functions import default_functions

    return default_functions(
        ["Mo"],
        cutoff=5.2,
        cutoff_function=1,
        n_radial=1,
        angular_sharpness=SHARPNESS,
        zetas=ZETAS,
        narrow=True,
    )


def test_values(benchmark: BenchmarkFixture, molybdenum: Atoms, functions: Any) -> None:
    environment = functions.environment(molybdenum)
    assert benchmark(functions.values, environment).shape == (54, 25)


def test_neighbours(benchmark: BenchmarkFixture, molybdenum: Atoms, functions: Any) -> None:
    assert len(benchmark(functions.environment, molybdenum).centre_kind) == 54


def test_adjoint(benchmark: BenchmarkFixture, molybdenum: Atoms, functions: Any) -> None:
    environment = functions.environment(molybdenum)
    slopes = np.ones((54, 25))
    assert benchmark(functions.pull_back, environment, slopes)[0].shape == (54, 3)


def test_jacobian_against_dscribe(benchmark: BenchmarkFixture, molybdenum: Atoms, functions: Any) -> None:
    """At least 100 times as fast as dscribe's numerical derivatives; the ratio is in the extra columns."""
    descriptors = pytest.importorskip("dscribe.descriptors", reason="needs dscribe: pip install dscribe")
    oracle = descriptors.ACSF(
        r_cut=5.2,
        g2_params=[[functions.of_element["Mo"][0].eta, functions.of_element["Mo"][0].shift]],
        g4_params=[[s / 5.2**2, zeta, sign] for s in SHARPNESS for zeta in ZETAS for sign in (-1, 1)],
        species=["Mo"],
        periodic=True,
    )
    start = time.perf_counter()
    oracle.derivatives(molybdenum, method="numerical", attach=True)
    theirs = time.perf_counter() - start

    def describe() -> Any:
        return functions.description(functions.environment(molybdenum))

    description = benchmark(describe)
    assert description.values.shape == (54, 25)
    if benchmark.stats:
        benchmark.extra_info["dscribe_s"] = theirs
        benchmark.extra_info["times_faster"] = theirs / benchmark.stats.stats.min


def test_fit(benchmark: BenchmarkFixture, require_adapter) -> None:
    require_adapter("nnp")
    from crossprune.adapters.nnp import Nnp, NnpOptions

    adapter = Nnp(["Cu"], NnpOptions(steps=200))
    prepared = adapter.prepare(sample_frames(["Cu"], 24))

    def fit() -> Any:
        return adapter.fit(prepared, np.arange(24), weights={}, rng=np.random.default_rng(0))

    assert benchmark.pedantic(fit, rounds=2).info["training_loss"] < 1
