"""A disk that fills up stops the run with one message; the store is whole and the same command goes on."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.engine.results import VOLATILE
from crossprune.harness.errors import DiskFull
from crossprune.harness.store.disk import disk_full, is_full
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record

STUDY = """
[study]
name = "full"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [0.1, 0.2, 0.3, 0.4, 0.5]
seeds = [0, 1]
models = ["mean"]
"""
LIMITED = """
import resource, sys
from crossprune.harness.cli.main import main
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
main()
"""
RUN = ["run", "study.toml", "--store", "out", "--workers"]


def crossprune(
    folder: Path, *words: object, program: tuple[str, ...] = ("-m", "crossprune.harness.cli.main")
):
    command = [sys.executable, *program, *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def stable(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "out" / "results.parquet").drop(columns=list(VOLATILE))


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 3 MB, where the machine allows it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "crossprune-test", str(folder)]
    if os.geteuid() != 0:
        pytest.skip("only the administrator may mount a small file system")
    with contextlib.suppress(FileNotFoundError):
        if subprocess.run(mount, capture_output=True).returncode == 0:
            yield folder
            subprocess.run(["umount", "-l", str(folder)], check=True)
            return
    pytest.skip("this machine does not allow a mount")


def test_each_way_of_saying_that_the_disk_is_full_is_understood(tmp_path):
    quota = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    assert is_full(quota)
    assert is_full(OSError("100 requested and 7 written"))  # numpy
    assert is_full(RuntimeError(f"gap_fit ended with exit code 2; {os.strerror(errno.ENOSPC)}"))
    wrapped = ValueError("cannot save")
    wrapped.__cause__ = quota
    assert is_full(wrapped)
    assert not is_full(OSError(errno.ENOENT, "gone"))
    assert not is_full(MemoryError())
    message = str(disk_full(quota, tmp_path))
    assert "quota exceeded" in message
    assert f"{tmp_path} has" in message
    assert "the same command goes on" in message


def test_a_database_that_cannot_grow_keeps_what_it_has(tmp_path):
    store = Store(tmp_path / "s")
    store.put([Record("a", "done", "", [{"x": 1.0}], {})])
    big = Record("b", "failed", "x" * 2_000_000, [], {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(DiskFull, match="nothing more can be written"):
            store.put([big])
        with pytest.raises(DiskFull, match="nothing more can be written"):
            store.write("fit", "abcd", lambda folder: np.save(folder / "x.npy", np.zeros(100_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert set(store.statuses()) == {"a"}
    assert not store.has("fit", "abcd")
    assert not list((store.root / "tmp").iterdir())
    with contextlib.closing(sqlite3.connect(store.root / "cells.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    store.put([big])
    assert store.statuses()["b"] == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_at_its_limit_stops_and_goes_on_with_the_same_table(tmp_path, workers):
    (tmp_path / "study.toml").write_text(STUDY)
    limited = crossprune(tmp_path, 30_000, *RUN, workers, program=("-c", LIMITED))
    check_stopped(limited, tmp_path)
    finish(tmp_path, tmp_path / "other", workers)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_which_goes_on_with_the_same_table(tmp_path, small_disk):
    (small_disk / "study.toml").write_text(STUDY)
    (small_disk / "ballast").write_bytes(bytes(2_400_000))
    check_stopped(crossprune(small_disk, *RUN, 2), small_disk)
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=60m", str(small_disk)], check=True)
    finish(small_disk, tmp_path / "other", 2)


def check_stopped(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "disk full: nothing more can be written" in done.stderr
    assert "Traceback" not in done.stderr
    store = Store(folder / "out")
    assert not list((store.root / "tmp").iterdir())
    assert "failed" not in store.statuses().values()
    assert len(store.statuses()) < 20


def finish(folder: Path, other: Path, workers: int) -> None:
    done = crossprune(folder, *RUN, workers)
    assert done.returncode == 0, done.stdout + done.stderr
    other.mkdir()
    (other / "study.toml").write_text(STUDY)
    assert crossprune(other, *RUN, 0).returncode == 0
    pd.testing.assert_frame_equal(stable(folder), stable(other), check_exact=True)
