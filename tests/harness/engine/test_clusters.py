"""Parsl's HighThroughputExecutor with two workers: the same table, whatever dies."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from crossprune.harness.engine.clusters import ClusterOptions, executor_from
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes import herd
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import VOLATILE
from crossprune.harness.engine.study import read_study
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store

pytest.importorskip("parsl")

STUDY = """
[study]
name = "cluster"
datasets = ["si-pbe"]
choosers = ["snap"]
fractions = [0.1, 0.2, 0.3, 0.4, 0.5]
seeds = [0, 1]
models = ["snap"{more}]
[options.snap]
twojmax = 6
quadratic = true
[options.broken]
how = "segfault"
"""


@pytest.fixture
def study(tmp_path, require_adapter):
    require_adapter("snap")

    def write(more=""):
        (tmp_path / "study.toml").write_text(STUDY.format(more=more))
        (tmp_path / "cluster.toml").write_text('provider = "local"\nworkers_per_node = 2\n')
        return tmp_path / "study.toml"

    return write


def command(folder, store):
    program = [sys.executable, "-W", "ignore", "-m", "crossprune.harness.cli.main", "run", "study.toml"]
    return [*program, "--executor", "parsl:cluster.toml", "--store", store]


def serial(path, folder):
    table = run(read_study(path), Store(folder / "serial"), SerialExecutor()).table
    return table.drop(columns=list(VOLATILE))


def parallel(folder, store):
    return pd.read_parquet(folder / store / "results.parquet").drop(columns=list(VOLATILE))


def pools(folder):
    """Find the worker pools that Parsl started for ``folder``; they are no children of the driver."""
    found = []
    for one in psutil.process_iter(["cmdline"]):
        line = " ".join(one.info["cmdline"] or [])
        if "process_worker_pool" in line and str(folder) in line:
            found.append(one)
    return found


def family_of(driver, folder):
    return [*psutil.Process(driver.pid).children(recursive=True), *pools(folder)]


def kill(processes):
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(processes, timeout=20)


def wait_for_fits(folder, count):
    deadline = time.monotonic() + 100
    while len(list((folder / "objects" / "fit").glob("*/*"))) < count:
        assert time.monotonic() < deadline, "no fit was finished"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_table_equals_the_serial_one_and_a_crash_costs_one_cell(study, tmp_path):
    path = study(', "broken"')
    done = subprocess.run(command(tmp_path, "out"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    found, expected = parallel(tmp_path, "out"), serial(study(), tmp_path)
    crashed = found[found["model"] == "broken"]
    assert set(crashed["status"]) == {"crashed"}
    assert crashed["reason"].str.contains("SIGSEGV").all()
    others = found[found["model"] == "snap"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, expected, check_exact=True)
    study(', "broken"')
    again = subprocess.run(command(tmp_path, "out"), cwd=tmp_path, capture_output=True, text=True)
    assert "nothing, all was in the store" in again.stdout
    assert path.exists()


@pytest.mark.slow
def test_nothing_is_left_of_a_killed_driver_which_goes_on_where_it_was(study, tmp_path):
    path = study()
    with subprocess.Popen(
        command(tmp_path, "out"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as driver:
        wait_for_fits(tmp_path / "out", 2)
        family = family_of(driver, tmp_path)
        family += [one for pool in pools(tmp_path) for one in pool.children(recursive=True)]
        driver.send_signal(signal.SIGKILL)
    assert len(family) > 4
    alive = psutil.wait_procs(family, timeout=60)[1]
    assert not alive, "left a minute after the driver"
    done = subprocess.run(command(tmp_path, "out"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pd.testing.assert_frame_equal(parallel(tmp_path, "out"), serial(path, tmp_path), check_exact=True)


@pytest.mark.slow
def test_a_lost_worker_costs_nothing(study, tmp_path):
    path = study()
    driver = subprocess.Popen(
        command(tmp_path, "out"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_for_fits(tmp_path / "out", 2)
        kill_a_worker(tmp_path)
        output = driver.communicate(timeout=200)[0]
    finally:
        if driver.poll() is None:  # do not let a run that hangs outlive its test
            kill([psutil.Process(driver.pid), *family_of(driver, tmp_path)])
            driver.communicate()
    assert driver.returncode == 0, output
    pd.testing.assert_frame_equal(parallel(tmp_path, "out"), serial(path, tmp_path), check_exact=True)


POOL = """
import os, sys
with open("starts", "a") as starts:
    starts.write("x")
if os.path.getsize("starts") <= int(sys.argv[1]):
    exec(sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_failures", "failure", "n_starts", "code"),
    [
        (0, "", 1, 0),
        (1, "sys.exit(1)", 2, 0),
        (1, "os.kill(os.getpid(), 9)", 2, 0),
        (9, "sys.exit(7)", herd.FAILURES, 7),
        (9, "os.kill(os.getpid(), 9)", herd.FAILURES, -9 % 256),
    ],
)
def test_a_pool_that_does_not_get_up_is_started_again(n_failures, failure, n_starts, code, tmp_path):
    pool = [sys.executable, "-c", POOL, str(n_failures), failure]
    ended = subprocess.run([sys.executable, "-m", herd.__name__, *pool], cwd=tmp_path, timeout=60)
    assert (tmp_path / "starts").read_text() == "x" * n_starts
    assert ended.returncode == code


def kill_a_worker(folder):
    """Kill a worker, whatever it does: one that waits holds the lock of the queue that all share."""
    herds = [one for one in pools(folder) if herd.__name__ in " ".join(one.cmdline())]
    (pool,) = [one for herd in herds for one in herd.children() if one in pools(folder)]
    workers = [one for one in pool.children() if "spawn_main" in " ".join(one.cmdline())]
    workers[-1].kill()


@pytest.mark.slow
def test_an_adapter_runs_on_workers_of_its_own(study, tmp_path):
    study(', "mean"')
    (tmp_path / "cluster.toml").write_text(
        'provider = "local"\nworkers_per_node = 1\n[labels.averages]\nadapters = ["mean"]\n'
        'worker_init = "export PLACE=elsewhere"\n'
    )
    done = subprocess.run(command(tmp_path, "out"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = parallel(tmp_path, "out")
    snap = found[found["model"] == "snap"].reset_index(drop=True)
    pd.testing.assert_frame_equal(snap, serial(study(), tmp_path), check_exact=True)
    tasks = {
        label: sum(
            path.read_text().count("Received executor task")
            for path in (tmp_path / "runinfo").rglob("worker_*.log")
            if f"/{label}/" in str(path)
        )
        for label in ("averages", "crossprune")
    }
    n_fits = found.loc[found["model"] == "mean", "fit_key"].nunique()
    assert 2 <= tasks["averages"] <= 1 + n_fits  # prepare, fits in batches
    assert tasks["crossprune"] > 2


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.toml", 'provider = "slrum"', "unknown value 'slrum'; did you mean 'slurm'"),
        ("c.toml", "worker_per_node = 2", "unknown key 'worker_per_node'; did you mean 'workers_per_node'"),
        ("c.toml", "[labels.gpu]\nworkers_per_node = 1", "labels.gpu.* needs .* adapters"),
        ("c.toml", "labels = 5", "labels: expected a table, got 5"),
        ("c.toml", "[labels]\ngpu = 5", "labels.gpu: expected a table, got 5"),
        ("c.toml", "[labels.gpu]\nadapters = 5", r"labels.gpu.*: adapters: expected a list, got 5"),
        ("c.toml", "[labels.gpu]\nadapters = [[1]]", r"labels.gpu.*: adapters: expected str, got \[1\]"),
        ("c.toml", '[labels.gpu]\nadapters = ["nnp"]\nnode = 2', "unknown key 'node'; did you mean 'nodes'"),
        ("c.py", "x = 1", "does not define config"),
        ("missing.py", None, "no such file"),
        (
            "c.txt",
            "raise SystemExit(17)",
            r"a TOML file \(.toml\), or a Python file \(.py\), which is executed",
        ),
        ("config", "raise SystemExit(17)", "a TOML file"),
    ],
)
def test_wrong_configurations_are_explained(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(StudyError, match=message):
        executor_from(tmp_path / name, 10.0)


@pytest.mark.parametrize("provider", ["slurm", "pbs"])
def test_batch_systems_get_their_settings(provider, tmp_path):
    from crossprune.harness.engine.clusters import configuration

    options = ClusterOptions(
        provider=provider, partition="fast", account="me", nodes=3, max_jobs=5, address="here"
    )
    (workers,) = configuration(options, tmp_path).executors
    assert workers.provider.nodes_per_block == 3
    assert workers.provider.max_blocks == 5
    assert workers.provider.account == "me"


@pytest.mark.parametrize("name", ["workers_per_node", "nodes", "max_jobs", "retries"])
def test_a_cluster_of_less_than_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must"):
        ClusterOptions(**{name: -1})
