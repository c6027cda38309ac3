"""Energies, forces, stresses and rows by finite differences and by the definition of a moment."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.checks.subject import random_rotation, rotated
from crossprune.harness.contract import Prepared

mtp = pytest.importorskip("crossprune.adapters.mtp", exc_type=ImportError)

ELEMENTS = ("Mo", "W")
OPTIONS = {"level": 10, "radial_step": 4, "cutoff": 4.2, "min_distance": 1.7, "n_chebyshev": 6}
STEP = 1e-5


def adapter(elements=ELEMENTS, **options):
    return mtp.Mtp(elements, mtp.MtpOptions(**{**OPTIONS, **options}))


def potential(elements=ELEMENTS, seed=1, **options):
    """Random coefficients: a potential as wild as any that a fit could give."""
    from crossprune.adapters.linear import Solution

    made, rng = adapter(elements, **options), np.random.default_rng(seed)
    coefficients = rng.normal(size=made.n_columns) / np.arange(1, made.n_columns + 1)
    return made.potential(Solution(coefficients, rng.normal(size=len(elements)), 1.0))


def alloy(pbc=True, seed=0):
    """Two elements in a small sheared cell, shorter than the cutoff in two directions."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Mo", "bcc", 3.1, cubic=True).repeat((1, 1, 2))
    atoms.symbols = ["Mo", "W", "W", "Mo"]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.08, 0.08, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
    atoms.pbc = pbc
    return atoms


def molecule():
    return Atoms("MoW2", positions=[[0, 0, 0], [2.3, 0.2, 0.1], [-0.4, 2.5, 0.6]])


STRUCTURES = {
    "sheared": alloy(),
    "turned": rotated(alloy(), random_rotation(np.random.default_rng(3))),
    "slab": alloy([True, True, False]),
    "molecule": molecule(),
    "one atom": Atoms("W", cell=[[2.7, 0.3, 0], [0, 2.6, 0.2], [0.1, 0, 2.8]], pbc=True),
}
MODELS = {"fixed": potential(), "fitted": potential(radial="fitted")}


def slope(energy, atoms, atom, axis):
    found = []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[atom, axis] += sign * STEP
        found.append(energy(moved))
    return (found[0] - found[1]) / (2 * STEP)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("atoms", STRUCTURES.values(), ids=STRUCTURES)
def test_forces_are_minus_the_gradient(model, atoms):
    forces = model.predict(atoms).forces
    scale = max(1.0, np.abs(forces).max())
    for atom in (0, len(atoms) - 1):
        for axis in range(3):
            numeric = -slope(lambda one: model.predict(one).energy, atoms, atom, axis)
            assert forces[atom, axis] == pytest.approx(numeric, abs=1e-7 * scale)
    np.testing.assert_allclose(forces.sum(axis=0), 0.0, atol=1e-10 * scale)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("name", ["sheared", "turned", "one atom"])
def test_stress_is_the_strain_derivative(model, name):
    atoms = STRUCTURES[name]
    stress = model.predict(atoms).stress
    for place, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * STEP / 2
            strain[b, a] += sign * STEP / 2
            energies.append(model.predict(strained(atoms, strain)).energy)
        numeric = (energies[0] - energies[1]) / (2 * STEP) / atoms.get_volume()
        assert stress[place] == pytest.approx(numeric, abs=1e-7 * max(1.0, np.abs(stress).max()))
    assert model.predict(STRUCTURES["slab"]).stress is None


def strained(atoms, strain):
    changed = atoms.copy()
    changed.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    return changed


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_energies_are_those_of_supercells_and_of_turned_cells(model):
    atoms = alloy()
    one = model.predict(atoms)
    many = model.predict(atoms.repeat((2, 1, 2)))
    assert many.energy == pytest.approx(4 * one.energy, rel=1e-11)
    np.testing.assert_allclose(many.forces[: len(atoms)], one.forces, atol=1e-10)
    rotation = random_rotation(np.random.default_rng(5))
    turned = model.predict(rotated(atoms, rotation))
    assert turned.energy == pytest.approx(one.energy, rel=1e-11)
    np.testing.assert_allclose(turned.forces, one.forces @ rotation, atol=1e-9)


def test_moments_are_sums_over_neighbours():
    """The first invariants of a molecule, from distances and angles: M_00, M_10 and M_01·M_01."""
    made = adapter(("Mo",), level=6, n_chebyshev=2)
    atoms = Atoms("Mo3", positions=[[0, 0, 0], [2.1, 0, 0], [0.4, 2.4, 0.7]])
    radial = made._radial

    def functions(r):
        x = 2 * (r - radial.min_distance) / (radial.cutoff - radial.min_distance) - 1
        return radial.coefficients[0, 0] @ np.array([1.0, x]) * (radial.cutoff - r) ** 2

    first, second = atoms.positions[1], atoms.positions[2]
    f, g = functions(np.linalg.norm(first)), functions(np.linalg.norm(second))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    dot = f[0] ** 2 + g[0] ** 2 + 2 * f[0] * g[0] * cosine
    sums = f + g
    expected = sorted([sums[0], sums[0] ** 2, sums[0] ** 3, sums[1], dot])
    np.testing.assert_allclose(np.sort(made.features(atoms)[0]), expected, rtol=1e-12)


@pytest.mark.parametrize("radial", ["fixed", "fitted"])
def test_rows_times_coefficients_are_predictions(radial):
    made = adapter(radial=radial)
    model = potential(radial=radial)
    for atoms in (alloy(), molecule()):
        rows, found = made.rows(atoms), model.predict(atoms)
        counts = [np.sum(atoms.symbols == one) for one in ELEMENTS]
        energy = rows.energy @ model.coefficients + counts @ model.offsets
        assert energy == pytest.approx(found.energy, rel=1e-12)
        np.testing.assert_allclose(
            (rows.forces @ model.coefficients).reshape(-1, 3), found.forces, atol=1e-10
        )
        np.testing.assert_allclose(rows.energy, made.features(atoms).sum(axis=0), rtol=1e-12, atol=1e-14)
        if found.stress is not None:
            np.testing.assert_allclose(rows.stress @ model.coefficients, found.stress, atol=1e-10)


def test_elements_of_fixed_functions_have_columns_of_their_own():
    made, atoms = adapter(), alloy()
    features = made.features(atoms)
    half = made.n_columns // 2
    for row, element in zip(features, atoms.symbols, strict=True):
        own = row[:half] if element == "Mo" else row[half:]
        assert np.all(own != 0.0)
        assert np.count_nonzero(row) == half


def test_energy_vanishes_smoothly_at_the_cutoff():
    model = potential(("Mo",))
    energies, forces = [], []
    for distance in (4.2 - 1e-3, 4.2 - 1e-4, 4.2):
        found = model.predict(Atoms("Mo2", positions=[[0, 0, 0], [distance, 0, 0]]))
        energies.append(found.energy - 2 * model.offsets[0])
        forces.append(np.abs(found.forces).max())
    assert energies[2] == forces[2] == 0.0
    assert abs(energies[0] / energies[1]) == pytest.approx(100, rel=0.05)  # quadratic
    assert forces[0] / forces[1] == pytest.approx(10, rel=0.05)


def test_foreign_rows_are_not_used_for_a_prediction():
    made, frames = adapter(), [alloy()]
    other = potential(radial="fitted")
    prepared = Prepared(frames, {})  # no rows at all
    found = made.predict(other, prepared, np.array([0]))
    assert found.energies[0] == other.predict(frames[0]).energy
