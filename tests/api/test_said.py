"""What a newcomer ran into: whose split counts, all frames of a file, and files that are one's own."""

from __future__ import annotations

import re

import crossprune
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.harness.errors import StudyError
from crossprune.validation.search import asked_by

SMALL = {"twojmax": 2, "cutoff": 4.0}


@pytest.fixture
def file(tmp_path):
    """Write thirty labelled frames of copper, and a study that says which are tested."""
    frames = []
    for seed in range(30):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.1, seed=seed)
        atoms.info |= {"part": "test" if seed % 3 == 0 else "train"}
        atoms.calc = EMT()
        atoms.get_stress()
        frames.append(atoms)
    write(tmp_path / "copper.extxyz", frames)
    text = (
        '[study]\nname = "copper"\ndatasets = ["copper.extxyz"]\nmodels = ["snap"]\n'
        '[options.snap]\ntwojmax = 2\n[data."copper.extxyz"]\nsplit_key = "part"\n'
    )
    (tmp_path / "study.toml").write_text(text)
    return tmp_path / "copper.extxyz"


def test_a_study_says_what_tuning_may_see(file):
    name, options, loading = asked_by("snap", str(file.with_name("study.toml")), {"cutoff": 4.0}, {})
    assert name == str(file)
    assert options == {"twojmax": 2, "cutoff": 4.0}
    assert loading["split_key"] == "part"


@pytest.mark.slow
def test_frames_that_a_study_tests_are_not_tuned_on(file, require_adapter, tmp_path):
    require_adapter("snap")
    study = str(file.with_name("study.toml"))
    before = crossprune.tune("snap", study, store=tmp_path / "one", folds=2, options=SMALL).tried
    frames = read(file, ":")
    for atoms in frames[::3]:
        atoms.calc.results["forces"] = 50.0 * np.ones((len(atoms), 3))
    write(file, frames)
    after = crossprune.tune("snap", study, store=tmp_path / "two", folds=2, options=SMALL).tried
    np.testing.assert_array_equal(after["score"], before["score"])


def test_an_unknown_family_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="did you mean 'snap'") as raised:
        crossprune.tune("snpa", "si-pbe")
    assert "broken" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_all_frames_of_a_file_can_be_evaluated(file):
    potential = crossprune.fit("mean", read(file, ":"))
    some, every = (crossprune.evaluate(potential, file, split=split) for split in (None, "all"))
    assert some["n_eval_configurations"].max() == 6
    assert every["n_eval_configurations"].max() == 30
    assert set(every["part"]) == {"all"}


def test_frames_that_are_given_have_one_part(file):
    potential = crossprune.fit("mean", read(file, ":"))
    every = crossprune.evaluate(potential, read(file, ":"), split="all")
    assert set(every["part"]) == {"all"}
    with pytest.raises(StudyError, match="split and loading are for data sets and files"):
        crossprune.evaluate(potential, read(file, ":"), split="test")


def test_what_a_published_file_lacks_is_a_note(file):
    potential = crossprune.fit("mean", read(file, ":")).potential
    potential.info["lacks"] = "it holds no energies of isolated atoms"
    for data in (file, read(file, ":")):
        assert potential.info["lacks"] in crossprune.evaluate(potential, data).attrs["notes"]


def test_another_zero_of_energies_is_a_note():
    """Energies of elements that differ by 5 and 7 eV are said to, with the error that is left."""
    frames, rng = [], np.random.default_rng(0)
    for seed in range(12):
        atoms = bulk("Cu", cubic=True)
        atoms.symbols[: seed % 4] = "Au"
        atoms.rattle(0.1, seed=seed)
        atoms.calc = EMT()
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        offset = atoms.symbols.count("Cu") * 5.0 + atoms.symbols.count("Au") * 7.0
        noise = 4 * 1e-3 * rng.uniform(-1, 1)
        atoms.calc = SinglePointCalculator(atoms, energy=energy + offset + noise, forces=forces)
        frames.append(atoms)
    (note,) = [
        one for one in crossprune.evaluate(EMT(), frames).attrs["notes"] if "constant per element" in one
    ]
    before, after = (float(one) for one in re.findall(r"MAE ([\d.]+) meV/atom, and ([\d.]+)", note)[0])
    assert 5000 < before < 7000
    assert 0 < after < 1
    for atoms in frames:  # rounding of other codes is no other zero
        exact = EMT().get_potential_energy(atoms)
        atoms.calc = SinglePointCalculator(atoms, energy=exact + 1e-7 * len(atoms), forces=atoms.get_forces())
    assert not any("constant" in one for one in crossprune.evaluate(EMT(), frames).attrs["notes"])
    fitted = crossprune.fit("mean", frames)
    assert not any(
        "constant per element" in one for one in crossprune.evaluate(fitted, frames).attrs["notes"]
    )


@pytest.mark.slow
def test_a_structure_of_ones_own_stays_and_elements_are_written(file, tmp_path, require_adapter):
    require_adapter("snap")
    potential = crossprune.fit("snap", read(file, ":"), options=SMALL)
    crossprune.export_potential(potential, tmp_path / "out")
    made = read(tmp_path / "out" / "structure.data", format="lammps-data", units="metal")
    assert set(made.symbols) == {"Cu"}
    (tmp_path / "out" / "structure.data").write_text("mine")
    again = crossprune.export_potential(potential, tmp_path / "out")
    assert (tmp_path / "out" / "structure.data").read_text() == "mine"
    assert any("was there already" in note for note in again.notes)
    assert any("1 Cu" in note for note in again.notes)


def test_a_store_is_no_potential(tmp_path):
    (tmp_path / "results.parquet").touch()
    with pytest.raises(StudyError, match="is the folder of a run, which has many potentials"):
        crossprune.load_potential(tmp_path)


@pytest.mark.slow
def test_all_frames_say_how_many_were_fitted_to(file, tmp_path, require_adapter):
    require_adapter("snap")
    done = crossprune.run(file.with_name("study.toml"), store=tmp_path / "store", workers=0)
    row = done.results.query("group == 'all' and fraction == 0.5").iloc[0]
    found = crossprune.evaluate(row, file, split="all", loading={"split_key": "part"})
    assert found["n_eval_configurations"].max() == 30
    assert any(
        "fitted to 10 frames" in note and "10 of which are among these" in note
        for note in found.attrs["notes"]
    )
