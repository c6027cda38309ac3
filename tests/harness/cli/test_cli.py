from __future__ import annotations

import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from crossprune.harness.cli.main import app
from typer.testing import CliRunner

STUDY = """
[study]
name = "cli"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [0.5]
seeds = [0]
models = ["mean"{more}]
[data.si-pbe]
smoke = true
"""


@pytest.fixture
def crossprune(tmp_path):
    def call(*words):
        command = [sys.executable, "-m", "crossprune.harness.cli.main", *map(str, words)]
        environment = {**os.environ, "COLUMNS": "160"}
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)

    return call


@pytest.mark.slow
def test_run_writes_table_and_report_and_says_where(crossprune, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.format(more=""))
    done = crossprune("run", "study.toml", "--store", "out", "--workers", 1)
    assert done.returncode == 0, done.stderr
    for name in ("results.parquet", "report.html", "results.csv", "provenance.json"):
        assert (tmp_path / "out" / name).stat().st_size > 0
    assert str(tmp_path / "out" / "report.html") in done.stdout
    assert "2 done" in done.stdout
    analysed = crossprune("analyze", "out")
    assert analysed.returncode == 0, analysed.stderr
    assert "own / random" in analysed.stdout
    assert "The data are a smoke subset" in analysed.stdout
    assert (tmp_path / "out" / "analysis" / "answer.parquet").is_file()
    again = crossprune("run", "study.toml", "--store", "out", "--workers", 1)
    assert again.returncode == 0
    assert "nothing, all was in the store" in again.stdout
    (tmp_path / "out" / "report.html").unlink()
    assert crossprune("report", "out").returncode == 0
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
def test_failed_cells_give_exit_code_1_and_a_complete_table(crossprune, tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.format(more=', "broken"'))
    done = crossprune("run", "study.toml", "--store", "out", "--workers", 0)
    assert done.returncode == 1, done.stderr
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert table.drop_duplicates("cell")["status"].value_counts().to_dict() == {"done": 2, "failed": 2}
    assert "always raises" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "none.toml"], "no such file: none.toml"),
        (["run", "none.toml", "--retry", "faild"], "unknown status 'faild'; did you mean 'failed'"),
        (["report", "."], "holds no finished run"),
        (["check", "snpa"], "unknown adapter 'snpa'; did you mean 'snap'"),
        (["evaluate", "nothing", "--data", "si-pbe"], "neither a folder with a saved potential nor SCHEME"),
        (["evaluate", "lamps:sw:Si.sw", "--data", "si-pbe"], "unknown scheme 'lamps'; did you mean 'lammps'"),
        (["evaluate", "lammps:sw:Si.sw", "--data", "si-pbe", "--split", "tset"], "unknown split 'tset'"),
        (
            ["properties", "lammps:sw:Si.sw", "--data", "si-pbe", "--name", "Lattice"],
            "did you mean 'lattice'",
        ),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_calls_give_exit_code_2_and_one_clear_message(crossprune, words, message):
    done = crossprune(*words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_every_command_has_an_example():
    runner = CliRunner()
    listing = runner.invoke(app, ["--help"]).output
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert {"run", "demo", "report", "datasets", "adapters", "check", "evaluate"} <= set(commands)
    for command in commands:
        assert command in listing
        assert re.search(r"Example:\s+crossprune", runner.invoke(app, [command, "--help"]).output), command


def test_small_options_that_everybody_tries():
    runner = CliRunner()
    assert re.match(r"crossprune \d+\.\d+", runner.invoke(app, ["--version"]).output)
    for words in ([], ["run"], ["store", "gc"]):
        assert runner.invoke(app, [*words, "-h"]).output == runner.invoke(app, [*words, "--help"]).output
    assert "--install-completion" in runner.invoke(app, ["-h"], env={"COLUMNS": "160"}).output


def test_lists_of_adapters_and_data_sets_are_complete():
    runner = CliRunner(env={"COLUMNS": "200"})
    adapters = runner.invoke(app, ["adapters"]).output
    assert all(name in adapters for name in ("snap", "gap", "mean"))
    assert "broken" not in adapters  # a family for tests
    datasets = runner.invoke(app, ["datasets"]).output
    assert all(name in datasets for name in ("si-pbe", "mlearn-Mo", "monbtaw"))


@pytest.mark.slow
def test_evaluate_prints_the_published_errors(crossprune, data_folder, require_adapter):
    require_adapter("snap")
    data_folder("mlearn")
    done = crossprune("evaluate", "lammps:snap:Mo_Zuo_JPCA2020", "--data", "mlearn-Mo")
    assert done.returncode == 0, done.stderr
    assert "5.48" in done.stdout
    assert "0.2065" in done.stdout
    assert "9.25" in done.stdout
    assert "0.3760" in done.stdout
