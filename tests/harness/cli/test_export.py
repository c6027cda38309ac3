"""``crossprune export``: data sets and chosen sets as files that read back equal."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from crossprune.harness.cli import main as cli
from crossprune.harness.data import frames
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, group_of, stress_of
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store
from typer.testing import CliRunner

pytestmark = pytest.mark.slow  # loads the embedded set anew for each call

STUDY = """
[study]
name = "export"
datasets = ["si-pbe"]
choosers = ["mean"]
methods = ["fps"]
fractions = [0.25, 0.5]
seeds = [0, 1]
models = ["mean"]
[data.si-pbe]
smoke = true
"""


def export(*words):
    done = CliRunner().invoke(cli.app, ["export", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run whose chosen sets can be exported."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "study.toml").write_text(STUDY)
    words = ["run", str(folder / "study.toml"), "--store", str(folder / "out"), "--workers", "0"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    return folder / "out"


def chosen(root, **cell):
    table = pd.read_parquet(root / "results.parquet")
    for name, value in cell.items():
        table = table[table[name] == value]
    row = table.iloc[0]
    dataset = frames.load(Store(root).path("dataset", row["dataset_key"]))
    subset = np.load(Store(root).path("fit", row["fit_key"]) / "subset.npy")
    return [dataset.frames[index] for index in subset]


def test_data_frame_of_a_data_set_reads_back_equal(tmp_path):
    path = tmp_path / "train.pckl.gzip"
    assert "frames" in export("si-pbe", "--split", "train", "--output", path)
    dataset = load_dataset("si-pbe")
    expected = [dataset.frames[index] for index in dataset.indices("train")]
    table = pd.read_pickle(path, compression="gzip")
    assert list(table["ase_atoms"]) == expected
    assert list(table["energy"]) == [energy_of(atoms) for atoms in expected]
    assert all(np.array_equal(a, forces_of(b)) for a, b in zip(table["forces"], expected, strict=True))
    assert list(table["name"]) == [group_of(atoms) for atoms in expected]
    # One element: what is subtracted is the same for each atom.
    per_atom = (table["energy"] - table["energy_corrected"]) / [len(atoms) for atoms in expected]
    assert np.ptp(per_atom) < 1e-9


def test_extended_xyz_of_a_data_set_reads_back_with_groups_and_split(tmp_path):
    path = tmp_path / "all.extxyz"
    export("si-pbe", "--output", path)
    dataset = load_dataset("si-pbe")
    again = load_dataset(path, options=DataOptions(split_key="split", duplicates="keep"))
    assert again.split == dataset.split
    assert again.groups == dataset.groups
    for one, other in zip(again.frames, dataset.frames, strict=True):
        # ASE writes positions and forces with eight decimals.
        np.testing.assert_allclose(one.positions, other.positions, atol=6e-9)
        np.testing.assert_allclose(forces_of(one), forces_of(other), atol=6e-9)
        assert energy_of(one) == pytest.approx(energy_of(other), abs=1e-8)
        if stress_of(other) is not None:
            np.testing.assert_allclose(stress_of(one), stress_of(other), atol=1e-9)


def test_chosen_set_of_a_run(run, tmp_path):
    cell = {"chooser": "mean", "method": "fps", "fraction": 0.25, "seed": 1}
    words = [text for name, value in cell.items() for text in (f"--{name}", value)]
    export(run, *words, "--output", tmp_path / "chosen.file", "--format", "pacemaker")
    table = pd.read_pickle(tmp_path / "chosen.file", compression="gzip")
    assert list(table["ase_atoms"]) == chosen(run, **cell)


def test_a_vague_description_lists_what_there_is(run, tmp_path):
    path = tmp_path / "chosen.extxyz"
    with pytest.raises(StudyError, match=r"2 chosen sets .* fit; --seed: 0, 1$"):
        export(run, "--chooser", "mean", "--fraction", "0.5", "--output", path)
    with pytest.raises(
        StudyError, match=r"0 chosen sets .* fit; --chooser: mean, random; .*--fraction: 0.25"
    ):
        export(run, "--chooser", "mean", "--fraction", "0.3", "--output", path)
    with pytest.raises(StudyError, match=r"unknown chooser 'nope'; known: mean, random"):
        export(run, "--chooser", "nope", "--output", path)
    with pytest.raises(StudyError, match=r"unknown data set 'si-pb'; did you mean 'si-pbe'"):
        export(run, "--data", "si-pb", "--output", path)
    with pytest.raises(StudyError, match="--split is for a data set"):
        export(run, "--split", "test", "--output", path)
    assert not path.exists()


def test_wrong_calls_say_what_is_allowed(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"cannot write .*file/a\.xyz: .*; give another place"):
        export("si-pbe", "--output", tmp_path / "file" / "a.xyz")
    with pytest.raises(StudyError, match=r"cannot write /proc/a\.xyz: .*; give another place"):
        export("si-pbe", "--output", "/proc/a.xyz")
    with pytest.raises(StudyError, match=r"--chooser, --seed: for the folder of a finished run"):
        export("si-pbe", "--chooser", "snap", "--seed", 0, "--output", tmp_path / "a.xyz")
    with pytest.raises(StudyError, match="unknown format 'pacemakr'; did you mean 'pacemaker'"):
        export("si-pbe", "--format", "pacemakr", "--output", tmp_path / "a.xyz")
    with pytest.raises(StudyError, match=r"a.dat: the format is not clear; give --format.*\.pckl\.gzip"):
        export("si-pbe", "--output", tmp_path / "a.dat")
    with pytest.raises(StudyError, match="unknown split 'trai'; did you mean 'train'"):
        export("si-pbe", "--split", "trai", "--output", tmp_path / "a.xyz")


NAMES = [
    "T",
    "1.10",
    "0010",
    "1e3",
    "a\\b",
    "1 2 3",
    'a\\"b',
    "_JSON {}",
    "[1,2]",
    "plain",
    "3",
    " lead",
    "a=b",
    "ü",
]


def test_names_of_groups_survive_and_notes_are_printed(tmp_path):
    rows = []
    with connect(tmp_path / "in.db") as database:
        for seed in range(2 * len(NAMES)):
            atoms = bulk("Cu", cubic=True)
            atoms.rattle(0.05, seed=seed)
            forces = np.random.default_rng(seed).normal(size=(4, 3))
            atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=forces)
            rows.append(NAMES[seed % len(NAMES)])
            database.write(atoms, data={"group": rows[-1]})
    assert "warning: the energy of all 28 frames" in export(tmp_path / "in.db", "-o", tmp_path / "out.xyz")
    assert list(load_dataset(tmp_path / "out.xyz").groups) == rows
    with pytest.raises(StudyError, match=r"out\.xyz is the file that is read"):
        export(tmp_path / "out.xyz", "-o", tmp_path / "out.xyz")
