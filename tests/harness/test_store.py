from __future__ import annotations

import threading

import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.records import Record
from crossprune.harness.store import Store, write_file


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


def test_leftovers_of_dead_processes_are_removed_and_others_kept(tmp_path):
    store = Store(tmp_path / "s")
    alive, dead = [store.root / "tmp" / name for name in (_mine("alive"), _mine("dead", pid=2**22 + 1))]
    alive.mkdir()
    dead.mkdir()
    store.remove_leftovers()
    assert alive.exists()
    assert not dead.exists()


def _mine(tail, pid=None):
    import os
    import socket

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
