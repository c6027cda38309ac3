"""However little a run has to say, it ends with a report: of full sets alone, or of failures."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.cli.main import app
from crossprune.harness.engine.results import COLUMNS, to_table
from crossprune.harness.store.tables import write_table
from crossprune.reports.page import write_report
from crossprune.reports.wording import measured
from typer.testing import CliRunner

TRIALS = """
[properties]
enabled = true
names = ["lattice"]
[md]
enabled = true
steps = 5
"""
FULL, HALF = [1.0], [0.5, 1.0]
NUMBERS = ["force_mae_ev_per_angstrom", "energy_mae_mev_per_atom"]


def study(choosers, fractions, models, more=""):
    axes = {"choosers": choosers, "fractions": fractions, "models": models, "seeds": [0]}
    lines = [f"{name} = {json.dumps(value)}" for name, value in axes.items()]
    return "\n".join(
        ["[study]", 'name = "x"', 'datasets = ["si-pbe"]', *lines, "[data.si-pbe]", "smoke = true", more]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param(study([], FULL, ["mean"]), 0, id="base lines"),
        pytest.param(study(["mean"], HALF, ["broken"], TRIALS), 1, id="every cell failed"),
        pytest.param(study(["broken"], HALF, ["mean"]), 1, id="chooser failed"),
        pytest.param(study([], [0.5], ["mean"]), 0, id="random alone"),
    ],
)
def test_every_command_that_reports_does(tmp_path, monkeypatch, text, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(text)
    page = tmp_path / "out" / "report.html"
    for words, expected in [
        (["run", "study.toml", "--store", "out", "--workers", "0"], code),
        (["nightly", "study.toml", "--store", "out", "--workers", "0"], 0),
        (["report", "out"], 0),
        (["analyze", "out", "--full"], 0),
    ]:
        page.unlink(missing_ok=True)
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == expected, done.output
        assert page.is_file() or words[0] == "analyze"


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e300])
@pytest.mark.parametrize("every", [1, 2])
def test_no_number_in_the_table_prevents_the_page(tmp_path, make_results, value, every):
    results = make_results(lambda *cell: 0.1)
    results.loc[results.index[::every], NUMBERS] = value
    page = write_report(results, tmp_path, {})
    assert page.stat().st_size > 0


@pytest.mark.parametrize("status", ["skipped", "failed", "timeout", "out_of_memory", "crashed"])
def test_a_table_without_a_finished_cell_is_a_page_of_failures(tmp_path, make_results, status):
    results = make_results(lambda *cell: np.nan, reason="because it was so").assign(status=status)
    text = write_report(results, tmp_path, {}).read_text()
    assert "No cell finished" in text
    assert "because it was so" in text
    assert '<a class="skip" href="#first">' in text
    assert 'id="first"' in text


def test_a_table_without_rows_is_a_page(tmp_path, make_results):
    results = make_results(lambda *cell: 0.1).iloc[:0]
    assert "0 cells" in write_report(results, tmp_path, {}).read_text()


def test_a_run_stopped_before_any_cell_ended_is_reported(tmp_path):
    write_table(to_table([]), tmp_path / "results.parquet")
    for command in ("report", "analyze"):
        done = CliRunner().invoke(app, [command, str(tmp_path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert "0 cells" in (tmp_path / "report.html").read_text()
    written = pd.read_csv(tmp_path / "results.csv")
    assert list(written.columns) == list(COLUMNS)
    assert written.empty


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [(np.inf, np.nan, "inf"), (np.inf, np.inf, "inf"), (1.25, np.inf, "1.25 ± inf"), (np.nan, 1.0, "–")],
)
def test_errors_beyond_all_numbers_are_worded(mean, error, text):
    assert measured(mean, error) == text


def test_an_empty_table_of_an_analysis_is_said_in_a_line(capsys):
    from crossprune.harness.cli.console import print_analysis
    from rich.console import Console

    print_analysis(Console(width=100), {"overlap": pd.DataFrame(columns=["dataset", "jaccard"])})
    assert "overlap of chosen sets (Jaccard): nothing to compare" in capsys.readouterr().out
