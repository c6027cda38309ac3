"""SNAP over a reference potential, and FitSNAP's example of tantalum with it."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.programs import LammpsPotential, read_potential
from crossprune.adapters.programs.lammps import potentials_folder
from crossprune.adapters.programs.overlays import overlaid
from crossprune.adapters.snap import Snap, SnapOptions, SnapPotential
from crossprune.harness.checks.subject import bare
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import label
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import DataError, StudyError

ROOT = Path(__file__).parents[3]
SMALL = SnapOptions(twojmax=4, cutoff=4.2, ridge=1e-10, stress_weight=1.0)
ZBL = ("pair_style zbl 2.0 3.5",)
MIXED = (
    "pair_style hybrid/overlay zbl 2.0 3.5 morse 4.0",
    "pair_coeff 1 1 zbl 49 49",
    "pair_coeff 1 2 zbl 49 15",
    "pair_coeff 2 2 zbl 15 15",
    "pair_coeff 1 2 morse 0.4 1.5 2.4",
)


@pytest.fixture(autouse=True)
def _lammps(require_adapter):
    require_adapter("snap")


def compound(seed, pbc=True):
    """Strained, rattled zinc blende of eight atoms, dense enough that the reference matters."""
    rng = np.random.default_rng(seed)
    atoms = bulk("InP", "zincblende", 5.2, cubic=True)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.05, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
    atoms.pbc = pbc
    return atoms


def labelled(n_frames):
    """Structures with labels of a published potential, which has a ZBL under it."""
    potential, frames = read_potential("snap:InP_JCPA2020"), []
    for seed in range(n_frames):
        atoms = compound(seed)
        found = potential.predict(atoms)
        frames.append(label(atoms, energy=found.energy, forces=found.forces, stress=found.stress, group="x"))
    return frames


def fitted(options, n_frames=12):
    adapter = Snap(["In", "P"], options)
    prepared = adapter.prepare(labelled(n_frames))
    rng = np.random.default_rng(0)
    return adapter, prepared, adapter.fit(prepared, np.arange(n_frames - 2), weights={}, rng=rng)


@pytest.mark.parametrize("reference", [ZBL, MIXED], ids=["zbl", "mixed"])
def test_rows_of_the_reference_are_derivatives_of_its_energy(reference):
    adapter, atoms, h = Snap(["In", "P"], dataclasses.replace(SMALL, reference=reference)), compound(1), 1e-4
    rows = adapter.rows(atoms)

    def energy(moved):
        return adapter.rows(moved).energy[-1]

    assert abs(energy(atoms)) > 0.1
    for atom, axis in ((0, 0), (5, 2)):
        ends = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * h
            ends.append(energy(moved))
        assert rows.forces[3 * atom + axis, -1] == pytest.approx(-(ends[0] - ends[1]) / (2 * h), rel=1e-6)
    for place, (i, j) in enumerate(((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))):
        ends = []
        for sign in (1, -1):
            strain = np.zeros((3, 3))
            strain[i, j] += sign * h / 2
            strain[j, i] += sign * h / 2
            moved = atoms.copy()
            moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
            ends.append(energy(moved))
        expected = (ends[0] - ends[1]) / (2 * h) / atoms.get_volume()
        assert rows.stress[place, -1] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("reference", [(), ZBL, MIXED], ids=["none", "zbl", "mixed"])
@pytest.mark.parametrize("quadratic", [False, True])
def test_lammps_gives_what_the_rows_say_also_of_what_was_written(reference, quadratic, tmp_path):
    options = dataclasses.replace(SMALL, reference=reference, quadratic=quadratic, twojmax=2)
    adapter, prepared, potential = fitted(options)
    found = adapter.predict(potential, prepared, np.array([11]))
    for model in (potential, _saved(potential, tmp_path)):
        one = model.predict(bare(prepared.frames[11]))
        assert one.energy == pytest.approx(found.energies[0], abs=1e-9)
        np.testing.assert_allclose(one.forces, found.forces, atol=1e-9)
        np.testing.assert_allclose(one.stress, found.stresses[0], atol=1e-11)
        np.testing.assert_array_equal(model.coefficients, potential.coefficients)


def _saved(potential, folder):
    potential.save(folder / "saved")
    return SnapPotential.load(folder / "saved")


def test_the_fit_learns_what_the_reference_leaves():
    """Labels of a reference alone are fitted by nothing: coefficients and offsets are zero."""
    options = dataclasses.replace(SMALL, reference=MIXED)
    adapter, frames = Snap(["In", "P"], options), []
    for seed in range(8):
        atoms, rows = compound(seed), adapter.rows(compound(seed))
        frames.append(
            label(
                atoms,
                energy=float(rows.energy[-1]),
                forces=rows.forces[:, -1].reshape(-1, 3),
                stress=rows.stress[:, -1],
                group="x",
            )
        )
    potential = adapter.fit(adapter.prepare(frames), np.arange(8), weights={}, rng=np.random.default_rng(0))
    assert np.abs(potential.coefficients[:-1]).max() < 1e-9
    assert np.abs(potential.offsets).max() < 1e-9
    assert potential.coefficients[-1] == 1


def test_molecules_feel_the_reference_too():
    adapter = Snap(["In", "P"], dataclasses.replace(SMALL, reference=ZBL))
    dimer = Atoms("InP", positions=[[0, 0, 0], [0, 0, 1.5]])
    rows = adapter.rows(dimer)
    assert rows.stress is None
    assert rows.energy[-1] > 1.0
    assert rows.forces[5, -1] > 1.0


def test_the_components_of_an_atom_alone_shift_the_offset_only():
    options = dataclasses.replace(SMALL, ridge=0.0)
    kept, subtracted = (fitted(dataclasses.replace(options, bzeroflag=flag))[2] for flag in (False, True))
    np.testing.assert_allclose(kept.coefficients, subtracted.coefficients, rtol=1e-3, atol=1e-7)
    assert np.abs(kept.offsets - subtracted.offsets).max() > 0.01
    atoms = compound(20)
    assert kept.predict(atoms).energy == pytest.approx(subtracted.predict(atoms).energy, abs=1e-5)


def test_lines_of_fitsnap_are_taken_as_they_are():
    found = overlaid(
        [
            "pair_style hybrid/overlay zero 10.0 zbl 4.0 4.8",
            "pair_coeff * * zero",
            "pair_coeff * * zbl 73 73",
        ],
        ["Ta"],
        "snap",
        ["pair_coeff * * snap a b Ta"],
    )
    assert found == [
        "pair_style hybrid/overlay zbl 4.0 4.8 snap",
        "pair_coeff * * zbl 73 73",
        "pair_coeff * * snap a b Ta",
    ]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (("pair_style eam",), "eam takes a parameter file, and a reference has none; allowed: born, "),
        (("pair_style python zbl",), "unknown or unsafe pair style 'python'"),
        (("pair_coeff * * 73 73",), "expected pair_style, then pair_coeff"),
        (("pair_style zbl 4 4.8", "shell rm -r x"), "LAMMPS is given no other command"),
        (("pair_style zbl 4 4.8", "pair_style morse 3"), "expected one pair_style, first"),
        (("pair_style hybrid zbl 3 4", "pair_coeff * * zbl 49 49"), "in a hybrid the last pair_coeff"),
        (("pair_style zero 5.0", "pair_coeff * *"), "zero has no energy, so there is no reference"),
        (("pair_style hybrid/overlay zero 5.0", "pair_coeff * * zero"), "zero has no energy"),
    ],
)
def test_other_commands_are_refused(reference, message):
    with pytest.raises(ValueError, match=message):
        SnapOptions(reference=reference)


def test_what_lammps_refuses_is_said_with_the_reference():
    lines = ("pair_style morse 4.0", "pair_coeff * * 0.4")
    adapter = Snap(["In", "P"], dataclasses.replace(SMALL, reference=lines))
    said = r"LAMMPS refuses reference = \['pair_style morse 4.0', .*Incorrect args for pair coefficients"
    with pytest.raises(StudyError, match=said):
        adapter.rows(compound(0))


@pytest.mark.parametrize(
    "reference",
    [
        ("pair_style lj/cut 4.0", "pair_coeff 1 1 0.1 2.5", "pair_coeff 2 2 0.1 2.5"),
        (
            "pair_style hybrid/overlay zbl 2.0 3.5 morse 4.0",
            "pair_coeff 1 1 zbl 49 49",
            "pair_coeff 2* 2 zbl 15 15",
        ),
    ],
    ids=["mixed by LAMMPS alone", "overlay"],
)
def test_a_pair_that_an_overlay_would_leave_out_is_named(reference):
    with pytest.raises(StudyError, match="reference: no pair_coeff for types 1 and 2, In and P"):
        Snap(["In", "P"], dataclasses.replace(SMALL, reference=reference))


@pytest.mark.parametrize(
    "lines", [("* * 0.1 2.5",), ("1 1* 0.1 2.5", "2 2 0.2 2.0"), ("*1 2 0.1 2.5", "*2 *2 0.2 2.0")]
)
def test_a_reference_under_a_fit_is_the_potential_itself(lines):
    reference = ("pair_style lj/cut 4.0", *(f"pair_coeff {line}" for line in lines))
    atoms = compound(2)
    rows = Snap(["In", "P"], dataclasses.replace(SMALL, reference=reference)).rows(atoms)
    alone = LammpsPotential(["In", "P"], reference, {}).predict(atoms)
    assert rows.energy[-1] == pytest.approx(alone.energy, rel=1e-12)
    np.testing.assert_allclose(rows.forces[:, -1].reshape(-1, 3), alone.forces, atol=1e-10)


@pytest.mark.parametrize("reference", [(), ZBL], ids=["none", "zbl"])
def test_a_saved_fit_with_other_commands_is_no_snap(reference, tmp_path):
    """Its coefficients would not be those of what is predicted."""
    potential = fitted(dataclasses.replace(SMALL, reference=reference), 4)[2]
    potential.write(tmp_path)
    recipe = json.loads((tmp_path / "lammps.json").read_text())
    others = [
        ["pair_style zbl 2.0 3.5", "pair_coeff 1 1 49 49", "pair_coeff 2 2 15 15"],
        ["pair_style hybrid/overlay zero 3.0 snap", "pair_coeff * * zero", recipe["commands"][-1]],
        [*recipe["commands"], recipe["commands"][-1]],
    ]
    for commands in others:
        (tmp_path / "lammps.json").write_text(json.dumps({**recipe, "commands": commands}))
        with pytest.raises(DataError):
            SnapPotential.read(tmp_path)
    (tmp_path / "lammps.json").write_text(json.dumps(recipe))
    assert SnapPotential.read(tmp_path).commands == potential.commands


@pytest.mark.parametrize("quadratic", [False, True])
def test_energies_of_isolated_atoms_are_those_of_the_card_with_either_flag(quadratic):
    """Without ``bzeroflag`` the offset is what the components of an atom alone leave: the same model."""
    known, found, frames = {"In": -1.5, "P": 0.5}, [], labelled(12)
    for flag in (True, False):
        options = dataclasses.replace(
            SMALL, bzeroflag=flag, quadratic=quadratic, twojmax=2, ridge=0.0, reference=ZBL
        )
        adapter = Snap(["In", "P"], options, known)
        prepared = adapter.prepare(frames)
        potential = adapter.fit(prepared, np.arange(10), weights={}, rng=np.random.default_rng(0))
        for element, energy in known.items():
            assert potential.predict(Atoms(element)).energy == pytest.approx(energy, abs=1e-8)
        assert adapter.predict(potential, prepared, np.array([11])).energies[0] == pytest.approx(
            potential.predict(compound(11)).energy, abs=1e-8
        )
        found.append(potential.predict(compound(20)))
    assert found[0].energy == pytest.approx(found[1].energy, abs=1e-6)
    np.testing.assert_allclose(found[0].forces, found[1].forces, atol=1e-6)


def test_every_snap_of_the_wheel_is_read():
    """All that have coefficients, with an input that names them or without one."""
    names = {path.name.removesuffix(".snapcoeff") for path in potentials_folder().glob("*.snapcoeff")}
    names |= {path.name.removesuffix(".snap") for path in potentials_folder().glob("*.snap")}
    assert len(names) >= 18
    for name in names:
        potential = read_potential(f"snap:{name}")
        atoms = bulk("Cu", "fcc", 4.3, cubic=True)
        atoms.symbols[:] = (list(potential.elements) * 4)[:4]
        assert np.isfinite(potential.predict(atoms).energy), name


def test_coefficients_without_parameters_are_refused(tmp_path):
    (tmp_path / "own.snapcoeff").write_text("1 2\nTa 0.5 1.0\n0.0\n1.0\n")
    with pytest.raises(DataError, match=r"the parameters own\.snapparam do not lie beside it"):
        read_potential(f"snap:{tmp_path / 'own.snapcoeff'}")


def test_coefficients_alone_say_what_they_lack(tmp_path):
    for ending in (".snapcoeff", ".snapparam"):
        shipped = potentials_folder() / f"W_2940_2017_2{ending}"
        (tmp_path / shipped.name).write_text(shipped.read_text())
    read = read_potential(f"snap:{tmp_path / 'W_2940_2017_2.snapcoeff'}")
    assert "a reference under the fit" in read.info["lacks"]


@pytest.mark.slow
def test_the_example_of_tantalum_has_fitsnaps_coefficients_and_errors(data_folder):
    """Settings are those of the study; trained and scored on all 363 frames, as in the example."""
    from ase.io import read

    folder = data_folder("fitsnap")
    study = parse_study(tomllib.loads((ROOT / "studies" / "fitsnap-ta.toml").read_text()), "fitsnap-ta.toml")
    frames = [
        label(
            atoms,
            energy=atoms.get_potential_energy(),
            forces=atoms.get_forces(),
            stress=atoms.get_stress(),
            group=atoms.info["group"],
        )
        for atoms in read(folder / "Ta.extxyz.gz", ":")
    ]
    adapter = Snap(["Ta"], SnapOptions(**study.options["snap"]))
    prepared, every = adapter.prepare(frames), np.arange(len(frames))
    weights = {name: GroupWeight(**vars(weight)) for name, weight in study.weights.items()}
    potential = adapter.fit(prepared, every, weights=weights, rng=np.random.default_rng(0))
    text = (folder / "Ta-example" / "Ta_pot.snapcoeff").read_text()
    published = np.array([float(line.split()[0]) for line in text.splitlines() if "B[" in line])
    np.testing.assert_allclose([*potential.offsets, *potential.coefficients[:-1]], published, rtol=1e-5)
    found = adapter.predict(potential, prepared, every)
    sizes = np.array([len(atoms) for atoms in frames])
    energies = np.array([atoms.get_potential_energy() for atoms in frames])
    forces = np.concatenate([atoms.get_forces() for atoms in frames])
    assert np.abs((found.energies - energies) / sizes).mean() == pytest.approx(0.112787, abs=1e-6)
    assert np.abs(found.forces - forces).mean() == pytest.approx(0.0757576, abs=1e-7)
