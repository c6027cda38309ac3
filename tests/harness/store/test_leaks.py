"""Nothing stays open: connections to the records, files of artefacts, tables and reports."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record
from crossprune.harness.store.repair import repair

STUDY = """
[study]
name = "leaks"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [0.5, 1.0]
seeds = [0]
models = ["mean"]
[data.si-pbe]
smoke = true
"""

COMMAND = [
    *(sys.executable, "-X", "dev", "-W", "ignore", "-W", "default::ResourceWarning"),
    *("-m", "crossprune.harness.cli.main"),
]


@pytest.fixture
def opened(monkeypatch):
    """Every connection that is made while a test runs."""
    found, connect = [], sqlite3.connect

    def recorded(*arguments, **options):
        found.append(connect(*arguments, **options))
        return found[-1]

    monkeypatch.setattr(sqlite3, "connect", recorded)
    return found


def is_closed(connection):
    try:
        connection.execute("SELECT 1")
    except sqlite3.ProgrammingError:
        return True
    return False


def test_every_connection_is_closed(opened, tmp_path):
    store = Store(tmp_path / "store")
    store.put([Record(key, "done", "", [], {}) for key in ("a", "b")])
    assert next(store.read()).key == "a"  # the rest is never read
    store.statuses()
    store.forget(["a"])
    assert store.faults() == []
    path = store.root / "cells.sqlite"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(bytes(content))
    assert store.faults()
    repair(store)
    path.write_text("no database")
    with pytest.raises(StudyError):
        list(store.read())
    assert len(opened) > 6
    assert all(map(is_closed, opened))


@pytest.mark.slow
def test_commands_leave_no_file_open(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    for words in (
        ["run", "study.toml", "--store", "store", "--workers", "0"],
        ["run", "study.toml", "--store", "store", "--workers", "1"],
        ["analyze", "store"],
        ["store", "verify", "store"],
        ["store", "repair", "store"],
        ["store", "export", "store", "out.csv"],
    ):
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ResourceWarning" not in done.stderr, (words, done.stderr)
