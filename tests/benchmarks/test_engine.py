"""What a cell of the cheapest model costs the engine, table and report included, as docs/store.md says.

``python -m pytest tests/benchmarks/test_engine.py -m long -s`` runs 200, 2,000 and 20,000 cells (minutes) and
prints processor time and the driver's peak memory. Nothing is asserted about time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FRACTIONS = np.linspace(0.1, 0.9, 20).round(4).tolist()
STUDY = """
[study]
name = "cells"
datasets = ["si-pbe"]
models = ["mean"]
fractions = {fractions}
seeds = {seeds}
"""
RUN = """
import resource, sys
import crossprune.harness.cli.main as cli

if __name__ == "__main__":
    try:
        cli.main()
    finally:
        own, workers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        times = [own.ru_utime + own.ru_stime, workers.ru_utime + workers.ru_stime]
        print("COST", *times, own.ru_maxrss / 1e6, file=sys.stderr)
"""


def cost(folder: Path, n_cells: int) -> tuple[float, float, float]:
    """Run on one worker; return the processor seconds of driver and worker, and the driver's peak, GB."""
    (folder / "run.py").write_text(RUN)
    study = folder / f"{n_cells}.toml"
    study.write_text(STUDY.format(fractions=FRACTIONS, seeds=list(range(n_cells // len(FRACTIONS)))))
    words = ["run.py", "run", study.name, "--store", f"store-{n_cells}", "--workers", "1"]
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=True)
    results = pd.read_parquet(
        folder / f"store-{n_cells}" / "results.parquet", columns=["cell", "fit_key", "status"]
    )
    assert results["fit_key"].nunique() == results["cell"].nunique() == n_cells, "no two cells share a fit"
    assert set(results["status"]) == {"done"}
    driver, worker, peak = map(float, done.stderr.split("COST")[-1].split())
    return driver, worker, peak


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_cells_of_mean(tmp_path: Path) -> None:
    few, many = cost(tmp_path, 200), cost(tmp_path, 2000)
    driver, worker = (1e3 * (many[part] - few[part]) / 1800 for part in range(2))
    print(f"\nprocessor time per cell: driver {driver:.2f} ms, worker {worker:.2f} ms")
    print(f"peak memory of the driver: {many[2]:.2f} GB for 2,000 cells")
    print(f"peak memory of the driver: {cost(tmp_path, 20_000)[2]:.2f} GB for 20,000 cells")
