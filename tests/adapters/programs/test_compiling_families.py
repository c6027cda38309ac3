"""Kernels give the same bits compiled now and read from the cache of an earlier process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib
import numpy as np
from crossprune.harness.checks.subject import Subject
from crossprune.harness.lookup import adapter_class

subject = Subject(adapter_class({name!r}))
digest = hashlib.md5()
for name, array in sorted(subject.prepared.arrays.items()):
    digest.update(np.asarray(array).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ace", "chimes", "mtp", "nnp", "uf3"])
def test_a_cold_and_a_warm_cache_give_the_same_bits(name, require_adapter, tmp_path):
    require_adapter(name)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    found = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(name=name)],
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1]
