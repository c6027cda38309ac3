"""A stage has one BLAS thread, whatever the environment says: more would change the last bits."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from pathlib import Path
import scipy.linalg
import threadpoolctl
from crossprune.harness.engine.outcome import run_all

def stage(root):
    blas = [one for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
    return sorted({(one["prefix"], one["num_threads"]) for one in blas}), True

(outcome,) = run_all(Path("store"), None, [(stage, ())])
print(len(outcome.value), *{n for _, n in outcome.value})
"""


def test_a_stage_has_one_blas_thread(tmp_path):
    many = {**os.environ, "OMP_NUM_THREADS": "4", "OPENBLAS_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=many, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    libraries, *threads = map(int, done.stdout.split())
    assert libraries > 0, "no BLAS was found, so none was limited"
    assert threads == [1]
