from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading

import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store, write_file
from crossprune.harness.store.records import Record


def record(key, status="done", value=0.1):
    return Record(key, status, "", [{"split": "test", "x": value}], {"n": 3})


def test_records_come_back_to_the_last_bit(tmp_path):
    store = Store(tmp_path / "s")
    given = record("a", value=0.1 + 0.2)
    store.put([given, record("b", "failed")])
    assert store.records(["a", "missing"]) == {"a": given}
    store.put([record("b", "done")])
    assert store.records(["b"])["b"].status == "done"


def test_a_failing_writer_leaves_nothing_behind(tmp_path):
    store = Store(tmp_path / "s")

    def writer(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        store.write("fit", "abcd", writer)
    assert not store.has("fit", "abcd")
    assert list((store.root / "tmp").iterdir()) == []


def test_the_first_of_two_writers_wins(tmp_path):
    store = Store(tmp_path / "s")
    for text in ("first", "second"):
        store.write("fit", "abcd", lambda folder, text=text: (folder / "x").write_text(text) and None)
    assert (store.path("fit", "abcd") / "x").read_text() == "first"


@pytest.mark.parametrize(
    ("stage", "key"),
    [("fit", "../../../etc"), ("fit", ""), ("fit", "/etc"), ("fit", "ab\n"), ("fit", "ABCD"), ("..", "ab")],
)
def test_no_key_leads_out_of_the_store(tmp_path, stage, key):
    store = Store(tmp_path / "s")
    for use in (
        store.path,
        store.has,
        store.discard,
        store.fault,
        lambda *one: store.reading(*one).__enter__(),
    ):
        with pytest.raises(StudyError, match=r"is no artefact; what names it is damaged: crossprune run"):
            use(stage, key)


def test_temporary_folders_that_are_a_link_are_not_ours_to_delete(tmp_path):
    root, elsewhere = tmp_path / "s", tmp_path / "elsewhere"
    (elsewhere / "old").mkdir(parents=True)
    os.utime(elsewhere / "old", (0, 0))
    root.mkdir()
    (root / "tmp").symlink_to(elsewhere)
    Store(root).remove_leftovers()
    assert (elsewhere / "old").is_dir()
    [aside] = root.glob("tmp.damaged-*")
    assert aside.readlink() == elsewhere
    assert not (root / "tmp").is_symlink()


def test_many_writers_lose_no_record(tmp_path):
    stores = [Store(tmp_path / "s") for _ in range(4)]

    def write(number):
        for index in range(20):
            stores[number].put([record(f"{number}-{index}")])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [f"{number}-{index}" for number in range(4) for index in range(20)]
    assert len(stores[0].records(keys)) == 80


WRITER = """
import sys
from pathlib import Path
from crossprune.harness.store.records import Record
from crossprune.harness.store.objects import Store

store, name = Store(Path(sys.argv[1])), sys.argv[2]
for start in range(0, 200, 10):
    keys = [f"{name}-{index}" for index in range(start, start + 10)]
    store.put([Record(key, "done", "", [{"split": "test", "x": 0.1}], {"n": 3}) for key in keys])
    assert set(store.statuses(keys)) == set(keys)
"""


@pytest.mark.slow
def test_eight_processes_write_at_once_and_nothing_is_lost(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path / "s")]
    writers = [subprocess.Popen([*command, str(number)], stderr=subprocess.PIPE) for number in range(8)]
    errors = [writer.communicate()[1].decode() for writer in writers]
    assert errors == [""] * 8
    store = Store(tmp_path / "s")
    assert len(store.statuses()) == 8 * 200
    assert sum(record.rows[0]["x"] == 0.1 for record in store.read()) == 8 * 200
    assert not store.faults()


@pytest.mark.parametrize("count", [3, 15_000])
def test_few_and_many_keys_are_looked_up_alike(tmp_path, count):
    store = Store(tmp_path / "s")
    store.put(record(f"k{index}", ["done", "failed"][index % 2]) for index in range(20_000))
    keys = [f"k{index}" for index in range(count)]
    found = store.statuses([*keys, "missing"])
    assert found == {key: ["done", "failed"][index % 2] for index, key in enumerate(keys)}
    assert [one.key for one in store.read(keys)] == keys
    assert store.records(keys[:2])["k1"] == record("k1", "failed")


def test_rows_of_any_form_come_back(tmp_path):
    store = Store(tmp_path / "s")
    rows = [{"a": 1, "b": float("inf")}, {"a": None, "c": "text"}]
    given = Record("a", "done", "why", rows, {"list": [1, 2]})
    store.put([given])
    assert store.records(["a"])["a"] == given
    store.forget(["a"])
    assert store.statuses() == {}


def test_a_file_that_is_no_database_or_a_newer_one_is_a_clear_error(tmp_path):
    store = Store(tmp_path / "s")
    (store.root / "cells.sqlite").write_text("x" * 5000)
    with pytest.raises(StudyError, match="file is not a database"):
        store.statuses()
    (store.root / "cells.sqlite").unlink()
    with contextlib.closing(sqlite3.connect(store.root / "cells.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StudyError, match=r"newer crossprune \(layout 99\)"):
        Store(store.root).statuses()


def test_leftovers_of_dead_processes_are_removed_and_others_kept(tmp_path):
    store = Store(tmp_path / "s")
    alive, dead = [store.root / "tmp" / name for name in (_mine("alive"), _mine("dead", pid=2**22 + 1))]
    alive.mkdir()
    dead.mkdir()
    store.remove_leftovers()
    assert alive.exists()
    assert not dead.exists()


def _mine(tail, pid=None):
    return f"{socket.gethostname()}-{pid or os.getpid()}-{tail}"


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StudyError, match=r"cannot use .*file as a store"):
        Store(tmp_path / "file")


def test_a_killed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "results.txt"
    path.write_text("old")

    def writer(temporary):
        temporary.write_text("ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, writer)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
