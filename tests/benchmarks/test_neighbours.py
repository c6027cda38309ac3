"""Times of the list of neighbours, of new searches and with the skin of dynamics."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from crossprune.harness.contract.neighbours import find_neighbours, moving
from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("skin", [False, True], ids=["new", "skin"])
@pytest.mark.parametrize("repeat", [3, 17])
def test_search(benchmark: BenchmarkFixture, repeat: int, skin: bool) -> None:
    """Time per atom is in the extra columns: 54 and 9,826 atoms of Mo, 5.2 Å, moved a little each time."""
    atoms = bulk("Mo", "bcc", 3.17, cubic=True).repeat(repeat)
    atoms.rattle(0.05, seed=1)
    rng, lists = np.random.default_rng(0), {}
    steps = rng.normal(0, 0.005, (8, *atoms.positions.shape))
    count = iter(range(10**9))

    def search() -> int:
        atoms.positions += steps[next(count) % 8]
        if not skin:
            return len(find_neighbours(atoms, 5.2).index)
        with moving(lists):
            return len(find_neighbours(atoms, 5.2).index)

    assert benchmark(search) > 20 * len(atoms)
    if benchmark.stats:
        benchmark.extra_info["us_per_atom"] = 1e6 * benchmark.stats.stats.median / len(atoms)
