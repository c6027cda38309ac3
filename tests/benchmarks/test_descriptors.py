"""What descriptors cost: 64 rattled atoms of silicon, the defaults of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.lookup import resolve
from pytest_benchmark.fixture import BenchmarkFixture

OPTIONS = {
    "euler": {},
    "dscribe": {},
    "acsf": {"adapter": "dscribe", "kind": "acsf"},
    "featomic": {},
    "gap": {"cutoff": 5.0},
}


@pytest.fixture(scope="module")
def silicon() -> Atoms:
    atoms = bulk("Si", cubic=True).repeat(2)
    atoms.rattle(0.1, seed=0)
    return atoms


@pytest.mark.parametrize("name", OPTIONS)
def test_a_descriptor_of_atoms_or_structures(
    benchmark: BenchmarkFixture, require_adapter: Callable[[str], None], silicon: Atoms, name: str
) -> None:
    spec = resolve(name, OPTIONS)
    require_adapter(spec.adapter)
    descriptor = spec.make(["Si"])
    found = benchmark.pedantic(descriptor.features, (silicon,), rounds=20, warmup_rounds=2)
    assert found.shape[0] in (1, len(silicon))
