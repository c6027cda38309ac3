"""Times of a refit on half of mlearn-Mo: from blocks, from stored rows by QR, from structures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossprune.adapters.linear.fitter import LinearFitter
from crossprune.harness.contract import IntArray, Prepared
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import DataSet
from crossprune.harness.lookup import resolve
from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.slow
FAMILIES = {
    "snap": {"adapter": "snap", "twojmax": 8, "cutoff": 4.6},
    "snap-quadratic": {"adapter": "snap", "twojmax": 6, "cutoff": 5.2, "quadratic": True},
    "chimes": {"adapter": "chimes"},
    "uf3": {"adapter": "uf3"},
}


class Case:
    """A linear family with its rows and blocks, and half of the training part."""

    def __init__(self, label: str, dataset: DataSet) -> None:
        self.label, self.dataset = label, dataset
        self.subset: IntArray = dataset.indices("train")[::2]
        self.fitter = self.new()
        self.prepared = self.fitter.prepare(dataset.frames)

    def new(self) -> LinearFitter[Any]:
        fitter = resolve(self.label, FAMILIES).make(self.dataset.elements)
        assert isinstance(fitter, LinearFitter)
        return fitter

    def fit(self, fitter: LinearFitter[Any], prepared: Prepared, subset: IntArray) -> Any:
        return fitter.fit(prepared, subset, weights={}, rng=np.random.default_rng(0))


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest, require_adapter, data_folder) -> Case:
    require_adapter(FAMILIES[request.param]["adapter"])
    data_folder("mlearn")
    return Case(request.param, load_dataset("mlearn-Mo"))


def test_refit_from_blocks(benchmark: BenchmarkFixture, case: Case) -> None:
    benchmark.group = case.label
    potential = benchmark(case.fit, case.fitter, case.prepared, case.subset)
    assert potential.info["condition_number"] < 1e7


def test_refit_from_rows(benchmark: BenchmarkFixture, case: Case) -> None:
    benchmark.group = case.label
    by_rows = case.new()
    by_rows.blocks = False
    assert benchmark(case.fit, by_rows, case.prepared, case.subset).info["condition_number"] < 1e7


def test_refit_from_structures(benchmark: BenchmarkFixture, case: Case) -> None:
    """Descriptors and rows of the subset anew, then QR: what a refit costs without ``prepare``."""
    benchmark.group = case.label
    by_rows = case.new()
    by_rows.blocks = False
    frames = [case.dataset.frames[index] for index in case.subset]

    def scratch() -> Any:
        return case.fit(by_rows, by_rows.prepare(frames), np.arange(len(frames)))

    assert benchmark.pedantic(scratch, rounds=2).info["condition_number"] < 1e7


def test_predict_the_rest(benchmark: BenchmarkFixture, case: Case) -> None:
    """Errors need predictions: rows times coefficients of all frames that were not fitted."""
    benchmark.group = case.label
    potential = case.fit(case.fitter, case.prepared, case.subset)
    rest = np.setdiff1d(np.arange(len(case.dataset.frames)), case.subset)
    found = benchmark(case.fitter.predict, potential, case.prepared, rest)
    assert len(found.energies) == len(rest)
