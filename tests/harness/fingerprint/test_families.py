"""Which files each family's keys rest on, file by file; and that moving them changes no key."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness.fingerprint.places import Place
from crossprune.harness.fingerprint.source import hash_of_code

ROOT = Path(__file__).parents[3]
EVERY = {family.name for family in FAMILIES}
LINEAR = {"ace", "chimes", "mtp", "pod", "snap", "uf3", "universal"}
LAMMPS = {"pod", "snap", "uf3"}
DESCRIPTORS = {"composition", "dscribe", "euler", "featomic"}
FITTED = EVERY - DESCRIPTORS - {"broken"}
SHARED: dict[str, set[str]] = {
    "adapters/linear/blocks.py": LINEAR,
    "adapters/linear/evidence.py": LINEAR,
    "adapters/linear/fitter.py": LINEAR,
    "adapters/linear/gathering.py": LINEAR,
    "adapters/linear/least_squares.py": LINEAR,
    "adapters/linear/metric.py": LINEAR,
    "adapters/linear/offsets.py": {"ace", "gap", "mean", "nnp"},
    "adapters/linear/options.py": LINEAR | {"nnp"},
    "adapters/linear/potentials.py": LINEAR,
    "adapters/linear/reweighting.py": LINEAR,
    "adapters/programs/compiling.py": {"ace", "chimes", "euler", "mtp", "nnp", "uf3"},
    "adapters/programs/lammps.py": LAMMPS,
    "adapters/programs/launchers.py": {"ace", "gap", "universal"} | LAMMPS,
    "adapters/programs/libraries.py": {"dscribe", "featomic", "gap", "universal"} | LAMMPS,
    "adapters/programs/overlays.py": {"snap"},
    "adapters/programs/pair_commands.py": LAMMPS,
    "adapters/programs/pacemaker_frames.py": {"ace"},
    "adapters/programs/pacemaker_program.py": {"ace"},
    "adapters/programs/process.py": {"ace", "gap"},
    "adapters/programs/quip.py": {"dscribe", "featomic", "gap", "universal"},
    "harness/contract/adapter.py": EVERY,
    "harness/contract/arrays.py": EVERY,
    "harness/contract/claims.py": EVERY,
    "harness/contract/composition.py": FITTED,
    "harness/contract/motion.py": EVERY,
    "harness/contract/neighbours.py": FITTED | {"euler"},
    "harness/contract/potential.py": EVERY,
    "harness/contract/prediction.py": EVERY,
    "harness/contract/saved.py": EVERY,
    "harness/contract/vanishing.py": LINEAR,
    "harness/data/frames.py": FITTED,
    "harness/tables.py": LINEAR,
}
"""Families whose keys change with a file outside their own room; a file that is not named changes none."""
STAGES = {
    "selection": ("harness.selection.gathering", {"selection", "data/frames.py", "contract/vanishing.py"}),
    "cells": ("harness.evaluation.soundness", {"evaluation/soundness.py", "evaluation/metrics.py"}),
}
"""The module that the keys of a stage rest on, and the folders and files of which every line counts."""
NOT_CHOOSING = {f"harness/selection/{name}.py" for name in ("diagnostics", "linter", "__init__")}
ADAPTER_OF = {
    **{name: name for name in ("mean", "broken", "snap")},
    **{name: f"descriptors.{name}" for name in DESCRIPTORS},
}


def find_in(root: Path):
    """Return a way to find the modules of a checkout."""

    def find(module: str) -> Place | None:
        top, *rest = module.split(".")
        if top != "crossprune":
            return None
        path = root.joinpath(*rest) if rest else root / "api"
        if (path / "__init__.py").is_file():
            return Place((path / "__init__.py").read_bytes(), True)
        file = path.with_suffix(".py")
        return Place(file.read_bytes(), False) if file.is_file() else None

    return find


def module_of(family: str) -> str:
    return f"crossprune.adapters.{ADAPTER_OF.get(family, f'{family}.adapter')}"


def keys(root: Path) -> dict[str, str]:
    find = find_in(root)
    return {family: hash_of_code(module_of(family), find) for family in EVERY}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("api", "adapters", "harness"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def expected(file: str) -> set[str]:
    """Return the families whose keys a line in ``file`` must change."""
    parts = Path(file).parts
    if parts[-1] == "recipe.py":  # it says how a potential is run, and changes none
        return set()
    if parts[0] == "adapters" and file not in SHARED:
        name = Path(parts[2] if parts[1] == "descriptors" else parts[1]).stem
        return {name} & EVERY if Path(file).name != "__init__.py" else set()
    return SHARED.get(file, set())


@pytest.mark.slow
def test_a_changed_file_makes_those_stale_that_rest_on_it_and_no_others(checkout):
    before = keys(checkout)
    assert len(set(before.values())) == len(EVERY)
    files = sorted(path for folder in ("adapters", "harness") for path in (checkout / folder).rglob("*.py"))
    assert SHARED.keys() <= {str(path.relative_to(checkout)) for path in files}
    wrong = []
    for path in files:
        content = path.read_text()
        path.write_text(f"{content}\nPLANTED = 1\n")
        after = keys(checkout)
        path.write_text(content)
        name = str(path.relative_to(checkout))
        changed = {family for family in EVERY if after[family] != before[family]}
        if changed != expected(name):
            wrong.append(f"{name}: changes {sorted(changed)}, expected {sorted(expected(name))}")
    assert not wrong, "\n".join(wrong)


def stages(root: Path) -> dict[str, str]:
    find = find_in(root)
    return {stage: hash_of_code(f"crossprune.{module}", find) for stage, (module, _) in STAGES.items()}


@pytest.mark.slow
def test_a_changed_line_of_selection_or_judgement_makes_cells_stale_and_no_fits(checkout):
    before = stages(checkout)
    for stage, (_, counting) in STAGES.items():
        for name in sorted(counting):
            found = checkout / "harness" / name
            for path in [found] if found.is_file() else sorted(found.glob("*.py")):
                content = path.read_text()
                path.write_text(f"{content}\nPLANTED = 1\n")
                changed = stages(checkout)[stage] != before[stage]
                path.write_text(content)
                counts = str(path.relative_to(checkout)) not in NOT_CHOOSING and path.name != "__init__.py"
                assert changed == counts, f"{stage}: {path}"


def move(checkout: Path, old: str, new: str) -> None:
    """Rename a module or a room, and every mention of it, as a person would."""
    source, target = checkout / old, checkout / new
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)
    before, after = (f"crossprune.{name.removesuffix('.py').replace('/', '.')}" for name in (old, new))
    (room, name), (new_room, new_name) = (one.rsplit(".", 1) for one in (before, after))
    for path in (one for folder in ("adapters", "harness") for one in (checkout / folder).rglob("*.py")):
        text = re.sub(rf"{re.escape(before)}\b", after, path.read_text())
        named = re.search(rf"^( *)from {re.escape(room)} import (.*\b{name}\b.*)$", text, re.MULTILINE)
        if named:
            others = [one for one in named[2].split(", ") if one != name]
            lines = [f"{named[1]}from {new_room} import {new_name}"]
            lines += [f"{named[1]}from {room} import {', '.join(others)}"] if others else []
            text = text.replace(named[0], "\n".join(lines))
            text = re.sub(rf"(?<![.\w]){name}\.", f"{new_name}.", text)
        path.write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("adapters/ace/kernels.py", "adapters/ace/zeta.py"),
        ("adapters/nnp/kernels.py", "adapters/nnp/numerics.py"),
        ("adapters/linear", "adapters/regression"),
        ("adapters/programs/process.py", "adapters/ace/process.py"),
        ("harness/data/frames.py", "harness/frames.py"),
        ("harness/contract/potential.py", "harness/contract/model.py"),
    ],
)
def test_a_move_or_a_new_name_changes_no_key(checkout, old, new):
    before = keys(checkout)
    move(checkout, old, new)
    assert not (checkout / old).exists()
    assert keys(checkout) == before
