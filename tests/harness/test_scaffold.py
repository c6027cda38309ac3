"""A scaffolded adapter passes the whole contract, as a built-in one and from a package outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crossprune.harness import scaffold
from crossprune.harness.errors import StudyError

ROOT = Path(__file__).parents[2]


def crossprune(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "160"}
    command = [sys.executable, "-m", "crossprune.harness.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


@pytest.mark.slow
def test_a_package_outside_passes_the_contract_and_runs_in_a_study(tmp_path):
    scaffold.outside("histo", tmp_path / "package")
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
    ]
    subprocess.run(
        [*install, "--target", str(site), str(tmp_path / "package")], check=True, capture_output=True
    )
    checked = crossprune(site, "check", "histo")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout
    (site / "study.toml").write_text(
        '[study]\nname = "x"\ndatasets = ["si-pbe"]\nmodels = ["histo"]\nchoosers = ["histo"]\n'
        "fractions = [0.5]\nseeds = [0]\n[options.histo]\nn_bins = 8\n[data.si-pbe]\nsmoke = true\n"
    )
    done = crossprune(site, "run", "study.toml", "--store", "out", "--workers", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 done" in done.stdout


@pytest.mark.slow
def test_in_a_checkout_the_table_stays_sorted_and_the_adapter_passes(tmp_path):
    for name in ("harness", "adapters", "datasets", "reports"):
        shutil.copytree(
            ROOT / name, tmp_path / "crossprune" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    checkout = tmp_path / "crossprune"
    (checkout / "changes").mkdir()
    written = scaffold.inside("histo", checkout)
    assert all(path.is_file() for path in written)
    lines = [
        line
        for line in (checkout / "adapters" / "__init__.py").read_text().splitlines()
        if ".adapters." in line
    ]
    adapters = [line for line in lines if "_lammps" not in line]
    assert '    "histo": "crossprune.adapters.histo:Histo",' in adapters
    checked = crossprune(tmp_path, "check", "histo")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [("snap", "there is an adapter 'snap' already"), ("My-Model", "cannot name an adapter")],
)
def test_names_that_cannot_be_are_refused(name, message, tmp_path):
    with pytest.raises(StudyError, match=message):
        scaffold.outside(name, tmp_path / "new")


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StudyError, match="is not empty"):
        scaffold.outside("histo", tmp_path)
    with pytest.raises(StudyError, match="is no checkout of crossprune"):
        scaffold.inside("histo", tmp_path)
