"""Stages that try a fitted potential: physical properties and molecular dynamics."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from ase.io import write
from crossprune.harness.engine.outcome import guarded
from crossprune.harness.engine.stored import stage_store, stored_potential
from crossprune.harness.evaluation.properties import PropertyOptions, Setting, compute_properties
from crossprune.harness.evaluation.stability import MdRun, run_md

TRAJECTORY = "trajectory.extxyz"


@guarded
def properties_stage(
    root: Path, fit_key: str, setting: Setting, options: PropertyOptions
) -> tuple[dict[str, Any], bool]:
    """Compute the properties of a fitted potential; a row each, whatever fails."""
    found = compute_properties(stored_potential(root, fit_key).calculator(), setting, options)
    facts = {"trial": True, "fit_key": fit_key}
    return {"rows": [dataclasses.asdict(one) for one in found], "facts": facts}, True


@guarded
def md_stage(root: Path, fit_key: str, run: MdRun, key: str) -> tuple[dict[str, Any], bool]:
    """Run molecular dynamics with a fitted potential; keep frames up to and including the failure."""
    result, kept = run_md(stored_potential(root, fit_key), run)
    folder = stage_store(root).write("md", key, lambda path: write(path / TRAJECTORY, kept, format="extxyz"))
    trajectory = str((folder / TRAJECTORY).relative_to(root))
    facts = {"trial": True, "fit_key": fit_key, "trajectory": trajectory}
    return {"rows": [{**dataclasses.asdict(result), "survived": result.survived}], "facts": facts}, True
