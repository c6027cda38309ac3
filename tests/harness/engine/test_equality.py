"""Five families, 60 cells: the table is the same bit for bit, whatever runs the cells and in which order."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest
from crossprune.harness.engine.results import VOLATILE

STUDY = """
[study]
name = "equality"
datasets = ["si-pbe"]
choosers = ["snap"]
fractions = [0.3, 0.6, 1.0]
seeds = [0, 1]
models = ["ace", "chimes", "gap", "nnp", "snap"]
[data.si-pbe]
smoke = true
[options.ace]
cutoff = 4.5
max_degrees = [6.0, 4.0, 3.0]
[options.chimes]
order_2b = 8
order_3b = 4
cutoff = 5.0
cutoff_3b = 4.0
[options.gap]
cutoff = 4.0
pair_cutoff = 4.0
n_max = 4
l_max = 3
n_sparse = 40
[options.nnp]
cutoff = 4.5
n_radial = 5
angular_sharpness = [1.0]
zetas = [1.0, 4.0]
hidden = [8, 8]
whitening = 1e-3
steps = 40
[options.snap]
twojmax = 4
cutoff = 4.5
"""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
WAYS = {
    "one process": (["--workers", "0"], {}),
    "one process, four threads": (["--workers", "0"], {"OMP_NUM_THREADS": "4"}),
    "one worker": (["--workers", "1"], {}),
    "two workers": (["--workers", "2"], {}),
    "two workers, four threads": (["--workers", "2"], {"OMP_NUM_THREADS": "4"}),
    "Parsl": (["--executor", "parsl:cluster.toml"], {}),
}


@pytest.fixture(scope="module")
def table_of(tmp_path_factory, require_adapter):
    for name in ("ace", "chimes", "gap", "nnp", "snap"):
        require_adapter(name)
    folder = tmp_path_factory.mktemp("equality")
    (folder / "study.toml").write_text(STUDY)
    (folder / "cluster.toml").write_text('provider = "local"\nworkers_per_node = 2\n')
    known = {}

    def table_of(way):
        if way not in known:
            options, threads = WAYS[way]
            inherited = {name: value for name, value in os.environ.items() if name not in THREADS}
            store = way.replace(" ", "-")
            command = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "crossprune.harness.cli.main",
                "run",
                "study.toml",
            ]
            done = subprocess.run(
                [*command, *options, "--store", store],
                cwd=folder,
                env=inherited | threads,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            known[way] = pd.read_parquet(folder / store / "results.parquet").drop(columns=list(VOLATILE))
        return known[way]

    return table_of


@pytest.mark.slow
@pytest.mark.parametrize("way", [way for way in WAYS if way != "two workers"])
def test_every_way_gives_the_same_table_bit_for_bit(way, table_of):
    if way == "Parsl":
        pytest.importorskip("parsl")
    expected = table_of("two workers")
    assert expected["cell"].nunique() == 60
    assert set(expected["status"]) == {"done"}
    pd.testing.assert_frame_equal(table_of(way), expected, check_exact=True)
