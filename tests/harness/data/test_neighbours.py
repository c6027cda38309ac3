"""Neighbours in skewed cells: the same pairs, in the same time."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase.build import bulk, fcc111
from ase.neighborlist import neighbor_list
from crossprune.harness.data.audit import audit
from crossprune.harness.data.frames import forces_of, label
from crossprune.harness.data.twins import twins
from crossprune.harness.data.validation import neighbours


def skewed(atoms, n):
    atoms = atoms.copy()
    a, b, c = atoms.cell.array
    atoms.set_cell([a, b + n * a, c])
    return atoms


@pytest.mark.parametrize("n", [0, 1, 5])
@pytest.mark.parametrize("pbc", [True, (True, True, False), (True, False, False), False])
def test_pairs_are_those_of_the_cell_as_it_is(n, pbc):
    atoms = fcc111("Cu", (2, 2, 3), vacuum=4.0)
    atoms.rattle(0.1, seed=0)
    atoms.pbc = pbc
    atoms = skewed(atoms, n)
    found, expected = neighbours(atoms, 4.0), neighbor_list("ijdD", atoms, 4.0)
    for one, other in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(np.bincount(one), np.bincount(other))
    np.testing.assert_allclose(np.sort(found[2]), np.sort(expected[2]))
    np.testing.assert_allclose(np.linalg.norm(found[3], axis=1), found[2])
    turned = atoms.positions[found[1]] - atoms.positions[found[0]] - found[3]
    periodic = np.where(np.asarray(atoms.pbc)[:, None], atoms.cell.array, 0.0)
    images = turned @ np.linalg.pinv(periodic)
    np.testing.assert_allclose(images, images.round(), atol=1e-8)


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
