from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import tarfile

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.cli.main import app
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import VOLATILE
from crossprune.harness.engine.study import parse_study, read_study
from crossprune.harness.engine.trials.published import needs
from crossprune.harness.store import upkeep
from crossprune.harness.store.objects import Store
from typer.testing import CliRunner

STUDY = """
[study]
name = "small"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [{fraction}]
seeds = [0]
models = ["mean"]
[data.si-pbe]
smoke = true
"""


@pytest.fixture
def study(tmp_path):
    def make(fraction=0.5, folder="s"):
        path = tmp_path / f"{fraction}.toml"
        path.write_text(STUDY.format(fraction=fraction))
        store = Store(tmp_path / folder)
        return path, store, run(read_study(path), store, SerialExecutor()).table

    return make


def call(*words):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["store", *map(str, words)])
    return done.exit_code, done.output


def test_a_whole_store_is_whole(study):
    _, store, _ = study()
    assert upkeep.verify(store).broken == ()
    assert upkeep.verify(store).orphans == ()
    code, output = call("verify", store.root)
    assert code == 0, output
    assert "all is whole" in output


@pytest.mark.parametrize(
    ("stage", "name", "said"),
    [("fit", "predictions.npz", "predictions.npz"), ("features", "features.npy", "features.npy")],
)
def test_a_truncated_file_is_found(study, stage, name, said):
    _, store, _ = study()
    path = next((store.root / "objects" / stage).rglob(name))
    path.write_bytes(path.read_bytes()[:-40])
    code, output = call("verify", store.root)
    assert code == 1
    assert said in output


def test_a_flipped_bit_in_an_archive_a_missing_file_and_a_lost_fit_are_found(study):
    _, store, _ = study()
    fits = sorted(path.parent for path in (store.root / "objects" / "fit").rglob("facts.json"))
    archive = fits[0] / "predictions.npz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    (fits[0] / "subset.npy").unlink()
    subprocess.run(["rm", "-r", str(fits[1])], check=True)
    broken = "\n".join(upkeep.verify(store).broken)
    assert "predictions.npz" in broken
    assert "subset.npy is missing" in broken
    assert f"fit {fits[1].name}: a record refers to it, and it is not there" in broken


def test_waste_is_what_no_record_refers_to(study):
    path, store, _ = study()
    store.write("fit", "ab" * 16, lambda folder: np.save(folder / "subset.npy", np.arange(3)))
    assert [one for one, _ in upkeep.find_waste(store).artefacts] == [("fit", "ab" * 16)]
    assert upkeep.find_waste(store, min_age_s=3600.0).artefacts == ()
    code, output = call("gc", store.root, "--min-age", 0)
    assert code == 0
    assert "would remove 1 artefacts" in output
    assert store.has("fit", "ab" * 16)
    call("gc", store.root, "--min-age", 0, "--delete")
    assert not store.has("fit", "ab" * 16)
    again = run(read_study(path), store, SerialExecutor())
    assert not +again.computed


def test_with_a_study_only_its_cells_are_kept(study):
    kept, store, table = study(0.5)
    study(0.25)
    code, output = call("gc", store.root, "--study", kept, "--min-age", 0, "--delete")
    assert code == 0, output
    assert "2 records" in output
    assert set(store.statuses()) == set(table["cell"])
    again = run(read_study(kept), store, SerialExecutor())
    assert not +again.computed
    pd.testing.assert_frame_equal(again.table, table)
    assert upkeep.verify(store).broken == ()


def test_merged_stores_hold_the_cells_of_both(study):
    first, store, one = study(0.5, "first")
    second, other, two = study(0.25, "second")
    code, output = call("merge", store.root, other.root)
    assert code == 0, output
    assert "2 records" in output
    for path, table in ((first, one), (second, two)):
        result = run(read_study(path), store, SerialExecutor())
        assert not +result.computed
        pd.testing.assert_frame_equal(result.table, table)
    assert call("merge", store.root, other.root)[1].startswith("brought in 0 artefacts, 0 records")


def test_stores_that_disagree_are_told_apart(study):
    _, store, _ = study(0.5, "first")
    _, other, table = study(0.5, "second")
    key = table["cell"].iloc[0]
    record = other.records([key])[key]
    record.rows[0]["energy_mae_mev_per_atom"] += 1e-9
    other.put([record])
    path = next((other.root / "objects" / "fit").rglob("predictions.npz"))
    np.savez(path, energies=np.zeros(3))
    conflicts = upkeep.merge(store, other).conflicts
    assert f"record {key}: other numbers" in conflicts
    assert any("predictions.npz" in one for one in conflicts)
    assert store.records([key])[key] != record


def test_exports_hold_every_cell(study, tmp_path):
    path, store, table = study(0.5)
    _, _, other = study(0.25)
    names = [tmp_path / name for name in ("all.csv", "one.parquet", "chosen.parquet", "files.tar")]
    assert call("export", store.root, names[0])[0] == 0
    assert set(pd.read_csv(names[0])["cell"]) == set(table["cell"]) | set(other["cell"])
    extra = ["--study", path, "--indices", names[2], "--artefacts", names[3]]
    code, output = call("export", store.root, names[1], *extra)
    assert code == 0, output
    missing = tmp_path / "not" / "there" / "all.csv"
    assert CliRunner().invoke(app, ["store", "export", str(store.root), str(missing)]).exit_code == 0
    assert missing.read_bytes() == names[0].read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(names[1]), table)
    chosen = pd.read_parquet(names[2]).set_index("cell")["indices"]
    sizes = table.drop_duplicates("cell").set_index("cell")["n_configurations"]
    assert {key: len(one) for key, one in chosen.items()} == sizes.to_dict()
    _, needed = needs(read_study(path), store)
    with tarfile.open(names[3]) as archive:
        assert {f"objects/{stage}/{key[:2]}/{key}" for stage, key in needed} <= set(archive.getnames())


def test_a_store_of_the_first_layout_is_brought_up_to_date(study):
    path, store, table = study(0.5)
    records = store.records(store.statuses())
    (store.root / "cells.sqlite").unlink()
    with contextlib.closing(sqlite3.connect(store.root / "cells.sqlite")) as database, database:
        database.execute("CREATE TABLE cells (key TEXT PRIMARY KEY, record TEXT NOT NULL)")
        for key, record in records.items():
            body = {name: getattr(record, name) for name in ("status", "reason", "rows", "facts")}
            database.execute("INSERT INTO cells VALUES (?, ?)", (key, json.dumps(body)))
    again = run(read_study(path), Store(store.root), SerialExecutor())
    assert not +again.computed
    pd.testing.assert_frame_equal(
        again.table.drop(columns=list(VOLATILE)), table.drop(columns=list(VOLATILE))
    )


def test_wrong_calls_are_explained(tmp_path, study):
    _, store, _ = study()
    for words, said in (
        (["verify", tmp_path / "none"], "is no store"),
        (["merge", store.root, store.root], "are the same store"),
        (["export", store.root, "x.xlsx"], r"allowed endings: .parquet, .csv"),
        (["export", store.root, "x.csv", "--artefacts", "y.tar"], "--artefacts needs --study"),
        (["export", store.root, store.root / "cells.sqlite" / "x.csv"], "give another place"),
    ):
        done = CliRunner().invoke(app, ["store", *map(str, words)])
        assert said in str(done.exception)


def test_unrecorded_inputs_of_a_study_are_needed(tmp_path):
    study = parse_study(
        {
            "study": {"name": "x", "datasets": ["si-pbe"], "models": ["mean"], "choosers": ["mean"]},
            "data": {"si-pbe": {"smoke": True}},
        },
        "x",
    )
    keys, artefacts = needs(study, Store(tmp_path))
    assert len(keys) == 2 * 4 * 3
    assert {stage for stage, _ in artefacts} == {"dataset", "prepare", "features", "selection"}
