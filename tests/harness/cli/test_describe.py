"""``crossprune describe``: spaces before anything is run, of data sets, files and studies."""

from __future__ import annotations

import json

import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from crossprune.harness.cli.layout import WIDTH
from crossprune.harness.cli.main import app
from crossprune.harness.errors import UserError
from typer.testing import CliRunner


def described(*words):
    done = CliRunner().invoke(app, ["describe", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def rows(*words):
    tables = json.loads(described(*words, "--json"))["tables"]
    return {name: [*one] for name, one in tables.items()}


def copper(seed, *, labels):
    atoms = bulk("Cu", cubic=True, a=3.5 + 0.01 * (seed // 2))
    atoms.rattle(0.02 if seed % 2 else 0.15, seed=seed)
    atoms.info["group"] = "cold" if seed % 2 else "hot"
    if labels:
        atoms.calc = EMT()
        atoms.get_forces()
    return atoms


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, labels in (("labelled.xyz", True), ("bare.xyz", False)):
        write(name, [copper(seed, labels=labels) for seed in range(40)], format="extxyz")


@pytest.mark.slow
def test_all_three_tables_and_a_verdict_in_80_columns():
    text = described("si-pbe", "--chooser", "mean", "--chooser", "composition", "--pooling", "mean_std")
    for words in ("findings: ", "leakage: ", "worth: ", "have a copy by symmetry in train", "not known"):
        assert words in text
    tables = text[text.index("findings:") :]
    assert max(map(len, tables.splitlines())) <= WIDTH


def test_a_file_without_labels_is_one_pool(files):
    text = described("bare.xyz", "--chooser", "mean")
    assert "no labels (bare.xyz, frame 0: no energy" in text
    assert "all 40 frames are one pool" in text
    assert "leakage" in text
    assert rows("bare.xyz", "--chooser", "mean")["leakage"] == []


def test_the_split_of_a_file_is_looked_at(files):
    at_random = rows("labelled.xyz", "--chooser", "mean", "--pooling", "mean_std")["leakage"]
    assert [one["part"] for one in at_random] == ["test"]
    by_group = rows("labelled.xyz", "--chooser", "mean", "--pooling", "mean_std", "--split-method", "groups")
    assert by_group["leakage"][0]["of_group_split"] == 1.0


def test_a_study_says_what_to_look_at(files, tmp_path):
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "x"\ndatasets = ["labelled.xyz"]\nmodels = []\nchoosers = ["mean", "composition"]\n'
        'poolings = ["mean", "max"]\n[data."labelled.xyz"]\ntest_fraction = 0.3\n'
    )
    found = rows("study.toml")
    assert {(one["chooser"], one["pooling"]) for one in found["worth"]} == {
        (chooser, pooling) for chooser in ("mean", "composition") for pooling in ("mean", "max")
    }
    assert found["leakage"][0]["n_tested"] == 12
    assert {one["chooser"] for one in rows("study.toml", "--chooser", "mean")["worth"]} == {"mean"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["si-pbe"], "whose latent space\\? give --chooser NAME: ace"),
        (["si-pbe", "--chooser", "maen"], "unknown adapter 'maen'; did you mean 'mean'"),
        (["si-pbe", "--chooser", "mean", "--space", "atom"], "unknown space 'atom'"),
        (["si-pbe", "--chooser", "mean", "--scaling", "pca:x"], "give a whole number of principal axes"),
        (["si-pbe", "--chooser", "mean", "--pooling", "avg"], "unknown pooling 'avg'"),
        (["si-pbe", "--chooser", "mean", "--energy-key", "e"], "the \\*_key options are for files"),
        ([".", "--chooser", "mean"], "is a folder; spaces of a store: crossprune analyze"),
        (["absent.xyz", "--chooser", "mean"], "no such file"),
        (
            ["si-pbe", "--chooser", "mean", "--space", "rows"],
            "mean has no space .rows., and is not looked at in it",
        ),
    ],
)
def test_what_cannot_be_is_one_error(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(app, ["describe", *words], catch_exceptions=False)
