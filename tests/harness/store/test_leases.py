"""Who uses a store, and a temporary folder, is known by a lock that lives and dies with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from crossprune.harness.engine.outcome import scratch_folder
from crossprune.harness.errors import StudyError
from crossprune.harness.store import leases, upkeep
from crossprune.harness.store.objects import SCRATCH, Store

HOLDER = """
import sys, time, tempfile
from pathlib import Path
from crossprune.harness.engine.outcome import scratch_folder
from crossprune.harness.store import leases
from crossprune.harness.store.objects import Store

store, purpose = Store(Path(sys.argv[1])), sys.argv[2]
def wait(folder):
    (folder / "half").write_text("x")
    print("ready", flush=True)
    time.sleep(600)
with leases.hold(store.root, purpose), scratch_folder():
    store.write("fit", "ab" * 16, wait)
"""


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    return Store(tmp_path / "s")


@pytest.fixture
def holder(store):
    """Return ``holder(purpose)``: a process that writes an artefact and holds a lease, and never ends."""
    started = []

    def start(purpose=leases.RUN):
        command = [sys.executable, "-c", HOLDER, str(store.root), purpose]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def scratch():
    return sorted(Path(tempfile.gettempdir()).iterdir())


def renamed(store, pid):
    """Give what a process uses the names that it would have in another PID namespace."""
    for place in (*(store.root / "tmp").iterdir(), *scratch()):
        name = place.name.replace(f"-{pid}-", "-4194305-")
        place.rename(place.with_name(name))


@pytest.mark.slow
def test_leftovers_of_a_killed_process_go_and_those_of_a_live_one_stay(store, holder):
    process = holder()
    renamed(store, process.pid)
    store.remove_leftovers()
    (folder,) = store.temporary_folders()
    assert "4194305" in folder.name
    assert (folder / "half").exists()
    assert [one.name.startswith(f"{SCRATCH}4194305-") for one in scratch()] == [True]
    assert upkeep.find_waste(store).leftovers == ()
    process.send_signal(signal.SIGKILL)
    process.wait()
    store.remove_leftovers()
    assert list((store.root / "tmp").iterdir()) == []
    assert scratch() == []
    assert list((store.root / "leases").iterdir()) == []


@pytest.mark.slow
def test_nothing_is_removed_while_a_run_lives(store, holder):
    store.write("fit", "cd" * 16, lambda folder: np.save(folder / "subset.npy", np.arange(3)))
    process = holder()
    waste = upkeep.find_waste(store)
    assert [artefact for artefact, _ in waste.artefacts] == [("fit", "cd" * 16)]
    with pytest.raises(StudyError, match=rf"in use: run \(host .*, process {process.pid}, since 2"):
        upkeep.remove(store, waste)
    assert store.has("fit", "cd" * 16)
    with leases.hold(store.root, leases.RUN):
        pass  # runs go side by side
    process.kill()
    process.wait()
    upkeep.remove(store, waste)
    assert not store.has("fit", "cd" * 16)


@pytest.mark.slow
def test_no_run_begins_while_a_store_is_looked_after(store, holder):
    holder(leases.UPKEEP)
    with pytest.raises(StudyError, match="in use: upkeep"), leases.hold(store.root, leases.RUN):
        pass
    assert len(leases.holders(store.root)) == 1


def test_a_lease_of_another_machine_is_over_when_it_is_not_touched(store):
    path = store.root / "leases" / "run-elsewhere-1-x.lock"
    path.parent.mkdir()
    path.write_text(
        '{"purpose": "run", "host": "elsewhere", "pid": 1, "since": "noon", "machine": "another"}'
    )
    assert [str(one) for one in leases.holders(store.root)] == ["run (host elsewhere, process 1, since noon)"]
    old = path.stat().st_mtime - 2 * leases.STALE_S
    os.utime(path, (old, old))
    assert leases.holders(store.root) == []
    assert not path.exists()


def test_leases_of_one_process_are_no_obstacle_to_it(store):
    with leases.hold(store.root, leases.RUN), leases.hold(store.root, leases.RUN):
        assert leases.holders(store.root) == []
        assert len(list((store.root / "leases").iterdir())) == 2
    assert list((store.root / "leases").iterdir()) == []


def test_a_task_locks_its_scratch_folder(store):
    with scratch_folder():
        folder = Path(tempfile.gettempdir())
        assert leases.is_held(folder / ".lock")
        store.remove_leftovers()
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_does_not_keep_its_parents_lock(store):
    path = store.root / "tmp" / "x.lock"
    reading, writing = os.pipe()
    with leases.lock(path, "write"):
        if (child := os.fork()) == 0:
            os.read(reading, 1)
            os._exit(0)
        assert leases.is_held(path)
    path.write_text("{}")
    assert not leases.is_held(path)
    os.write(writing, b"x")
    os.waitpid(child, 0)
