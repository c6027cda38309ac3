"""Worker processes: whatever dies, whenever, costs one task at most, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import psutil
import pytest
from crossprune.harness.engine.clusters import executor_of
from crossprune.harness.engine.processes import workers
from crossprune.harness.engine.processes.memory import private_gb
from crossprune.harness.engine.processes.pool import LocalPool
from crossprune.harness.errors import CellOutOfMemory, NoWorkers, StudyError, WorkerDied

GLUTTON = [sys.executable, "-c", "import time; x = b'x' * 10**9; time.sleep(60)"]

pytestmark = pytest.mark.slow


@pytest.fixture
def pool():
    made = LocalPool(2, timeout_s=50)
    yield made
    made.shutdown(cancel_futures=True)


def kill_children(number=9):
    """Kill every process that this one has started by ``multiprocessing``, and say how many."""
    found = [one for one in psutil.Process().children() if "spawn_main" in " ".join(one.cmdline())]
    for one in found:
        one.send_signal(number)
    return len(found)


def test_the_memory_of_a_program_counts_as_its_tasks():
    pool = LocalPool(1, timeout_s=50, memory_gb=0.7)
    with pytest.raises(CellOutOfMemory, match=r"used [\d.]+ GB of memory, 0.7 GB are allowed"):
        pool.submit(subprocess.run, GLUTTON).result()
    assert pool.submit(len, "the pool goes on").result() == 16
    pool.shutdown()


def test_a_worker_that_is_killed_in_a_task_costs_that_task_and_did_not_run_out_of_memory(pool):
    with pytest.raises(WorkerDied) as died:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()
    assert died.value.exit_code == -signal.SIGKILL
    assert str(died.value) == "the worker died of SIGKILL"
    assert pool.submit(len, "abc").result() == 3


def test_an_exit_is_a_death_with_its_code(pool):
    with pytest.raises(WorkerDied, match="the worker died of exit code 7"):
        pool.submit(os._exit, 7).result()


def test_workers_that_are_killed_between_tasks_cost_nothing(pool):
    assert [pool.submit(len, "a" * n).result() for n in range(4)] == [0, 1, 2, 3]
    for _ in range(3):
        assert kill_children() >= 1
        done = [pool.submit(len, "a" * n) for n in range(20)]
        assert [one.result(timeout=60) for one in done] == list(range(20))


def test_workers_that_are_killed_at_their_start_cost_nothing(pool):
    done = [pool.submit(len, "a" * n) for n in range(20)]
    killed, end = 0, time.monotonic() + 20
    while killed < 4 and time.monotonic() < end:
        killed += kill_children()
        time.sleep(0.05)
    assert killed >= 4
    assert [one.result(timeout=60) for one in done] == list(range(20))


def test_random_kills_cost_a_task_each_at_most(pool):
    def assassin():
        for _ in range(8):
            time.sleep(rng.uniform(0.05, 0.5))
            kills.append(kill_children())

    rng, kills = np.random.default_rng(3), []
    done = [pool.submit(time.sleep, 0.05) for _ in range(100)]
    thread = threading.Thread(target=assassin)
    thread.start()
    ended = [one.exception(timeout=120) for one in done]
    thread.join()
    lost = [one for one in ended if one is not None]
    assert all(isinstance(one, WorkerDied) for one in lost)
    assert len(lost) <= sum(kills)


def test_a_task_that_takes_too_long_is_killed_and_the_pool_goes_on():
    pool = LocalPool(1, timeout_s=1.0)
    with pytest.raises(TimeoutError):
        pool.submit(time.sleep, 60).result(timeout=30)
    assert pool.submit(len, "abc").result(timeout=30) == 3
    pool.shutdown()


def test_a_suspended_worker_is_not_late():
    pool = LocalPool(1, timeout_s=2.0)
    task = pool.submit(time.sleep, 1.0)
    time.sleep(0.8)
    while not kill_children(signal.SIGSTOP):
        time.sleep(0.05)
    time.sleep(4.0)
    assert kill_children(signal.SIGCONT)
    assert task.result(timeout=30) is None
    pool.shutdown()


def test_time_in_which_everything_was_suspended_does_not_count(monkeypatch):
    now = iter([0.0, 1.0, 2.0, 602.0, 603.0])
    monkeypatch.setattr(workers.time, "monotonic", lambda: next(now))
    clock = workers.Clock(os.getpid(), 0.0)
    assert [clock.tick() for _ in range(4)] == [1.0, 2.0, 2.0, 3.0]


def test_a_pool_that_gets_no_worker_up_says_so_and_ends(pool, monkeypatch):
    monkeypatch.setattr(workers.CONTEXT.Process, "_Popen", staticmethod(lambda process: _fail()))
    monkeypatch.setattr("crossprune.harness.engine.processes.pool.PAUSE_S", 0.001)
    with pytest.raises(NoWorkers, match=r"no worker process comes up \(5 tries\): out of processes"):
        pool.submit(len, "abc").result(timeout=60)


def _fail():
    raise OSError("out of processes")


def test_what_cannot_be_sent_is_that_tasks_error(pool):
    with pytest.raises(Exception, match=r"pickle|local object"):  # Python 3.11 or 3.13
        pool.submit(lambda: 1).result(timeout=60)
    with pytest.raises(RuntimeError, match="the result cannot be sent"):
        pool.submit(threading.Lock).result(timeout=60)
    assert pool.submit(len, "abc").result(timeout=60) == 3


def test_a_stop_ends_workers_and_futures_at_once(pool):
    running = [pool.submit(time.sleep, 60) for _ in range(6)]
    time.sleep(4)
    start = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 5
    assert all(isinstance(one.exception(timeout=5), CancelledError) for one in running)
    assert not kill_children(0)


def test_nothing_is_left_of_a_driver_that_is_killed(tmp_path):
    program = (
        "import os, time\n"
        "from crossprune.harness.engine.processes.pool import LocalPool\n"
        "if __name__ == '__main__':\n"
        "    pool = LocalPool(2, 60)\n"
        "    print(*{pool.submit(os.getpid).result() for _ in range(8)}, flush=True)\n"
        "    [pool.submit(time.sleep, 60) for _ in range(4)]\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "driver.py").write_text(program)
    with subprocess.Popen(
        [sys.executable, tmp_path / "driver.py"], stdout=subprocess.PIPE, text=True
    ) as driver:
        pids = [int(one) for one in driver.stdout.readline().split()]
        driver.kill()
    end = time.monotonic() + 20
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert pids
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_mapped_files_do_not_count(tmp_path):
    np.save(tmp_path / "blocks.npy", np.zeros(25_000_000))
    before = private_gb(os.getpid())
    mapped = np.load(tmp_path / "blocks.npy", mmap_mode="r")
    assert mapped.sum() == 0
    assert private_gb(os.getpid()) < before + 0.05
    taken = np.ones(25_000_000)
    assert private_gb(os.getpid()) > before + 0.15
    assert taken.sum() == 25_000_000


@pytest.mark.parametrize("count", [-1, 10**23, 65])
def test_workers_are_as_many_as_a_machine_can_feed(monkeypatch, count):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    with pytest.raises(StudyError, match=rf"--workers is {count}; give 0, for this process, to 64 on this"):
        executor_of("local", count, 10.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 17)
    executor_of("local", 65 if count == 65 else 0, 10.0).shutdown()
