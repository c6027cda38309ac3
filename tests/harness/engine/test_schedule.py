"""Tasks in the order of their urgency, in batches that their cost allows; a death costs one task."""

from __future__ import annotations

import itertools
import os
import signal
import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from crossprune.harness.engine import outcome
from crossprune.harness.engine.processes.pool import LocalPool, SerialExecutor
from crossprune.harness.engine.schedule import LARGEST_BATCH as LARGEST
from crossprune.harness.engine.schedule import Schedule, Task


def value(root, number):
    return number, True


def deadly(root, number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number, True


def wrong(root, number):
    raise ValueError(number)


def hanging(root, number):
    time.sleep(60 if number == 2 else 0)
    return number, True


@pytest.fixture
def importable(monkeypatch):
    """Let worker processes find the stages of this file, wherever they are started."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


class Recorder(SerialExecutor):
    """Remembers the batches."""

    def __init__(self):
        self.batches = []

    def submit(self, function, /, *args, **kwargs):
        self.batches.append([arguments[0] for _, arguments in args[2]])
        return super().submit(function, *args, **kwargs)


def finish(schedule):
    found = []
    while schedule:
        found += schedule.next()
    return {task.job[1]: outcome for task, outcome in found}


def schedule_of(stage, executor, n=10, timeout_s=3600.0, root="."):
    schedule = Schedule(root, executor, timeout_s)
    for number in range(n):
        schedule.add(Task((stage.__name__, str(number)), stage, (number,)))
    return schedule


@pytest.fixture
def each_takes(monkeypatch):
    """Make every task take the same time by the clock that is read."""

    def take(seconds):
        clock = SimpleNamespace(perf_counter=itertools.count(0.0, seconds).__next__)
        monkeypatch.setattr(outcome, "time", clock)

    return take


def test_cheap_tasks_share_batches_after_the_first(tmp_path, each_takes):
    each_takes(1e-4)
    executor = Recorder()
    found = finish(schedule_of(value, executor, 500, root=tmp_path))
    assert [found[str(number)].value for number in range(500)] == list(range(500))
    assert [len(batch) for batch in executor.batches] == [1, LARGEST, LARGEST, 99]
    assert list(itertools.chain(*executor.batches)) == list(range(500))


@pytest.mark.parametrize(
    ("seconds", "timeout_s", "size"), [(0.05, 3600, 10), (0.05, 2, 4), (0.05, 0.4, 1), (10, 3600, 1)]
)
def test_batches_are_as_long_as_their_tasks_and_the_limit_allow(
    tmp_path, each_takes, seconds, timeout_s, size
):
    each_takes(seconds)
    executor = Recorder()
    finish(schedule_of(value, executor, 31, timeout_s=timeout_s, root=tmp_path))
    assert max(map(len, executor.batches)) == size


def test_the_urgent_comes_first_and_places_one_after_another(tmp_path):
    executor = Recorder()
    schedule = Schedule(tmp_path, executor, 3600.0)
    for number, (urgency, place) in enumerate([(2, "a"), (1, "b"), (1, "a"), (0, "z"), (1, "a")]):
        schedule.add(Task(("s", str(number)), value, (number,), place=place, urgency=urgency))
    finish(schedule)
    assert list(itertools.chain(*executor.batches)) == [3, 2, 4, 1, 0]


def test_an_exception_is_its_own_tasks_affair(tmp_path):
    schedule = schedule_of(value, SerialExecutor(), 5, root=tmp_path)
    schedule.add(Task(("value", "wrong"), wrong, (7,)))
    found = finish(schedule)
    assert {name for name, one in found.items() if one.status != "done"} == {"wrong"}
    assert "ValueError: 7" in found["wrong"].reason


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
@pytest.mark.parametrize(
    ("stage", "culprit", "status"), [(deadly, "3", "crashed"), (hanging, "2", "timeout")]
)
def test_a_death_in_a_batch_is_laid_at_the_right_door(tmp_path, stage, culprit, status):
    deaths = []
    pool = LocalPool(2, timeout_s=6.0)
    schedule = schedule_of(stage, pool, 40, timeout_s=6.0, root=tmp_path)
    schedule.on_death = lambda: deaths.append(1)
    schedule._seconds[next(iter(schedule._waiting))] = [0.001]  # all share a batch at once
    found = finish(schedule)
    pool.shutdown()
    assert {name: one.status for name, one in found.items() if one.status != "done"} == {culprit: status}
    assert len(found) == 40
    assert len(deaths) == 2, "once in a batch, once alone"


def killed_once(root, number):
    if not (root / "killed").exists():
        (root / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number, True


def segfault(root, number):
    with (root / "tries").open("a") as tries:
        tries.write("x")
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.slow
@pytest.mark.usefixtures("importable")
def test_a_task_whose_worker_is_killed_runs_again_one_that_crashes_does_not(tmp_path):
    pool = LocalPool(1, timeout_s=50.0)
    assert finish(schedule_of(killed_once, pool, 1, root=tmp_path))["0"].status == "done"
    assert finish(schedule_of(segfault, pool, 1, root=tmp_path))["0"].status == "crashed"
    assert (tmp_path / "tries").read_text() == "x"
    pool.shutdown()


def test_each_queue_gets_what_it_can_use(tmp_path):
    class Labelled(SerialExecutor):
        def __init__(self):
            self.held = []

        def queue_of(self, spec):
            return spec.label

        def capacity_of(self, queue):
            return {"few": 1, "many": 3}[queue]

        def submit(self, function, root, spec, calls):
            self.held.append(spec.label)
            return Future()

    executor = Labelled()
    schedule = Schedule(tmp_path, executor, 3600.0)
    for number in range(10):
        label = "few" if number < 5 else "many"
        schedule.add(Task(("s", str(number)), value, (number,), spec=SimpleNamespace(label=label)))
    schedule.next(0.0)
    assert sorted(executor.held) == ["few", "many", "many", "many"]
