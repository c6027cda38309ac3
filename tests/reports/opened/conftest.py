"""A small finished run: families that need no package, a whole group held out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from crossprune.harness.analysis.details.artefacts import gather
from crossprune.harness.analysis.details.gathered import Details, details_of
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import read_overall
from crossprune.harness.engine.study import parse_study
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "opened"
datasets = ["si-pbe"]
models = ["mean", "flat"]
choosers = ["mean", "composition"]
methods = ["fps"]
poolings = ["mean", "max"]
fractions = [0.25, 0.5, 1.0]
seeds = [0, 1]
[options.flat]
adapter = "mean"
[data.si-pbe]
smoke = true
ood_groups = ["surface-111"]
"""


@dataclass(frozen=True)
class Run:
    """A finished run and what a page can open of it."""

    root: Path
    whole: pd.DataFrame
    overall: pd.DataFrame
    details: Details

    @property
    def table(self) -> Path:
        """The whole table."""
        return self.root / "results.parquet"


def finish(folder: Path, text: str) -> Path:
    """Run a study into a folder, tables and provenance beside it."""
    result = run(parse_study(tomllib.loads(text), "x"), Store(folder), SerialExecutor())
    result.write(folder / "results.parquet")
    (folder / "provenance.json").write_text(json.dumps({"toml": text, "study": "opened"}))
    return folder


@pytest.fixture(scope="session")
def finished() -> Callable[[Path, str], Path]:
    """Run a study into a folder."""
    return finish


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = finish(tmp_path_factory.mktemp("opened"), STUDY)
    overall = read_overall(root / "results.parquet")
    details = details_of(root, overall, gather(root, overall), root / "results.parquet")
    return Run(root, pd.read_parquet(root / "results.parquet"), overall, details)
