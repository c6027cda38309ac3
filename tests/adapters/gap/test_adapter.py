"""What is particular to GAP: labels, weights, baseline, odd cells, sparse points, files and limits."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.io import read
from ase.stress import full_3x3_to_voigt_6_stress

pytest.importorskip("quippy", reason="needs quippy-ase: pip install 'crossprune[gap]'")

from crossprune.adapters.gap import Gap, GapOptions, GapPotential, gap_fit
from crossprune.adapters.gap.gap_fit import find_gap_fit
from crossprune.adapters.programs import quip
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, label, stress_of
from crossprune.harness.errors import CellOutOfMemory, CellTimeout, DataError, TooFewFrames

TRICLINIC = Atoms(
    "CuNiCu",
    scaled_positions=[[0.1, 0.2, 0.3], [0.55, 0.6, 0.7], [0.9, 0.3, -0.6]],
    cell=[[2.9, 0, 0], [0.8, 3.1, 0], [-0.5, 0.9, 3.6]],
    pbc=True,
)
"""Three atoms in a cell much smaller than twice the cutoff, one of them outside it."""


def emt_frame(seed, group="warm: {a}"):
    """A strained and rattled Cu-Ni cell with EMT's labels."""
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.numbers[rng.integers(0, 8, 3)] = 28
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))), scale_atoms=True)
    atoms.rattle(0.08, rng=rng)
    atoms.calc = EMT()
    return label(
        atoms,
        energy=atoms.get_potential_energy(),
        forces=atoms.get_forces(),
        stress=atoms.get_stress(),
        group=group,
    )


FRAMES = [emt_frame(seed) for seed in range(6)]
SMALL = {"cutoff": 3.6, "pair_cutoff": 3.6, "n_max": 3, "l_max": 2, "n_sparse": 20, "timeout_s": 60.0}


BOTH = pytest.mark.parametrize("fitter", ["fast", "gap_fit"])


def fitted(frames=FRAMES, elements=("Cu", "Ni"), weights=None, seed=0, isolated=None, **options):
    adapter = Gap(elements, GapOptions(**{**SMALL, **options}), isolated)
    subset = np.arange(len(frames))
    return adapter.fit(
        adapter.prepare(frames), subset, weights=weights or {}, rng=np.random.default_rng(seed)
    )


@pytest.fixture(scope="module")
def potential():
    return fitted(use_stress=True)


def labelled(atoms, energy):
    return label(atoms, energy=energy, forces=np.zeros((len(atoms), 3)), stress=None, group="one")


def numerical_stress(potential, atoms, step=1e-4):
    stress = np.zeros((3, 3))
    for i, j in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * step / 2
            strain[j, i] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            energies.append(potential.predict(strained).energy)
        stress[i, j] = (energies[0] - energies[1]) / (2 * step * atoms.get_volume())
    return full_3x3_to_voigt_6_stress(stress)


def test_stress_is_the_derivative_of_energy_in_a_small_triclinic_cell(potential):
    # truncation error of the central difference at this step: below 1e-6 of stresses of 0.3 eV/Å³
    expected = numerical_stress(potential, TRICLINIC)
    np.testing.assert_allclose(potential.predict(TRICLINIC).stress, expected, atol=1e-6)
    assert np.abs(expected).min() > 0.01


def test_small_cell_equals_its_supercell(potential):
    small, large = potential.predict(TRICLINIC), potential.predict(TRICLINIC * (3, 2, 2))
    np.testing.assert_allclose(large.energy, 12 * small.energy, atol=1e-8)
    np.testing.assert_allclose(large.stress, small.stress, atol=1e-8)


@pytest.mark.parametrize("pbc", [False, (True, False, True), (False, False, True)])
def test_open_directions_equal_a_wide_vacuum(potential, pbc):
    atoms = TRICLINIC.copy()
    atoms.pbc = pbc
    wide = quip.boxed(atoms, 20.0)
    wide.pbc = True
    shut, free = potential.predict(wide), potential.predict(atoms)
    np.testing.assert_allclose(free.energy, shut.energy, atol=1e-9)  # sums of large coefficients
    np.testing.assert_allclose(free.forces, shut.forces, atol=1e-8)


def test_cluster_without_cell_has_no_stress(potential):
    cluster = Atoms(TRICLINIC.numbers, TRICLINIC.positions)
    assert potential.predict(cluster).stress is None


def test_left_handed_cell(potential):
    mirrored = TRICLINIC.copy()
    mirrored.set_cell(TRICLINIC.cell[[1, 0, 2]])
    np.testing.assert_allclose(
        potential.predict(mirrored).stress, potential.predict(TRICLINIC).stress, atol=1e-8
    )


@BOTH
def test_fit_learns_stress_with_the_right_sign_and_order(fitter):
    potential = fitted(use_stress=True, fitter=fitter)
    predicted = np.array([potential.predict(atoms).stress for atoms in FRAMES])
    expected = np.array([stress_of(atoms) for atoms in FRAMES])
    slopes = (predicted * expected).sum(axis=0) / (expected**2).sum(axis=0)
    np.testing.assert_allclose(slopes, 1, atol=0.15)  # a wrong sign gives -1, a wrong order about 0


@pytest.mark.slow
@BOTH
def test_stress_labels_are_left_alone_unless_asked_for(fitter):
    without = [label(a, energy=energy_of(a), forces=forces_of(a), stress=None, group="g") for a in FRAMES]
    assert fitted(fitter=fitter).files == fitted(without, fitter=fitter).files
    assert fitted(fitter=fitter).files != fitted(fitter=fitter, use_stress=True).files


def test_virial_is_minus_volume_times_stress():
    stress = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    virial = quip.virial_of(stress, 10.0)
    np.testing.assert_array_equal(virial, [[-10, -60, -50], [-60, -20, -40], [-50, -40, -30]])
    np.testing.assert_array_equal(quip.stress_from(virial, 10.0), stress)


def test_training_file_has_our_own_label_names_only(tmp_path):
    options = GapOptions(use_stress=True, sigma_force=0.05)
    gap_fit.write_training(
        tmp_path / "train.xyz", FRAMES[:1], [GroupWeight()], {GroupWeight(): "w0"}, options
    )
    atoms = read(tmp_path / "train.xyz", format="extxyz")
    assert set(atoms.info) == {"cp_energy", "cp_virial", "cp_weights"}
    assert set(atoms.arrays) == {"numbers", "positions", "cp_forces"}
    assert atoms.info["cp_energy"] == energy_of(FRAMES[0])
    np.testing.assert_array_equal(atoms.positions, FRAMES[0].positions)
    np.testing.assert_array_equal(atoms.arrays["cp_forces"], forces_of(FRAMES[0]))


@pytest.mark.slow
@BOTH
def test_weight_zero_leaves_the_label_out(fitter):
    wrong = [
        label(a, energy=energy_of(a), forces=forces_of(a) + 5 * (i < 3), stress=None, group=f"{i < 3}")
        for i, a in enumerate(FRAMES)
    ]
    also = [
        label(a, energy=energy_of(a), forces=forces_of(a) - 7 * (i < 3), stress=None, group=f"{i < 3}")
        for i, a in enumerate(FRAMES)
    ]
    weights = {"True": GroupWeight(forces=0.0)}
    one, other = (fitted(frames, weights=weights, fitter=fitter) for frames in (wrong, also))
    assert one.files == other.files


@pytest.mark.slow
@BOTH
def test_group_weights_pull_the_fit_to_their_group(fitter):
    frames = [emt_frame(seed, group="even" if seed % 2 == 0 else "odd: {x}") for seed in range(6)]

    def error(potential, start):
        return np.mean([abs(potential.predict(a).energy - energy_of(a)) for a in frames[start::2]])

    weak = {"sigma_energy_per_atom": 0.03, "fitter": fitter}
    even = fitted(frames, weights={"even": GroupWeight(energy=30.0)}, **weak)
    odd = fitted(frames, weights={"odd: {x}": GroupWeight(energy=30.0)}, **weak)
    assert error(even, 0) < 0.3 * error(odd, 0)
    assert error(odd, 1) < 0.3 * error(even, 1)


@pytest.mark.slow
def test_many_elements_and_groups_do_not_overflow_gap_fits_arguments():
    rng, frames = np.random.default_rng(0), []
    for number in range(60):
        atoms = bulk("Ag", a=4.0, cubic=True)
        atoms.numbers = rng.choice([13, 28, 29, 46, 47, 78, 79], 4)
        atoms.rattle(0.1, rng=rng)
        frames.append(labelled(atoms, -3.0 * len(atoms)))
        frames[-1].info["group"] = f"group {number}"
    weights = {f"group {number}": GroupWeight(energy=1 + number / 60) for number in range(0, 60, 3)}
    elements = ["Ag", "Al", "Au", "Cu", "Ni", "Pd", "Pt"]
    potential = fitted(frames, elements, weights=weights, fitter="gap_fit")
    assert potential.predict(frames[0]).energy == pytest.approx(-12.0, abs=0.2)


@BOTH
@pytest.mark.parametrize(
    ("name", "frames", "elements"),
    [
        ("perfect crystal", [labelled(bulk("Si"), -10.0)], ["Si"]),
        ("the same frame twice", [labelled(bulk("Si"), -10.0)] * 2, ["Si"]),
        ("isolated atom", [labelled(Atoms("Si"), -1.0)], ["Si"]),
        ("dimer: one distance", [labelled(Atoms("Si2", [[0, 0, 0], [2.3, 0, 0]]), -4.0)], ["Si"]),
        ("molecule: one pair of a kind", [labelled(molecule("CH3CH2OH"), -45.0)], ["C", "H", "O"]),
        ("an element of the set is absent", [labelled(bulk("Si"), -10.0)], ["Ge", "Si"]),
    ],
)
def test_degenerate_subsets_are_fitted(name, frames, elements, fitter):
    potential = fitted(frames, elements, fitter=fitter)
    predicted = potential.predict(frames[0])
    assert predicted.energy == pytest.approx(energy_of(frames[0]), rel=0.2), name
    assert np.isfinite(predicted.forces).all()


@BOTH
def test_sparse_points_are_capped_at_the_environments(fitter):
    assert fitted(FRAMES[:1], n_sparse=500, fitter=fitter).info["n_sparse"] == 8


@BOTH
def test_no_frame_is_too_few(fitter):
    with pytest.raises(TooFewFrames, match="at least one frame"):
        fitted([], fitter=fitter)


@pytest.mark.slow
def test_seed_decides_gap_fits_sparse_points_and_nothing_else_does():
    expected = fitted(fitter="gap_fit").files
    assert fitted(fitter="gap_fit").files == expected
    assert fitted(fitter="gap_fit", seed=1).files != expected


def test_a_fit_counts_as_seeded_by_its_fitter():
    assert Gap.is_seeded(GapOptions(fitter="gap_fit"))
    assert not Gap.is_seeded(GapOptions())


def test_seed_decides_nothing_in_the_fast_fit(potential):
    assert fitted(use_stress=True, seed=1).files == potential.files


def test_files_travel_with_the_potential(potential, tmp_path):
    expected = potential.predict(TRICLINIC)
    potential.save(tmp_path / "saved")
    for copy in (GapPotential.load(tmp_path / "saved"), pickle.loads(pickle.dumps(potential))):
        assert copy.predict(TRICLINIC).energy == expected.energy
        np.testing.assert_array_equal(copy.predict(TRICLINIC).forces, expected.forces)


def test_export_is_what_quip_reads(potential, tmp_path):
    from quippy.potential import Potential

    paths = potential.export(tmp_path)
    assert paths[0].name == "gap.xml"
    atoms = TRICLINIC.copy()
    atoms.calc = Potential("IP GAP", param_filename=str(paths[0]))
    assert atoms.get_potential_energy() == potential.predict(TRICLINIC).energy
    np.testing.assert_allclose(atoms.get_stress(), potential.predict(TRICLINIC).stress, atol=1e-12)


def test_damaged_folder_is_named(potential, tmp_path):
    potential.save(tmp_path)
    (tmp_path / "gap.xml").unlink()
    with pytest.raises(DataError, match=r"gap\.xml is missing"):
        GapPotential.load(tmp_path)


def test_features_are_unit_vectors_resolved_by_element():
    one, two = Gap(["Cu"], GapOptions(n_max=4, l_max=3)), Gap(["Cu", "Ni"], GapOptions(n_max=4, l_max=3))
    copper = bulk("Cu")
    assert one.features(copper).shape == (1, 4 * 5 // 2 * 4)
    assert two.features(copper).shape == (1, 8 * 9 // 2 * 4)
    features = two.features(TRICLINIC)
    assert features.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-12)
    assert not np.allclose(features[0], features[1])


def test_features_of_a_cluster_do_not_depend_on_its_cell():
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL))
    cluster = Atoms(TRICLINIC.numbers, TRICLINIC.positions)
    boxed = Atoms(TRICLINIC.numbers, TRICLINIC.positions - 7, cell=[30, 31, 32], pbc=True)
    np.testing.assert_allclose(adapter.features(cluster), adapter.features(boxed), atol=1e-12)


def test_nothing_is_printed_and_no_folder_is_left(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fitted(FRAMES[:2]).predict(TRICLINIC)
    fitted(FRAMES[:2], fitter="gap_fit").predict(TRICLINIC)
    with pytest.raises(CellTimeout):
        fitted(fitter="gap_fit", timeout_s=0.01)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_timeout_and_memory_limits_reach_gap_fit():
    with pytest.raises(CellTimeout, match=r"gap_fit ran longer than its 0\.05 s"):
        fitted(fitter="gap_fit", n_max=10, l_max=8, n_sparse=500, cutoff=6.0, timeout_s=0.05)
    with pytest.raises(CellOutOfMemory, match=r"gap_fit used more than its 0\.04 GB"):
        fitted(fitter="gap_fit", n_max=10, l_max=8, n_sparse=500, cutoff=6.0, memory_gb=0.04)


def test_gap_fit_is_the_program_and_not_a_script_around_it():
    path = find_gap_fit()
    assert os.access(path, os.X_OK)
    assert path != Path(sys.executable).with_name("gap_fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoff": -1.0}, "cutoff must be positive"),
        ({"n_sparse": 0}, "n_sparse must be positive"),
        ({"pair_n_sparse": 1}, "0 or at least 2"),
        ({"transition_width": 6.0}, "exceeds cutoff"),
    ],
)
def test_options_that_crash_gap_fit_are_rejected(options, message):
    with pytest.raises(ValueError, match=message):
        GapOptions(**options)
