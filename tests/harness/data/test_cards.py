"""Cards are complete and strict; data sets by name and by path are split as their options say."""

import tomllib

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from crossprune.harness.data.cards import (
    Card,
    DataOptions,
    card_folder,
    list_cards,
    load_card,
    load_dataset,
    smoke_dataset,
)
from crossprune.harness.data.frames import content_hash, forces_of
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.tables import from_table

TRAJECTORIES = {"cold": 20, "hot": 10, "slab": 5}


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    for group, count in TRAJECTORIES.items():
        for step in range(count):
            atoms = bulk("Cu", cubic=True)
            atoms.positions += rng.normal(0, 0.05, (4, 3))
            atoms.info |= {"group": group, "part": "ood" if group == "slab" else ("train", "test")[step % 2]}
            atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=rng.normal(0, 1 + step, (4, 3)))
            write(tmp_path / "copper.extxyz", atoms, append=True)
    return tmp_path / "copper.extxyz"


@pytest.mark.parametrize("name", list_cards())
def test_card_is_complete(name):
    card = load_card(name)
    assert card.name == name
    assert set(card.splits) == {"train", "test", "ood"}
    assert set(card.units) == {"energy", "forces", "stress"}
    assert all([card.title, card.citation, card.licence, card.elements, card.groups, card.files])
    assert all(len(file.git_blob) == 40 for file in card.files)
    assert len({file.git_blob for file in card.files}) == len(card.files)
    assert sorted(card.format.stress_order) == sorted(["xx", "yy", "zz", "xy", "yz", "xz"])
    assert card.format.stress or card.format.stress_reason
    for reference in card.reference.values():
        assert reference.source
        assert reference.groups is not None
        for key in reference.values:
            assert key.endswith(("_angstrom", "_gpa", "_ev", "_per_atom", "_per_angstrom2", "_thz"))
    if card.reference:
        main = card.reference[card.protocol.prototype].values["lattice_parameter_angstrom"]
        assert card.protocol.lattice_parameter_angstrom == pytest.approx(main, rel=1e-3)


def test_every_folder_of_the_package_is_a_data_set():
    assert {"si-pbe", "si-pair", "monbtaw", "monbtaw-pair"} | {
        f"mlearn-{el}" for el in ("Ni", "Cu", "Li", "Mo", "Si", "Ge")
    } == set(list_cards())


def test_unknown_key_in_a_card_is_an_error_with_a_suggestion():
    text = (card_folder("si-pbe") / "card.toml").read_text()
    table = tomllib.loads(text.replace("licence =", "license ="))
    with pytest.raises(StudyError, match="unknown key 'license'; did you mean 'licence'"):
        from_table(Card, {"name": "si-pbe", **table}, "card.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('groups = ["elastik"]', "reference.vacancy: unknown group 'elastik'; did you mean 'elastic'"),
        (
            'groups_of = { formation_energy_ev = ["vacanci"] }',
            "reference.vacancy: unknown group 'vacanci'; did you mean 'vacancy'",
        ),
        (
            'groups_of = { formation_energy = ["vacancy"] }',
            "groups_of: unknown value 'formation_energy'; did you mean 'formation_energy_ev'",
        ),
    ],
)
def test_groups_of_references_are_those_of_the_card(line, message):
    text = (card_folder("si-pbe") / "card.toml").read_text().replace('groups = ["vacancy"]', line)
    with pytest.raises(StudyError, match=message):
        from_table(Card, {"name": "si-pbe", **tomllib.loads(text)}, "card.toml")


def test_a_value_may_have_other_groups_behind_it():
    text = (card_folder("si-pbe") / "card.toml").read_text()
    line = 'groups = ["vacancy"]\ngroups_of = { formation_energy_ev = [] }'
    table = tomllib.loads(text.replace('groups = ["vacancy"]', line))
    reference = from_table(Card, {"name": "si-pbe", **table}, "card.toml").reference["vacancy"]
    assert reference.groups_behind("formation_energy_ev") == ()
    assert reference.groups_behind("formation_energy_unrelaxed_ev") == ("vacancy",)


def test_unknown_data_set_has_a_suggestion():
    with pytest.raises(StudyError, match=r"unknown data set 'mlearn-mo'; did you mean 'mlearn-Mo'\?"):
        load_dataset("mlearn-mo")


def parts_of(dataset, group):
    return [part for part, name in zip(dataset.split, dataset.groups, strict=True) if name == group]


def test_a_file_is_split_stratified_by_default(path):
    dataset = load_dataset(path)
    assert dataset.name == "copper.extxyz"
    assert {group: parts_of(dataset, group).count("test") for group in TRAJECTORIES} == {
        "cold": 4,
        "hot": 2,
        "slab": 1,
    }
    assert content_hash(dataset) == content_hash(load_dataset(str(path)))
    assert content_hash(dataset) != content_hash(load_dataset(path, options=DataOptions(seed=1)))


@pytest.mark.parametrize("split", ["random", "stratified", "blocks", "groups"])
def test_held_out_groups_are_whole_and_outside_train_and_test(path, split):
    dataset = load_dataset(path, options=DataOptions(split=split, ood_groups=("slab",)))
    assert set(parts_of(dataset, "slab")) == {"ood"}
    assert {"train", "test"} == set(parts_of(dataset, "cold") + parts_of(dataset, "hot"))


def test_split_given_by_the_file(path):
    dataset = load_dataset(path, options=DataOptions(split_key="part"))
    assert parts_of(dataset, "hot") == ["train", "test"] * 5
    assert set(parts_of(dataset, "slab")) == {"ood"}


def test_blocks_with_a_gap_leave_frames_out_and_say_so(path):
    dataset = load_dataset(path, options=DataOptions(split="blocks", block_gap=1))
    assert parts_of(dataset, "cold").count("test") == 4
    left_out = 35 - len(dataset.frames)
    assert 3 <= left_out <= 6
    assert dataset.notes[-1] == f"{left_out} frames beside test stretches left out (block_gap)"


def test_force_filter_says_how_many_it_dropped(path):
    largest = [np.linalg.norm(forces_of(atoms), axis=1).max() for atoms in load_dataset(path).frames]
    limit = float(np.median(largest))
    dataset = load_dataset(path, options=DataOptions(max_force_ev_per_angstrom=limit))
    assert len(dataset.frames) == sum(force <= limit for force in largest)
    assert dataset.notes[0].startswith(f"dropped {35 - len(dataset.frames)} of 35 frames with a force above")
    with pytest.raises(DataError, match=r"every frame has a force above 0.001 eV/Å; raise"):
        load_dataset(path, options=DataOptions(max_force_ev_per_angstrom=0.001))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"test_fraction": 1.5}, "test_fraction must lie between 0 and 1"),
        ({"splitt": "random"}, "unknown key 'splitt'; did you mean 'split'"),
        ({"split": "randm"}, "unknown value 'randm'; did you mean 'random'"),
        ({"stress_key": "a", "virial_key": "b"}, "stress_key or virial_key, not both"),
    ],
)
def test_wrong_options(table, message):
    with pytest.raises(StudyError, match=message):
        from_table(DataOptions, table, "[data.copper]")


def test_options_that_do_not_apply(path):
    with pytest.raises(StudyError, match="ood_groups: unknown group 'slap'; did you mean 'slab'"):
        load_dataset(path, options=DataOptions(ood_groups=("slap",)))
    with pytest.raises(StudyError, match="no frame is left for the 'train' part"):
        load_dataset(path, options=DataOptions(ood_groups=tuple(TRAJECTORIES)))
    with pytest.raises(StudyError, match=r"si-pbe: the .*_key options are for files of your own"):
        load_dataset("si-pbe", options=DataOptions(energy_key="energy"))


def test_smoke_subset_keeps_parts_and_groups(path):
    dataset = load_dataset(path, options=DataOptions(ood_groups=("slab",)))
    small = smoke_dataset(dataset, 10)
    assert len(small.frames) == 10
    assert set(small.split) == {"train", "test", "ood"}
    assert set(small.groups) == set(TRAJECTORIES)
    assert small.notes[-1] == "smoke subset: 10 of 35 frames"
