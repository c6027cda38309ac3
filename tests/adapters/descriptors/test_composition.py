"""Fractions, volumes and shapes of cells that are known."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from crossprune.adapters.descriptors.composition import Composition, CompositionOptions, shape_of
from crossprune.harness.errors import DataError

SHAPED = CompositionOptions(cell_shape=True)


@pytest.mark.parametrize(
    ("atoms", "expected"),
    [
        (bulk("NaCl", "rocksalt", 5.64), [0.5, 0.5, 0.0, 5.64**3 / 8]),
        (bulk("Na", a=4.2), [0.0, 1.0, 0.0, 4.2**3 / 2]),
        (Atoms("NaCl3", np.eye(4, 3), cell=[4, 5, 6]), [0.75, 0.25, 0.0, 30.0]),
        (molecule("NaCl"), [0.5, 0.5, 0.0, 0.0]),  # no cell
        (Atoms("Si", cell=[4, 5, 0], pbc=[1, 1, 0]), [0.0, 0.0, 1.0, 0.0]),
    ],
    ids=lambda value: value.get_chemical_formula() if isinstance(value, Atoms) else None,
)
def test_fractions_and_volumes_are_those_of_the_cell(atoms, expected):
    np.testing.assert_allclose(Composition(["Na", "Cl", "Si"]).features(atoms), [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ([3, 3, 3], [1, 1, 1]),
        ([4, 1, 2], [0.5, 1, 2]),
        (bulk("Cu", a=3.6).cell, [4 ** (1 / 3) / 2**0.5] * 3),  # a/√2 over the cube root of a³/4
        (bulk("Fe", a=2.9).cell, [2 ** (1 / 3) * 3**0.5 / 2] * 3),  # a√3/2 over the cube root of a³/2
    ],
    ids=["cube", "box", "fcc", "bcc"],
)
def test_shapes_are_those_of_known_lattices(cell, expected):
    np.testing.assert_allclose(shape_of(Atoms(cell=cell, pbc=True)), expected, atol=1e-12)


def test_the_shape_is_that_of_the_lattice_whichever_cell_spans_it():
    rng = np.random.default_rng(0)
    atoms = bulk("Si", cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))), scale_atoms=True)
    expected = Composition(["Si"], SHAPED).features(atoms)
    assert expected.shape == (1, 5)
    for skew in ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[0, 1, 0], [2, 0, 1], [1, 0, 0]]):
        assert abs(round(np.linalg.det(skew))) == 1
        other = Atoms(atoms.numbers, positions=atoms.positions, cell=skew @ atoms.cell.array, pbc=True)
        np.testing.assert_allclose(Composition(["Si"], SHAPED).features(other), expected, atol=1e-12)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    np.testing.assert_allclose(Composition(["Si"], SHAPED).features(turned), expected, atol=1e-12)


def test_only_the_shape_depends_on_how_a_structure_is_drawn():
    atoms = bulk("Si", cubic=True)
    bigger = atoms.repeat((1, 1, 2))
    np.testing.assert_allclose(*(Composition(["Si"]).features(one) for one in (atoms, bigger)), atol=1e-12)
    shapes = [Composition(["Si"], SHAPED).features(one)[0, 2:] for one in (atoms, bigger)]
    np.testing.assert_allclose(shapes, [[1, 1, 1], np.array([1, 1, 2]) / 2 ** (1 / 3)], atol=1e-12)
    assert not shape_of(molecule("H2")).any()


def test_other_elements_are_refused():
    with pytest.raises(DataError, match="Cl"):
        Composition(["Na"]).features(bulk("NaCl", "rocksalt", 5.64))
