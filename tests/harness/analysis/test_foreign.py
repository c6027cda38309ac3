"""Tables without a store: the same numbers, and one clear error for what is no table."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.comparisons import compare
from crossprune.harness.cli.main import app
from crossprune.harness.errors import StudyError
from typer.testing import CliRunner

FORCE = "force_mae_ev_per_angstrom"


@pytest.fixture
def results():
    source = np.random.default_rng(0)
    rows = [
        (
            chooser,
            "random" if chooser == "random" else "fps",
            fraction,
            seed,
            model,
            source.lognormal(0.0, 0.1),
        )
        for chooser in ("ace", "snap", "random")
        for fraction in (0.1, 0.5, 1.0)
        for seed in range(3)
        for model in ("ace", "snap")
    ]
    return pd.DataFrame(rows, columns=["chooser", "method", "fraction", "seed", "model", FORCE]).assign(
        dataset="x"
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_alone_gives_the_same_comparison(results, tmp_path, suffix):
    path = tmp_path / f"merged.{suffix}"
    results.to_csv(path, index=False) if suffix == "csv" else results.to_parquet(path)
    found = analyse(path)
    whole = results.assign(split="test", group="all", status="done")
    expected = compare(partial_errors(whole, FORCE, "test"), primary="own / other")["answer"]
    pd.testing.assert_frame_equal(found["answer"][expected.columns], expected, check_dtype=False)
    assert {"fractions", "scope", "choosers", "ranks", "sizes", "efficiency"} <= set(found)


def test_json_says_what_the_table_says(results, tmp_path):
    path = tmp_path / "merged.csv"
    results.to_csv(path, index=False)
    found = json.loads(CliRunner().invoke(app, ["analyze", str(path), "--json"]).stdout)
    row = analyse(path)["answer"].set_index(["model", "comparison"]).loc[("all", "own / other")]
    primary = found["primary"]
    assert primary["estimate"] == pytest.approx(row["ratio"])
    assert [primary[name] for name in ("low", "high", "p")] == pytest.approx(
        [row["low"], row["high"], row["p"]]
    )
    assert (primary["verdict"], primary["role"]) == (row["verdict"], "primary")
    assert len(found["tables"]["answer"]) == len(analyse(path)["answer"])


def test_the_verdict_comes_first_and_lines_are_short(results, tmp_path):
    path = tmp_path / "merged.csv"
    results.to_csv(path, index=False)
    lines = CliRunner().invoke(app, ["analyze", str(path), "--full"]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert next(line for line in lines if line) == "own / other, force error, test:"
    assert "on seeds alone and are too narrow" in " ".join(lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns=FORCE), "no column of errors"),
        (lambda table: table.drop(columns="model"), "lacks the column model"),
        (lambda table: table.assign(fraction="a tenth"), "fraction does not hold numbers"),
        (lambda table: table.assign(fraction=10.0), "fraction 10 is not in"),
        (lambda table: table.assign(chooser=np.nan), "chooser"),
        (lambda table: pd.concat([table, table.head(1)]), "1 rows are of a cell that another row has"),
        (lambda table: table.assign(seed=0.5), "seed 0.5 is no whole number"),
        (lambda table: table.assign(seed=np.nan), "seed"),
        (lambda table: table.assign(relation="Own"), "relation 'Own' is unknown"),
        (lambda table: table.replace({"model": {"snap": "all"}}), "stands for all of them"),
        (lambda table: table.assign(n_configurations="many"), "n_configurations does not hold numbers"),
        (lambda table: table.assign(**{FORCE: -1.0}), "below 0"),
        (lambda table: table.assign(**{FORCE: np.inf}), "is infinite in a row that is done"),
        (lambda table: table.assign(**{FORCE: 0.0}), "is 0 in a row that is done"),
        (lambda table: table.assign(n_labels="many"), "n_labels does not hold numbers"),
        (lambda table: table.assign(n_labels=0), "n_labels has a value that is no number of things"),
        (lambda table: table.assign(n_eval_configurations=-3.0), "n_eval_configurations has a value"),
        (lambda table: table.assign(n_eval_configurations=np.inf), "n_eval_configurations has a value"),
        (lambda table: table.assign(pool=0.2), "pool 0.2 is no whole number"),
        (lambda table: table.assign(dataset="all"), "the dataset 'all' stands for all of them"),
        (lambda table: table.head(0), "it has no rows"),
        (lambda table: table.assign(status="Done"), "no row has the status 'done'; there are Done"),
        (lambda table: table.assign(seed=table["seed"] * 1e30), "no whole number of 64 bits"),
        (lambda table: table.assign(group="bulk"), "no row is of the group 'all'"),
        (lambda table: table.assign(split="validation"), "of the split test or ood"),
    ],
)
def test_what_is_no_results_table_is_refused(results, tmp_path, change, words):
    path = tmp_path / "merged.csv"
    change(results).to_csv(path, index=False)
    with pytest.raises(StudyError, match=words):
        analyse(path)


@pytest.mark.parametrize("name", ["table.txt", "table.csv", "table.parquet"])
def test_garbage_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00\xff\x00garbage,\n")
    with pytest.raises(StudyError, match="table"):
        analyse(tmp_path / name)


def test_empty_cells_of_a_runs_own_table_lose_nothing(results, tmp_path):
    """In CSV, that no group is held out is an empty cell: the whole test part was gone, with exit 0."""
    whole = results.assign(pool=0, held_out="", flag="", reason="", split="test", group="all", status="done")
    whole.to_csv(tmp_path / "results.csv", index=False)
    found = analyse(tmp_path / "results.csv")["answer"]
    results.to_csv(tmp_path / "plain.csv", index=False)
    pd.testing.assert_frame_equal(found, analyse(tmp_path / "plain.csv")["answer"])


def test_fractions_that_differ_by_rounding_are_one(results, tmp_path):
    """0.1 × 3 of one program and 0.3 of another were two fractions with fewer seeds each."""
    path, plain = tmp_path / "merged.csv", tmp_path / "plain.csv"
    results = results.assign(fraction=results["fraction"].replace(results["fraction"].min(), 0.3))
    results.to_csv(plain, index=False)
    shifted = (results["seed"] == 0) & (results["fraction"] == 0.3)
    results.assign(fraction=results["fraction"].where(~shifted, 0.1 * 3)).to_csv(path, index=False)
    pd.testing.assert_frame_equal(analyse(path)["fractions"], analyse(plain)["fractions"])


def test_two_columns_of_one_name_are_refused(results, tmp_path):
    path = tmp_path / "merged.csv"
    pd.concat([results, results[["seed"]]], axis=1).to_csv(path, index=False)
    with pytest.raises(StudyError, match="two columns 'seed'"):
        analyse(path)


def test_names_that_look_like_nothing_or_steer_a_terminal_are_names(results, tmp_path):
    path = tmp_path / "merged.CSV"
    names = {"ace": "nan", "snap": "None\x1b[2J"}
    results.replace({"chooser": names, "model": names}).to_csv(path, index=False)
    expected = tmp_path / "plain.csv"
    results.to_csv(expected, index=False)
    found, plain = (analyse(one)["answer"].set_index("comparison") for one in (path, expected))
    assert found.loc["own / other", "ratio"].iloc[0] == pytest.approx(
        plain.loc["own / other", "ratio"].iloc[0]
    )
    said = CliRunner().invoke(app, ["analyze", str(path), "--full"]).stdout
    assert "\x1b" not in said
    assert "None�[2J" in said


def test_exploded_fits_of_older_tables_are_clipped(results, tmp_path):
    """Tables from before there were percentiles have five columns of mean errors."""
    path, bad = tmp_path / "old.csv", (results["model"] == "ace") & (results["chooser"] == "ace")
    old = results.assign(
        flag=np.where(bad, "exploded: x", ""), **{f"mean_{FORCE}": np.where(bad, 1.0, np.nan)}
    )
    old[FORCE] = old[FORCE].where(~bad, 1e17)
    old.to_csv(path, index=False)
    ratio = analyse(path)["answer"].set_index(["model", "comparison"]).loc[("all", "own / other"), "ratio"]
    assert 0.5 < ratio < 2.0


def test_a_path_that_is_not_there_is_said(tmp_path):
    with pytest.raises(StudyError, match="no such file or folder"):
        analyse(tmp_path / "missing.csv")


def test_another_separator_is_said(results, tmp_path):
    path = tmp_path / "merged.csv"
    results.to_csv(path, index=False, sep=";")
    with pytest.raises(StudyError, match="separated by commas"):
        analyse(path)
