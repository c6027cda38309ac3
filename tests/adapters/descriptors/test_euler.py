"""Simplices counted by hand, and one by one with explicit images; curves of small and large cells."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[euler]'")

from crossprune.adapters.descriptors.euler import Euler, EulerOptions, simplices
from crossprune.harness.errors import DataError

SQUARE = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
TETRAHEDRON = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]  # edges of 2√2
CHAIN = {"positions": [[0, 0, 0]], "cell": [1, 0, 0], "pbc": [True, False, False]}
LATTICE = {"positions": [[0, 0, 0]], "pbc": True}


def one_by_one(atoms, radius, n_images, kept=None):
    """Count simplices per cell: all of explicit points, each shared by the cells of its vertices."""
    kept = range(len(atoms)) if kept is None else kept
    axes = [range(-n_images, n_images + 1) if one else (0,) for one in atoms.pbc]
    shifts = sorted(itertools.product(*axes), key=any)  # the cell itself first
    points = np.array([atoms.positions[i] + np.array(one) @ atoms.cell.array for one in shifts for i in kept])
    n_home = len(kept)
    near = [
        {int(one) for one in np.flatnonzero(np.linalg.norm(points - points[first], axis=1) <= radius)}
        - {first}
        for first in range(len(points))
    ]
    edges = {frozenset((a, b)) for a in range(n_home) for b in near[a]}
    triangles = {frozenset((a, b, c)) for a in range(n_home) for b in near[a] for c in near[a] & near[b]}
    shared = [
        [Fraction(sum(v < n_home for v in one), len(one)) for one in many] for many in (edges, triangles)
    ]
    return [float(n_home), *(float(sum(one)) for one in shared)]


def rattled(atoms, seed=0):
    rng = np.random.default_rng(seed)
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.1, 0.1, (3, 3))), scale_atoms=True)
    strained.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return strained


@pytest.mark.parametrize(
    ("atoms", "radius", "expected"),
    [
        (Atoms("Si"), 5.0, [1, 0, 0]),
        (Atoms("Si2", [[0, 0, 0], [2, 0, 0]]), 1.9, [2, 0, 0]),
        (Atoms("Si2", [[0, 0, 0], [2, 0, 0]]), 2.0, [2, 1, 0]),
        (Atoms("Si4", SQUARE), 1.0, [4, 4, 0]),
        (Atoms("Si4", SQUARE), 1.5, [4, 6, 4]),
        (Atoms("Si4", TETRAHEDRON), 2.8, [4, 0, 0]),
        (Atoms("Si4", TETRAHEDRON), 2.9, [4, 6, 4]),
        (Atoms("Si", **CHAIN), 1.0, [1, 1, 0]),
        (Atoms("Si", **CHAIN), 2.0, [1, 2, 1]),
        (Atoms("Si", **CHAIN), 3.0, [1, 3, 3]),  # 0 1 2, 0 1 3 and 0 2 3
        (Atoms("Si", cell=[1, 1, 1], **LATTICE), 1.0, [1, 3, 0]),
        (Atoms("Si", cell=[1, 1, 1], **LATTICE), 1.5, [1, 9, 20]),  # 12 halves of squares, 8 corners of cubes
        (bulk("Cu", a=3.6), 2.6, [1, 6, 8]),
        (bulk("Si", a=5.43), 2.4, [2, 4, 0]),
    ],
    ids=lambda value: value.get_chemical_formula() if isinstance(value, Atoms) else None,
)
def test_simplices_are_those_counted_by_hand(atoms, radius, expected):
    counts = simplices(atoms, ("Cu", "Si"), radius, 1)[:, 0, 0]
    assert counts.tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("atoms", "n_images"),
    [
        (rattled(bulk("Si", a=5.43)), 3),  # heights of 2.7 Å to 3.5 Å, below every radius but the first
        (rattled(bulk("Cu", cubic=True)), 2),
        (rattled(bulk("NaCl", "rocksalt", 4.2)), 3),
        (molecule("C6H6"), 0),
        (Atoms("Si2", [[0, 0, 0], [1.2, 1.5, 1]], cell=[3, 2.5, 0], pbc=[True, True, False]), 3),
    ],
    ids=["Si", "Cu", "NaCl", "benzene", "slab"],
)
def test_simplices_are_those_of_explicit_images(atoms, n_images):
    elements = tuple(sorted(set(atoms.get_chemical_symbols())))
    cutoff, n_radii = 5.0, 4
    counts = simplices(atoms, elements, cutoff, n_radii)
    subsets = [None, *([i for i, one in enumerate(atoms.symbols) if one == e] for e in elements)]
    for which, kept in enumerate(subsets):
        for number in range(n_radii):
            radius = cutoff * (number + 1) / n_radii
            expected = one_by_one(atoms, radius, n_images, kept)
            assert counts[:, which, number].tolist() == pytest.approx(expected, abs=1e-9), (which, radius)


def test_the_curve_is_vertices_minus_edges_plus_triangles_per_atom():
    atoms = rattled(bulk("Si", cubic=True))
    adapter = Euler(["Si"])
    vertices, edges, triangles = simplices(atoms, ("Si",), 6.0, 64)[:, 0]
    assert adapter.options == EulerOptions(cutoff=6.0, n_radii=64)
    np.testing.assert_allclose(adapter.features(atoms)[0], (vertices - edges + triangles) / 8, atol=1e-12)
    assert (np.diff(edges) >= 0).all()
    assert (np.diff(triangles) >= 0).all()


@pytest.mark.parametrize("name", ["Si", "Cu", "Mo"])
def test_supercells_and_crystals_on_round_lengths_have_the_curve_of_their_cell(name):
    lengths = {"Si": 6.0, "Cu": 3.75, "Mo": 3.0}  # many distances equal a multiple of 6 Å / 64
    atoms, adapter = bulk(name, a=lengths[name]), Euler([name])
    expected = adapter.features(atoms)
    angle = np.linspace(0, 2 * math.pi, 7)
    for turn in angle:
        bigger = bulk(name, a=lengths[name], cubic=True).repeat((2, 1, 3))
        bigger.rotate(math.degrees(turn), (1, 2, 3), rotate_cell=True)
        bigger.positions += turn
        np.testing.assert_allclose(adapter.features(bigger), expected, atol=1e-9)


def test_curves_of_alloys_tell_the_elements_apart():
    atoms = rattled(bulk("NaCl", "rocksalt", 5.6, cubic=True))
    curves = Euler(["Cl", "Na"]).features(atoms).reshape(3, 64)
    alone = Euler(["Na"]).features(atoms[atoms.symbols == "Na"])
    np.testing.assert_allclose(2 * curves[2], alone[0], atol=1e-12)  # half of the atoms
    swapped = atoms.copy()
    swapped.symbols = ["Cl" if one == "Na" else "Na" for one in atoms.symbols]
    np.testing.assert_allclose(
        Euler(["Cl", "Na"]).features(swapped).reshape(3, 64), curves[[0, 2, 1]], atol=1e-12
    )
    with pytest.raises(DataError, match="Na"):
        Euler(["Cl"]).features(atoms)


@pytest.mark.parametrize(("cutoff", "n_radii"), [(4.5, 7), (5.1, 11), (0.1, 1), (6.0, 200)])
def test_no_distance_lies_beyond_the_last_radius(cutoff, n_radii):
    top = np.array([0.5, np.sqrt(0.75), 0.0]) * (cutoff + 5e-7)
    atoms = Atoms("Si3", [[0, 0, 0], [cutoff, 0, 0], top])
    assert simplices(atoms, ("Si",), cutoff, n_radii)[:, 0, -1].tolist() == pytest.approx([3, 3, 1])


@pytest.mark.parametrize(("options", "says"), [({"cutoff": 0.0}, "cutoff"), ({"n_radii": 0}, "n_radii")])
def test_options_out_of_range_are_refused(options, says):
    with pytest.raises(ValueError, match=f"{says} must be"):
        EulerOptions(**options)
