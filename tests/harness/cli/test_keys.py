"""Keys of a file's labels and ``[data.NAME]`` tables, from the command line to what was read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.io import write
from crossprune.harness.cli import main as cli
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, group_of, stress_of
from crossprune.harness.engine.loading import data_options
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import DataError, StudyError
from typer.testing import CliRunner

KEYS = {"--energy-key": "REF_energy", "--forces-key": "REF_forces", "--stress-key": "REF_stress"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Twenty frames with labels under names of their own, in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(20):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        atoms.info |= {"REF_energy": -4.0 + rng.normal(), "REF_stress": 0.1 * np.eye(3), "kind": "hot"}
        atoms.arrays["REF_forces"] = rng.normal(0, 0.1, (4, 3))
        write("in.xyz", atoms, append=True, format="extxyz")
    return tmp_path / "in.xyz"


def study(**tables):
    axes = {"name": "t", "datasets": ["in.xyz"], "models": ["mean"], "fractions": [1.0], "seeds": [0]}
    return parse_study({"study": axes, **tables}, "study.toml")


def call(*words):
    done = CliRunner().invoke(cli.app, list(map(str, words)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def flags(**more):
    return [word for pair in {**KEYS, **more}.items() for word in pair]


def test_export_with_keys(data):
    with pytest.raises(
        DataError, match=r"give --energy-key REF_energy, or set energy_key.*\[data\.\"in\.xyz\"\]"
    ):
        call("export", "in.xyz", "-o", "out.extxyz")
    call("export", "in.xyz", "-o", "out.extxyz", *flags(**{"--group-key": "kind"}))
    dataset = load_dataset("out.extxyz")
    assert {group_of(atoms) for atoms in dataset.frames} == {"hot"}
    np.testing.assert_allclose(stress_of(dataset.frames[0]), [0.1] * 3 + [0] * 3, atol=1e-8)
    assert energy_of(dataset.frames[0]) != 0


@pytest.mark.slow
def test_run_and_evaluate_with_keys(data):
    (data.parent / "s.toml").write_text(
        '[study]\nname = "t"\ndatasets = ["in.xyz"]\nmodels = ["mean"]\nfractions = [0.5, 1.0]\nseeds = [0]\n'
    )
    assert call("run", "s.toml", "--store", "st", "--workers", "0", *flags()).exit_code == 0
    table = pd.read_parquet("st/results.parquet")
    assert set(table["status"]) == {"done"}
    assert set(table["dataset"]) == {"in.xyz"}
    [potential, *_] = sorted(data.parent.glob("st/objects/fit/*/*/potential"))
    with pytest.raises(DataError, match="give --energy-key REF_energy"):
        call("evaluate", potential, "--data", "in.xyz")
    assert call("evaluate", potential, "--data", "in.xyz", *flags()).exit_code == 0


def test_keys_on_the_command_line_go_before_those_of_the_table():
    given = study(data={"./in.xyz": {"energy_key": "a", "seed": 3}}).with_data([], {"energy_key": "b"})
    options = data_options(given, "in.xyz")
    assert (options.energy_key, options.seed) == ("b", 3)


def test_a_table_must_belong_to_a_data_set_of_the_run(data):
    with pytest.raises(StudyError, match=r"unknown data set 'inn\.xyz'; did you mean 'in\.xyz'\?"):
        data_options(study(data={"inn.xyz": {}}), "in.xyz")
    with pytest.raises(StudyError, match=r"\[data\]: energy_key belongs .*: \[data\.\"in\.xyz\"\]"):
        study(data={"energy_key": "x"})


def test_other_data_need_no_tables_of_the_study_s_own(data):
    (data.parent / "third.xyz").touch()
    given = study(data={"in.xyz": {"seed": 1}, "own.xyz": {"seed": 2}}).with_data(["./own.xyz"], {})
    assert data_options(given, "./own.xyz").seed == 2
    with pytest.raises(StudyError, match=r"unknown data set 'own\.xyz'"):
        data_options(study(data={"own.xyz": {}}).with_data(["third.xyz"], {}), "third.xyz")


@pytest.mark.parametrize("twice", [["in.xyz", "in.xyz"], ["in.xyz", "./in.xyz"]])
def test_a_data_set_given_twice(twice):
    with pytest.raises(StudyError, match=r"--data: .*(twice|give it once)"):
        study().with_data(twice, {})


def test_keys_are_for_files():
    with pytest.raises(StudyError, match="energy_key: for files of your own; the cards of si-pbe say how"):
        study().with_data(["si-pbe"], {"energy_key": "x"})
