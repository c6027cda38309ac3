"""Silicon by two functionals: the same structures and split as si-pbe, and differences that are no program's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.eos import EquationOfState
from ase.io import read
from ase.units import GPa
from crossprune.harness.data.cards import DataOptions, card_folder, card_of, load_card, load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, stress_of
from crossprune.harness.evaluation.level_pairs import level_pairs
from crossprune.harness.data.structures import first_copies
from crossprune.harness.errors import DataError, StudyError
from crossprune.levels import compare_levels

FOLDER = card_folder("si-pair")


@pytest.fixture(scope="module")
def levels():
    return {name: load_dataset("si-pair", options=DataOptions(level=name)) for name in ("r2scan", "pbe")}


def test_the_first_level_is_read_unless_another_is_asked_for(levels):
    plain = load_dataset("si-pair")
    assert list(map(energy_of, plain.frames)) == list(map(energy_of, levels["r2scan"].frames))
    assert levels["pbe"].split == levels["r2scan"].split
    assert all(stress_of(atoms) is not None for one in levels.values() for atoms in one.frames)


def test_pbe_labels_and_the_split_are_those_of_si_pbe(levels):
    whole, pbe = load_dataset("si-pbe"), levels["pbe"]
    places = first_copies(pbe.frames, whole.frames)
    assert None not in places
    for place, atoms, part in zip(places, pbe.frames, pbe.split, strict=True):
        other = whole.frames[place]
        assert energy_of(atoms) == energy_of(other)
        np.testing.assert_array_equal(forces_of(atoms), forces_of(other))
        np.testing.assert_array_equal(stress_of(atoms), stress_of(other))
        assert part == whole.split[place]
    left = set(range(len(whole.frames))) - set(places)
    assert {whole.groups[place] for place in left} == {"surface-100", "surface-110", "surface-111"}
    assert len(left) == 24
    assert "24 slabs" in " ".join(load_card("si-pair").notes)


def test_a_version_of_the_program_is_no_functional(levels):
    """PBE labels of the version that made the r2SCAN labels are those of the older one."""
    again, pbe = read(FOLDER / "pbe-26.7.extxyz", ":"), levels["pbe"]
    places = first_copies(again, pbe.frames)
    assert len(again) == 11
    assert None not in places
    pairs = [(atoms, pbe.frames[place]) for atoms, place in zip(again, places, strict=True)]
    energies = [1e3 * abs(one.get_potential_energy() - energy_of(old)) / len(old) for one, old in pairs]
    forces = [np.abs(one.get_forces() - forces_of(old)).max() for one, old in pairs]
    assert max(energies) < 1.2e-4
    assert max(forces) < 0.0095
    r2scan = [levels["r2scan"].frames[place] for place in places]
    shift = [(energy_of(high) - energy_of(old)) / len(old) for high, (_, old) in zip(r2scan, pairs, strict=True)]
    assert np.abs(shift).min() > 2.9


def test_statistics_of_the_pair_are_those_of_the_card():
    table = compare_levels("si-pair").set_index("group")
    everything = table.loc["all"]
    assert everything["n_structures"] == 328
    assert everything["shift_ev_per_atom"] == pytest.approx(-3.187, abs=5e-4)
    assert (everything["shift_low"], everything["shift_high"]) == pytest.approx((-3.264, -2.992), abs=5e-4)
    assert everything["force_mae_ev_per_angstrom"] == pytest.approx(0.048, abs=5e-4)
    assert everything["force_largest_ev_per_angstrom"] == pytest.approx(0.39, abs=5e-3)
    assert everything["force_slope"] == pytest.approx(1.010, abs=5e-4)
    assert everything["stress_mae_gpa"] == pytest.approx(0.7, abs=0.02)
    assert table.loc["bcc", "shift_ev_per_atom"] == pytest.approx(-3.03, abs=5e-3)
    assert table.loc["elastic", "shift_ev_per_atom"] == pytest.approx(-3.25, abs=5e-3)
    known = everything["energy_correlation"], everything["referenced_correlation"]
    assert known[0] == pytest.approx(known[1], abs=1e-12), "on one element a reference is one constant"


@pytest.mark.parametrize(("level", "lattice", "modulus"), [("r2scan", 5.44988, 96.395), ("pbe", 5.4769, 88.876)])
def test_reference_values_are_of_the_volume_strains(levels, level, lattice, modulus):
    """Of r2SCAN they are the card's; of PBE they are si-pbe's own calculation, to 0.001 Å and 0.3 GPa."""
    dataset = levels[level]
    chosen = [
        atoms
        for atoms, group in zip(dataset.frames, dataset.groups, strict=True)
        if group == "elastic" and np.allclose(atoms.cell, np.eye(3) * atoms.cell[0, 0])
    ]
    volumes = [atoms.get_volume() / len(atoms) for atoms in chosen]
    energies = [energy_of(atoms) / len(atoms) for atoms in chosen]
    volume, energy, bulk = EquationOfState(volumes, energies, "birchmurnaghan").fit()
    values = load_card("si-pair").reference["diamond"].values
    exact = level == "r2scan"
    assert (8 * volume) ** (1 / 3) == pytest.approx(lattice, abs=1e-5 if exact else 1e-3)
    assert bulk / GPa == pytest.approx(modulus, abs=1e-3 if exact else 0.3)
    if exact:
        assert energy == pytest.approx(values["energy_ev_per_atom"])
        assert values["lattice_parameter_angstrom"] == pytest.approx(lattice, abs=1e-5)
    else:
        own = load_card("si-pbe").reference["diamond"].values
        assert own["lattice_parameter_angstrom"] == pytest.approx(lattice, abs=1e-4)


def test_references_are_of_the_first_level_only():
    assert card_of("si-pair", DataOptions()).reference
    assert not card_of("si-pair", DataOptions(level="pbe")).reference
    assert card_of("si-pair", DataOptions(level="pbe")).level_of_theory.startswith("PBE, GPAW 22.8")


def test_the_split_file_counts_every_frame_once():
    lists = json.loads((FOLDER / "split.json").read_text())
    assert sorted(lists["train"] + lists["test"] + lists["ood"]) == list(range(328))


def test_what_cannot_be_compared_is_said():
    with pytest.raises(StudyError, match="give a source: a level, data set or file"):
        compare_levels("si-pbe")
    with pytest.raises(StudyError, match="has labels of one level only"):
        compare_levels("si-pbe", "si-pair", "pbe")
    assert compare_levels("si-pbe", "si-pair")["n_structures"][0] == 328


def test_what_a_difference_is_made_of(levels):
    """A planted shift per atom, factor on forces and stress come out again."""
    frames = levels["pbe"].frames[:40]
    changed = []
    for atoms in frames:
        one = atoms.copy()
        one.info = dict(atoms.info)
        one.calc = type(atoms.calc)(
            one,
            energy=energy_of(atoms) - 2.5 * len(atoms),
            forces=1.2 * forces_of(atoms),
            stress=stress_of(atoms) + 0.5 * GPa,
        )
        changed.append(one)
    found = level_pairs(frames, changed)[0]
    assert found.shift_ev_per_atom == pytest.approx(-2.5)
    assert found.force_slope == pytest.approx(1.2)
    assert found.force_correlation == pytest.approx(1.0)
    assert found.stress_mae_gpa == pytest.approx(0.5)
    assert found.referenced_mae_mev_per_atom == pytest.approx(0.0, abs=1e-6)


def test_atoms_in_another_order_are_not_compared(levels):
    """Forces of other atoms would be: a permutation within one element is seen by places."""
    frames = levels["pbe"].frames[:5]
    turned = []
    for atoms in frames:
        one = atoms[::-1]
        one.info = dict(atoms.info)
        one.calc = type(atoms.calc)(one, energy=energy_of(atoms), forces=forces_of(atoms)[::-1])
        turned.append(one)
    with pytest.raises(DataError, match="its atoms ordered, otherwise"):
        level_pairs(frames, turned)
    shifted = [atoms.copy() for atoms in frames]
    for one, atoms in zip(shifted, frames, strict=True):
        one.positions += (0.3, -0.2, 7.0)
        one.wrap()
        one.info = dict(atoms.info)
        one.calc = type(atoms.calc)(one, **atoms.calc.results)
    assert level_pairs(frames, shifted)[0].force_mae_ev_per_angstrom == 0.0
