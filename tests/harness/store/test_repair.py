from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from crossprune.harness.cli.main import app
from crossprune.harness.errors import StudyError
from crossprune.harness.store import upkeep
from crossprune.harness.store.damage import Damaged
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record
from crossprune.harness.store.repair import repair, salvaged
from typer.testing import CliRunner


def records(count):
    return [
        Record(f"{index:032x}", "done", "", [{"x": 0.1 * index}] * 9, {"n": index}) for index in range(count)
    ]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "s")
    store.put(records(2000))
    return store


def test_every_record_on_whole_pages_is_saved(store):
    path = store.root / "cells.sqlite"
    content = bytearray(path.read_bytes())
    pages = len(content) // 4096
    for page in (pages // 3, pages // 2, pages - 20):
        content[4096 * page : 4096 * (page + 1)] = random.Random(0).randbytes(4096)
    path.write_bytes(content)
    assert store.faults()
    done = repair(store)
    assert done.n_records > 1800
    assert not store.faults()
    given = {one.key: one for one in records(2000)}
    assert all(given[one.key] == one for one in store.read())
    assert [one.name.startswith("cells.sqlite.damaged-") for one in done.aside] == [True]
    assert upkeep.verify(store).broken == ()


def test_a_record_that_says_something_else_is_not_believed(store):
    with closing(sqlite3.connect(store.root / "cells.sqlite")) as database, database:
        database.execute("UPDATE states SET status = 'failed' WHERE body = 7")
        database.execute("UPDATE states SET body = 11 WHERE body = 9")
        (body,) = database.execute("SELECT body FROM bodies WHERE id = 20").fetchone()
        changed = bytearray(body)
        changed[30] ^= 1
        database.execute("UPDATE bodies SET body = ? WHERE id = 20", [bytes(changed)])
    assert len(store.faults()) == 3
    with pytest.raises(Damaged, match=r"cells.sqlite .* crossprune store repair"):
        list(store.read())
    assert len(salvaged(store.root / "cells.sqlite")) == 1999
    repair(store)
    assert len(store.statuses()) == 1999


def test_records_of_the_layout_before_are_read(store):
    with closing(sqlite3.connect(store.root / "cells.sqlite")) as database, database:
        import msgpack

        for index in range(1, 2001):
            (body,) = database.execute("SELECT body FROM bodies WHERE id = ?", [index]).fetchone()
            database.execute("UPDATE bodies SET body = ? WHERE id = ?", [msgpack.unpackb(body)[0], index])
        database.execute("PRAGMA user_version = 2")
    assert list(Store(store.root).read()) == records(2000)
    assert salvaged(store.root / "cells.sqlite") == records(2000)


def test_a_copy_of_what_is_damaged_is_not_sealed_as_whole(store, tmp_path):
    other = Store(tmp_path / "other")
    key = "ab" * 16
    other.write("features", key, lambda folder: np.save(folder / "features.npy", np.arange(100.0)))
    path = other.path("features", key) / "features.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    merged = upkeep.merge(store, other)
    assert merged.n_artefacts == 0
    assert "features.npy is not as it was written; left out" in merged.conflicts[0]
    assert not store.has("features", key)


def test_what_reads_wrongly_though_it_is_whole_is_no_damage(store):
    key = "ab" * 16
    store.write("features", key, lambda folder: np.save(folder / "features.npy", np.arange(3.0)))
    with pytest.raises(ZeroDivisionError), store.reading("features", key):
        1 / 0  # noqa: B018
    (store.path("features", key) / "features.npy").write_bytes(b"")
    with pytest.raises(Damaged, match=r"features\.npy has 0 of 152 bytes"), store.reading("features", key):
        pass


def test_a_file_in_the_way_of_an_artefact_is_moved(store):
    (store.root / "objects" / "fit").write_text("x")
    store.write("fit", "ab" * 16, lambda folder: (folder / "x").write_text("x") and None)
    assert store.has("fit", "ab" * 16)


def test_a_folder_where_an_export_goes_stays(store):
    (store.root / "x.csv").mkdir()
    done = CliRunner().invoke(app, ["store", "export", str(store.root), str(store.root / "x.csv")])
    assert isinstance(done.exception, StudyError)
    assert "is a folder" in str(done.exception)


IN_THE_WAY = {
    "link to nothing": lambda path: path.symlink_to(path.parent / "nothing"),
    "pipe": os.mkfifo,
    "folder": os.mkdir,
}


@pytest.mark.parametrize("name", ["cells.sqlite", "cells.sqlite-wal", "results.parquet", "provenance.json"])
@pytest.mark.parametrize("kind", IN_THE_WAY)
def test_what_is_no_file_is_named_and_set_aside(store, name, kind):
    path = store.root / name
    path.unlink(missing_ok=True)
    IN_THE_WAY[kind](path)
    store = Store(store.root)
    broken = " ".join(upkeep.verify(store).broken)
    if name.startswith("cells"):
        assert broken == "cells.sqlite: is no file"
        with pytest.raises(Damaged, match=rf"{name} is no file: .* crossprune store repair"):
            store.statuses()
    [aside] = repair(store).aside
    assert aside.name.startswith(f"{name}.damaged-")
    assert upkeep.verify(store).broken == ()
    assert len(store.statuses()) == (0 if name == "cells.sqlite" else 2000)


@pytest.mark.parametrize("name", ["analysis", "nights"])
def test_what_is_no_folder_is_set_aside(store, name):
    (store.root / name).symlink_to(store.root / "nothing")
    assert [one.name.partition(".")[0] for one in repair(store).aside] == [name]
