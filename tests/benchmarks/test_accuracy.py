"""The errors of a small matrix must not get worse than recorded by more than their spread over seeds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import read_study
from crossprune.harness.store.objects import Store

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("accuracy.json")
WATCHED = ("energy_mae_mev_per_atom", "force_mae_ev_per_angstrom")


def summary(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    cells = table[(table["group"] == "all") & (table["split"] == "test")]
    groups = cells.groupby(["model", "chooser", "fraction"])
    return {
        f"{model}, {chooser}, {fraction:g}, {metric}": {
            "mean": group[metric].mean(),
            "spread": group[metric].std(),
        }
        for (model, chooser, fraction), group in groups
        for metric in WATCHED
    }


def worse(recorded: dict[str, dict[str, float]], found: dict[str, dict[str, float]]) -> list[str]:
    """List the errors that rose by more than the recorded spread, and by more than 1 % where it is zero."""
    return [
        f"{name}: {found[name]['mean']:.4g}, recorded {old['mean']:.4g} ± {old['spread']:.2g}"
        for name, old in recorded.items()
        if not found[name]["mean"] <= old["mean"] + max(old["spread"], 0.01 * old["mean"])
    ]


@pytest.mark.slow
def test_errors_are_not_worse_than_recorded(tmp_path, require_adapter):
    for name in ("snap", "ace", "chimes"):
        require_adapter(name)
    result = run(read_study(ROOT / "studies" / "bench.toml"), Store(tmp_path), SerialExecutor())
    assert set(result.statuses) == {"done"}
    found = summary(result.table)
    recorded = json.loads(RECORD.read_text())
    assert recorded.keys() == found.keys(), f"record the errors anew:\n{json.dumps(found, indent=1)}"
    assert not worse(recorded, found)


def test_a_planted_loss_is_found():
    recorded = {"snap": {"mean": 10.0, "spread": 0.5}, "mean": {"mean": 100.0, "spread": 0.0}}
    assert not worse(recorded, {"snap": {"mean": 10.4, "spread": 1}, "mean": {"mean": 100.5, "spread": 0}})
    assert (
        len(worse(recorded, {"snap": {"mean": 10.6, "spread": 1}, "mean": {"mean": 102.0, "spread": 0}})) == 2
    )
    assert len(worse(recorded, {"snap": {"mean": float("nan")}, "mean": {"mean": 100.0}})) == 1
