"""ChIMES fits: rows against predictions, the repulsive core, lengths from radii or subset, solvers."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.evaluation.metrics import errors_by_group, labels_of

chimes = pytest.importorskip("crossprune.adapters.chimes", exc_type=ImportError)
SMALL = {"order_2b": 6, "order_3b": 3, "cutoff": 4.5, "cutoff_3b": 4.0}


def make(elements, **options):
    return chimes.Chimes(elements, chimes.ChimesOptions(**{**SMALL, **options}))


def fitted(adapter, frames, subset=None):
    chosen = np.arange(len(frames)) if subset is None else np.asarray(subset)
    return adapter.fit(adapter.prepare(frames), chosen, weights={}, rng=np.random.default_rng(0))


def alloy(seed=3) -> Atoms:
    atoms = bulk("Cu", "fcc", 3.7, cubic=True).repeat((2, 1, 1))
    atoms.symbols = ["Au", "Cu", "Cu", "Au", "Cu", "Cu", "Au", "Cu"]
    rng = np.random.default_rng(seed)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.04, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return atoms


@pytest.mark.parametrize("options", [{}, {"order_4b": 2}, {"smoothing": "cubic"}], ids=str)
def test_rows_times_coefficients_are_the_prediction(options):
    frames = sample_frames(("Au", "Cu"), 8)
    adapter = make(["Au", "Cu"], **options)
    potential = fitted(adapter, frames)
    atoms = alloy()
    atoms.positions[1] = atoms.positions[0] + [1.3, 0.9, 0.2]  # deep inside the core
    rows, prediction = adapter.rows(atoms), potential.predict(atoms)
    counts = np.array([atoms.get_chemical_symbols().count(element) for element in ("Au", "Cu")])
    energy = rows.energy @ potential.coefficients + counts @ potential.offsets
    assert prediction.energy == pytest.approx(energy, rel=1e-10)
    forces = rows.forces @ potential.coefficients
    np.testing.assert_allclose(prediction.forces.ravel(), forces, atol=1e-9 * np.abs(forces).max())
    stress = rows.stress @ potential.coefficients
    np.testing.assert_allclose(prediction.stress, stress, atol=1e-9 * np.abs(stress).max())


def test_rows_are_derivatives_of_the_energy_row():
    adapter, atoms, step = make(["Au", "Cu"], order_4b=2), alloy(), 1e-4
    rows = adapter.rows(atoms)
    difference = np.zeros_like(rows.energy)
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[5, 1] += sign * step
        difference += sign * adapter.rows(moved).energy / (2 * step)
    scale = np.abs(rows.forces).max()
    np.testing.assert_allclose(rows.forces[3 * 5 + 1], -difference, atol=1e-6 * scale)
    difference[:] = 0
    for sign in (1, -1):
        strain = np.eye(3)
        strain[1, 2] = strain[2, 1] = sign * step / 2
        sheared = atoms.copy()
        sheared.set_cell(atoms.cell.array @ strain, scale_atoms=True)
        difference += sign * adapter.rows(sheared).energy / (2 * step) / atoms.get_volume()
    np.testing.assert_allclose(rows.stress[3], difference, atol=1e-6 * np.abs(rows.stress).max())


def test_features_share_the_energy_row_and_are_told_apart_by_element():
    adapter, atoms = make(["Au", "Cu"], order_4b=2), alloy()
    features = adapter.features(atoms)
    assert features.sum() == pytest.approx(adapter.rows(atoms).energy[:-1].sum(), rel=1e-10)
    gold = np.array(atoms.get_chemical_symbols()) == "Au"
    used = [np.abs(features[kind]).sum(axis=0) > 0 for kind in (gold, ~gold)]
    assert used[0].any()
    assert used[1].any()
    assert not (used[0] & used[1]).any()


def test_features_of_one_element_sum_to_the_energy_row():
    adapter, atoms = make(["Cu"], order_4b=2), bulk("Cu", "fcc", 3.6, cubic=True)
    atoms.rattle(0.1, seed=1)
    features = adapter.features(atoms)
    np.testing.assert_allclose(features.sum(axis=0), adapter.rows(atoms).energy[:-1], rtol=1e-10)


@pytest.mark.parametrize("from_subset", [False, True])
def test_close_atoms_repel(from_subset):
    potential = fitted(make(["Cu"], from_subset=from_subset), sample_frames(("Cu",), 10))
    (pair,) = potential.parameters.clusters[2]
    for below in (0.05, 0.1, 0.2, 0.4, 0.8):
        atoms = Atoms("Cu2", positions=[[0, 0, 0], [pair.inner[0] - below, 0, 0]])
        assert potential.predict(atoms).forces[1, 0] > 0, f"{below} Å below the inner cutoff"


def test_energy_and_forces_are_smooth_through_the_core():
    potential = fitted(make(["Cu"], order_4b=2), sample_frames(("Cu",), 10))
    (pair,) = potential.parameters.clusters[2]

    def trimer(distance: float):
        return potential.predict(Atoms("Cu3", positions=[[0, 0, 0], [distance, 0, 0], [0.4, 2.4, 0]]))

    for edge in (pair.inner[0], pair.inner[0] + potential.parameters.penalty_distance):
        for at in (edge - 1e-3, edge, edge + 1e-3):
            step = 1e-7  # the second derivative jumps at the edges
            slope = (trimer(at + step).energy - trimer(at - step).energy) / (2 * step)
            assert -trimer(at).forces[1, 0] == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_lengths_come_from_covalent_radii_whatever_the_subset():
    frames = sample_frames(("Au", "Cu"), 8)
    for subset in ([0, 1, 2], [5, 6, 7]):
        pairs = fitted(make(["Au", "Cu"]), frames, subset).parameters.clusters[2]
        # Covalent radii (Cordero 2008): Au 1.36, Cu 1.32 Å.
        assert [pair.inner[0] for pair in pairs] == pytest.approx([0.6 * r for r in (2.72, 2.68, 2.64)])
        assert [pair.morse[0] for pair in pairs] == pytest.approx([1.5 * r for r in (2.72, 2.68, 2.64)])


def test_lengths_from_the_subset_see_nothing_else():
    frames = sample_frames(("Cu",), 8)
    squeezed = frames[0].copy()
    squeezed.set_cell(squeezed.cell * 0.8, scale_atoms=True)
    squeezed = label(squeezed, energy=1.0, forces=np.zeros((4, 3)), stress=None, group="none")
    adapter = make(["Cu"], from_subset=True)
    alone = fitted(adapter, frames).parameters.clusters[2][0]
    beside = fitted(adapter, [*frames, squeezed], np.arange(8)).parameters.clusters[2][0]
    with_it = fitted(adapter, [*frames, squeezed]).parameters.clusters[2][0]
    assert (alone.inner, alone.morse) == (beside.inner, beside.morse)
    shortest = squeezed.get_all_distances(mic=True)[np.triu_indices(4, 1)].min()
    assert with_it.inner[0] == pytest.approx(0.98 * shortest)
    assert with_it.inner[0] < alone.inner[0]


def test_named_lengths_win():
    named = {"inner_cutoffs": {"Cu-Au": 1.7}, "morse_lengths": {"Au-Au": 2.0}}
    for from_subset in (False, True):
        adapter = make(["Au", "Cu"], from_subset=from_subset, **named)
        pairs = fitted(adapter, sample_frames(("Au", "Cu"), 6)).parameters.clusters[2]
        assert {pair.atoms: pair.inner[0] for pair in pairs}[(0, 1)] == 1.7
        assert {pair.atoms: pair.morse[0] for pair in pairs}[(0, 0)] == 2.0


@pytest.mark.parametrize("solver", ["ridge", "svd", "lasso", "lars"])
def test_every_solver_finds_the_model_that_made_the_data(solver):
    frames = sample_frames(("Au", "Cu"), 16)
    truth = fitted(make(["Au", "Cu"], order_3b=2), frames)
    relabelled = []
    for atoms in frames:
        made = truth.predict(atoms)
        relabelled.append(label(atoms, energy=made.energy, forces=made.forces, stress=None, group="made"))
    adapter = make(["Au", "Cu"], order_3b=2, solver=solver, ridge=1e-12, svd_smallest=1e-10, path_end=1e-9)
    found, probe = fitted(adapter, relabelled), alloy()
    np.testing.assert_allclose(found.predict(probe).forces, truth.predict(probe).forces, atol=2e-2)
    assert found.info["condition_number"] > 1


def test_lasso_leaves_coefficients_out():
    frames = sample_frames(("Cu",), 12)
    full = fitted(make(["Cu"]), frames).info["n_coefficients"]
    sparse = fitted(make(["Cu"], solver="lasso", path_end=1e-2), frames).info["n_coefficients"]
    assert 0 < sparse < full / 2


def test_exported_files_are_read_back_to_the_bit(tmp_path):
    potential = fitted(make(["Au", "Cu"], order_4b=2), sample_frames(("Au", "Cu"), 8))
    (path,) = potential.export(tmp_path)
    read = chimes.read_parameters(path, self_images="once")
    one, other = potential.predict(alloy()), read.predict(alloy())
    assert one.energy == other.energy
    np.testing.assert_array_equal(one.forces, other.forces)
    np.testing.assert_array_equal(read.coefficients, potential.coefficients)


def test_isolated_atom_energies_of_the_card_are_the_offsets():
    options = chimes.ChimesOptions(**SMALL)
    adapter = chimes.Chimes(["Au", "Cu"], options, {"Au": -0.5, "Cu": -0.25})
    potential = fitted(adapter, sample_frames(("Au", "Cu"), 8))
    assert potential.predict(Atoms("AuCu", positions=[[0, 0, 0], [9, 0, 0]])).energy == pytest.approx(-0.75)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner_cutoffs": {"Cu-Zn": 1.0}}, r"inner_cutoffs: 'Cu-Zn' is no pair of Cu; write it as Cu-Cu"),
        ({"morse_lengths": {"Cu-Cu": 0.0}}, r"morse_lengths: Cu-Cu must be positive, got 0.0"),
        ({"cutoff_3b": 1.0}, r"the 3-body cutoff 1.0 Å is not above the inner cutoff 1.58 Å"),
    ],
)
def test_impossible_lengths_are_explained(options, message):
    with pytest.raises(StudyError, match=message):
        make(["Cu"], **options)


def test_foreign_elements_are_refused_by_published_fields(tmp_path):
    (path,) = fitted(make(["Cu"]), sample_frames(("Cu",), 4)).export(tmp_path)
    with pytest.raises(DataError, match=r"knows Cu, but the structure Si2 has Si"):
        chimes.read_parameters(path).predict(bulk("Si", "diamond", 5.4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("element", "energy", "force"),
    [("Si", 7.5, 0.120), ("Mo", 5.0, 0.155)],  # SNAP as published: 6.44, 0.1327 and 5.48, 0.2065
)
def test_two_and_three_body_fits_beat_the_forces_of_snap(element, energy, force, data_folder):
    data_folder("mlearn")
    dataset = load_dataset(f"mlearn-{element}")
    adapter = chimes.Chimes([element])
    prepared = adapter.prepare(dataset.frames)
    rng = np.random.default_rng(0)
    potential = adapter.fit(prepared, dataset.indices("train"), weights={}, rng=rng)
    frames = [dataset.frames[index] for index in dataset.indices("test")]
    sizes = np.array([len(atoms) for atoms in frames])
    groups = ["all"] * len(frames)
    found = errors_by_group(
        potential.predict_many(frames), labels_of(frames), sizes, groups, np.arange(len(frames))
    )[0]
    assert found["energy_mae_mev_per_atom"] <= energy
    assert found["force_mae_ev_per_angstrom"] <= force
