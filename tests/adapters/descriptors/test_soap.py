"""Power spectra and symmetry functions of other packages: what is known of them without computing them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from crossprune.harness.lookup import adapter_class

NAMES = ("dscribe", "featomic")
SMALL = {"cutoff": 4.0, "n_max": 3, "l_max": 2}


@pytest.fixture(params=NAMES)
def soap(request, require_adapter):
    require_adapter(request.param)
    cls = adapter_class(request.param)
    return lambda *elements: cls(elements, cls.options_type(**SMALL))


def rattled(atoms, pbc=True):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(3).normal(0, 0.15, atoms.positions.shape)
    moved.pbc = pbc
    return moved


@pytest.mark.parametrize("pbc", [[True, True, False], [False, False, True], [False, False, False]])
def test_open_directions_are_those_of_a_thick_vacuum(soap, pbc):
    atoms = rattled(bulk("Cu", cubic=True), pbc)
    thick = atoms.copy()
    for axis in np.flatnonzero(~atoms.pbc):
        thick.cell[axis, axis] += 40.0
    thick.pbc = True
    np.testing.assert_allclose(soap("Cu").features(atoms), soap("Cu").features(thick), atol=1e-10)


def test_a_molecule_needs_no_cell(soap):
    water = molecule("H2O")
    values = soap("H", "O").features(water)
    m = 2 * SMALL["n_max"]
    assert values.shape == (3, m * (m + 1) // 2 * (SMALL["l_max"] + 1))
    np.testing.assert_allclose(values[1], values[2], atol=1e-12)  # the hydrogens are alike
    assert not np.allclose(values[0], values[1])


def test_an_atom_alone_is_round(soap):
    values = soap("Cu").features(Atoms("Cu"))[0]
    n_pairs = SMALL["n_max"] * (SMALL["n_max"] + 1) // 2
    assert (np.abs(values) > 1e-10).sum() == n_pairs  # l = 0, and nothing above


def test_elements_that_are_absent_leave_zeros(soap):
    atoms = rattled(bulk("Cu", cubic=True))
    alone, among = soap("Cu").features(atoms), soap("Au", "Cu").features(atoms)
    filled = np.abs(among).max(axis=0) > 1e-12
    np.testing.assert_allclose(np.sort(among[:, filled]), np.sort(alone), atol=1e-12)


def test_norms_of_spectra_by_elements_are_those_of_their_densities(require_adapter):
    """The p(n, n′) of like atoms is the sum over pairs of elements; what is kept once of two is times √2."""
    require_adapter("featomic")
    cls = adapter_class("featomic")
    atoms = rattled(bulk("NaCl", "rocksalt", 5.0, cubic=True))
    n, m, n_l = SMALL["n_max"], 2 * SMALL["n_max"], SMALL["l_max"] + 1
    options = cls.options_type(**SMALL)
    parts, alike = cls(["Cl", "Na"], options), atoms.copy()
    alike.symbols = ["Na"] * len(atoms)
    first = parts.features(atoms)
    index = {}  # columns: pairs of elements 11-11, 11-17, 17-17, then l, n, n′
    pairs = [(0, 0), (0, 1), (1, 1)]
    for (a, b), degree, one, other in itertools.product(pairs, range(n_l), range(n), range(n)):
        if a != b or one <= other:
            index[a, b, degree, one, other] = len(index)
    assert len(index) == first.shape[1] == n_l * m * (m + 1) // 2
    expected = []
    for degree, one in itertools.product(range(n_l), range(n)):
        for other in range(one, n):
            own = sum(first[:, index[a, a, degree, one, other]] for a in (0, 1))
            mixed = sum(first[:, index[0, 1, degree, *pair]] for pair in ((one, other), (other, one)))
            expected.append(own + mixed * (1.0 if one < other else 1.0 / math.sqrt(2.0)))
    single = cls(["Na"], options).features(alike)
    np.testing.assert_allclose(single, np.array(expected).T, atol=1e-10)


def test_symmetry_functions_of_a_dimer_are_those_of_their_formula(require_adapter):
    require_adapter("dscribe")
    cls = adapter_class("dscribe")
    options = cls.options_type(kind="acsf", cutoff=5.0, radial_widths=(0.1, 1.0), angular_sharpness=(2.0,))
    distance = 2.3
    values = cls(["H", "O"], options).features(Atoms("OH", [[0, 0, 0], [0, 0, distance]], pbc=False))
    fading = (math.cos(math.pi * distance / 5.0) + 1) / 2
    seen = [fading, *(math.exp(-width * distance**2) * fading for width in (0.1, 1.0))]
    np.testing.assert_allclose(values[0, :6], [*seen, 0, 0, 0], atol=1e-12)  # the oxygen sees hydrogen
    np.testing.assert_allclose(values[1, :6], [0, 0, 0, *seen], atol=1e-12)
    assert not values[:, 6:].any()  # there is no angle


def test_angles_are_those_of_their_formula(require_adapter):
    require_adapter("dscribe")
    cls = adapter_class("dscribe")
    options = cls.options_type(kind="acsf", cutoff=5.0, radial_widths=(1.0,), angular_sharpness=(2.0,))
    a, b = 1.5, 2.0
    atoms = Atoms("Si3", [[0, 0, 0], [a, 0, 0], [0, b, 0]])
    far = math.hypot(a, b)
    faded = np.prod([(math.cos(math.pi * one / 5.0) + 1) / 2 for one in (a, b, far)])
    expected = 2 ** (1 - 2) * math.exp(-0.01 * (a * a + b * b + far * far)) * faded  # cos 90° = 0
    np.testing.assert_allclose(cls(["Si"], options).features(atoms)[0, 2:], [expected] * 2, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        ("dscribe", {"cutoff": 0.9}, "must exceed 1 Å"),
        ("dscribe", {"radial_widths": (-1.0,)}, "radial_widths must be positive"),
        ("dscribe", {"angular_sharpness": ()}, "angular_sharpness must be positive"),
        ("dscribe", {"l_max": -1}, "l_max must not be negative"),
        ("featomic", {"n_max": 0}, "n_max must be positive"),
        ("featomic", {"transition_width": 6.0}, "exceeds cutoff 5.0"),
    ],
)
def test_options_out_of_range_are_refused(name, table, says):
    with pytest.raises(ValueError, match=says):
        adapter_class(name).options_type(**table)
