"""The typical spacing of atoms, on which cutoffs rest, is a matter of structures alone."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bcc110, bulk, molecule
from crossprune.harness.data.frames import spacing


def rattled(atoms, seed=0):
    atoms.rattle(0.1, seed=seed)
    return atoms


@pytest.mark.parametrize(
    ("symbol", "crystal", "a", "volume"),
    [
        ("Mo", "bcc", 3.168, 3.168**3 / 2),
        ("Cu", "fcc", 3.616, 3.616**3 / 4),
        ("Si", "diamond", 5.469, 5.469**3 / 8),
    ],
)
def test_of_a_crystal_it_is_the_cube_root_of_the_volume_of_an_atom(symbol, crystal, a, volume):
    frames = [rattled(bulk(symbol, crystal, a=a, cubic=True) * 2)]
    # Shells at 12 to 50 neighbours are not smoothed away entirely.
    assert spacing(frames) == pytest.approx(volume ** (1 / 3), rel=0.02)


def test_it_scales_with_the_crystal_and_does_not_see_how_a_cell_is_repeated():
    small, large = bulk("Li", "bcc", a=3.3), bulk("Li", "bcc", a=3.63)
    assert spacing([large]) == pytest.approx(1.1 * spacing([small]), rel=1e-9)
    assert spacing([small * (3, 2, 2)]) == pytest.approx(spacing([small]), rel=1e-9)


def test_vacuum_and_a_few_frames_of_another_density_do_not_matter():
    crystal = bulk("Mo", "bcc", a=3.168, cubic=True) * 3
    slab = bcc110("Mo", (3, 3, 9), a=3.168, vacuum=15.0)
    gas = crystal.copy()
    gas.set_cell(gas.cell * 1.6, scale_atoms=True)
    mixed = [crystal] * 8 + [slab, gas]
    assert spacing(mixed) == pytest.approx(spacing([crystal]), rel=0.02)


def test_atoms_outside_the_cell_are_where_their_images_are():
    crystal = rattled(bulk("Si", "diamond", a=5.469, cubic=True))
    moved = crystal.copy()
    moved.positions += np.array([30.0, -20.0, 4.0])
    assert spacing([moved]) == pytest.approx(spacing([crystal]), rel=1e-9)


def test_small_molecules_have_none():
    assert spacing([molecule("H2O"), molecule("CH4")]) is None
