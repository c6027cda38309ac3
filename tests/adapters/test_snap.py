from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.linear.fitter import Solution
from crossprune.adapters.programs import Box, LammpsPotential, read_potential
from crossprune.adapters.snap import Snap, SnapOptions
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import errors_by_group, labels_of
from crossprune.harness.lookup import load_potential


@pytest.fixture(autouse=True)
def _lammps(require_adapter):
    require_adapter("snap")


@pytest.fixture
def silicon():
    atoms = bulk("Si", "diamond", 5.43)
    rng = np.random.default_rng(0)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return atoms


PUBLISHED = [
    # Recomputed for Zuo 2020, doi:10.1021/acs.jpca.9b08723: energy MAE meV/atom, force MAE eV/Å.
    ("Mo", "Mo_Zuo_JPCA2020", 5.48, 0.2065),
    ("Mo", "Mo_Zuo_JPCA2020.quadratic", 2.77, 0.1838),
    ("Si", "Si_Zuo_JPCA2020", 6.44, 0.1327),
    ("Si", "Si_Zuo_JPCA2020.quadratic", 3.81, 0.1157),
    ("Li", "Li_Zuo_JPCA2020", 1.03, 0.0277),
    ("Li", "Li_Zuo_JPCA2020.quadratic", 0.73, 0.0328),
]


@pytest.mark.slow
@pytest.mark.parametrize(("element", "name", "energy", "force"), PUBLISHED)
def test_published_potentials_have_their_published_errors(element, name, energy, force, data_folder):
    data_folder("mlearn")
    found = measured(read_potential(f"snap:{name}"), element)
    assert round(found["energy_mae_mev_per_atom"], 2) == energy
    assert round(found["force_mae_ev_per_angstrom"], 4) == force


def measured(potential, element):
    dataset = load_dataset(f"mlearn-{element}")
    frames = [dataset.frames[index] for index in dataset.indices("test")]
    sizes = np.array([len(atoms) for atoms in frames])
    found = potential.predict_many(frames), labels_of(frames)
    return errors_by_group(*found, sizes, ["all"] * len(frames), np.arange(len(frames)))[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "energy", "force"),
    [
        (SnapOptions(cutoff=4.6, twojmax=8), 6.5, 0.22),
        (SnapOptions(cutoff=5.2, twojmax=6, quadratic=True), 3.5, 0.19),
    ],
    ids=["linear", "quadratic"],
)
def test_own_fits_to_molybdenum_are_as_good_as_the_published(options, energy, force, data_folder):
    data_folder("mlearn")
    dataset = load_dataset("mlearn-Mo")
    adapter = Snap(["Mo"], options)
    prepared = adapter.prepare(dataset.frames)
    rng = np.random.default_rng(0)
    potential = adapter.fit(prepared, dataset.indices("train"), weights={}, rng=rng)
    found = measured(potential, "Mo")
    assert found["energy_mae_mev_per_atom"] <= energy
    assert found["force_mae_ev_per_angstrom"] <= force


@pytest.mark.parametrize("twojmax", [2, 4, 6, 8])
@pytest.mark.parametrize("quadratic", [False, True])
def test_energy_row_is_the_sum_of_the_features(silicon, twojmax, quadratic):
    adapter = Snap(["Si"], SnapOptions(twojmax=twojmax, quadratic=quadratic))
    features = adapter.features(silicon)
    row = adapter.rows(silicon).energy
    assert len(row) == adapter.n_columns
    np.testing.assert_allclose(row[: features.shape[1]], features.sum(axis=0), rtol=1e-10)
    assert features.shape[1] == {2: 5, 4: 14, 6: 30, 8: 55}[twojmax]


def test_bnormflag_divides_by_the_length_of_the_last_moment(silicon):
    """Each component is over 2j + 1; LAMMPS counts moments twice."""
    plain, divided = (Snap(["Si"], SnapOptions(twojmax=2, bnormflag=flag)) for flag in (False, True))
    last = np.array([0, 1, 2, 2, 2])
    np.testing.assert_allclose(divided.features(silicon), plain.features(silicon) / (last + 1.0), rtol=1e-10)


@pytest.mark.parametrize("quadratic", [False, True])
@pytest.mark.parametrize("flags", [(), ("bnormflag",), ("bnormflag", "wselfallflag")])
def test_forces_of_explicit_elements_are_the_gradient(tmp_path, flags, quadratic):
    """For any coefficients: LAMMPS needs equal ones where components are equal, else its forces are wrong."""
    atoms = bulk("InP", "zincblende", 5.83, cubic=True)
    atoms.positions += np.random.default_rng(1).normal(0, 0.1, atoms.positions.shape)
    options = SnapOptions(
        twojmax=2, explicit_multi_element=True, quadratic=quadratic, **dict.fromkeys(flags, True)
    )
    adapter = Snap(["In", "P"], options)
    rows, kinds = adapter.rows(atoms), (atoms.symbols == "P").astype(int)
    summed = adapter.terms(adapter.features(atoms), kinds).sum(axis=0)
    np.testing.assert_allclose(summed, rows.energy, rtol=1e-9, atol=1e-9)
    coefficients = np.random.default_rng(2).normal(size=adapter.n_columns)
    potential = adapter.potential(Solution(coefficients, np.array([-1.0, -2.0]), 1.0))
    potential.save(tmp_path)
    for one in (potential, load_potential(tmp_path)):
        found = one.predict(atoms)
        assert found.energy == pytest.approx(rows.energy @ coefficients - 12.0, rel=1e-9)
        np.testing.assert_allclose(found.forces.ravel(), rows.forces @ coefficients, rtol=1e-7, atol=1e-6)
        np.testing.assert_allclose(found.stress, rows.stress @ one.coefficients, rtol=1e-7, atol=1e-8)


def test_wselfallflag_puts_the_atom_into_all_densities():
    """Then components of other elements are there without neighbours; by itself only its own are."""
    atom = Atoms("In", cell=[20, 20, 20], pbc=True)
    seen = [
        Snap(
            ["In", "P"],
            SnapOptions(twojmax=2, explicit_multi_element=True, bzeroflag=False, wselfallflag=one),
        )
        for one in (False, True)
    ]
    own, all_of_them = (np.count_nonzero(adapter.features(atom)) for adapter in seen)
    assert own * 8 == all_of_them > 0


def test_rows_are_derivatives_of_the_energy_row(silicon):
    adapter, step = Snap(["Si"], SnapOptions(twojmax=4)), 1e-4
    rows = adapter.rows(silicon)
    difference = np.zeros_like(rows.energy)
    for sign in (1, -1):
        moved = silicon.copy()
        moved.positions[1, 2] += sign * step
        difference += sign * adapter.rows(moved).energy / (2 * step)
    np.testing.assert_allclose(rows.forces[3 * 1 + 2], -difference, atol=1e-6 * np.abs(rows.forces).max())
    difference[:] = 0
    for sign in (1, -1):
        sheared = silicon.copy()
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = sign * step / 2
        sheared.set_cell(silicon.cell.array @ strain, scale_atoms=True)
        difference += sign * adapter.rows(sheared).energy / (2 * step) / silicon.get_volume()
    np.testing.assert_allclose(rows.stress[5], difference, atol=1e-6 * np.abs(rows.stress).max())


def test_left_handed_cells_are_mirrored_not_mangled(silicon):
    potential = read_potential("sw:Si.sw")
    swapped = Atoms("Si2", positions=silicon.positions, cell=silicon.cell.array[[1, 0, 2]], pbc=True)
    assert np.linalg.det(swapped.cell.array) < 0 < np.linalg.det(silicon.cell.array)
    expected, found = potential.predict(silicon), potential.predict(swapped)
    assert found.energy == pytest.approx(expected.energy, abs=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-10)
    np.testing.assert_allclose(found.stress, expected.stress, atol=1e-12)


@pytest.mark.parametrize(
    "pbc", [(True, True, False), (False, True, True), (False, True, False), (False,) * 3]
)
def test_open_directions_equal_a_wide_periodic_box(silicon, pbc):
    potential = read_potential("sw:Si.sw")
    slab = silicon.repeat((2, 2, 2))
    open_slab = slab.copy()
    open_slab.pbc = pbc
    wide = slab.copy()
    cell = np.where(np.array(pbc)[:, None], slab.cell.array, 0)
    wide.set_cell(cell)
    wide.center(vacuum=20.0, axis=[axis for axis in range(3) if not pbc[axis]])
    wide.pbc = True
    expected, found = potential.predict(wide), potential.predict(open_slab)
    assert found.energy == pytest.approx(expected.energy, abs=1e-9)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-9)
    assert found.stress is None


def test_box_keeps_distances(silicon):
    box = Box.of(silicon)
    assert np.allclose(np.triu(box.cell, 1), 0)
    np.testing.assert_allclose(box.cell @ box.cell.T, silicon.cell.array @ silicon.cell.array.T, atol=1e-12)
    moved = Atoms("Si2", positions=box.positions, cell=box.cell, pbc=True)
    assert moved.get_distance(0, 1, mic=True) == pytest.approx(silicon.get_distance(0, 1, mic=True))


def test_exported_files_run_in_lammps_as_they_are(silicon, tmp_path, monkeypatch):
    from ase.calculators.singlepoint import SinglePointCalculator

    silicon.calc = SinglePointCalculator(silicon, energy=-9.0, forces=np.zeros((2, 3)))
    adapter = Snap(["Si"], SnapOptions(twojmax=4))
    prepared = adapter.prepare([silicon])
    fitted = adapter.fit(prepared, np.array([0]), weights={}, rng=np.random.default_rng(0))
    fitted.export(tmp_path)
    monkeypatch.chdir(tmp_path)
    read = read_potential("snap:potential.lmp")
    assert isinstance(read, LammpsPotential)
    assert read.elements == ("Si",)
    assert read.predict(silicon).energy == pytest.approx(fitted.predict(silicon).energy, abs=1e-10)


def test_isolated_atom_energies_of_the_card_are_the_offsets(silicon):
    from ase.calculators.singlepoint import SinglePointCalculator

    silicon.calc = SinglePointCalculator(silicon, energy=-9.0, forces=np.zeros((2, 3)))
    adapter = Snap(["Si"], SnapOptions(twojmax=4), {"Si": -0.8})
    fitted = adapter.fit(adapter.prepare([silicon]), np.array([0]), weights={}, rng=np.random.default_rng(0))
    assert fitted.predict(Atoms("Si")).energy == pytest.approx(-0.8)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("snap:Mo_Zuo_JPCA202", r"unknown snap potential 'Mo_Zuo_JPCA202'; did you mean 'Mo_Zuo_JPCA2020'"),
        ("snap", r"expected lammps:<pair_style>:<files>"),
        ("sw:Si.sw:Xx", r"cannot tell the elements"),
    ],
)
def test_wrong_names_of_potentials_are_explained(spec, message):
    with pytest.raises(StudyError, match=message):
        read_potential(spec)
