"""The list of neighbours: the same pairs as ASE's in any cell, from both ends or one, in little time."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.neighborlist import neighbor_list
from crossprune.harness.contract.neighbours import SKIN, closed_cell, find_neighbours, heights, moving
from crossprune.harness.data.audit import audit
from crossprune.harness.data.frames import forces_of, label
from crossprune.harness.data.twins import twins
from crossprune.harness.errors import DataError


def skewed(atoms, n):
    atoms = atoms.copy()
    a, b, c = atoms.cell.array
    atoms.set_cell([a, b + n * a, c])
    return atoms


def assert_same_pairs(atoms, cutoff):
    found = find_neighbours(atoms, cutoff)
    assert found.starts[0] == 0
    assert len(found.starts) == len(atoms) + 1
    first, second, vectors = neighbor_list("ijD", atoms, cutoff)
    expected = np.column_stack([first, second, vectors.round(7) + 0.0])
    given = np.column_stack([found.centres, found.index, found.vectors.round(7) + 0.0])
    np.testing.assert_allclose(
        given[np.lexsort(given.T[::-1])], expected[np.lexsort(expected.T[::-1])], atol=2e-7
    )
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.vectors, axis=1))
    return found


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("pbc", [True, (True, True, False), (True, False, False), False])
def test_pairs_of_skewed_slabs_are_those_of_ase(n, pbc):
    atoms = fcc111("Cu", (2, 2, 3), vacuum=4.0)
    atoms.rattle(0.1, seed=0)
    atoms.pbc = pbc
    assert_same_pairs(skewed(atoms, n), 4.0)


@pytest.mark.parametrize("seed", range(40))
def test_pairs_of_random_cells_are_those_of_ase(seed):
    """Atoms far outside, cells far smaller than the cutoff, open directions with and without a vector."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 30))
    cell = rng.normal(size=(3, 3)) * 2 + 6 * np.eye(3)
    atoms = Atoms(f"H{count}", positions=rng.uniform(-8, 8, (count, 3)), cell=cell, pbc=rng.integers(0, 2, 3))
    if seed % 8 == 0:
        atoms = Atoms(atoms.symbols, positions=atoms.positions)
    elif seed % 8 == 1:
        atoms.cell[~atoms.pbc] = 0.0
    found = assert_same_pairs(atoms, rng.uniform(1.0, 9.0))
    once = found.once()
    assert 2 * once.sum() == len(once)
    ends = np.sort([found.centres, found.index], axis=0)
    pairs = np.column_stack([*ends, np.abs(found.vectors).round(7)])
    assert len(np.unique(pairs, axis=0)) == len(np.unique(pairs[once], axis=0))


def in_order(found):
    rows = np.column_stack([found.centres, found.index, found.vectors])
    return rows[np.lexsort(rows.round(6).T[::-1])]


@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
def test_kept_lists_of_moving_atoms_have_the_pairs_of_new_ones(pbc):
    """Small and large steps, atoms that cross the cell's faces, a cell that changes, another structure."""
    rng = np.random.default_rng(0)
    lists: dict[float, object] = {}
    atoms = bulk("Cu", cubic=True).repeat((2, 2, 2))
    atoms.pbc = pbc
    other = bulk("Cu", cubic=True)
    for step in range(60):
        atoms.positions += rng.normal(0, 0.02 if step % 10 else 0.4, atoms.positions.shape)
        if step % 7 == 0:
            atoms.wrap()
        if step % 20 == 19:
            atoms.set_cell(atoms.cell * 1.01, scale_atoms=True)
        for cutoff in (3.0, 5.5):
            with moving(lists):
                kept = find_neighbours(atoms, cutoff)
                if step % 15 == 0:
                    np.testing.assert_allclose(
                        in_order(find_neighbours(other, cutoff)).shape[0], 4 * {3.0: 12, 5.5: 54}[cutoff]
                    )
            np.testing.assert_allclose(in_order(kept), in_order(find_neighbours(atoms, cutoff)), atol=1e-9)
    assert sorted(lists) == [3.0, 5.5]
    assert SKIN > 0


def test_nothing_has_no_neighbours():
    assert len(find_neighbours(Atoms(), 5.0).starts) == 1
    alone = find_neighbours(Atoms("Cu"), 5.0)
    assert alone.starts.tolist() == [0, 0]
    assert len(find_neighbours(bulk("Cu"), 0.0).index) == 0


def test_a_thin_gas_takes_no_memory_for_its_volume():
    """Two dimers a millimetre apart: bins of the cutoff's size would be 1e18."""
    atoms = Atoms("H4", positions=[[0, 0, 0], [0, 0, 1], [1e7, 1e7, 1e7], [1e7, 1e7, 1e7 + 1]])
    assert find_neighbours(atoms, 3.0).index.tolist() == [1, 0, 3, 2]


def brute_force(atoms, cutoff):
    """All pairs of all images: centre, neighbour, vector."""
    cell = closed_cell(atoms)
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    reach = np.where(atoms.pbc, np.ceil(cutoff / heights(cell) + np.ptp(fractional, axis=0)), 0).astype(int)
    rows = []
    for shift in np.ndindex(*(2 * reach + 1)):
        vectors = atoms.positions - atoms.positions[:, None] + (np.array(shift) - reach) @ cell
        distances = np.linalg.norm(vectors, axis=2)
        own = np.eye(len(atoms), dtype=bool) & (shift == reach).all()
        first, second = np.nonzero((distances < cutoff) & ~own)
        rows.append(np.column_stack([first, second, vectors[first, second]]))
    found = np.concatenate(rows)
    return found[np.lexsort(found.round(6).T[::-1])]


ODD = {
    "wide and thin": Atoms(
        "C4",
        cell=[1600, 1600, 3.6],
        pbc=True,
        positions=[[0, 0, 0], [1.8, 1.8, 0], [1.8, 0, 1.8], [0, 1.8, 1.8]],
    ),
    "wide and thin, skewed": Atoms(
        "C3", cell=[[2000, 0, 0], [900, 1700, 0], [700, 500, 2.9]], pbc=True, positions=np.eye(3) * 1.3
    ),
    "a sheet, open above": Atoms(
        "C3", cell=[1600, 1600, 20], pbc=[1, 1, 0], positions=[[0, 0, 0], [1599, 1, 1], [800, 800, 0]]
    ),
    "a wire": Atoms("C2", cell=[2.2, 0, 0], pbc=[1, 0, 0], positions=[[0, 0, 0], [70.3, 1900, 0]]),
    "a flat molecule far apart": Atoms("C3", positions=[[0, 0, 0], [1600, 0, 0], [0, 1600, 0]]),
    "a dimer far apart": Atoms("Cu2", positions=[[0, 0, 0], [5e5, 0, 0]]),
    "two dimers far apart": Atoms("Cu4", positions=[[0, 0, 0], [2, 0, 0], [5e5, 3, 0], [5e5, 0, 0]]),
    "atoms far outside a wide cell": Atoms(
        "C2", cell=[900, 3.0, 900], pbc=True, positions=[[-2000, 10, 3], [1601, -9, 904]]
    ),
    "a rod of short atoms": Atoms("H2", cell=[0.5, 400, 400], pbc=True, positions=[[0, 0, 0], [0.2, 1, 399]]),
    "a cutoff far beyond the molecule": Atoms("H3", positions=[[0, 0, 0], [0, 0, 1], [1, 0, 0]]),
}
CUTOFFS = {"a cutoff far beyond the molecule": 1e5}


@pytest.mark.parametrize("what", ODD)
def test_wide_thin_and_far_flung_structures_have_their_neighbours(what):
    cutoff = CUTOFFS.get(what, 5.0)
    np.testing.assert_allclose(
        in_order(find_neighbours(ODD[what], cutoff)), brute_force(ODD[what], cutoff), atol=1e-8
    )


@pytest.mark.parametrize("seed", range(12))
def test_cells_around_the_largest_number_of_boxes_have_their_neighbours(seed):
    rng = np.random.default_rng(seed)
    lengths = np.array([10.0 ** rng.uniform(2.3, 3.2), 10.0 ** rng.uniform(2.3, 3.2), rng.uniform(0.6, 5.0)])
    atoms = Atoms("H9", cell=np.diag(rng.permutation(lengths)), pbc=rng.permutation([1, 1, seed % 2]))
    atoms.set_cell(atoms.cell.array + rng.uniform(-0.3, 0.3, (3, 3)))
    start = rng.uniform(0, 1, 3) @ atoms.cell.array
    atoms.positions = start + rng.uniform(-3.0, 3.0, (9, 3)) + rng.integers(-1, 2, (9, 3)) @ atoms.cell.array
    np.testing.assert_allclose(
        in_order(find_neighbours(atoms, 3.0)), brute_force(atoms, 3.0), atol=1e-9 * lengths.max()
    )


def test_neighbours_without_end_are_refused_before_they_are_searched():
    with pytest.raises(
        DataError, match=r"Cu4: about 5.4e\+06 neighbours of each of its 4 atoms within 200 Å, at"
    ):
        find_neighbours(bulk("Cu", cubic=True), 200.0)
    with pytest.raises(DataError, match="about inf neighbours"):
        find_neighbours(bulk("Cu"), 1e300)
    clump = np.random.default_rng(0).uniform(0, 30, (9000, 3))
    apart = Atoms("H9001", positions=np.concatenate([clump, [[1e6, 1e6, 0]]]))
    with pytest.raises(
        DataError, match=r"about 9e\+03 neighbours of each of its 9001 atoms .* at most 2.2e\+03"
    ):
        find_neighbours(apart, 60.0)


@pytest.mark.parametrize("distance", [0.0, 1e-4])
@pytest.mark.parametrize("far", [3.6, 2000.0])
def test_an_atom_that_is_there_twice_is_refused(distance, far):
    atoms = Atoms("Cu2", cell=[far, far, 3.6], pbc=True, positions=[[0, 0, 0], [0, 0, 3.6 + distance]])
    with pytest.raises(DataError, match="Cu2 has two atoms at the same place: numbers 0 and 1 are"):
        find_neighbours(atoms, 3.0)
    assert find_neighbours(atoms, 3.0, apart=False).distances.min() < 1e-3
    with moving({}):
        assert find_neighbours(atoms, 3.0).distances.min() < 1e-3
    atoms.positions[1] += [0.002, 0, 0]
    assert 0.002 <= find_neighbours(atoms, 3.0).distances.min() < 0.0021


def test_cells_without_an_inside_and_lost_atoms_are_refused():
    with pytest.raises(DataError, match="no proper cell along a periodic direction"):
        find_neighbours(Atoms("Cu", cell=[3.0, 3.0, 0.0], pbc=True), 3.0)
    with pytest.raises(DataError, match="Cu2 has positions that are not finite"):
        find_neighbours(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, np.nan]]), 3.0)


@pytest.mark.parametrize("n", [2000, 200_000])
def test_skewed_cells_are_audited_and_compared_at_once(n):
    frames = []
    for seed in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        forces = np.random.default_rng(seed).normal(size=(4, 3))
        atoms = [atoms, skewed(atoms, n)][seed % 2]
        frames.append(label(atoms, energy=float(seed), forces=forces, stress=None, group="x"))
    began = time.monotonic()
    audit(frames)
    copy = label(skewed(frames[0], n), energy=0.0, forces=forces_of(frames[0]), stress=None, group="x")
    assert twins([*frames, copy]) == [*range(12), 0]
    assert time.monotonic() - began < 5.0


def test_torch_is_not_imported_for_neighbours():
    program = (
        "import sys; from ase.build import bulk; "
        "from crossprune.harness.contract.neighbours import find_neighbours; "
        "find_neighbours(bulk('Cu'), 3.0); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
