"""Copies by symmetry: recognised, kept on one side of drawn splits, named in published ones."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.data.frames import label
from crossprune.harness.data.twins import twins
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.tables import from_table


def labelled(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    return label(atoms, energy=energy, forces=forces, stress=None, group="bulk")


def alloy(seed: int) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.symbols = "Cu2AgAu"
    atoms.set_cell(atoms.cell.array * [1.0, 1.05, 1.1], scale_atoms=True)
    atoms.rattle(0.1, seed=seed)
    return atoms


def rotated(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.rotate(37.0, (1, 2, 3), rotate_cell=True)
    return atoms


def mirrored(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.set_cell(atoms.cell.array * [1, 1, -1])
    atoms.positions *= [1, 1, -1]
    return atoms


def reordered(atoms: Atoms) -> Atoms:
    return atoms[[2, 0, 3, 1]]


def shifted(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.positions += 0.7
    atoms.wrap()
    return atoms


def repeated(atoms: Atoms) -> Atoms:
    return atoms.repeat((2, 1, 3))


def another_cell(atoms: Atoms) -> Atoms:
    atoms = atoms.copy()
    atoms.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]) @ atoms.cell.array)
    return atoms


COPIES = [rotated, mirrored, reordered, shifted, repeated, another_cell]


@pytest.mark.parametrize("operation", COPIES)
def test_a_copy_by_symmetry_is_found(operation):
    frames = [labelled(alloy(seed)) for seed in range(4)]
    assert twins([*frames, labelled(operation(alloy(2)))]) == [0, 1, 2, 3, 2]


def test_copies_of_copies_and_of_different_supercells():
    frames = [labelled(alloy(0).repeat((2, 1, 1))), labelled(alloy(1)), labelled(alloy(0).repeat((1, 1, 3)))]
    assert twins([*frames, labelled(rotated(alloy(0)))]) == [0, 1, 0, 0]


def test_what_is_no_copy_stays_apart():
    swapped = alloy(0)
    swapped.numbers[[0, 2]] = swapped.numbers[[2, 0]]
    strained = alloy(0)
    strained.set_cell(strained.cell.array * [1.0, 1.01, 1.0], scale_atoms=True)
    assert twins([labelled(one) for one in (alloy(0), swapped, strained)]) == [0, 1, 2]


@pytest.fixture
def path(tmp_path):
    """Twelve frames, then a copy of each by one of the symmetries."""
    frames = [alloy(seed) for seed in range(12)]
    copies = [COPIES[seed % len(COPIES)](frames[seed]) for seed in range(12)]
    write(tmp_path / "in.xyz", [labelled(atoms) for atoms in frames + copies], format="extxyz")
    return tmp_path / "in.xyz"


@pytest.mark.parametrize("split", ["random", "stratified", "blocks"])
@pytest.mark.parametrize("seed", range(3))
def test_drawn_splits_keep_copies_on_one_side(path, split, seed):
    dataset = load_dataset(path, options=DataOptions(split=split, seed=seed))
    assert dataset.split[:12] == dataset.split[12:]
    assert 2 <= dataset.split.count("test") <= 6
    assert not any("have a copy" in note for note in dataset.notes)


def given(path, parts):
    frames = read(path, ":")
    for atoms, part in zip(frames, parts, strict=True):
        atoms.info["part"] = part
    write(path, frames, format="extxyz")
    return {"split_key": "part"}


def test_a_given_split_stays_and_says_how_many(path):
    options = given(path, ["train"] * 12 + ["test"] * 12)
    dataset = load_dataset(path, options=DataOptions(**options))
    assert dataset.split.count("test") == 12
    [note] = [note for note in dataset.notes if "copy" in note]
    assert note.startswith("12 of 12 test frames have a copy by symmetry in train")
    assert 'duplicates = "drop" leaves them out' in note
    with pytest.raises(StudyError, match=r"no frame is left for the 'test' part.*duplicates"):
        load_dataset(path, options=DataOptions(**options, duplicates="drop"))


def test_drop_leaves_out_what_was_learnt(path):
    options = given(path, ["train"] * 10 + ["test"] * 14)
    dataset = load_dataset(path, options=DataOptions(**options, duplicates="drop"))
    assert (dataset.split.count("train"), dataset.split.count("test")) == (10, 4)


def test_exact_copies(path):
    path.write_text(path.read_text() * 2)
    with pytest.raises(DataError, match=r'24 duplicates in all; .*set duplicates = "drop"'):
        load_dataset(path)
    dropped = load_dataset(path, options=DataOptions(duplicates="drop"))
    assert len(dropped.frames) == 24
    assert "24 exact copies of other frames left out" in dropped.notes
    kept = load_dataset(path, options=DataOptions(duplicates="keep"))
    assert len(kept.frames) == 48
    assert kept.split[:24] == kept.split[24:]
    assert "24 exact copies of other frames kept" in kept.notes


def test_the_old_option_is_an_error_with_a_suggestion():
    with pytest.raises(StudyError, match="unknown key 'allow_duplicates'; did you mean 'duplicates'"):
        from_table(DataOptions, {"allow_duplicates": True}, "[data.x]")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("si-pbe", "2 of 62"), ("mlearn-Si", "3 of 25"), ("mlearn-Mo", "3 of 23"), ("mlearn-Li", "3 of 29")],
)
def test_published_splits_say_how_many_copies_they_have(name, expected):
    card = load_card(name)
    if not card.available:
        pytest.skip(f"data set {name} is not here; name its folder in CROSSPRUNE_DATA")
    [note] = [note for note in load_dataset(name).notes if "copy" in note]
    assert note.startswith(f"{expected} test frames have a copy by symmetry in train")
    assert any(f"{expected} test frames" in note for note in card.notes)
    dropped = load_dataset(name, options=DataOptions(duplicates="drop"))
    assert dropped.split.count("test") == int(expected.split()[2]) - int(expected.split()[0])
    assert dropped.split.count("train") == load_dataset(name).split.count("train")
