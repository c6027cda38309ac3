"""What a study says of a user's own files: parts, paths, names, crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.harness.data.cards import DataOptions, card_of, list_cards, load_card, load_dataset
from crossprune.harness.data.frames import energy_of
from crossprune.harness.data.schema import Level, Protocol, Reference
from crossprune.harness.engine.loading import data_options
from crossprune.harness.engine.study import parse_study, read_study
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.evaluation.motion.planning import MdTable, md_runs
from crossprune.harness.evaluation.references import require_fitting, setting_of

FCC = Protocol("fcc", 3.9)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, frames = tmp_path_factory.mktemp("own"), load_dataset("si-pbe").frames
    write(folder / "train.extxyz", list(frames[:60]))
    write(folder / "test.extxyz", list(frames[60:70]))
    write(folder / "ood.extxyz", list(frames[70:75]))
    return folder


def test_parts_in_files_of_their_own(files):
    paths = {part: str(files / f"{part}.extxyz") for part in ("test", "ood")}
    both = load_dataset(files / "train.extxyz", options=DataOptions(**paths))
    assert [both.split.count(part) for part in ("train", "test", "ood")] == [60, 10, 5]
    held_out = load_dataset(files / "train.extxyz", options=DataOptions(ood=paths["ood"]))
    assert held_out.split.count("ood") == 5  # though their groups are in train as well
    assert held_out.split.count("test") == 12


def test_a_frame_in_two_files_is_refused(files):
    with pytest.raises(DataError, match=r"train\.extxyz"):
        load_dataset(files / "train.extxyz", options=DataOptions(test=str(files / "train.extxyz")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test": "a.xyz", "split": "random"}, "test names a file, and split = 'random' draws one"),
        ({"ood": "a.xyz", "split_key": "part"}, "split_key says the part of each frame"),
        ({"name": "\n"}, "name: "),
        ({"name": " "}, "name is empty"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(StudyError, match=message):
        DataOptions(**options)


def test_what_a_card_says_is_not_said_again():
    with pytest.raises(StudyError, match=r"\[data.si-pbe\]: protocol: for files of your own"):
        load_dataset("si-pbe", options=DataOptions(protocol=FCC))


def test_every_published_card_names_its_melting_temperature():
    for name in list_cards():
        protocol = load_card(name).protocol
        assert protocol.melting_temperature_k > 0
        assert protocol.source


def test_a_card_of_a_file_holds_what_is_needed(tmp_path):
    card = tmp_path / "card.toml"
    card.write_text('title = "mine"\n[protocol]\nprototype = "bcc"\nlattice_parameter_angstrom = 3.1\n')
    known = card_of("my.xyz", DataOptions(card=str(card)), ["Mo"])
    assert (known.title, known.elements, known.protocol.prototype) == ("mine", ("Mo",), "bcc")
    over = card_of("my.xyz", DataOptions(card=str(card), protocol=FCC), ["Mo"])
    assert setting_of(over).crystal.prototype == "fcc"
    card.write_text("[[files]]\npath = 'x'\ngit_blob = ''\n")
    with pytest.raises(StudyError, match="files is not for a file of your own"):
        card_of("my.xyz", DataOptions(card=str(card)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": {"fc": Reference("", {})}}, "unknown structure 'fc'; did you mean 'fcc'"),
        ({"reference": {"fcc": Reference("", {"c11": 1.0})}}, "unknown value 'c11'; did you mean 'c11_gpa'"),
        ({"reference": {"fcc": Reference("", {}, ("nope",))}}, "unknown group 'nope'"),
        ({"crystals": {"Cu": Protocol("fcc", 3.6, elements=("Cu",))}}, "unknown element 'Cu'"),
    ],
)
def test_what_fits_no_property_or_no_data(files, options, message):
    dataset = load_dataset(files / "train.extxyz")
    known = card_of("train.extxyz", DataOptions(protocol=FCC, **options), dataset.elements)
    with pytest.raises(StudyError, match=message):
        require_fitting(known, dataset, "[data.x]")


def test_runs_that_cannot_be_are_planned_with_their_reason(files):
    dataset = load_dataset(files / "train.extxyz")
    bare = card_of("x.xyz", DataOptions(), dataset.elements)
    group = dataset.groups[dataset.indices("test")[0]]
    options = MdTable(ensembles=("nvt",), starts=("crystal", group), n_velocities=1)
    no_crystal, no_kelvin = md_runs(bare, options, dataset, DataOptions())
    assert "names no crystal" in no_crystal.reason
    assert "no melting temperature is known" in no_kelvin.reason
    kelvin = MdTable(ensembles=("nvt",), starts=(group,), n_velocities=1, temperatures_k=(300.0,))
    (one,) = md_runs(bare, kelvin, dataset, DataOptions())  # a frame needs no crystal
    assert (one.run.temperature_k, one.run.frame is not None) == (300.0, True)


def study(path, name="train.extxyz", table=""):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'[study]\nname = "x"\ndatasets = ["{name}"]\nmodels = ["mean"]\n{table}')
    return read_study(path)


def test_paths_are_relative_to_the_study(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets").symlink_to(files)
    found = study(tmp_path / "sets" / "x.toml", table='[data."train.extxyz"]\ntest = "test.extxyz"')
    label, source = next(iter(found.labels.items()))
    assert label == "train.extxyz"
    options = data_options(found, label)
    assert load_dataset(source, options=options).split.count("test") == 10
    write("here.extxyz", read(files / "train.extxyz", ":"))
    lost = study(tmp_path / "sets" / "x.toml", name="here.extxyz")
    with pytest.raises(DataError, match=r"counted from its folder. There is here.extxyz in"):
        load_dataset(lost.datasets[0], options=data_options(lost, "here.extxyz"))
    given = lost.with_data(["here.extxyz"], {})  # as --data: relative to where the command runs
    assert len(load_dataset(given.datasets[0]).frames) == 60


def test_two_files_of_one_name_are_refused():
    axes = {"name": "x", "datasets": ["a.xyz", "b.xyz"], "models": ["mean"]}
    with pytest.raises(StudyError, match="two are called alike"):
        parse_study({"study": axes, "data": {"a.xyz": {"name": "b.xyz"}}}, "x.toml")


def two_levels(tmp_path, **info):
    """Write eight frames of which every other one says another level of theory."""
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "both.extxyz"
    for step in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += np.random.default_rng(step).normal(0, 0.05, (4, 3))
        atoms.info |= {key: values[step % 2] for key, values in info.items() if values[step % 2]}
        atoms.calc = SinglePointCalculator(atoms, energy=-4.0 * (1 + step % 2), forces=np.ones((4, 3)))
        write(path, atoms, append=True)
    return path


@pytest.mark.parametrize("key", ["functional", "Level_Of_Theory", "xc", "run_type"])
def test_frames_of_two_levels_are_not_mixed_unasked(tmp_path, key):
    path = two_levels(tmp_path, **{key: ("PBE", "r2SCAN")})
    with pytest.raises(DataError, match=r"several levels of theory \(PBE: 4, r2SCAN: 4\).*level = \"PBE\""):
        load_dataset(path)
    kept = load_dataset(path, options=DataOptions(level="r2SCAN", duplicates="keep"))
    assert {energy_of(atoms) for atoms in kept.frames} == {-8.0}
    assert "4 of 8 frames are of another level than r2SCAN" in kept.notes
    with pytest.raises(DataError, match="unknown level 'PBEsol'; did you mean 'PBE'"):
        load_dataset(path, options=DataOptions(level="PBEsol"))


def test_all_that_frames_say_of_their_level_counts(tmp_path):
    """MatPES and the Materials Project say a functional and a kind of run; either may be what differs."""
    path = two_levels(tmp_path, functional=("PBE", "PBE"), run_type=("GGA", "GGA_U"))
    with pytest.raises(DataError, match=r"\(PBE / GGA: 4, PBE / GGA_U: 4\)"):
        load_dataset(path)
    with pytest.raises(DataError, match=r"\(PBE / GGA: 4, PBE / GGA_U: 4\)"):
        load_dataset(path, options=DataOptions(level="PBE"))
    assert len(load_dataset(path, options=DataOptions(level="GGA_U", duplicates="keep")).frames) == 4


def test_frames_that_say_no_level_beside_some_that_do_are_not_mixed_either(tmp_path):
    path = two_levels(tmp_path, functional=("", "r2SCAN"))
    with pytest.raises(DataError, match=r"none said: 4, r2SCAN: 4"):
        load_dataset(path)
    with pytest.raises(DataError, match="no frame says its level_of_theory, functional"):
        load_dataset(two_levels(tmp_path / "other"), options=DataOptions(level="PBE"))


def test_label_sets_of_one_file_are_named_by_the_study(tmp_path):
    path = tmp_path / "pair.extxyz"
    for step in range(8):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += np.random.default_rng(step).normal(0, 0.05, (4, 3))
        atoms.info["low_energy"] = -1.0
        atoms.arrays["low_forces"] = np.zeros((4, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=np.ones((4, 3)))
        write(path, atoms, append=True)
    low = Level("LDA", energy_key="low_energy", forces_key="low_forces")
    levels = {"high": Level("PBE"), "low": low}
    with pytest.raises(StudyError, match=r"labels of 2 levels of theory \(high, low\); say which"):
        load_dataset(path, options=DataOptions(levels=levels))
    found = {
        name: load_dataset(path, options=DataOptions(levels=levels, level=name)).frames[0] for name in levels
    }
    assert [energy_of(found[name]) for name in levels] == [-4.0, -1.0]
    with pytest.raises(StudyError, match="energy_key belongs into the table of its level, low"):
        load_dataset(path, options=DataOptions(levels=levels, level="low", energy_key="energy"))
