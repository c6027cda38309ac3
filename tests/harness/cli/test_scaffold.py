"""A scaffolded adapter passes the whole contract, as a built-in one and from a package outside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crossprune.harness.cli import scaffold
from crossprune.harness.errors import StudyError

ROOT = Path(__file__).parents[3]


def crossprune(folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "160"}
    command = [sys.executable, "-m", "crossprune.harness.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder)


def install(package, site):
    """Install a package into a folder, without what it needs."""
    words = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    command = [sys.executable, "-m", "pip", "install", *words, str(package)]
    subprocess.run(command, check=True, capture_output=True)
    return site


@pytest.mark.slow
def test_a_package_outside_passes_the_contract_and_runs_in_a_study(tmp_path):
    scaffold.outside("zzhisto", tmp_path / "package")
    site = install(tmp_path / "package", tmp_path / "site")
    checked = crossprune(site, "check", "zzhisto")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout
    (site / "study.toml").write_text(
        '[study]\nname = "x"\ndatasets = ["si-pbe"]\nmodels = ["zzhisto"]\nchoosers = ["zzhisto"]\n'
        "fractions = [0.5]\nseeds = [0]\n[options.zzhisto]\nn_bins = 8\n[data.si-pbe]\nsmoke = true\n"
    )
    done = crossprune(site, "run", "study.toml", "--store", "out", "--workers", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 done" in done.stdout
    saved = next((site / "out" / "objects" / "fit").rglob("coefficients.txt"))
    read = crossprune(site, "evaluate", f"zzhisto:{saved.parent}", "--data", "si-pbe")
    assert read.returncode == 0, read.stderr
    assert "parts are those of its study" in read.stdout
    lost = crossprune(site, "evaluate", "zzhisto:nowhere", "--data", "si-pbe")
    assert lost.returncode == 2
    assert "nowhere holds no readable zzhisto potential" in lost.stderr
    listing = crossprune(site, "adapters").stdout
    assert "Smooth histograms of pair distances, with ridge regression." in listing
    assert re.search("all( others)? can be used", listing)


@pytest.mark.slow
def test_its_own_packages_are_an_extra_of_its_own(tmp_path):
    written = scaffold.outside("zzhisto", tmp_path / "package")
    settings = next(path for path in written if path.name == "pyproject.toml")
    settings.write_text(settings.read_text().replace("all = []", 'all = ["no-such-package>=2"]'))
    site = install(tmp_path / "package", tmp_path / "site")
    done = crossprune(site, "check", "zzhisto")
    assert done.returncode == 2
    command = f"pip install '{tmp_path / 'package'}[all]'"  # whence it was installed
    assert f"adapter 'zzhisto' needs no-such-package: {command}" in done.stderr


def entry_of(name):
    return scaffold.ENTRY.format(name=name, cls=name.capitalize())


@pytest.mark.slow
def test_in_a_checkout_the_table_stays_sorted_and_the_adapter_passes(tmp_path):
    checkout = tmp_path / "checkout"
    for name in ("api", "harness", "adapters", "datasets", "reports"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "changes").mkdir()
    written = scaffold.inside("zzhisto", checkout)
    assert all(path.is_file() for path in written)
    package = tmp_path / "crossprune"
    shutil.copytree(checkout, package)
    shutil.copy(checkout / "api" / "__init__.py", package)
    names = re.findall(
        r'^        name="(\w+)",$', (checkout / "adapters" / "__init__.py").read_text(), re.MULTILINE
    )
    assert "zzhisto" in names
    assert names == sorted(names)
    untouched = (ROOT / "adapters" / "__init__.py").read_text()
    assert (checkout / "adapters" / "__init__.py").read_text().replace(entry_of("zzhisto"), "") == untouched
    checked = crossprune(tmp_path, "check", "zzhisto")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("snap", "there is an adapter 'snap' already"),
        ("My-Model", "cannot name an adapter"),
        ("class", "'class' cannot name an adapter"),
    ],
)
def test_names_that_cannot_be_are_refused(name, message, tmp_path):
    with pytest.raises(StudyError, match=message):
        scaffold.outside(name, tmp_path / "new")


def test_a_shared_room_is_left_alone(tmp_path):
    (tmp_path / "adapters" / "linear").mkdir(parents=True)
    (tmp_path / "adapters" / "__init__.py").write_text(scaffold.HEAD + ")\n")
    with pytest.raises(StudyError, match="adapters/linear/ is a room that families share"):
        scaffold.inside("linear", tmp_path)


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StudyError, match="is not empty"):
        scaffold.outside("zzhisto", tmp_path)
    with pytest.raises(StudyError, match="is no checkout of crossprune"):
        scaffold.inside("zzhisto", tmp_path)


@pytest.mark.parametrize("name", ["x", "eam", "longername"])
def test_what_is_written_is_in_the_house_style(name, tmp_path):
    written = scaffold.outside(name, tmp_path / "package")
    for path in (one for one in written if one.suffix == ".py"):
        assert max(map(len, path.read_text().splitlines())) <= 110, path
    ruff = Path(sys.executable).with_name("ruff")
    if ruff.is_file():  # of `make lint`, where this runs with it
        settings = ["--config", str(ROOT / "pyproject.toml")]
        for words in (["format", "--check"], ["check", "--ignore", "INP"]):
            done = subprocess.run([ruff, *words, *settings, tmp_path], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
