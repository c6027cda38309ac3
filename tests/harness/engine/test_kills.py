"""A run that is killed, stopped and suspended, part by part: nothing is lost, doubled, left over or hangs.

A few disturbances run by default. The full script, which prints a table of kinds and outcomes at its end:
``python -m pytest tests/harness/engine/test_kills.py --kills 60 -s`` (three quarters with the local pool, one
quarter with Parsl; 25 minutes on two cores). ``--kills-seed`` draws other moments.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from crossprune.harness.engine.results import VOLATILE
from crossprune.harness.store.objects import SCRATCH

TIMEOUT_S = 8
STUDY = f"""
[study]
name = "kills"
datasets = ["si-pbe"]
choosers = ["mean", "snap"]
fractions = [0.2, 0.3, 0.4, 0.5, 0.7]
seeds = [0, 1]
models = ["mean", "snap"]
[limits]
timeout_s = {TIMEOUT_S}
[data.si-pbe]
smoke = true
[options.snap]
twojmax = 4
cutoff = 4.5
quadratic = true
"""
N_CELLS = 60
CLUSTER = 'provider = "local"\nworkers_per_node = 2\n'
EXECUTORS = {"pool": ["--workers", "2"], "Parsl": ["--executor", "parsl:cluster.toml"]}
STARTED = {"pool": 8.0, "Parsl": 20.0}
"""Time in which most of an undisturbed run lies, seconds."""
KINDS = {
    "driver killed": 0,
    "worker killed in a task": 1,
    "both workers killed": 2,
    "driver terminated": 0,
    "worker suspended": 0,
    "worker killed between tasks": 1,
    "driver interrupted": 0,
    "worker killed at its start": 0,
    "driver suspended": 0,
}
"""What is done, and how many cells it may cost; between tasks, a task may have begun a moment before."""
GONE_S, END_S = 60.0, 240.0
MARK = "CROSSPRUNE_TEST_RUN"


@dataclass
class Run:
    """A run in a process of its own; all that it starts carries its mark in the environment."""

    folder: Path
    executor: str
    options: tuple[str, ...] = ()
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    known: set[int] = field(default_factory=set)
    """Workers that were once seen in a task."""

    def __enter__(self):
        command = [sys.executable, "-W", "ignore", "-m", "crossprune.harness.cli.main", "run", "study.toml"]
        self.scratch.mkdir(exist_ok=True)
        self.log = (self.folder / f"{self.mark}.log").open("w+")
        self.driver = psutil.Popen(
            [*command, *EXECUTORS[self.executor], "--store", "store", *self.options],
            cwd=self.folder,
            env={**os.environ, MARK: self.mark, "TMPDIR": str(self.scratch)},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            preexec_fn=hear,
        )
        self.start = time.monotonic()
        return self

    def __exit__(self, *_):
        """Leave nothing behind, whatever the test found."""
        for one in self.members():
            with contextlib.suppress(psutil.Error):
                one.kill()
        self.driver.wait()
        self.log.close()

    @property
    def scratch(self):
        return self.folder / "scratch"

    def members(self):
        """Find all processes of the run, also those whose parent is gone."""
        found = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if one.environ().get(MARK) == self.mark and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    def workers(self, *, of_parsl=False):
        """Find the processes that run tasks; with Parsl these are children of the pool's own workers."""
        if self.executor == "pool":
            return [one for one in children(self.driver) if is_python_worker(one)]
        pools = [one for one in self.members() if "process_worker_pool" in " ".join(line(one))]
        own = [one for pool in pools for one in children(pool) if is_python_worker(one)]
        if of_parsl:
            return own
        return [child for one in own for child in children(one) if is_python_worker(child)]

    def is_busy(self, worker):
        pids = (
            [worker.pid, *(one.pid for one in children(worker))] if self.executor == "Parsl" else [worker.pid]
        )
        busy = any(path for pid in pids for path in self.scratch.glob(f"{SCRATCH}{pid}-*"))
        self.known |= {worker.pid} if busy else set()
        return busy

    def is_over(self):
        return self.driver.poll() is not None

    def ends(self, patience_s):
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            self.driver.wait(patience_s)
        return self.is_over()

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def table(self):
        return pd.read_parquet(self.folder / "store" / "results.parquet")


def hear():
    """Hear signals again: a shell makes what it runs in the background deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def line(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def children(process):
    try:
        return process.children()
    except psutil.Error:
        return []


def is_python_worker(process):
    return "spawn_main" in " ".join(line(process))


def disturb(run, kind, rng):
    """Do ``kind`` at a moment that is drawn; return whether there was anything left to disturb."""
    whom, _, what = kind.partition(" ")
    if whom == "driver":
        run.ends(rng.uniform(0.2, STARTED[run.executor]))
        return not run.is_over() and disturb_driver(run, what)
    if whom == "both":
        run.ends(rng.uniform(0.2, STARTED[run.executor]))
        while not run.is_over() and len(found := run.workers(of_parsl=True)) < 2:
            time.sleep(0.01)
        hit = [signalled(one, signal.SIGKILL) for one in found] if not run.is_over() else [False]
        return all(hit)
    n_skipped = int(rng.integers(3))  # not always the first moment that fits
    wanted = {
        "killed at its start": lambda one: one.pid not in run.known,
        "killed between tasks": lambda one: not run.is_busy(one) and is_up(run, one),
        "killed in a task": run.is_busy,
        "suspended": run.is_busy,
    }[what]
    of_parsl = run.executor == "Parsl" and what in ("killed at its start", "killed between tasks")
    worker = catch(run, wanted, n_skipped, of_parsl=of_parsl)
    if worker is None:
        return False
    if what == "suspended":
        time.sleep(TIMEOUT_S + 2)
        return signalled(worker, signal.SIGCONT)
    return signalled(worker, signal.SIGKILL)


def disturb_driver(run, what):
    number = {
        "killed": signal.SIGKILL,
        "terminated": signal.SIGTERM,
        "interrupted": signal.SIGINT,
        "suspended": signal.SIGSTOP,
    }[what]
    if not signalled(run.driver, number):
        return False
    if what == "suspended":
        time.sleep(TIMEOUT_S + 2)
        return signalled(run.driver, signal.SIGCONT)
    return True


def is_up(run, worker):
    """Tell whether a worker has been in a task, or at least had the time to get ready for one."""
    with contextlib.suppress(psutil.Error):
        return worker.pid in run.known or time.time() - worker.create_time() > 1.5
    return False


def catch(run, wanted, n_skipped, *, of_parsl):
    """Stop a worker in the state that is wanted, and return it; None if the run ends before."""
    looks = 0
    while not run.is_over():
        for worker in run.workers(of_parsl=of_parsl):
            if not wanted(worker):
                continue
            looks += 1
            if looks > n_skipped and signalled(worker, signal.SIGSTOP):
                if wanted(worker):
                    return worker
                signalled(worker, signal.SIGCONT)
        time.sleep(0.005)
    return None


def signalled(process, number):
    try:
        process.send_signal(number)
    except psutil.Error:
        return False
    return process.pid is not None


@pytest.fixture(scope="module")
def expected(tmp_path_factory, require_adapter):
    require_adapter("snap")
    known = {}

    def table_of(executor):
        if executor not in known:
            with Run(folder_for(tmp_path_factory.mktemp("undisturbed")), executor) as run:
                assert run.ends(END_S), run.output()
                assert run.driver.returncode == 0, run.output()
                known[executor] = run.table().drop(columns=list(VOLATILE))
                assert known[executor]["cell"].nunique() == N_CELLS
                assert not left_of(run)
        return known[executor]

    return table_of


def folder_for(folder):
    (folder / "study.toml").write_text(STUDY)
    (folder / "cluster.toml").write_text(CLUSTER)
    return folder


def left_of(run):
    end = time.monotonic() + GONE_S
    while (alive := run.members()) and time.monotonic() < end:
        time.sleep(0.2)
    return [line(one) for one in alive]


@pytest.fixture(scope="module")
def outcomes():
    """Count what came of each kind; the table is printed when all is done."""
    found = Counter()
    yield found
    if found:
        table = pd.Series(found, dtype=int).unstack(fill_value=0)
        print(f"\n{table.to_string()}", file=sys.__stdout__, flush=True)


def pytest_generate_tests(metafunc):
    if "kind" not in metafunc.fixturenames:
        return
    count, seed = metafunc.config.getoption("--kills"), metafunc.config.getoption("--kills-seed")
    counts = {"pool": count - count // 4, "Parsl": count // 4} if count else {"pool": 3, "Parsl": 0}
    kinds = list(KINDS)
    metafunc.parametrize(
        ("executor", "kind", "number"),
        [
            pytest.param(
                executor, kinds[n % len(kinds)], seed + n, id=f"{executor}-{n}-{kinds[n % len(kinds)]}"
            )
            for executor, n_runs in counts.items()
            for n in range(n_runs)
        ],
    )


@pytest.mark.slow
def test_a_disturbed_run_ends_or_goes_on_and_gives_the_same_table(
    executor, kind, number, tmp_path, expected, outcomes
):
    if executor == "Parsl":
        pytest.importorskip("parsl")
    table, rng = expected(executor), np.random.default_rng([number, len(executor)])
    outcome = "FAULT"
    try:
        with Run(folder_for(tmp_path), executor) as run:
            hit = disturb(run, kind, rng)
            crashed = judge(run, kind)
            outcome = f"{'ended' if crashed is None else f'{crashed} crashed'}" if hit else "came too late"
        with Run(tmp_path, executor, ("--retry", "crashed")) as again:
            assert again.ends(END_S), f"the second run hangs: {again.output()}"
            assert again.driver.returncode == 0, again.output()
            assert not left_of(again)
            found = again.table().drop(columns=list(VOLATILE))
        pd.testing.assert_frame_equal(found, table, check_exact=True)
        assert not list((tmp_path / "store" / "tmp").iterdir()), "half-written artefacts are left"
    except BaseException:
        outcome = "FAULT"
        raise
    finally:
        outcomes[kind, f"{executor}: {outcome}"] += 1


def judge(run, kind):
    """Check what a disturbed run leaves; return its number of crashed cells, None if it was ended."""
    may_end = kind.startswith("driver") and not kind.endswith("suspended")
    assert run.ends(GONE_S if may_end else END_S), f"it hangs: {run.output()}"
    assert not left_of(run), f"left a minute after the run: {run.output()}"
    if may_end and run.driver.returncode != 0:
        return None
    cells = run.table().drop_duplicates("cell")
    assert len(cells) == N_CELLS
    statuses = Counter(cells["status"])
    assert set(statuses) <= {"done", "crashed"}, run.output()
    assert statuses["crashed"] <= KINDS[kind], cells.loc[cells["status"] == "crashed", "reason"].tolist()
    assert run.driver.returncode == (1 if statuses["crashed"] else 0), run.output()
    return statuses["crashed"]
