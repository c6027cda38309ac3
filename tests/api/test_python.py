"""The Python API on frames, rows and dictionaries: what it takes, what it gives, and what it refuses."""

from __future__ import annotations

import subprocess
import sys

import crossprune
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from crossprune.harness.engine.study import document_of, parse_study, to_toml
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.tables import parse_toml

STUDY = {
    "study": {"name": "t", "datasets": ["si-pbe"], "models": ["mean"], "fractions": [0.5], "seeds": [0]},
    "data": {"si-pbe": {"smoke": True}},
}


NOTHING = {"energy": 0.0, "forces": 0.0}


def copper(n_frames=6, seed=0):
    rng, frames = np.random.default_rng(seed), []
    for index in range(n_frames):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        atoms.info["group"] = "hot" if index % 2 else "cold"
        atoms.calc = EMT()
        frames.append(atoms)
    return frames


def test_a_calculator_has_no_error_on_its_own_labels():
    errors = crossprune.evaluate(EMT(), copper())
    assert errors["part"].unique().tolist() == ["given"]
    assert errors["group"].tolist() == ["all", "cold", "hot"]
    assert errors["n_eval_configurations"].tolist() == [6, 3, 3]
    columns = ["energy_mae_mev_per_atom", "force_rmse_ev_per_angstrom", "stress_mae_gpa"]
    assert errors[columns].to_numpy() == pytest.approx(0.0, abs=1e-9)
    assert "is not known" in errors.attrs["notes"][0]


def test_a_fit_leaves_the_frames_as_they_are():
    frames = copper()
    plain = crossprune.fit("mean", frames)
    assert all(isinstance(atoms.calc, EMT) for atoms in frames)
    assert plain.elements == ("Cu",)
    mean = np.mean([atoms.get_potential_energy() for atoms in frames])
    atoms = frames[0].copy()
    atoms.calc = plain.calculator()
    assert atoms.get_potential_energy() == pytest.approx(mean, rel=1e-9)


@pytest.mark.parametrize(
    ("adapter", "how", "says"),
    [
        ("maen", {}, "did you mean 'mean'"),
        ("composition", {}, "is a descriptor without a model"),
        ("mean", {"options": {"x": 1}}, "unknown key 'x'"),
        ("mean", {"weights": {"cold": NOTHING, "hot": NOTHING}}, "nothing to fit"),
        ("mean", {"weights": {"hot": {"energy": -1.0}}}, "weights: hot: energy is -1; give 0, or a number"),
        ("mean", {"weights": {"warm": {"energy": 2.0}}}, "unknown group 'warm'"),
    ],
)
def test_a_fit_says_what_is_wrong_with_it(adapter, how, says):
    with pytest.raises(StudyError, match=says):
        crossprune.fit(adapter, copper(2), **how)


def test_frames_without_labels_are_refused_with_the_remedy():
    frames = copper(2)
    frames[1].calc = None
    with pytest.raises(DataError, match="frame 1 has no labels; attach them"):
        crossprune.fit("mean", frames)
    frames[1].calc = Calculator()
    with pytest.raises(DataError, match="frame 1: its calculator knows no"):
        crossprune.evaluate(EMT(), frames)
    with pytest.raises(DataError, match="there are no frames"):
        crossprune.fit("mean", [])


def test_frames_without_labels_can_be_described():
    frames = copper(12)
    for atoms in frames:
        atoms.calc = None
    found = crossprune.describe(frames, choosers=["composition"])
    assert {"findings", "worth"} <= set(found.tables)
    assert "one pool" in found.notes["frames"][0]
    assert found.sentences
    with pytest.raises(StudyError, match="whose latent space"):
        crossprune.describe(frames)


def test_a_row_must_say_its_store():
    with pytest.raises(StudyError, match="does not say its store; give store=FOLDER"):
        crossprune.load_potential({"fit_key": "0" * 32})
    with pytest.raises(StudyError, match="has no potential: status failed: ValueError"):
        crossprune.load_potential({"status": "failed", "reason": "…\nValueError", "store": "x"})


@pytest.mark.parametrize("reason", [None, "", " \n", "x\nlast"])
def test_a_row_without_a_potential_says_why(reason):
    row = {"fit_key": "", "store": "here", "status": "failed", "reason": reason}
    with pytest.raises(StudyError, match=r"status failed: (no fit_key|last)"):
        crossprune.load_potential(row)


def test_gaps_of_joined_tables_are_no_store_and_no_potential():
    with pytest.raises(StudyError, match="does not say its store"):
        crossprune.load_potential({"fit_key": "a", "store": np.nan})
    with pytest.raises(StudyError, match="status done: no fit_key"):
        crossprune.load_potential({"fit_key": np.nan, "store": "here", "status": "done"})


@pytest.mark.parametrize("source", [None, 3, EMT()])
def test_what_is_no_potential_is_said(source):
    with pytest.raises(StudyError, match="is no potential"):
        crossprune.load_potential(source)


@pytest.mark.parametrize("energies", [{}, {"Au": 0.0}, {"Cu": "0"}, {"Cu": np.nan}])
def test_isolated_atoms_are_of_all_elements(energies):
    with pytest.raises(StudyError, match="isolated_atom_energies: Cu"):
        crossprune.fit("mean", copper(), isolated_atom_energies=energies)


def test_a_study_is_the_same_as_toml():
    study = parse_study({**STUDY, "options": {"ace": {"max_degrees": [6, 4]}}}, "s")
    text = to_toml(document_of(study))
    assert parse_study(parse_toml(text.encode(), "s"), "s") == study


@pytest.mark.slow
def test_a_file_a_dictionary_and_a_study_have_the_same_results(tmp_path):
    (tmp_path / "s.toml").write_text(to_toml(STUDY))
    stores = {"file": tmp_path / "s.toml", "dictionary": STUDY, "study": parse_study(STUDY, "s")}
    said: list[str] = []
    keys = []
    for name, study in stores.items():
        done = crossprune.run(
            study, store=tmp_path / name, workers=0, on_progress=lambda what, _: said.append(what)
        )
        keys.append(done.results["fit_key"].tolist())
        assert done.statuses == {"done": 1}
        assert done.properties is None
        assert done.report.is_file()
        assert len(done.failed) == 0
    assert keys[0] == keys[1] == keys[2]
    assert set(said) == {"cells"}
    with pytest.raises(StudyError, match=r"has no table 'md'.*\[md\]"):
        crossprune.results(tmp_path / "file", "md")
    row = crossprune.results(tmp_path / "file").iloc[0]
    errors = crossprune.evaluate(row)
    assert set(errors["part"]) == {"test", "ood", "remainder"}
    here = errors[(errors["part"] == row["split"]) & (errors["group"] == row["group"])].iloc[0]
    assert here["force_mae_ev_per_angstrom"] == pytest.approx(row["force_mae_ev_per_angstrom"])
    chosen = crossprune.load_frames(tmp_path / "file", chooser="random")
    assert len(chosen) == row["n_configurations"]


@pytest.mark.slow
def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import crossprune\nprint('once')\nprint(crossprune.run({STUDY!r}, store='st').statuses)\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["once", "{'done': 1}"]
