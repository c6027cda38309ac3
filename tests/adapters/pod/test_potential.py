"""PODs as potentials: files, `pair_style pod`, its limits, and published ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.verlet import VelocityVerlet
from crossprune.adapters.pod import Pod, PodOptions, PodPotential, read_potential
from crossprune.adapters.pod.files import COEFFICIENTS, PARAMETERS, Coefficients, read_parameters
from crossprune.adapters.pod.potential import is_sound
from crossprune.adapters.pod.recipe import recipe_of
from crossprune.adapters.programs import LammpsPotential
from crossprune.adapters.programs import read_potential as read_lammps
from crossprune.harness.errors import DataError, StudyError

HIGH = {
    "fivebody_radial_functions": 2,
    "fivebody_angular_degree": 2,
    "sixbody_radial_functions": 2,
    "sixbody_angular_degree": 2,
    "sevenbody_radial_functions": 2,
    "sevenbody_angular_degree": 2,
}


@pytest.fixture(autouse=True)
def _lammps(require_adapter):
    require_adapter("pod")


def cell(elements, repeat=2):
    rng = np.random.default_rng(3)
    atoms = bulk("Mo", "bcc", 3.15, cubic=True).repeat(repeat)
    atoms.set_chemical_symbols([elements[k % len(elements)] for k in rng.permutation(len(atoms))])
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.04, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return atoms


def drawn(elements, **options):
    """Return an adapter and a potential of random coefficients."""
    adapter, rng = Pod(elements, PodOptions(**options)), np.random.default_rng(0)
    model = rng.normal(size=(len(elements), adapter.basis.n_descriptors))
    potential = PodPotential.of(
        adapter.basis, Coefficients(rng.normal(size=len(elements)), model, np.empty(0))
    )
    return adapter, potential


def by_rows(adapter, potential, atoms):
    rows = adapter.rows(atoms)
    counts = [atoms.get_chemical_symbols().count(element) for element in adapter.elements]
    energy = rows.energy @ potential.coefficients + np.dot(counts, potential.offsets)
    stress = None if rows.stress is None else rows.stress @ potential.coefficients
    return energy, (rows.forces @ potential.coefficients).reshape(-1, 3), stress


@pytest.mark.parametrize("elements", [["Mo"], ["Mo", "W"]], ids="-".join)
@pytest.mark.parametrize("options", [{}, HIGH], ids=["default", "high"])
def test_exported_files_in_lammps_give_what_the_rows_give(elements, options, tmp_path, monkeypatch):
    adapter, potential = drawn(elements, **options)
    potential.export(tmp_path)
    monkeypatch.chdir(tmp_path)
    plain = read_lammps("pod:potential.lmp")  # LAMMPS alone, with the files as they are
    assert type(plain) is LammpsPotential
    assert plain.elements == tuple(elements)
    again = read_potential(str(tmp_path / PARAMETERS))
    for repeat in (1, 2):
        atoms = cell(elements, repeat)
        energy, forces, stress = by_rows(adapter, potential, atoms)
        for one in (potential, plain, again):
            found = one.predict(atoms)
            assert found.energy == pytest.approx(energy, rel=1e-11)
            np.testing.assert_allclose(found.forces, forces, atol=1e-11 * np.abs(forces).max())
            np.testing.assert_allclose(found.stress, stress, atol=1e-11 * np.abs(stress).max())


def test_recipe_names_package_files_and_the_fault_of_lammps(tmp_path):
    _, potential = drawn(["Mo"])
    recipe = recipe_of(potential)
    assert recipe.commands == ("pair_style pod", f"pair_coeff * * {PARAMETERS} {COEFFICIENTS} Mo")
    assert recipe.package == "ML-POD"
    assert recipe.is_stock
    assert "first atom" in recipe.remark


@pytest.mark.parametrize(
    "positions",
    [
        [[0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [0.0, 0.3, 2.4]],
        [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [11.0, 1.0, 0.0], [11.0, -1.5, 0.5]],
    ],
    ids=["atom", "dimer", "apart", "first alone"],
)
def test_few_neighbours_are_predicted_where_the_pair_style_crashes(positions):
    # https://github.com/lammps/lammps/issues/5114: a segmentation fault, or a heap that is overwritten
    adapter, potential = drawn(["Mo", "W"])
    atoms = Atoms(["Mo", "W", "Mo", "W"][: len(positions)], positions)
    assert not is_sound(adapter.basis, atoms)
    found = potential.predict(atoms)
    energy, forces, _ = by_rows(adapter, potential, atoms)
    assert found.energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(found.forces, forces, atol=1e-12 * max(1, np.abs(forces).max()))
    assert found.stress is None
    if len(positions) == 1:
        assert found.energy == pytest.approx(potential.offsets[0])
    assert potential.dynamics(atoms, timestep=1.0, thermostat=None) is None


def test_a_lone_atom_beside_a_crystal_has_its_energy_in_both_ways():
    adapter, potential = drawn(["Mo"])
    crystal = cell(["Mo"])
    crystal.pbc = False
    alone = crystal + Atoms("Mo", [[40.0, 0, 0]])
    assert is_sound(adapter.basis, alone)
    swapped = alone[[len(alone) - 1, *range(len(alone) - 1)]]
    assert not is_sound(adapter.basis, swapped)
    one, other, without = (potential.predict(atoms) for atoms in (alone, swapped, crystal))
    assert one.energy == pytest.approx(other.energy, rel=1e-12)
    assert one.energy - without.energy == pytest.approx(potential.offsets[0], abs=1e-9)
    np.testing.assert_allclose(np.roll(one.forces, 1, axis=0), other.forces, atol=1e-9)


def test_a_lone_atom_in_a_periodic_box_is_told_from_one_with_images():
    basis = drawn(["Mo"])[0].basis
    assert not is_sound(basis, Atoms("Mo", cell=[12.0] * 3, pbc=True))
    assert is_sound(basis, bulk("Mo"))
    assert is_sound(basis, Atoms("Mo", cell=[1.4, 30, 30], pbc=[True, False, False]))


def test_own_dynamics_are_those_of_ase():
    frames = [cell(["Mo"])]
    frames[0].calc = SinglePointCalculator(frames[0], energy=-170.0, forces=np.zeros((16, 3)))
    adapter = Pod(["Mo"], PodOptions(ridge=1e-2))
    potential = adapter.fit(adapter.prepare(frames), np.array([0]), weights={}, rng=np.random.default_rng(0))
    atoms = frames[0].copy()
    atoms.set_velocities(np.random.default_rng(0).normal(0, 0.02, (16, 3)))
    native = potential.dynamics(atoms, timestep=1.0, thermostat=None)
    found = native.advance(10)
    atoms.calc = potential.calculator()
    VelocityVerlet(atoms, 1.0 * units.fs).run(10)
    moved = found.positions - atoms.positions
    moved -= np.round(moved @ np.linalg.inv(atoms.cell.array)) @ atoms.cell.array
    assert np.abs(moved).max() < 1e-6
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def test_ta_of_the_wheel_is_tantalum(tmp_path):
    potential = read_potential("Ta_param.pod")
    assert potential.elements == ("Ta",)
    assert len(potential.coefficients) == 31
    lengths = np.linspace(3.2, 3.45, 26)
    energies = [potential.predict(bulk("Ta", "bcc", one)).energy for one in lengths]
    fit = np.polyfit(lengths, energies, 4)
    (lowest,) = [r.real for r in np.roots(np.polyder(fit)) if abs(r.imag) < 1e-9 and 3.2 < r.real < 3.45]
    assert lowest == pytest.approx(3.32, abs=0.02)  # PBE: 3.31 to 3.32 Å
    direct = read_lammps("pod:" + str(exported(potential, tmp_path)))
    atoms = bulk("Ta", "bcc", 3.3, cubic=True)
    atoms.rattle(0.1, seed=1)
    np.testing.assert_allclose(direct.predict(atoms).forces, potential.predict(atoms).forces, atol=1e-12)


def exported(potential, folder):
    return next(path for path in potential.export(folder) if path.name == "potential.lmp")


def test_environment_clusters_are_read_and_predicted(tmp_path):
    adapter, _ = drawn(["Mo"], fourbody_radial_functions=0)
    text = "".join(
        "number_of_environment_clusters 2\n" if line.startswith("number_of_env") else line
        for line in drawn(["Mo"], fourbody_radial_functions=0)[1].files[PARAMETERS].splitlines(keepends=True)
    )
    (tmp_path / "Mo_param.pod").write_text(text)
    n, rng = adapter.basis.n_descriptors, np.random.default_rng(0)
    numbers = [*rng.normal(size=1 + 2 * n), *rng.normal(size=n), -30.0, 20.0]
    lines = [f"model_coefficients: {1 + 2 * n} {n} 2", *(f"{value:.12g}" for value in numbers)]
    (tmp_path / "Mo_coefficients.pod").write_text("\n".join(lines) + "\n")
    potential = read_potential(str(tmp_path / "Mo_param.pod"))
    assert potential.basis.n_clusters == 2
    atoms, step = cell(["Mo"], 1), 1e-4
    found = potential.predict(atoms)
    moved = [atoms.copy() for _ in range(2)]
    for one, sign in zip(moved, (1, -1), strict=True):
        one.positions[1, 0] += sign * step
    slope = (potential.predict(moved[0]).energy - potential.predict(moved[1]).energy) / (2 * step)
    assert found.forces[1, 0] == pytest.approx(-slope, rel=1e-5)
    rows = potential._describer.rows(atoms)
    energy = rows.energy @ potential.coefficients + len(atoms) * potential.offsets[0]
    assert energy == pytest.approx(found.energy, rel=1e-10)
    np.testing.assert_allclose((rows.stress @ potential.coefficients), found.stress, rtol=1e-8, atol=1e-10)


def test_a_pickled_potential_predicts_the_same():
    _, potential = drawn(["Mo"])
    before = potential.predict(cell(["Mo"]))
    after = pickle.loads(pickle.dumps(potential)).predict(cell(["Mo"]))
    np.testing.assert_array_equal(after.forces, before.forces)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rcut 5.0", "line 21: rcut occurs twice"),
        ("shell rm", "line 21: unknown key 'shell'"),
        ("bessel_scaling_parameter1 0", "files of LAMMPS before 2024"),
        ("pbc 1 1", "expected pbc and three numbers"),
        ("species Mo", "species occurs twice"),
    ],
)
def test_strange_lines_of_a_parameter_file_are_refused(line, says):
    text = drawn(["Mo"])[1].files[PARAMETERS]
    number = len(text.splitlines()) + 1
    with pytest.raises(DataError, match=says.replace("line 21", f"line {number}")):
        read_parameters(f"{text}{line}\n", "x.pod")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rin 1", "names no species"),
        ("species Mo\nrin one", "line 2: expected rin and one number, got 'one'"),
        ("species Mo\nonebody 0", "onebody 0: LAMMPS reads beyond its arrays"),
        ("species Mo Mo", "distinct chemical symbols"),
        ("species Mo\nbessel_polynomial_degree 2.5", "one whole number, got '2.5'"),
        ("species Mo\nrcut inf", "rcut inf is out of range"),
        ("species Mo\nbessel_polynomial_degree " + "9" * 400, "line 2: expected bessel_polynomial_degree"),
        ("species Mo\nrin 4.4999999999\nrcut 4.5", "0.1 Å beyond the inner cutoff"),
        ("species Mo\ntwobody_number_radial_basis_functions 9999", "must be between 0 and 20, got 9999"),
    ],
)
def test_parameter_files_out_of_range_are_refused(text, says):
    with pytest.raises(DataError, match=says):
        read_parameters(text, "x.pod")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text[: len(text) // 2], "is it cut off"),
        (
            lambda text: text.replace("model_coefficients: 131", "model_coefficients: 13100000000"),
            "expected 'model_coe",
        ),
        (lambda text: text.replace("\n", "\nnan\n", 2), "expected 'model_coefficients"),
        (lambda text: text.rstrip().rsplit("\n", 1)[0] + "\nten\n", "could not convert"),
        (lambda text: "", "expected 'model_coefficients"),
    ],
    ids=["cut", "huge", "shifted", "word", "empty"],
)
def test_damaged_coefficients_are_refused(damage, says, tmp_path):
    _, potential = drawn(["Mo"])
    potential.export(tmp_path)
    path = tmp_path / COEFFICIENTS
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError, match=says):
        read_potential(str(tmp_path / PARAMETERS))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(StudyError, match=r"did you mean 'Ta_param\.pod'"):
        read_potential("Ta_parm.pod")
    (tmp_path / "W_param.pod").write_text("species W\n")
    with pytest.raises(StudyError, match=r"neither W_coeff\.pod nor W_coefficients\.pod"):
        read_potential(str(tmp_path / "W_param.pod"))
    with pytest.raises(StudyError, match="expected pod:PARAMETERS"):
        read_potential("")
