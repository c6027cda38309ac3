"""What design rows must be: derivatives of one energy, for each coefficient."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from crossprune.harness.checks.subject import SEED, NotClaimed, Subject, close, random_rotation, rotated
from crossprune.harness.contract import Adapter, FloatArray

STEP = 1e-4
"""Å; differences of energies round to 1e-12 of them."""


def rows_are_derivatives_of_one_energy(subject: Subject) -> None:
    """Rows: force rows are minus the gradient of the energy row, and add up to nothing."""
    adapter, atoms = _claimed(subject)
    energy, forces = _parts(adapter.design_rows(atoms), len(atoms))
    scale = float(np.abs(forces).max())
    assert scale > 0, "all force rows are zero"
    assert np.abs(forces.sum(axis=0)).max() <= 1e-9 * scale, "force rows do not add up to nothing"
    for atom, axis in ((0, 0), (len(atoms) - 1, 2)):
        found = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * STEP
            found.append(_parts(adapter.design_rows(moved), len(atoms))[0])
        close(-(found[0] - found[1]) / (2 * STEP), forces[atom, axis], 1e-5, "gradient")
    assert energy.shape == forces.shape[2:], "energy and force rows have different columns"


def rows_turn_with_the_structure(subject: Subject) -> None:
    """Rows: the energy row is invariant, force rows turn with the structure."""
    adapter, atoms = _claimed(subject)
    rotation = random_rotation(np.random.default_rng(SEED))
    energy, forces = _parts(adapter.design_rows(atoms), len(atoms))
    turned_energy, turned = _parts(adapter.design_rows(rotated(atoms, rotation)), len(atoms))
    close(turned_energy, energy, 1e-6, "energy row")
    close(turned, np.einsum("axk,xy->ayk", forces, rotation), 1e-6, "force rows")


def _claimed(subject: Subject) -> tuple[Adapter[Any], Atoms]:
    if not subject.cls.capabilities.rows:
        raise NotClaimed("has no design rows")
    return subject.make(), subject.probe


def _parts(rows: FloatArray, n_atoms: int) -> tuple[FloatArray, FloatArray]:
    """Return the energy row, eV, shape (k,), and the force rows, eV/Å, shape (n_atoms, 3, k)."""
    assert len(rows) == 1 + 3 * n_atoms, f"{len(rows)} rows for {n_atoms} atoms, expected {1 + 3 * n_atoms}"
    assert np.isfinite(rows).all(), "rows are not finite"
    return n_atoms * rows[0], rows[1:].reshape(n_atoms, 3, -1)
