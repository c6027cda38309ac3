"""Rows of POD: derivatives of one energy, the virial among them; images, molecules, rotations, elements."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.linear.fitter import Solution
from crossprune.adapters.pod import Pod, PodOptions
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.errors import DataError, StudyError

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
ALL_ORDERS = {
    "twobody_radial_functions": 4,
    "threebody_radial_functions": 3,
    "threebody_angular_degree": 3,
    "fourbody_radial_functions": 3,
    "fourbody_angular_degree": 3,
    "fivebody_radial_functions": 2,
    "fivebody_angular_degree": 2,
    "sixbody_radial_functions": 2,
    "sixbody_angular_degree": 2,
    "sevenbody_radial_functions": 2,
    "sevenbody_angular_degree": 1,
}


@pytest.fixture(autouse=True)
def _lammps(require_adapter):
    require_adapter("pod")


def cell(elements, repeat=1, seed=0):
    """Return a strained, rattled cell, too small for its cutoff unless it is repeated."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Mo", "bcc", 3.15, cubic=True).repeat(repeat)
    atoms.set_chemical_symbols([elements[k % len(elements)] for k in rng.permutation(len(atoms))])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
    return atoms


def pod(elements, **options):
    return Pod(elements, PodOptions(cutoff=4.8, **(options or ALL_ORDERS)))


@pytest.mark.parametrize("elements", [["Mo"], ["Mo", "W"]], ids="-".join)
@pytest.mark.parametrize("repeat", [1, 2])
def test_rows_are_derivatives_of_the_energy_row(elements, repeat):
    adapter, atoms, step = pod(elements), cell(elements, repeat), 1e-4
    rows = adapter.rows(atoms)
    scale = np.abs(rows.forces).max(axis=0) + 1e-6 * np.abs(rows.forces).max()

    def difference(change):
        # fourth order, so that the step may be wide enough for rounding
        return sum(
            w * adapter.rows(change(k * step)).energy for k, w in ((1, 8), (-1, -8), (2, -1), (-2, 1))
        ) / (12 * step)

    for atom, axis in ((0, 0), (len(atoms) - 1, 2)):

        def moved(size, atom=atom, axis=axis):
            other = atoms.copy()
            other.positions[atom, axis] += size
            return other

        assert np.abs(-difference(moved) - rows.forces[3 * atom + axis]).max() < 1e-7 * scale.max()
    for place, (a, b) in enumerate(VOIGT):

        def strained(size, a=a, b=b):
            strain = np.eye(3)
            strain[a, b] += size / 2
            strain[b, a] += size / 2
            other = atoms.copy()
            other.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            return other

        found = difference(strained) / atoms.get_volume()
        assert np.abs(found - rows.stress[place]).max() < 1e-7 * np.abs(rows.stress).max()


@pytest.mark.parametrize("elements", [["Mo"], ["Mo", "W"]], ids="-".join)
def test_a_small_cell_has_the_rows_of_its_supercell(elements):
    adapter, small = pod(elements), cell(elements)
    large, n = small.repeat((3, 2, 2)), len(small)
    assert small.cell.lengths().max() < adapter.options.cutoff
    one, many = adapter.rows(small), adapter.rows(large)
    np.testing.assert_allclose(many.energy, 12 * one.energy, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(many.forces[: 3 * n], one.forces, atol=1e-11 * np.abs(one.forces).max())
    np.testing.assert_allclose(many.stress, one.stress, atol=1e-11 * np.abs(one.stress).max())
    np.testing.assert_allclose(adapter.features(large)[:n], adapter.features(small), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("elements", [["Mo"], ["Mo", "W"]], ids="-".join)
def test_energy_rows_are_sums_of_features_by_element(elements):
    adapter, atoms = pod(elements), cell(elements, 2)
    features = adapter.features(atoms)
    assert features.shape == (len(atoms), adapter.basis.n_descriptors)
    kinds = np.array([elements.index(symbol) for symbol in atoms.get_chemical_symbols()])
    summed = adapter.terms(features, kinds).sum(axis=0)
    np.testing.assert_allclose(adapter.rows(atoms).energy, summed, rtol=1e-10, atol=1e-12)


def test_features_of_two_elements_do_not_turn_with_a_molecule():
    adapter, rng = pod(["Mo", "W"]), np.random.default_rng(1)
    molecule = Atoms("MoW2MoWMo2", positions=rng.uniform(0, 5, (7, 3)))
    turned = molecule.copy()
    turned.rotate(77, (1, 2, 3))
    turned.positions = turned.positions[:, [1, 0, 2]] + 3.0  # and a mirror
    before, after = adapter.features(molecule), adapter.features(turned)
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-12)
    rows = adapter.rows(molecule)
    assert rows.stress is None
    assert np.abs(rows.forces.reshape(7, 3, -1).sum(axis=0)).max() < 1e-10 * np.abs(rows.forces).max()


def brute_force(atoms, basis, order, radial):
    """Sum Σ_jk R(r_ij) R(r_ik) cos^p, or without k, over all images in a double loop: shape (n_atoms, n)."""
    shifts = [np.array(s) @ atoms.cell.array for s in np.ndindex(7, 7, 7)]
    centre = 3 * atoms.cell.array.sum(axis=0)
    found = []
    for place in atoms.positions:
        vectors = np.array([other + shift - centre - place for other in atoms.positions for shift in shifts])
        lengths = np.linalg.norm(vectors, axis=1)
        near = (lengths > 1e-6) & (lengths < basis.cutoff)
        values, units = radial(lengths[near]), vectors[near] / lengths[near, None]
        cosines = units @ units.T
        if order == 2:
            found.append(values.sum(axis=0))
        else:
            found.append([v @ cosines**p @ v for v in values.T for p in range(basis.degrees[1] + 1)])
    return np.array(found)


def radial_functions(adapter, distances):
    """Read the radial functions off the features of dimers."""
    return np.array(
        [
            adapter.features(Atoms("Mo2", [[0, 0, 0], [0, 0, r]]))[0, : adapter.basis.radial[0]]
            for r in distances
        ]
    )


def test_pairs_and_triplets_are_their_definition():
    options = {"twobody_radial_functions": 3, "threebody_radial_functions": 2, "threebody_angular_degree": 3}
    adapter, atoms = pod(["Mo"], **options, fourbody_radial_functions=0), cell(["Mo"])
    features = adapter.features(atoms)

    def two(distances):
        return radial_functions(adapter, distances)

    def three(distances):
        return two(distances)[:, :2]

    np.testing.assert_allclose(features[:, :3], brute_force(atoms, adapter.basis, 2, two), rtol=1e-9)
    np.testing.assert_allclose(
        features[:, 3:], brute_force(atoms, adapter.basis, 3, three), rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("elements", [["Mo"], ["Mo", "W"], ["Mo", "Nb", "W"]], ids="-".join)
@pytest.mark.parametrize(
    "options",
    [
        {},
        ALL_ORDERS,
        {"threebody_radial_functions": 0, "fourbody_radial_functions": 0},
        {"threebody_angular_degree": 12, "fourbody_angular_degree": 6, "fourbody_radial_functions": 1},
        {"sevenbody_radial_functions": 3, "sevenbody_angular_degree": 3, "fourbody_radial_functions": 3},
        {"bessel_polynomial_degree": 1, "inverse_polynomial_degree": 0, "twobody_radial_functions": 3}
        | {"threebody_radial_functions": 3, "fourbody_radial_functions": 1},
    ],
    ids=["defaults", "all", "pairs", "angles", "seven", "few"],
)
def test_lammps_has_as_many_descriptors_as_are_counted(elements, options):
    # `rows` compares LAMMPS's number of columns with the one that is counted here
    adapter = Pod(elements, PodOptions(**options))
    rows = adapter.rows(cell(elements))
    assert rows.energy.shape == (adapter.n_columns,) == adapter.column_kinds().shape
    assert np.isfinite(rows.forces).all()


@pytest.mark.parametrize("pbc", [(True, True, False), (False, True, False), (False,) * 3])
def test_open_directions_equal_a_wide_periodic_box(pbc):
    adapter, slab = pod(["Mo"]), cell(["Mo"], 2)
    slab.pbc = pbc
    wide = slab.copy()
    wide.set_cell(np.where(np.array(pbc)[:, None], slab.cell.array, 0))
    wide.center(vacuum=8.0, axis=[axis for axis in range(3) if not pbc[axis]])
    wide.pbc = True
    one, other = adapter.rows(slab), adapter.rows(wide)
    np.testing.assert_allclose(one.energy, other.energy, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-10 * np.abs(one.forces).max())


def test_rows_are_not_the_memory_of_the_next_structure():
    adapter = pod(["Mo"])
    first = adapter.rows(cell(["Mo"]))
    kept = [np.array(one) for one in (first.energy, first.forces, first.stress)]
    adapter.rows(cell(["Mo"], 2, seed=5))
    for one, other in zip((first.energy, first.forces, first.stress), kept, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_pickled_adapter_gives_the_same_rows():
    adapter, atoms = pod(["Mo", "W"]), cell(["Mo", "W"])
    before = adapter.rows(atoms)
    after = pickle.loads(pickle.dumps(adapter)).rows(atoms)
    np.testing.assert_array_equal(after.stress, before.stress)


def test_foreign_elements_are_refused():
    with pytest.raises(DataError, match="adapter 'pod' knows Mo, but the structure W"):
        pod(["Mo"]).features(Atoms("W"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cutoff": 0.4}, "below the cutoff, got 1.0 and 0.4 Å"),
        ({"cutoff": 0.001, "inner_cutoff": 0.0}, "at least 0.5 Å and 0.1 Å beyond the inner cutoff"),
        ({"cutoff": 4.5, "inner_cutoff": 4.4999999999}, "at least 0.5 Å and 0.1 Å beyond the inner cutoff"),
        ({"fourbody_radial_functions": 9}, "must not exceed the three-body one, got 9 > 8"),
        ({"fivebody_radial_functions": 5}, "five-body number of radial functions must not exceed the four"),
        ({"threebody_angular_degree": 13}, "three-body angular degree must be between 0 and 12, got 13"),
        ({"twobody_radial_functions": 21}, "must be between 0 and 20, got 21"),
        ({"twobody_radial_functions": 0}, "must be between 1 and 20, got 0"),
        ({"bessel_polynomial_degree": 0}, "Bessel functions must be between 1 and 16, got 0"),
        (
            {"sevenbody_radial_functions": 4, "sevenbody_angular_degree": 6},
            "must not exceed the four-body one",
        ),
    ],
)
def test_what_lammps_cannot_do_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        PodOptions(**options)


def test_functions_are_smooth_at_the_inner_cutoff():
    """There LAMMPS divides 0 by 0, and beside it rounding by little; the mean of both sides is without."""
    adapter, inner = pod(["Mo"]), 1.0

    def rows(beyond):
        positions = [[0, 0, 0], [inner + beyond, 0, 0], [0, 2.5, 0.3], [2.4, 2.6, 0.5], [1, 1, 2.5]]
        return adapter.rows(Atoms("Mo5", positions=positions))

    sides = [rows(beyond) for beyond in (2e-4, -2e-4)]
    energy, forces = ((sides[0].energy + sides[1].energy) / 2, (sides[0].forces + sides[1].forces) / 2)
    for beyond in (0.0, 1e-16, -1e-12, 1e-9, -1e-7):
        found = rows(beyond)
        # of second order in a strain of 1e-4, which moves the other pairs as well
        assert np.abs(found.energy - energy).max() < 5e-6 * np.abs(energy).max()
        assert np.abs(found.forces - forces).max() < 5e-6 * np.abs(forces).max()


def test_features_and_predictions_are_finite_at_the_inner_cutoff():
    adapter = pod(["Mo"])
    coefficients = np.random.default_rng(0).normal(size=adapter.n_columns)
    potential = adapter.potential(Solution(coefficients, np.array([-1.0]), 1.0))
    atoms = cell(["Mo"], repeat=2)
    shortest = find_neighbours(atoms, 3.0).distances.min()
    atoms.set_cell(atoms.cell.array / shortest, scale_atoms=True)  # the inner cutoff is 1 Å
    rows, found = adapter.rows(atoms), potential.predict(atoms)
    np.testing.assert_allclose(adapter.features(atoms).sum(axis=0), rows.energy, rtol=1e-9)
    assert found.energy == pytest.approx(rows.energy @ coefficients - len(atoms), rel=1e-12)
    np.testing.assert_allclose(found.forces.ravel(), rows.forces @ coefficients, rtol=1e-12)
    assert np.isfinite(found.stress).all()


def test_what_is_not_finite_is_refused():
    """Far below the inner cutoff the radial functions overflow."""
    adapter = Pod(["Mo"], PodOptions(cutoff=60.0, inner_cutoff=59.9))
    with pytest.raises(DataError, match="POD descriptors of Mo2 are not finite"):
        adapter.rows(Atoms("Mo2", positions=[[0, 0, 0], [1.0, 0, 0]]))


def test_combinations_of_many_elements_are_counted_in_closed_form():
    """Of 39 elements: 10,660 combinations of three, products of which are 57 million descriptors."""
    radial = {"fourbody_radial_functions": 1, "sevenbody_radial_functions": 1}
    options = PodOptions(fourbody_angular_degree=0, **radial)
    three = PodOptions.basis(options, ["H", "He", "Li"])
    assert three.sizes[5] == sum(1 for i in range(10) for j in range(10) if j >= i)
    with pytest.raises(ValueError, match="descriptors per element are more than the 50000 allowed"):
        options.basis([f"X{number}" for number in range(39)])


def test_a_fit_says_when_atoms_are_nearer_than_the_inner_cutoff():
    """A few such pairs make forces ten times worse; frames that are not chosen or do not count do no harm."""
    frames = sample_frames(["Cu"], 8)
    shortest = np.array([find_neighbours(atoms, 3.0).distances.min() for atoms in frames])
    inner = float(np.sort(shortest)[1])
    adapter = Pod(["Cu"], PodOptions(**{**Pod.smoke, "inner_cutoff": inner - 0.001}))
    prepared, rng = adapter.prepare(frames), np.random.default_rng(0)
    far = np.flatnonzero(shortest >= inner)
    kept = [np.arange(len(atoms)) for atoms in frames]
    adapter.fit(prepared, far, weights={}, rng=rng)
    message = (
        f"are {shortest.min():.3f} Å apart, and inner_cutoff is .*; give it as {0.9 * shortest.min():.2f}"
    )
    with pytest.raises(StudyError, match=message):
        adapter.fit(prepared, np.arange(8), weights={}, rng=rng)
    with pytest.raises(StudyError, match=message):
        adapter.fit_masked(prepared, np.arange(8), kept, weights={}, rng=rng)
    nothing = {frames[int(shortest.argmin())].info["group"]: GroupWeight(0.0, 0.0, 0.0)}
    adapter.fit(prepared, np.arange(8), weights=nothing, rng=rng)
