"""The wheel as a user would get it, unpacked: import-linter and grimp see only what is installed whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("api", "adapters", "datasets", "harness", "reports")
Graph = dict[str, set[str]]
"""Module to the modules that it imports at run time."""

READ_GRAPH = """
import grimp, json
graph = grimp.build_graph("crossprune", exclude_type_checking_imports=True, cache_dir=None)
print(json.dumps({name: sorted(graph.find_modules_directly_imported_by(name)) for name in graph.modules}))
"""


def _folder(package: str) -> str:
    """Return where a package lies: what has no folder of its own at the top is a room of ``api``."""
    _, *rest = package.split(".")
    return "/".join(rest if rest and rest[0] in FOLDERS else ["api", *rest])


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel's files, built without the repository's ``build/``, in which old modules survive."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    rooms = {str(path.parent.relative_to(source)) for path in source.rglob("__init__.py")}
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    listed = {_folder(name) for name in names}
    assert listed == rooms, (
        "packages in pyproject.toml must be the rooms of the tree: the wheel has no others"
    )
    built = source / "dist"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    (path,) = built.glob("*.whl")
    unpacked = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(unpacked)
    return unpacked


@pytest.fixture
def planted(wheel: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return ``plant(file, line)``: a copy of the unpacked wheel with a line added to one of its files."""

    def plant(file: str, line: str) -> Path:
        copy = tmp_path / "planted"
        if not copy.exists():
            shutil.copytree(wheel, copy)
        path = copy / "crossprune" / file
        path.write_text(f"{path.read_text()}\n{line}\n")
        return copy

    return plant


@pytest.fixture(scope="session")
def run_on() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return ``run(folder, *arguments)``: Python with the packages of ``folder`` before all others."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=folder, check=False
        )

    return run


@pytest.fixture(scope="session")
def read_graph(run_on: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[[Path], Graph]:
    """Return ``read(folder)``: who imports whom in the packages of ``folder``."""

    def read(folder: Path) -> Graph:
        done = run_on(folder, "-c", READ_GRAPH)
        assert done.returncode == 0, done.stderr
        return {name: set(imported) for name, imported in json.loads(done.stdout).items()}

    return read


@pytest.fixture(scope="session")
def graph(wheel: Path, read_graph: Callable[[Path], Graph]) -> Graph:
    """Return who imports whom in the wheel."""
    return read_graph(wheel)
