"""Neighbours and clusters in cells of every shape, against ASE and against counting by hand."""

from __future__ import annotations

from itertools import combinations
from math import factorial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from crossprune.harness.errors import DataError

found_by = pytest.importorskip("crossprune.adapters.chimes.clusters", exc_type=ImportError)


def random_cell(seed: int, n_atoms: int, scale: float, pbc=True) -> Atoms:
    rng = np.random.default_rng(seed)
    cell = scale * (np.eye(3) + rng.normal(0, 0.25, (3, 3)))
    atoms = Atoms(f"Cu{n_atoms}", cell=cell, pbc=pbc)
    atoms.positions = rng.uniform(-2, 3, (n_atoms, 3)) @ cell  # not wrapped on purpose
    return atoms


def species_of(atoms: Atoms) -> np.ndarray:
    return np.zeros(len(atoms), dtype=np.int32)


@pytest.mark.parametrize("pbc", [True, (True, True, False), (False, True, False), False])
@pytest.mark.parametrize(("n_atoms", "scale"), [(1, 2.5), (3, 3.0), (20, 9.0), (60, 25.0)])
@pytest.mark.parametrize("seed", [0, 1])
def test_half_of_all_neighbours_is_found(seed, n_atoms, scale, pbc):
    atoms = random_cell(seed, n_atoms, scale, pbc)
    reach = 4.0
    expected = neighbor_list("d", atoms, reach)
    half = found_by.half_neighbours(atoms, reach)
    distances = np.linalg.norm(half.vectors, axis=1)
    np.testing.assert_allclose(np.sort(np.repeat(distances, 2)), np.sort(expected), atol=1e-10)


def neighbours_by_hand(atoms: Atoms, reach: float):
    """All neighbours of every atom, as (atom, vector)."""
    lists = [[] for _ in atoms]
    for i, j, vector in zip(*neighbor_list("ijD", atoms, reach), strict=True):
        lists[i].append((j, vector))
    return lists


@pytest.mark.parametrize("body", [2, 3, 4])
@pytest.mark.parametrize(("n_atoms", "scale"), [(1, 2.6), (2, 3.0), (9, 5.5)])
def test_every_cluster_is_found_once(body, n_atoms, scale):
    atoms = random_cell(5, n_atoms, scale)
    reach = 3.4
    count = 0
    for around in neighbours_by_hand(atoms, reach):
        for others in combinations(around, body - 1):
            vectors = [vector for _, vector in others]
            count += all(np.linalg.norm(a - b) < reach for a, b in combinations(vectors, 2))
    half = found_by.half_neighbours(atoms, reach)
    members = found_by.clusters(half, species_of(atoms), np.array([[reach]]), body)
    assert body * len(members) == count  # by hand, each is seen from each of its atoms
    assert len(np.unique(members, axis=0)) == len(members)


def test_tetrahedra_of_the_fcc_crystal():
    atoms = bulk("Cu", "fcc", 3.6)
    half = found_by.half_neighbours(atoms, 2.6)
    counts = [len(found_by.clusters(half, species_of(atoms), np.array([[2.6]]), body)) for body in (2, 3, 4)]
    assert counts == [6, 8, 2]  # per atom: 12/2 bonds, 24/3 triangles, 8/4 tetrahedra


def test_a_clique_has_all_clusters():
    atoms = Atoms("Cu7", positions=np.random.default_rng(0).uniform(0, 1, (7, 3)))
    half = found_by.half_neighbours(atoms, 5.0)
    for body in (2, 3, 4):
        members = found_by.clusters(half, species_of(atoms), np.array([[5.0]]), body)
        assert len(members) == factorial(7) // factorial(body) // factorial(7 - body)


def test_reach_depends_on_the_types():
    atoms = Atoms("CuAuCu", positions=[[0, 0, 0], [2, 0, 0], [4, 0, 0]])
    half = found_by.half_neighbours(atoms, 5.0)
    species = np.array([0, 1, 0], dtype=np.int32)
    reach = np.array([[5.0, 1.0], [1.0, 5.0]])
    assert len(found_by.clusters(half, species, reach, 2)) == 1
    assert len(found_by.clusters(half, species, reach, 3)) == 0


def test_flat_cells_are_refused():
    atoms = Atoms("Cu", cell=[3.0, 3.0, 0.0], pbc=True)
    with pytest.raises(DataError, match="no proper cell along a periodic direction"):
        found_by.half_neighbours(atoms, 3.0)
