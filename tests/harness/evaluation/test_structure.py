from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import GPa, kB
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.evaluation.motion.structure import (
    N_ANGLES,
    N_BINS,
    RANGE,
    Reference,
    adf_error,
    angular_distribution,
    bond_angles,
    pressures,
    radial_distribution,
    rdf_error,
    vibration,
)
from crossprune.harness.evaluation.phonons import phonons

COPPER = Crystal("fcc", ("Cu",), 3.6)


def test_rdf_of_an_ideal_gas_is_one_and_of_a_crystal_counts_neighbours():
    rng = np.random.default_rng(0)
    gas = [Atoms("Ar200", positions=rng.random((200, 3)) * 14, cell=[14] * 3, pbc=True) for _ in range(5)]
    width = RANGE / N_BINS
    radii = (np.arange(N_BINS) + 0.5) * width
    g = radial_distribution(gas)
    assert g[radii > 2].mean() == pytest.approx(1.0, abs=0.03)
    copper = bulk("Cu", cubic=True)
    shell = (radii > 2.4) & (radii < 2.7)
    shells = 4 / 3 * np.pi * ((radii + width / 2) ** 3 - (radii - width / 2) ** 3)
    neighbours = (radial_distribution([copper]) * shells)[shell].sum() * 4 / copper.get_volume()
    assert neighbours == pytest.approx(12)
    assert rdf_error(g, g) == 0


@pytest.mark.parametrize(
    ("prototype", "shell", "expected"),
    [
        ("diamond", 0.57, {109.4712: 6}),
        ("fcc", 0.854, {60.0: 24, 90.0: 12, 120.0: 24, 180.0: 6}),
        ("bcc", 0.95, {70.5288: 12, 109.4712: 12, 180.0: 4}),
    ],
)
@pytest.mark.parametrize("repeat", [1, 2])
def test_angles_of_perfect_crystals(prototype, shell, expected, repeat):
    atoms = bulk("Si", prototype, a=4.0, cubic=True).repeat(repeat)
    angles = bond_angles(atoms, shell * 4.0)
    values, counts = np.unique(np.round(angles, 2), return_counts=True)
    assert dict(zip(values, counts / len(atoms), strict=True)) == {
        round(angle, 2): count for angle, count in expected.items()
    }
    assert angular_distribution([atoms], shell * 4.0).sum() == pytest.approx(1)


def test_angles_equal_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    gas = Atoms("Ar30", positions=rng.random((30, 3)) * 9, cell=[9] * 3, pbc=True)
    distances, vectors = gas.get_all_distances(mic=True), gas.get_all_distances(mic=True, vector=True)
    expected = []
    for atom in range(30):
        near = [vectors[atom, other] for other in range(30) if other != atom and distances[atom, other] < 3.5]
        for index, one in enumerate(near):
            cosines = [
                one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in near[index + 1 :]
            ]
            expected += np.degrees(np.arccos(cosines)).tolist()
    assert len(expected) > 50
    assert np.sort(bond_angles(gas, 3.5)) == pytest.approx(np.sort(expected))
    assert bond_angles(gas, 0.01).size == 0
    assert angular_distribution([gas], 0.01) == pytest.approx(np.zeros(N_ANGLES))


def test_structures_without_a_common_angle_differ_fully():
    diamond, cubic = bulk("Si", "diamond", a=5.4, cubic=True), bulk("Po", "sc", a=3.0)
    found, other = angular_distribution([diamond], 3.1), angular_distribution([cubic], 3.1)
    assert adf_error(found, other) == pytest.approx(1)
    assert adf_error(found, found) == 0


@pytest.mark.parametrize("stretch", [0.98, 1.03])
def test_pressure_is_minus_the_derivative_of_the_free_energy(stretch):
    atoms = bulk("Cu", cubic=True, a=3.6 * stretch)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    temperature, step = 500.0, 1e-4

    def free_energy(scale):  # -k T N ln V is what of the ideal gas depends on the volume
        copy = atoms.copy()
        copy.set_cell(atoms.cell * scale, scale_atoms=True)
        copy.calc = EMT()
        return copy.get_potential_energy() - len(copy) * kB * temperature * np.log(copy.get_volume())

    volumes = [atoms.get_volume() * (1 + sign * step) ** 3 for sign in (1, -1)]
    expected = -(free_energy(1 + step) - free_energy(1 - step)) / (volumes[0] - volumes[1]) / GPa
    found = pressures([atoms], [atoms.get_stress()], temperature)
    assert found == pytest.approx([expected], abs=1e-4)
    assert (found[0] > 0) == (stretch < 1)  # positive: squeezed


def test_the_second_moment_from_forces_is_that_of_the_phonons():
    """Positions drawn from the harmonic ensemble: forces give the trace of the dynamical matrix."""
    pytest.importorskip("phonopy")
    mesh = phonons(COPPER, EMT(), 2).mesh
    atoms, temperature = COPPER.conventional(2), 1.0
    n_modes = 3 * len(atoms) - 3
    assert mesh.size == n_modes + 3
    expected = np.sqrt((mesh**2).sum() / n_modes)
    hessian, step = np.zeros((96, 96)), 0.01
    for row in range(96):
        pair = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions.ravel()[row] += sign * step
            moved.calc = EMT()
            pair.append(moved.get_forces().ravel())
        hessian[row] = (pair[1] - pair[0]) / (2 * step)
    values, modes = np.linalg.eigh((hessian + hessian.T) / 2)
    amplitudes = np.sqrt(kB * temperature / values[3:])
    rng, frames = np.random.default_rng(0), []
    for _ in range(30):
        frame = atoms.copy()
        frame.positions += (modes[:, 3:] @ (amplitudes * rng.standard_normal(n_modes))).reshape(-1, 3)
        frame.calc = EMT()
        frame.calc = SinglePointCalculator(frame, energy=0.0, forces=frame.get_forces())
        frames.append(frame)
    found, scatter = vibration(frames, temperature)
    # σ of one frame is 1/√(2 × 93) of it where all modes are alike, somewhat more here; of 30, four of them
    assert scatter == pytest.approx(found / np.sqrt(2 * n_modes), rel=0.5)
    assert found == pytest.approx(expected, rel=4 / np.sqrt(2 * n_modes * 30) * 1.3)


def einstein(n_frames, rng):
    """Draw frames of a crystal whose atoms are tied to their sites, with their labels, at 300 K."""
    sites, spring = COPPER.conventional(2), 3.0
    frames = []
    for _ in range(n_frames):
        frame = sites.copy()
        shifts = rng.normal(0, np.sqrt(kB * 300 / spring), (32, 3))
        frame.positions += shifts
        stress = np.zeros(6) + rng.normal(0, 0.01)
        frame.calc = SinglePointCalculator(frame, energy=0.0, forces=-spring * shifts, stress=stress)
        frames.append(frame)
    return frames


@pytest.mark.parametrize(("n_snapshots", "n_frames"), [(20, 20), (20, 60)])
def test_the_noise_is_the_error_of_a_perfect_model(n_snapshots, n_frames):
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(12):
        reference, frames = Reference.of(einstein(n_snapshots, rng), 300.0, 3.07), einstein(n_frames, rng)
        pairs = [
            (
                rdf_error(radial_distribution(frames), np.array(reference.rdf)),
                reference.noise_of_halves(reference.rdf_halves, n_frames),
            ),
            (
                adf_error(angular_distribution(frames, reference.shell), np.array(reference.adf)),
                reference.noise_of_halves(reference.adf_halves, n_frames),
            ),
        ]
        ratios.append([error / noise for error, noise in pairs])
    assert np.mean(ratios, axis=0) == pytest.approx([1, 1], abs=0.15)


def test_means_of_a_perfect_model_scatter_by_their_noise():
    rng = np.random.default_rng(5)
    found = []
    for _ in range(60):
        reference, frames = Reference.of(einstein(10, rng), 300.0, 3.07), einstein(30, rng)
        pressure = pressures(frames, [atoms.get_stress() for atoms in frames], 300.0).mean()
        found.append(
            (
                (pressure - reference.pressure_gpa)
                / reference.noise_of_mean(reference.pressure_scatter_gpa, 30),
                (vibration(frames, 300.0)[0] - reference.vibration_thz)
                / reference.noise_of_mean(reference.vibration_scatter_thz, 30),
            )
        )
    # the deviation of 60 draws is known to 1/√120 = 9 %; three of them, and few snapshots give Student's t
    assert np.std(found, axis=0) == pytest.approx([1.1, 1.1], abs=0.3)


def test_snapshots_without_stress_have_no_pressure():
    frames = einstein(4, np.random.default_rng(0))
    del frames[1].calc.results["stress"]
    reference = Reference.of(frames, 300.0, 3.07)
    assert np.isnan(reference.pressure_gpa)
    assert np.isfinite(reference.vibration_thz)
    assert reference != dataclasses.replace(reference, n_snapshots=5)
