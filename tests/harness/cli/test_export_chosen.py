"""The set behind a row: of a study that only chooses, with a given set, by a method's plain name."""

from __future__ import annotations

import pytest
from ase.io import read
from crossprune.harness.cli.main import app
from crossprune.harness.errors import StudyError
from typer.testing import CliRunner

STUDY = """
[study]
name = "only choosing"
datasets = ["si-pbe"]
models = []
choosers = ["composition"]
fractions = [0.1, 0.2, 1.0]
seeds = [0]
budget = "labels"
given = ["diamond"]
[data.si-pbe]
smoke = true
"""


def cli(*words):
    found = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chosen")
    (folder / "study.toml").write_text(STUDY)
    cli("run", str(folder / "study.toml"), "--store", str(folder / "store"), "--workers", "0")
    return folder / "store"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fps", "fps, diamond given, labels budget"])
def test_the_chosen_set_of_a_study_without_models_can_be_written(store, tmp_path, method):
    words = ("export", str(store), "--chooser", "composition", "--method", method, "--seed", "0")
    cli(*words, "--fraction", "0.2", "--output", str(tmp_path / "one.extxyz"))
    frames = read(tmp_path / "one.extxyz", ":")
    groups = [atoms.info["group"] for atoms in frames]
    assert "diamond" in groups
    assert len(set(groups)) > 1
    cli(*words, "--fraction", "1.0", "--output", str(tmp_path / "all.extxyz"))
    assert len(read(tmp_path / "all.extxyz", ":")) > len(frames)


@pytest.mark.slow
def test_a_choice_that_is_no_longer_stored_is_one_error(store, tmp_path):
    import shutil

    other = tmp_path / "store"
    shutil.copytree(store, other)
    shutil.rmtree(other / "objects" / "selection")
    words = ["export", str(other), "--chooser", "composition", "--fraction", "0.2", "--output", "x.extxyz"]
    with pytest.raises(StudyError, match="no longer stored; run the study again"):
        CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.slow
def test_what_is_given_is_no_choice(store):
    """Sets that all hold it would overlap, and be alike in composition, whoever chose."""
    from crossprune.harness.analysis.answer import analyse
    from crossprune.harness.data.cards import DataOptions, load_dataset
    from crossprune.harness.selection.diagnostics import expected_jaccard

    tables = analyse(store)
    assert "diamond" not in set(tables["composition"]["category"])
    sizes = tables["composition"].groupby(["chooser", "fraction"])["n_chosen"].sum().unstack("chooser")
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    n_free = sum(dataset.groups[index] != "diamond" for index in dataset.indices("train"))
    for row in tables["overlap"].to_dict("records"):
        chance = expected_jaccard(n_free, *sizes.loc[row["fraction"]])
        assert row["jaccard_by_chance"] == pytest.approx(chance)
