"""Computed as the reference was: at its strain, in its cells, relaxed and not; and what was seen of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.units import GPa
from crossprune.harness.data.cards import list_cards, load_card, load_dataset
from crossprune.harness.data.crystals import Crystal, Slab
from crossprune.harness.evaluation.elasticity import elastic_constants, stressed_constants
from crossprune.harness.evaluation.lattice import relaxed_crystal
from crossprune.harness.evaluation.properties import (
    AT_CELL,
    GROUPS,
    PropertyOptions,
    compute_properties,
    tasks,
)
from crossprune.harness.evaluation.references import groups_behind, plain_name, reference_of, setting_of
from crossprune.harness.evaluation.seen import Acquaintance
from crossprune.harness.evaluation.setting import Setting

COPPER = Crystal("fcc", ("Cu",), 3.6)


@pytest.fixture(scope="module")
def copper():
    return relaxed_crystal(COPPER, EMT())[0]


def test_constants_at_larger_strains_converge_to_those_at_small_ones_quadratically(copper):
    def deviation(strain):
        found = elastic_constants(copper, EMT(), strain=strain)
        return np.array([found.c12 - limit.c12, found.c44 - limit.c44])

    limit = elastic_constants(copper, EMT(), strain=0.001)
    assert deviation(0.016) / deviation(0.008) == pytest.approx(4.0, rel=0.05)
    assert np.abs(deviation(0.005)).max() < 0.1


@pytest.mark.parametrize("scale", [0.98, 1.0, 1.02])
def test_constants_of_a_held_crystal_are_derivatives_of_its_stress(copper, scale):
    held = dataclasses.replace(copper, lattice_parameter=scale * copper.lattice_parameter)

    def stress(strain):
        atoms = held.smallest()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.calc = EMT()
        return atoms.get_stress() / GPa

    step, uniaxial, shear = 1e-3, np.zeros((3, 3)), np.zeros((3, 3))
    uniaxial[0, 0] = shear[0, 1] = shear[1, 0] = step
    c11, c12 = ((stress(uniaxial) - stress(-uniaxial)) / (2 * step))[:2]
    c44 = ((stress(shear) - stress(-shear)) / (4 * step))[5]
    found, pressure = stressed_constants(held, EMT())
    assert pressure == pytest.approx(-stress(np.zeros((3, 3)))[0], abs=2e-3)
    assert [found.c11, found.c12, found.c44] == pytest.approx([c11, c12, c44], rel=1e-3)
    if scale < 1:  # without the terms in P they would be off by 6 and 4 %
        bare = elastic_constants(held, EMT())
        assert bare.c12 < 0.95 * c12
        assert bare.c44 > 1.03 * c44


def own_setting(copper, **changes):
    return Setting(
        COPPER,
        vacancy_repeat=2,
        slabs=(Slab((1, 0, 0)),),
        reference_lattice_parameter=copper.lattice_parameter,
        **changes,
    )


def test_in_its_own_cells_a_model_has_its_own_properties(copper):
    names = ("lattice", "elastic", "vacancy", "surfaces", "phases")
    own = compute_properties(EMT(), own_setting(copper), PropertyOptions(names=names))
    value = {(row.structure, row.name): row.value for row in own}
    volumes = tuple(
        (phase, one) for (phase, name), one in value.items() if name == "volume_angstrom3_per_atom"
    )
    setting = own_setting(copper, reference_volumes=volumes)
    held = compute_properties(EMT(), setting, PropertyOptions(names=("at_reference",)))
    assert {row.structure for row in held} == {"fcc", "bcc", "hcp", "sc", "vacancy", "surface-100"}
    for row in held:
        assert np.isfinite(row.value), row.reason
        if row.name == "pressure_at_reference_cell_gpa":
            assert row.value == pytest.approx(0, abs=2e-3)
        else:  # a bulk modulus there is a curvature, 1 % from a fit
            wide = 0.01 if row.name.startswith("bulk") else 1e-3
            known = value[row.structure, plain_name(row.name)]
            assert row.value == pytest.approx(known, rel=wide, abs=1e-6)


def test_a_wrong_lattice_parameter_shows_as_pressure_and_not_in_the_response_of_the_reference(copper):
    setting = dataclasses.replace(
        own_setting(copper), reference_lattice_parameter=0.99 * copper.lattice_parameter
    )
    rows = compute_properties(EMT(), setting, PropertyOptions(names=("lattice", "at_reference")))
    value = {row.name: row.value for row in rows if row.structure == "fcc"}
    bulk = value["bulk_modulus_gpa"]
    assert value["pressure_at_reference_cell_gpa"] == pytest.approx(3 * 0.01 * bulk, rel=0.15)
    work = 4.5 * 0.01**2 * bulk * GPa * copper.lattice_parameter**3 / 4
    assert value["energy_at_reference_cell_ev_per_atom"] - value["energy_ev_per_atom"] == pytest.approx(
        work, rel=0.1
    )


def test_a_face_with_a_reference_is_computed_relaxed_and_not(copper):
    setting = dataclasses.replace(own_setting(copper), slabs=(Slab((1, 0, 0)), Slab((1, 1, 1))))
    both = dataclasses.replace(setting, compared_faces=("111",))
    plain, relaxed = "energy_unrelaxed_ev_per_angstrom2", "energy_ev_per_angstrom2"

    def keys(setting, *names):
        return [key for task in tasks(setting, names) for key in task.keys]

    assert keys(setting, "surfaces") == [("surface-100", plain), ("surface-111", plain)]
    assert keys(both, "surfaces") == [*keys(setting, "surfaces"), ("surface-111", relaxed)]
    assert sorted(keys(both, "surfaces", "surfaces_relaxed")) == sorted(
        keys(setting, "surfaces", "surfaces_relaxed")
    )


def test_the_default_has_both_variants_of_every_reference_of_a_surface_or_vacancy():
    for card in map(load_card, list_cards()):
        keys = {key for task in tasks(setting_of(card), PropertyOptions().names) for key in task.keys}
        for structure in card.reference:
            if structure.startswith("surface-"):
                names = {"energy_unrelaxed_ev_per_angstrom2", "energy_ev_per_angstrom2"}
            elif structure == "vacancy":
                names = {"formation_energy_unrelaxed_ev", "formation_energy_ev"}
            else:
                continue
            assert {(structure, name) for name in names} <= keys


def test_without_a_reference_there_is_nothing_to_be_computed_at_it():
    assert tasks(setting_of(load_card("monbtaw")), ["at_reference"]) == []
    names = [name for task in tasks(setting_of(load_card("mlearn-Li")), ["elastic"]) for _, name in task.keys]
    assert not any("at_reference_strain" in name for name in names)


def test_a_value_is_compared_with_the_reference_however_it_is_computed():
    card = load_card("si-pbe")
    plain = reference_of(card, "diamond", "c44_clamped_gpa")
    for name in ("c44_clamped_at_reference_strain_gpa", "c44_clamped_at_reference_cell_gpa"):
        assert reference_of(card, "diamond", name) == plain
        assert groups_behind(card, "diamond", name) == ("elastic", "diamond")
    above = f"energy_above_diamond{AT_CELL}_ev_per_atom"
    assert reference_of(card, "bcc", above)[0] == card.reference["bcc"].values[plain_name(above)]
    assert groups_behind(card, "diamond", "shear_modulus_gpa") is None
    every = [key for task in tasks(setting_of(card), tuple(GROUPS)) for key in task.keys]
    assert len(every) == len(set(every))


@pytest.mark.parametrize(
    ("groups", "word", "counts"),
    [
        (("elastic",), "chosen", (2, 19)),
        (("elastic", "bcc"), "chosen", (2, 19)),
        (("fcc",), "pool", (0, 7)),
        (("fcc", "elastic"), "chosen", (2, 26)),
        (("bcc",), "held out", (0, 0)),
        ((), "not in the data", (0, 0)),
    ],
)
def test_what_a_model_saw_of_a_reference(groups, word, counts):
    dataset = load_dataset("si-pbe")
    train = dataset.indices("train")
    elastic = [index for index in train if dataset.groups[index] == "elastic"]
    sc = [index for index in train if dataset.groups[index] == "sc"]
    known = Acquaintance.of(dataset, np.array([*elastic[:2], *sc]))
    assert known.with_reference(groups) == (word, *counts)


def test_nothing_is_said_where_the_card_says_nothing():
    word, *counts = Acquaintance({"a": 1}, {"a": 2}).with_reference(None)
    assert word == ""
    assert np.isnan(counts).all()


def test_groups_cut_into_trajectories_are_those_of_the_card():
    frames_of = {"Elastic: Mo, mode 1": 3, "Elastic: Mo, mode 2": 1, "Elastic2": 5}
    assert Acquaintance({}, frames_of).with_reference(["Elastic"]) == ("pool", 0, 4)
