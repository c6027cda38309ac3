"""Ctrl-C or SIGTERM stops a run cleanly: what is done is kept, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

STUDY = """
[study]
name = "interrupted"
datasets = ["si-pbe"]
fractions = [0.5]
seeds = [0]
models = ["mean", "broken"]
[options.broken]
how = "hang"
"""


def _hear():
    """Hear signals again: a shell makes what it runs in the background deaf to SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_what_is_done_and_leaves_no_process(number, tmp_path):
    import psutil

    (tmp_path / "study.toml").write_text(STUDY)
    command = [
        sys.executable,
        "-m",
        "crossprune.harness.cli.main",
        "run",
        "study.toml",
        "--store",
        "out",
        "--workers",
        "2",
    ]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=_hear,
    ) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out" / "objects" / "fit").glob("*/*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1.0)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        try:
            output = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert process.returncode == 130, output
    assert "interrupted: 1 cells left" in output
    assert "Traceback" not in output
    table = pd.read_parquet(tmp_path / "out" / "results.parquet")
    assert set(table["status"]) == {"done"}
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert gone
    assert not alive
