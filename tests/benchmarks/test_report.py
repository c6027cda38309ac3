"""The page of a study of 10,000 cells: its time and its size."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossprune.reports.page import write_report
from crossprune.reports.tables import METRICS
from pytest_benchmark.fixture import BenchmarkFixture

MAX_BYTES = 12_000_000
"""Small enough for a mail."""
DATASETS = ("mlearn-Cu", "mlearn-Li", "mlearn-Mo", "mlearn-Ni", "si-pbe")
FAMILIES = ("ace", "chimes", "gap", "nnp", "snap")
WAYS = [("random", "random"), *itertools.product(FAMILIES, ("cur", "fps", "kmeans"))]
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)
SEEDS = range(5)
GROUPS = ("all", "aimd", "bcc", "elastic", "fcc", "hcp", "interstitial", "liquid", "surface", "vacancy")
SPLITS = ("test", "ood", "remainder")


def results_of_many_cells() -> pd.DataFrame:
    """Make the table of 10,000 cells, 300,000 rows, with errors that fall with the fraction."""
    rng = np.random.default_rng(0)
    cells = pd.DataFrame(
        [
            (dataset, chooser, method, fraction, seed, model)
            for dataset, (chooser, method), fraction, seed, model in itertools.product(
                DATASETS, WAYS, FRACTIONS, SEEDS, FAMILIES
            )
        ],
        columns=["dataset", "chooser", "method", "fraction", "seed", "model"],
    )
    kept = (400 * cells["fraction"]).round()
    cells = cells.assign(
        status="done",
        reason="",
        n_configurations=kept,
        n_atoms=54 * kept,
        n_labels=169 * kept,
        fit_s=rng.lognormal(1.0, 0.5, len(cells)) * cells["fraction"],
        peak_memory_mb=300.0,
        cell=[f"cell-{number}" for number in range(len(cells))],
        commit="abc1234",
        versions="numpy 2.4.6",
    )
    cells.loc[cells.index % 97 == 0, ["status", "reason"]] = ("failed", "Traceback\n" + "  line\n" * 40 + "X")
    parts = pd.DataFrame(list(itertools.product(SPLITS, GROUPS)), columns=["split", "group"])
    table = cells.merge(parts, how="cross")
    table = table[(table["status"] == "done") | ((table["split"] == "test") & (table["group"] == "all"))]
    level = rng.lognormal(0.0, 0.1, len(table)) / table["fraction"] ** 0.3
    for metric in METRICS:
        table[metric.column] = (0.2 * level).where(table["status"] == "done")
    return table.reset_index(drop=True)


@pytest.mark.slow
def test_report_of_ten_thousand_cells(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    results = results_of_many_cells()
    assert results["cell"].nunique() == 10_000
    (tmp_path / "objects").mkdir()  # a store: the second round finds the statistics of the first
    write = benchmark.pedantic(
        write_report, args=(results, tmp_path, {"study": "many", "toml": ""}), rounds=2, iterations=1
    )
    assert write.stat().st_size <= MAX_BYTES
