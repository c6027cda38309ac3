"""A store that cannot be written is read as any other, and what must be written says so in a line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

STUDY = """
[study]
name = "kept"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [0.5]
seeds = [0]
models = ["mean"{more}]
[data.si-pbe]
smoke = true
"""


def crossprune(folder, *words):
    """Run a command without the right of root to write where permissions forbid it."""
    command = [sys.executable, "-m", "crossprune.harness.cli.main", *words]
    if os.getuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere, and setpriv (util-linux) is not there")
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def readonly(tmp_path_factory):
    """Give a folder with a finished run that cannot be written, beside its study."""
    folder = tmp_path_factory.mktemp("readonly")
    (folder / "study.toml").write_text(STUDY.format(more=""))
    (folder / "more.toml").write_text(STUDY.format(more=', "broken"'))
    done = crossprune(folder, "run", "study.toml", "--store", "out", "--workers", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    paths = [folder / "out", *(folder / "out").rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
    yield folder
    for path in paths:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["analyze", "out"], "not written"),
        (["run", "study.toml", "--store", "out", "--workers", "0"], "out cannot be written"),
        (["store", "verify", "out"], "all is whole"),
        (["store", "export", "out", "all.csv"], "2 cells"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_only_reads_is_done(readonly, words, said):
    done = crossprune(readonly, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["report", "out"],
        ["run", "more.toml", "--store", "out", "--workers", "0"],
        ["nightly", "study.toml", "--store", "out/nights", "--workers", "0"],
    ],
    ids=lambda words: words[0],
)
def test_what_must_write_says_that_it_cannot(readonly, words):
    done = crossprune(readonly, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search("give (a folder that can be written|another folder)", done.stderr)
    assert "Traceback" not in done.stderr
