"""UF3 fits: splines and sums against their definitions, rows against differences, penalties, the core."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.linear.gathering import weighted_rows
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError, StudyError
from scipy.interpolate import BSpline
from scipy.spatial.distance import pdist

uf3 = pytest.importorskip("crossprune.adapters.uf3", exc_type=ImportError)
MANY = ("Al", "Co", "Cr", "Cu", "Fe", "Mn", "Ni", "Ti", "V", "Zn", "Zr")
SMALL = {"cutoff": 5.0, "resolution_2b": 10, "cutoff_3b": 4.0, "resolution_3b": 6}


def make(elements, energies=None, **options):
    return uf3.Uf3(elements, uf3.Uf3Options(**{**SMALL, **options}), energies)


def fitted(adapter, frames, subset=None):
    chosen = np.arange(len(frames)) if subset is None else np.asarray(subset)
    return adapter.fit(adapter.prepare(frames), chosen, weights={}, rng=np.random.default_rng(0))


def alloy(seed=3) -> Atoms:
    """A skewed cell of four atoms: smaller than the cutoff, so that images of one atom meet."""
    atoms = bulk("Cu", "fcc", 3.8, cubic=True)
    atoms.symbols = ["Au", "Cu", "Cu", "Au"]
    rng = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return atoms


def energy_by_definition(parameters, atoms) -> float:
    """Σ_i [e0 + Σ_j V(r_ij) + Σ_{j<k} V(r_ij, r_ik, r_jk)] of a cluster, by scipy and loops."""
    place = [parameters.elements.index(one) for one in atoms.get_chemical_symbols()]
    distance, total = atoms.get_all_distances(), parameters.offsets[place].sum()
    pairs = {pair.atoms: pair for pair in parameters.pairs}
    triples = {triple.atoms: triple for triple in parameters.triples}
    for i in range(len(atoms)):
        others = [j for j in range(len(atoms)) if j != i]
        for j in others:
            pair = pairs[tuple(sorted((place[i], place[j])))]
            value = BSpline(pair.knots, pair.coefficients, 3, extrapolate=False)(distance[i, j])
            total += 0.0 if np.isnan(value) else float(value)
        for j, k in combinations(others, 2):
            if place[j] > place[k]:
                j, k = k, j
            triple = triples[place[i], place[j], place[k]]
            lengths = (distance[i, j], distance[i, k], distance[j, k])
            if any(not t[0] <= r < t[-1] for t, r in zip(triple.knots, lengths, strict=True)):
                continue
            functions = [
                BSpline(t, np.eye(len(t) - 4), 3)(r) for t, r in zip(triple.knots, lengths, strict=True)
            ]
            total += float(np.einsum("lmn,l,m,n", triple.coefficients, *functions))
    return float(total)


@pytest.mark.parametrize("spacing", ["linear", "lammps", "geometric", "inverse"])
def test_energies_are_those_of_the_definition(spacing):
    adapter = make(["Au", "Cu"], knot_spacing=spacing)
    rng = np.random.default_rng(2)
    values = rng.normal(size=adapter.n_columns)
    potential = uf3.Uf3Potential(adapter._model.parameters.with_values(values, rng.normal(size=2)))
    positions = rng.uniform(0, 4.5, (7, 3))
    atoms = Atoms("AuCuAuCuCuAuCu", positions=positions)
    expected = energy_by_definition(potential.parameters, atoms)
    assert potential.predict(atoms).energy == pytest.approx(expected, rel=1e-11)
    rows, counts = adapter.rows(atoms), np.array([3, 4])
    assert rows.energy @ values + counts @ potential.offsets == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
def test_rows_are_derivatives_of_the_energy_row(elements):
    adapter, atoms, step = make(elements), alloy(), 1e-4
    if len(elements) == 1:
        atoms.symbols = "Cu4"
    rows = adapter.rows(atoms)
    for index, axis in ((0, 0), (3, 2)):
        difference = np.zeros_like(rows.energy)
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[index, axis] += sign * step
            difference += sign * adapter.rows(moved).energy / (2 * step)
        scale = np.abs(rows.forces).max()
        np.testing.assert_allclose(rows.forces[3 * index + axis], -difference, rtol=0, atol=1e-6 * scale)
    for place, (a, b) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        difference = np.zeros_like(rows.energy)
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step / 2
            strain[b, a] += sign * step / 2
            turned = atoms.copy()
            turned.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            difference += sign * adapter.rows(turned).energy / (2 * step) / atoms.get_volume()
        scale = np.abs(rows.stress).max()
        np.testing.assert_allclose(rows.stress[place], difference, rtol=0, atol=1e-6 * scale)


def test_rows_times_coefficients_are_the_prediction():
    adapter, atoms = make(["Au", "Cu"]), alloy()
    potential = fitted(adapter, sample_frames(("Au", "Cu"), 8))
    rows, found = adapter.rows(atoms), potential.predict(atoms)
    energy = rows.energy @ potential.coefficients + np.array([2, 2]) @ potential.offsets
    assert found.energy == pytest.approx(energy, rel=1e-10)
    forces, stress = rows.forces @ potential.coefficients, rows.stress @ potential.coefficients
    np.testing.assert_allclose(found.forces.ravel(), forces, rtol=0, atol=1e-9 * np.abs(forces).max())
    np.testing.assert_allclose(found.stress, stress, rtol=0, atol=1e-9 * np.abs(stress).max())


def test_a_primitive_cell_is_its_supercell():
    adapter = make(["Cu"])
    potential = fitted(adapter, sample_frames(("Cu",), 8))
    one = bulk("Cu", "fcc", 3.7)
    many = one.repeat((4, 3, 5))
    assert potential.predict(many).energy / 60 == pytest.approx(potential.predict(one).energy, rel=1e-12)
    np.testing.assert_allclose(adapter.features(many), adapter.features(one).repeat(60, axis=0), rtol=1e-10)


def test_features_sum_to_the_energy_row_and_tell_elements_apart():
    adapter, atoms = make(["Au", "Cu"]), alloy()
    features, rows = adapter.features(atoms), adapter.rows(atoms)
    terms = adapter.terms(features, np.zeros(4, dtype=np.int64))
    np.testing.assert_allclose(terms.sum(axis=0), rows.energy, rtol=1e-11, atol=1e-13)
    gold = np.array(atoms.get_chemical_symbols()) == "Au"
    used = [np.abs(features[kind]).sum(axis=0) > 0 for kind in (gold, ~gold)]
    assert used[0].any()
    assert used[1].any()
    assert not (used[0] & used[1]).any()


def test_energies_and_forces_go_smoothly_to_zero_at_the_cutoffs():
    potential = fitted(make(["Cu"]), sample_frames(("Cu",), 8))

    def trimer(distance):
        return potential.predict(Atoms("Cu3", positions=[[0, 0, 0], [distance, 0, 0], [0.0, 2.4, 0]]))

    alone = trimer(20.0)
    for cutoff in (4.0, 5.0):  # B-splines end as the cube of what is left
        near, past = trimer(cutoff - 1e-4), trimer(cutoff + 1e-4)
        work = 1e-4 * (near.forces[1, 0] + past.forces[1, 0])
        assert near.energy - past.energy == pytest.approx(work, abs=1e-9)
        np.testing.assert_allclose(near.forces, past.forces, rtol=0, atol=1e-3)
    assert trimer(5.0 + 1e-9).energy == pytest.approx(alone.energy, abs=1e-12)


def test_the_fit_is_the_minimum_of_the_penalised_problem():
    frames = sample_frames(("Cu",), 10)
    adapter = make(["Cu"], curvature_2b=1e-5, curvature_3b=1e-4, ridge_2b=1e-6, ridge_3b=1e-5, ridge=1e-6)
    found = fitted(adapter, frames, [1, 4, 6, 7])
    problem = weighted_rows(adapter, adapter.prepare(frames), np.array([1, 4, 6, 7]), {})
    design, target = problem.stacked()
    n_pair, k, squares = adapter._model.n_pair, adapter.n_columns, np.square(design).sum(axis=0)[:-1]
    scale_2b, scale_3b = squares[:n_pair].mean(), squares[n_pair:].mean()
    core = adapter._penalties.target
    penalty = [np.sqrt(1e-6 * squares)[:, None] * np.eye(k)]
    penalty.append(np.sqrt(1e-6 * scale_2b) * np.eye(k)[:n_pair])
    penalty.append(np.sqrt(1e-5 * scale_3b) * np.eye(k)[n_pair:])
    (pair,), (triple,) = adapter._model.parameters.pairs, adapter._model.parameters.triples
    identity = np.vstack([np.eye(k), np.zeros(k)])
    second = np.diff(identity[np.r_[np.arange(n_pair), -1, -1, -1]], 2, axis=0)
    penalty.append(np.sqrt(1e-5 * scale_2b) * second)
    from crossprune.adapters.uf3.parameters import columns_of

    grid = identity[columns_of(adapter._model.parameters).triples[0]]
    assert grid.shape == (*triple.coefficients.shape, k)
    for axis in range(3):
        padded = np.pad(grid, [(1, 1) if one == axis else (0, 0) for one in range(4)])
        second = np.diff(padded, 2, axis=axis).reshape(-1, k)
        penalty.append(np.sqrt(1e-4 * scale_3b) * second)
    held = np.vstack(penalty)
    everything = np.vstack([design, np.hstack([held, np.zeros((len(held), 1))])])
    expected = np.linalg.lstsq(everything, np.concatenate([target, held @ core]), rcond=None)[0]
    rows = adapter.rows(alloy_of_copper())
    energy = rows.energy @ expected[:-1]
    assert rows.energy @ found.coefficients == pytest.approx(energy, rel=1e-7)
    np.testing.assert_allclose(found.coefficients, expected[:-1], rtol=0, atol=1e-5 * np.abs(expected).max())
    assert len(pair.coefficients) == n_pair + 3


def alloy_of_copper() -> Atoms:
    atoms = alloy()
    atoms.symbols = "Cu4"
    return atoms


@pytest.mark.parametrize("regularisation", ["ridge", "evidence"])
def test_the_model_that_made_the_data_is_found(regularisation):
    frames = sample_frames(("Au", "Cu"), 20)
    truth = fitted(make(["Au", "Cu"]), frames)
    made = []
    for atoms in frames:
        one = truth.predict(atoms)
        made.append(label(atoms, energy=one.energy, forces=one.forces, stress=None, group="made"))
    found, probe = fitted(make(["Au", "Cu"], regularisation=regularisation), made), alloy()
    expected = truth.predict(probe).forces
    np.testing.assert_allclose(
        found.predict(probe).forces, expected, rtol=0, atol=2e-2 * np.abs(expected).max()
    )


@pytest.mark.parametrize("n_frames", [1, 3, 12])
def test_atoms_repel_where_no_data_are(n_frames):
    frames = sample_frames(("Cu",), 12)[:n_frames]
    potential = fitted(make(["Cu"]), frames)
    shortest = min(pdist(atoms.repeat(2).positions).min() for atoms in frames)
    energies = []
    for distance in np.arange(1.4, 0.1, -0.1):
        assert distance < shortest
        found = potential.predict(Atoms("Cu2", positions=[[0, 0, 0], [distance, 0, 0]]))
        assert found.forces[1, 0] > 0, f"{distance:.1f} Å"
        energies.append(found.energy)
    # Nuclei of copper at 0.5 Å: ZBL 1.48 keV, less 0.07 of its straight line at 1.58 Å; wide knots add to it.
    assert 1400 < energies[9] - energies[0] < 4000


def test_without_a_core_pairs_go_on_as_a_straight_line():
    adapter = make(["Cu"], core_fraction=0.0)
    potential = fitted(adapter, sample_frames(("Cu",), 12))
    coefficients = potential.parameters.pairs[0].coefficients
    bends = np.abs(np.diff(coefficients[:5], 2))
    assert bends.max() < 1e-3 * np.abs(np.diff(coefficients[:5])).max()


def test_labels_of_stress_are_fitted():
    frames = sample_frames(("Cu",), 16)
    errors = []
    for weight in (0.0, 1000.0):
        potential = fitted(make(["Cu"], stress_weight=weight), frames)
        found = potential.predict_many(frames).stresses
        errors.append(np.abs(found - np.array([atoms.get_stress() for atoms in frames])).mean())
    assert errors[1] < 0.9 * errors[0]


def test_group_weights_are_chosen_inside_a_fit():
    frames = [
        label(
            atoms,
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(),
            stress=None,
            group="ab"[index % 2],
        )
        for index, atoms in enumerate(sample_frames(("Cu",), 12))
    ]
    for regularisation in ("ridge", "evidence"):
        potential = fitted(make(["Cu"], reweight=True, regularisation=regularisation), frames)
        assert np.isfinite(potential.predict(alloy_of_copper()).energy)


def test_isolated_atom_energies_of_the_card_are_the_offsets():
    adapter = make(["Au", "Cu"], {"Au": -0.5, "Cu": -0.25})
    potential = fitted(adapter, sample_frames(("Au", "Cu"), 8))
    assert potential.predict(Atoms("AuCu", positions=[[0, 0, 0], [9, 0, 0]])).energy == pytest.approx(-0.75)


def test_refits_sum_stored_products_of_rows():
    adapter = uf3.Uf3(["Cu"])
    frames = [atoms.repeat(3) for atoms in sample_frames(("Cu",), 2)]
    prepared = adapter.prepare(frames)
    assert (prepared.arrays["block"] >= 0).all()
    assert adapter.n_columns < 600


def test_cutoffs_follow_the_spacing_of_atoms():
    assert dict(uf3.Uf3.geometry(2.5)) == {"cutoff": 5.5, "cutoff_3b": 4.5}
    space = uf3.Uf3.search_space(2.5)
    assert len(space) == 12
    for point in space:
        uf3.Uf3Options(**point)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoff_3b": 1.3}, r"cutoff_3b 1.3 Å leaves no room for knots, which begin at 1.19 Å"),
        ({"cutoff": 1.0, "resolution_3b": 0}, r"cutoff 1.0 Å leaves no room"),
    ],
)
def test_impossible_knots_are_explained(options, message):
    with pytest.raises(StudyError, match=message):
        make(["Cu"], **options)


@pytest.mark.parametrize(
    ("elements", "options", "remedy"),
    [
        (["Cu"], {"resolution_3b": 50}, "lower resolution_3b to 22$"),
        (["Ge", "Sb", "Te"], {"resolution_3b": 10}, "lower resolution_3b to 8$"),
        ([*MANY], {"resolution_3b": 5}, "resolution_3b to 4$"),
        (["Al", "Cu"], {"resolution_2b": 1000, "resolution_3b": 40}, r"lower resolution_3b to 9$"),
        (
            ["Al", "Cu", "Ni"],
            {"resolution_2b": 788, "resolution_3b": 9},
            r"triples out \(resolution_3b = 0\)$",
        ),
        (["Al", "Cu", "Ni", "Ti"], {"resolution_2b": 1000}, "lower resolution_2b$"),
    ],
)
def test_more_coefficients_than_a_fit_can_hold_are_refused_with_a_remedy_that_holds(
    elements, options, remedy
):
    with pytest.raises(StudyError, match=f"more than 6000 coefficients for {len(elements)} .* {remedy}"):
        uf3.Uf3(elements, uf3.Uf3Options(**options))


def test_two_elements_with_the_finest_knots_that_tune_tries_are_allowed():
    for point in uf3.Uf3.search_space(2.6):
        assert empty_count(["Au", "Cu"], uf3.Uf3Options(**point)) <= 6000


@pytest.mark.parametrize(("n_elements", "finest"), [(1, 10), (2, 10), (3, 8), (4, 6), (5, 6), (11, 4)])
def test_many_elements_get_the_finest_knots_of_triples_that_a_fit_can_hold(n_elements, finest):
    elements = MANY[:n_elements]
    assert empty_count(elements, uf3.Uf3Options()) == empty_count(
        elements, uf3.Uf3Options(resolution_3b=finest)
    )
    if finest < 10:
        with pytest.raises(StudyError, match=f"lower resolution_3b to {finest}$"):
            uf3.Uf3(elements, uf3.Uf3Options(resolution_3b=finest + 1))


def empty_count(elements, options):
    from crossprune.adapters.uf3.basis import empty_parameters
    from crossprune.adapters.uf3.parameters import columns_of

    return columns_of(empty_parameters(elements, options)).count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curvature_3b": 0.0}, "curvature_3b must be positive, got 0.0"),
        ({"resolution_2b": 3}, "resolution_2b must be between 4 and 1000, got 3"),
        ({"inner_fraction": 1.0}, "inner_fraction must be below 1"),
        ({"knot_spacing": "even"}, "knot_spacing must be one of linear, lammps, geometric, inverse"),
        ({"regularisation": "ard"}, "regularisation must be ridge or evidence"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        uf3.Uf3Options(**options)


def test_an_atom_that_is_there_twice_has_no_energy():
    adapter = make(["Cu"])
    potential = adapter.fit(adapter.prepare(sample_frames(("Cu",), 8)), np.arange(8), weights={}, rng=None)
    twice = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 5e-4]])
    for ask in (adapter.rows, adapter.features, potential.predict):
        with pytest.raises(DataError, match="two atoms at the same place"):
            ask(twice)
    twice.positions[1, 2] = 0.002
    assert potential.predict(twice).energy > 1000
