"""The audit of labels: silent on good data, and it names the unit of labels that were spoilt."""

from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.emt import EMT
from crossprune.harness.data.audit import audit
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, label, stress_of

HARTREE_BOHR = units.Hartree / units.Bohr


@functools.cache
def copper() -> tuple[Atoms, ...]:
    """Return rattled and strained copper with energies, forces and stresses by EMT."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(24):
        atoms = bulk("Cu", cubic=True).repeat((2, 1, 1))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.04, (3, 3))), scale_atoms=True)
        atoms.rattle(0.12, seed=int(rng.integers(1000)))
        atoms.calc = EMT()
        energy, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        frames.append(label(atoms, energy=energy, forces=forces, stress=stress, group="strained"))
    return tuple(frames)


def spoilt(frames, energy=1.0, forces=1.0, stress=1.0, *, with_stress=True) -> list[Atoms]:
    return [
        label(
            atoms,
            energy=energy * energy_of(atoms),
            forces=forces * forces_of(atoms),
            stress=stress * stress_of(atoms) if with_stress and stress_of(atoms) is not None else None,
            group="spoilt",
        )
        for atoms in frames
    ]


@pytest.mark.parametrize("with_stress", [True, False])
def test_good_labels_pass(with_stress):
    assert audit(spoilt(copper(), with_stress=with_stress)) == []


@pytest.mark.parametrize(
    ("factors", "what", "unit"),
    [
        ({"forces": 1000}, "forces are about", "forces in meV/Å"),
        ({"forces": 1 / (units.Ry / units.Bohr)}, "forces are about 1/", "forces in Ry/bohr"),
        ({"forces": 1 / HARTREE_BOHR}, "forces are about 1/", "forces in hartree/bohr"),
        ({"forces": -1}, "forces are of the opposite sign", "check the sign"),
        ({"energy": 1 / units.Hartree}, "energies are about 1/", "energies in hartree"),
        ({"energy": 1000}, "energies are about", "energies in meV"),
        ({"energy": 1 / 8}, "energies are about 1/", "energies per atom"),
        ({"stress": 1 / units.GPa}, "stresses are about", "stresses in GPa"),
        ({"stress": -10 / units.GPa}, "stresses are about .*and of the opposite sign", "stresses in kbar"),
        ({"stress": 1e4 / units.GPa}, "stresses are about", "stresses in bar"),
        ({"stress": -1}, "stresses are of the opposite sign", "check the sign"),
        ({"energy": 1000, "stress": 1 / units.GPa}, "energies are about", "energies in meV"),
    ],
)
def test_spoilt_labels_are_named_with_their_unit(factors, what, unit):
    warnings = audit(spoilt(copper(), **factors))
    assert any(re.search(f"^warning: {what}.*{re.escape(unit)}", one) for one in warnings), warnings


@pytest.mark.parametrize(
    ("factors", "unit"),
    [({"forces": 1000}, "forces in meV/Å"), ({"energy": 1 / units.Hartree}, "energies in hartree")],
)
def test_without_stress_both_explanations_are_given(factors, unit):
    [warning] = audit(spoilt(copper(), **factors, with_stress=False))
    assert unit in warning


def test_positions_in_bohr():
    frames = [atoms.copy() for atoms in copper()]
    for atoms, mine in zip(frames, copper(), strict=True):
        atoms.set_cell(atoms.cell / units.Bohr, scale_atoms=True)
        atoms.calc = mine.calc
    assert any("are positions and cells in bohr, not Å?" in one for one in audit(frames))


def test_sizes_alone_where_nothing_can_be_compared():
    few = spoilt(copper()[:4], forces=1000, stress=1 / units.GPa)
    warnings = audit(few)
    assert any("likely in meV/Å" in one for one in warnings)
    assert any("stresses are typically" in one for one in warnings)
    assert audit(spoilt(copper()[:4])) == []
    assert any("all forces are zero" in one for one in audit(spoilt(copper(), forces=0.0)))


@pytest.mark.parametrize(
    ("factors", "said"),
    [
        ({"forces": 0.0}, "all forces are zero: are they labels, or missing?"),
        ({"stress": 0.0}, "the stresses of all 24 frames that have one are zero"),
        ({"energy": 0.0}, "the energy of all 24 frames is 0 eV"),
    ],
)
def test_labels_that_were_filled_in_are_named(factors, said):
    assert any(said in one for one in audit(spoilt(copper(), **factors)))


def test_one_energy_for_all_structures_is_named():
    same = [
        label(one, energy=-123.0, forces=forces_of(one), stress=stress_of(one), group="x") for one in copper()
    ]
    [warning] = audit(same)
    assert warning.startswith("warning: the energy of all 24 frames is -123 eV")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["si-pbe", "mlearn-Mo", "mlearn-Si", "mlearn-Li"])
def test_published_sets_pass(name):
    if not load_card(name).available:
        pytest.skip(f"data set {name} is not here; name its folder in CROSSPRUNE_DATA")
    assert audit(load_dataset(name).frames) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", ["Ta.extxyz.gz", "InP.extxyz.gz"])
def test_published_files_pass(data_folder, path):
    options = DataOptions()
    if "InP" in path:
        options = dataclasses.replace(options, duplicates="keep")
    dataset = load_dataset(data_folder("fitsnap") / path, options=options)
    assert not [note for note in dataset.notes if note.startswith("warning")]
