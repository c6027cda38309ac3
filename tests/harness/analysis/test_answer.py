from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse, read_tests, stored_statistics
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import by_pool
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "x"
datasets = ["si-pbe"]
choosers = ["mean"]
methods = ["fps", "stratified"]
scalings = ["standard", "none"]
fractions = [0.25, 1.0]
seeds = [0, 1, 2]
models = ["mean"]
[data.si-pbe]
smoke = true
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    import tomllib

    folder = tmp_path_factory.mktemp("store")
    result = run(parse_study(tomllib.loads(STUDY), "x"), Store(folder), SerialExecutor())
    result.table.to_parquet(folder / "results.parquet")
    (folder / "provenance.json").write_text(json.dumps({"toml": STUDY}))
    return folder


@pytest.mark.parametrize(
    ("metric", "column"), [("force", "force_mae_ev_per_angstrom"), ("energy", "energy_mae_mev_per_atom")]
)
@pytest.mark.parametrize("split", ["test", "ood"])
def test_errors_per_configuration_average_to_the_table(root, metric, column, split):
    results = pd.read_parquet(root / "results.parquet")
    tests = read_tests(root, results, split)[metric]["si-pbe"]
    rows = results[(results["split"] == split) & (results["group"] == "all")]
    for row in rows.to_dict("records"):
        assert tests.sums[row["fit_key"]].sum() / tests.counts.sum() == pytest.approx(row[column], rel=1e-9)


def test_every_table_is_made_and_stored(root):
    tables = analyse(root)
    assert set(tables) == {
        "answer",
        "composition",
        "findings",
        "errors_by_force",
        "errors_by_distance",
        "mechanism",
        "leakage",
        "worth",
        "outcomes",
        "tradeoffs",
        "ood_groups",
        "choosers",
        "ranks",
        "efficiency",
        "enough",
        "matrix",
        "sizes",
        "fractions",
        "scope",
        "overlap",
        "chosen",
        "spaces",
    }
    for name, table in tables.items():
        assert len(table) > 0 or name == "scope", name  # one model is no square
        pd.testing.assert_frame_equal(pd.read_parquet(root / "analysis" / f"{name}.parquet"), table)
    ways = set(tables["choosers"]["comparison"])
    assert ways == {
        f"{way} / random" for way in ("mean · fps", "mean · fps, none scaling", "random · stratified")
    }
    assert np.isfinite(tables["chosen"]["coverage_max"]).all()


def test_statistics_are_computed_once_per_table(root):
    results = pd.read_parquet(root / "results.parquet")
    first = stored_statistics(root, results)
    path = root / "analysis" / "ranks.parquet"
    written = path.stat().st_mtime_ns
    stored_statistics(root, results)
    assert path.stat().st_mtime_ns == written
    other = results.assign(force_mae_ev_per_angstrom=2 * results["force_mae_ev_per_angstrom"])
    stored_statistics(root, other)
    assert path.stat().st_mtime_ns > written
    first["ranks"].assign(rank=-1.0).to_parquet(path, index=False)
    assert (stored_statistics(root, other)["ranks"]["rank"] > 0).all(), "somebody else's table was the answer"


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no finished run"):
        analyse(tmp_path)


def test_pools_are_compared_each_on_its_own_test_set(tmp_path):
    import tomllib

    text = STUDY.replace("seeds = [0, 1, 2]", "seeds = [0, 1]\npools = 2")
    run(parse_study(tomllib.loads(text), "x"), Store(tmp_path), SerialExecutor()).write(
        tmp_path / "results.parquet"
    )
    results = by_pool(pd.read_parquet(tmp_path / "results.parquet"))
    tests = read_tests(tmp_path, results, "test")["energy"]
    assert set(tests) == {"si-pbe, pool 0", "si-pbe, pool 1"}
    rows = results[(results["split"] == "test") & (results["group"] == "all")]
    for row in rows.to_dict("records"):
        known = tests[row["dataset"]]
        average = known.sums[row["fit_key"]].sum() / known.counts.sum()
        assert average == pytest.approx(row["energy_mae_mev_per_atom"], rel=1e-9)
    (tmp_path / "provenance.json").write_text(json.dumps({"toml": text}))
    tables = analyse(tmp_path)
    assert tables["answer"]["low_anywhere"].isna().all(), "pools are no sample of data sets"
    for name in ("efficiency", "overlap", "chosen", "spaces"):
        assert set(tables[name]["dataset"]) == set(tests), name
