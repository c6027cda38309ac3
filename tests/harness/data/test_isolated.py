"""Isolated atoms in a file: offsets for every family, and no part of the data."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.frames import content_hash, element_counts, energy_of
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.lookup import resolve

ALONE = {"Cu": 3.5, "Ag": 2.9}


def alone(element, energy, group="IsolatedAtom", **changes):
    atoms = Atoms(element, cell=[15.0] * 3, pbc=True)
    atoms.info["config_type"] = group
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def alloys():
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(20):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols = rng.choice(["Cu", "Ag"], 4)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        atoms.info["config_type"] = "alloy"
        forces = rng.normal(0, 0.1, (4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=rng.normal(), forces=forces)
        frames.append(atoms)
    frames[0].symbols = "Cu2Ag2"
    return frames


def load(tmp_path, frames, **options):
    (tmp_path / "in.xyz").unlink(missing_ok=True)
    write(tmp_path / "in.xyz", frames, format="extxyz")
    return load_dataset(tmp_path / "in.xyz", options=DataOptions(**options))


@pytest.mark.parametrize(
    "group",
    ["IsolatedAtom", "isolated_atom", "isolated atoms", "Isolated-Atom", "single_atom", "free_atom", "E0s"],
)
def test_what_users_call_them(tmp_path, group):
    atoms = [alone(element, energy, group) for element, energy in ALONE.items()]
    dataset = load(tmp_path, [*atoms, *alloys()])
    assert dataset.isolated_atom_energies == ALONE
    assert len(dataset.frames) == 20
    assert group not in dataset.groups
    assert dataset.notes[0] == "2 isolated atoms kept out of train, test and ood"
    assert "Ag 2.9 eV, Cu 3.5 eV" in dataset.notes[1]


def test_an_open_atom_needs_no_forces(tmp_path):
    atoms = [alone(element, energy, pbc=False) for element, energy in ALONE.items()]
    for one in atoms:
        one.cell[:] = 0
        del one.calc.results["forces"]
    for one in atoms:
        write(tmp_path / "in.xyz", one, format="extxyz", append=True)
    write(tmp_path / "in.xyz", alloys(), format="extxyz", append=True)
    assert load_dataset(tmp_path / "in.xyz").isolated_atom_energies == ALONE


def test_an_option_names_them_or_takes_none(tmp_path):
    atoms = [alone(element, energy, "vacuum") for element, energy in ALONE.items()]
    assert load(tmp_path, [*atoms, *alloys()], isolated_atom_group="vacuum").isolated_atom_energies == ALONE
    atoms = [alone(*one) for one in ALONE.items()]
    kept = load(tmp_path, [*atoms, *alloys()], isolated_atom_group="")
    assert (len(kept.frames), kept.isolated_atom_energies) == (22, None)
    given = load(tmp_path, [*atoms, *alloys()], isolated_atom_energies={"Cu": 1.0, "Ag": 2.0})
    assert given.isolated_atom_energies == {"Cu": 1.0, "Ag": 2.0}
    assert content_hash(given) != content_hash(load(tmp_path, [*atoms, *alloys()]))


def test_an_element_without_its_atom(tmp_path):
    dataset = load(tmp_path, [alone("Cu", 3.5), *alloys()])
    assert (len(dataset.frames), dataset.isolated_atom_energies) == (20, None)
    assert "not used as offsets, for there is none of Ag" in dataset.notes[0]
    with pytest.raises(StudyError, match="no isolated-atom energy of Ag; give all elements or none"):
        load(tmp_path, [alone("Cu", 3.5), *alloys()], isolated_atom_group="IsolatedAtom")
    with pytest.raises(StudyError, match="isolated_atom_energies: Xx = 1"):
        DataOptions(isolated_atom_energies={"Xx": 1.0})


def test_two_energies_of_one_element(tmp_path):
    with pytest.raises(DataError, match=r"isolated atoms of Cu with 3\.5 and 3\.6 eV; keep one: the ground"):
        load(tmp_path, [alone("Cu", 3.5), alone("Cu", 3.6, cell=[16.0] * 3), alone("Ag", 2.9), *alloys()])


def test_a_group_that_is_not_there_or_holds_more_than_atoms(tmp_path):
    with pytest.raises(StudyError, match="isolated_atom_group: unknown group 'aloy'; did you mean 'alloy'"):
        load(tmp_path, alloys(), isolated_atom_group="aloy")
    with pytest.raises(StudyError, match="4 atoms in isolated_atom_group = 'alloy'; one is allowed"):
        load(tmp_path, alloys(), isolated_atom_group="alloy")


def test_a_crystal_of_one_atom_is_data_whatever_it_is_called(tmp_path):
    crystal = alone("Cu", -3.5, cell=2.55 * (np.ones((3, 3)) - np.eye(3)) / 2**0.5)
    dataset = load(tmp_path, [crystal, *alloys()])
    assert (len(dataset.frames), dataset.isolated_atom_energies) == (21, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["snap", "ace"])
def test_a_fit_predicts_the_isolated_atoms_as_given(tmp_path, require_adapter, name):
    require_adapter(name)
    dataset = load(tmp_path, [alone(*one) for one in ALONE.items()] + alloys())
    fitter = resolve(name, {}).make(dataset.elements, dataset.isolated_atom_energies)
    prepared = fitter.prepare(dataset.frames)
    potential = fitter.fit(prepared, np.arange(10), weights={}, rng=np.random.default_rng(0))
    for element, energy in ALONE.items():
        assert potential.predict(alone(element, energy)).energy == pytest.approx(energy, abs=1e-6)
    assert element_counts(dataset.frames, dataset.elements).sum() == 80
    assert energy_of(dataset.frames[0]) != 0
