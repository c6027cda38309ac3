"""``crossprune evaluate``: frames that a model was fitted to are never called test."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.adapters.mean import MeanPotential
from crossprune.harness.cli import main as cli
from crossprune.harness.data.frames import load
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.evaluation.metrics import METRICS
from typer.testing import CliRunner

pytestmark = pytest.mark.slow  # runs a study

STUDY = """
[study]
name = "t"
datasets = ["in.xyz"]
models = ["mean"]
fractions = [0.5]
seeds = [0]
[data."in.xyz"]
seed = 7
ood_groups = ["far"]
"""


def call(*words):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, list(map(str, words)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def rows(output):
    """Return part and group of each printed row, with its numbers as they are printed."""
    found, part = {}, ""
    for line in output.splitlines():
        if line.startswith("part: "):
            part = line.removeprefix("part: ").strip()
        if "│" in line:
            group, *numbers = [one.strip() for one in line.split("│")[1:-1]]
            found[part, group] = numbers
    return found


def frames(n_frames, seed):
    rng = np.random.default_rng(seed)
    made = []
    for index in range(n_frames):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        atoms.info["group"] = ("hot", "cold", "far")[index % 3]
        results = {
            "energy": -4 + rng.normal(),
            "forces": rng.normal(size=(4, 3)),
            "stress": rng.normal(size=6),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished study of a file, whose split has a seed of its own and a group held out."""
    folder = tmp_path_factory.mktemp("run")
    write(folder / "in.xyz", frames(60, 0), format="extxyz")
    (folder / "s.toml").write_text(STUDY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        call("run", "s.toml", "--store", "st", "--workers", "0")
    return folder


@pytest.fixture
def potential(run, monkeypatch):
    monkeypatch.chdir(run)
    [found] = run.glob("st/objects/fit/*/*/potential")
    return found


def test_a_stored_potential_has_the_numbers_of_the_results_table(run, potential):
    said = call("evaluate", potential)
    assert "fitted to" in said
    found = rows(said)
    table = pd.read_parquet(run / "st" / "results.parquet")
    assert set(found) == set(zip(table["split"], table["group"], strict=True))
    for row in table.to_dict("records"):
        n_frames, *numbers = found[row["split"], row["group"]]
        assert int(n_frames) == row["n_eval_configurations"]
        digits = (2, 2, 4, 4, 3)
        assert numbers == [f"{row[name]:.{n}f}" for name, n in zip(METRICS[:5], digits, strict=True)]


@pytest.mark.parametrize(
    "how", [[], ["--seed", "3"], ["--test-fraction", "0.5"], ["--split-method", "random"]]
)
def test_the_same_data_keep_the_split_and_subset_of_the_store(run, potential, how):
    said = call("evaluate", potential, "--data", "in.xyz", *how)
    assert rows(said) == rows(call("evaluate", potential))
    assert ("not used" in said) == bool(how)


def test_frames_that_were_fitted_to_are_called_chosen(run, potential):
    n_chosen = len(np.load(potential.parent / "subset.npy"))
    for words in (["--split", "chosen"], ["--split", "chosen", "--data", "in.xyz"]):
        found = rows(call("evaluate", potential, *words))
        assert int(found["chosen", "all"][0]) == n_chosen
        assert {part for part, _ in found} == {"chosen"}
    assert {part for part, _ in rows(call("evaluate", potential, "--split", "train"))} == {
        "chosen",
        "remainder",
    }


def test_frames_of_another_file_keep_their_parts_in_any_order_and_others_are_new(run, potential):
    study = read("in.xyz", ":")
    write("more.xyz", [*frames(5, 1), *study[::-1]], format="extxyz")
    said = call("evaluate", potential, "--data", "more.xyz")
    assert "another data set: 5 of its 65 frames are new" in said
    expected, found = rows(call("evaluate", potential)), rows(said)
    for part in ("test", "ood", "remainder"):
        np.testing.assert_allclose(
            np.array(found[part, "all"], float), np.array(expected[part, "all"], float), atol=1e-3
        )
    assert found["new", "all"][0] == "5"


@pytest.mark.parametrize("way", ["wrapped", "reversed", "printed", "turned"])
def test_frames_written_in_another_way_keep_their_parts(run, potential, way):
    study = []
    for atoms in read("in.xyz", ":"):
        results = dict(atoms.calc.results)
        if way == "wrapped":
            atoms.positions += [9.0, -4.0, 2.0]
            atoms.wrap()
        if way == "printed":
            atoms.positions = atoms.positions.round(6)
        if way == "turned":
            atoms.rotate(30.0, (1, 2, 3), rotate_cell=True)
        if way == "reversed":
            atoms = atoms[::-1]
            results["forces"] = results["forces"][::-1]
        atoms.calc = SinglePointCalculator(atoms, **results)
        study.append(atoms)
    write("rewritten.xyz", study, format="extxyz")
    said = call("evaluate", potential, "--data", "rewritten.xyz")
    assert "another data set" not in said
    expected, found = rows(call("evaluate", potential)), rows(said)
    assert {key: row[0] for key, row in found.items()} == {key: row[0] for key, row in expected.items()}


def test_another_data_set_is_called_one(run, potential):
    write("other.xyz", frames(30, 2), format="extxyz")
    said = call("evaluate", potential, "--data", "other.xyz", "--seed", "4", "--test-fraction", "0.5")
    assert "another data set, without a frame in common" in said
    assert "part 'test', as nothing else was asked for, of a split" in said
    assert "50 % for test from each group, seed 4" in said
    assert rows(said)["test", "all"][0] == "15"
    with pytest.raises(StudyError, match="--split chosen: for the data of the study"):
        call("evaluate", potential, "--data", "other.xyz", "--split", "chosen")


def test_a_potential_of_unknown_origin_says_so(run, potential, tmp_path):
    shutil.copytree(potential, tmp_path / "copy")
    said = call("evaluate", tmp_path / "copy", "--data", "in.xyz", "--split", "train")
    assert "part 'train', as asked for, of a split that was drawn" in said
    assert "not known" in said
    assert "of the split that it comes with" in call("evaluate", "lammps:sw:Si.sw", "--data", "si-pbe")
    with pytest.raises(StudyError, match="not in a store, so nobody knows its data; give --data"):
        call("evaluate", tmp_path / "copy")


def test_the_parts_of_a_file_are_taken_by_their_key(run, potential, tmp_path):
    shutil.copytree(potential, tmp_path / "copy")
    marked = frames(12, 3)
    for index, atoms in enumerate(marked):
        atoms.info["part"] = "test" if index < 5 else "train"
    write("marked.xyz", marked, format="extxyz")
    said = call("evaluate", tmp_path / "copy", "--data", "marked.xyz", "--split-key", "part")
    assert "of the split that its 'part' says" in said
    assert rows(said)["test", "all"][0] == "5"


def test_options_of_a_split_need_data(potential):
    with pytest.raises(StudyError, match="--split-method, --seed: for the data set of --data"):
        call("evaluate", potential, "--seed", "1", "--split-method", "random")
    with pytest.raises(StudyError, match="unknown value 'radnom'; did you mean 'random'"):
        call("evaluate", potential, "--data", "in.xyz", "--split-method", "radnom")
    with pytest.raises(StudyError, match="test_fraction must lie between 0 and 1"):
        call("evaluate", potential, "--data", "in.xyz", "--test-fraction", "1.5")


@pytest.mark.parametrize(
    ("lost", "content"),
    [
        ("dataset", ""),
        ("subset.npy", "[]"),
        ("facts.json", "[]"),
        ("facts.json", "[" * 100_000),
        ("facts.json", '{"dataset_key": "../../../../elsewhere"}'),
    ],
)
def test_a_store_that_is_not_whole_is_one_clear_error(run, potential, tmp_path, lost, content):
    shutil.copytree(run / "st", tmp_path / "st")
    [fit] = (tmp_path / "st" / "objects" / "fit").glob("*/*")
    if lost == "dataset":
        shutil.rmtree(tmp_path / "st" / "objects" / "dataset")
    else:
        (fit / lost).write_text(content)
    with pytest.raises(DataError, match="does not hold whole what this potential was fitted to"):
        call("evaluate", fit / "potential", "--data", "in.xyz")


def test_no_data_set_outside_the_store_is_read(run, potential, tmp_path):
    shutil.copytree(run / "st", tmp_path / "st")
    [fit] = (tmp_path / "st" / "objects" / "fit").glob("*/*")
    [dataset] = (tmp_path / "st" / "objects" / "dataset").glob("*/*")
    dataset.rename(tmp_path / "elsewhere")
    (fit / "facts.json").write_text(json.dumps({"dataset_key": str(tmp_path / "elsewhere")}))
    with pytest.raises(DataError, match="is no artefact"):
        call("evaluate", fit / "potential")


def test_a_store_that_cannot_be_written_is_evaluated(run, potential, tmp_path):
    shutil.copytree(run / "st" / "objects", tmp_path / "st" / "objects")
    [copy] = tmp_path.glob("st/objects/fit/*/*/potential")
    before = sorted(tmp_path.rglob("*"))
    assert rows(call("evaluate", copy)) == rows(call("evaluate", potential))
    assert sorted(tmp_path.rglob("*")) == before
    [dataset] = tmp_path.glob("st/objects/dataset/*/*")
    assert load(dataset).split.count("ood") == 20


def test_predictions_that_are_no_numbers_are_one_clear_error(run, potential, tmp_path):
    MeanPotential({"Cu": 1e308}).save(tmp_path / "huge")
    with pytest.raises(
        DataError, match="mean potential predicts energies or forces that are NaN or infinite"
    ):
        call("evaluate", tmp_path / "huge", "--data", "in.xyz")
