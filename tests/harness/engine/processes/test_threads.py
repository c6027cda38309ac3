"""A worker has one BLAS thread, whatever the environment says, and imports no more than a fit needs."""

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


IMPORTS = """
import sys
import crossprune.harness.engine.stages
from crossprune.harness.lookup import adapter_class
for name in ("ace", "chimes", "gap", "nnp", "snap"):
    adapter_class(name)
print(*sorted({"ase.io", "numba", "pandas", "scipy.stats", "sklearn", "torch", "typer"} & set(sys.modules)))
"""


def test_a_worker_imports_no_more_than_a_fit_needs(require_adapter):
    for name in ("ace", "chimes", "gap", "nnp", "snap"):
        require_adapter(name)
    done = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
