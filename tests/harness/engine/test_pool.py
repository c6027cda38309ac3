"""Worker processes: what dies of memory is told from what is killed, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from crossprune.harness.engine.memory import private_gb
from crossprune.harness.engine.pool import LocalPool
from crossprune.harness.errors import CellOutOfMemory
from crossprune.harness.store.objects import SCRATCH
from pebble import ProcessExpired

GLUTTON = [sys.executable, "-c", "import time; x = b'x' * 10**9; time.sleep(60)"]


def folders() -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"{SCRATCH}{os.getpid()}-*"))


@pytest.mark.slow
def test_the_memory_of_a_program_counts_as_its_tasks():
    pool = LocalPool(1, timeout_s=50, memory_gb=0.7)
    with pytest.raises(CellOutOfMemory, match=r"used [\d.]+ GB of memory, 0.7 GB are allowed"):
        pool.submit(subprocess.run, GLUTTON).result()
    assert pool.submit(len, "the pool goes on").result() == 16
    pool.shutdown()
    assert not folders()


@pytest.mark.slow
def test_a_worker_that_is_killed_did_not_run_out_of_memory():
    pool = LocalPool(1, timeout_s=50)
    with pytest.raises(ProcessExpired) as died:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()
    assert died.value.exitcode == -signal.SIGKILL
    pool.shutdown()


def test_mapped_files_do_not_count(tmp_path):
    np.save(tmp_path / "blocks.npy", np.zeros(25_000_000))
    before = private_gb(os.getpid())
    mapped = np.load(tmp_path / "blocks.npy", mmap_mode="r")
    assert mapped.sum() == 0
    assert private_gb(os.getpid()) < before + 0.05
    taken = np.ones(25_000_000)
    assert private_gb(os.getpid()) > before + 0.15
    assert taken.sum() == 25_000_000
