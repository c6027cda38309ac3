"""The wheel, built from a clean source distribution as a user would get it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "adapters", "reports")
FOLDERS = (*PACKAGES, "datasets")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the files of a wheel built without the repository's ``build/``, in which old modules survive."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    built = source / "dist"
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(built), str(source)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def in_wheel(path: Path) -> str:
    return f"crossprune/{path.relative_to(ROOT).as_posix()}"


def test_only_top_level_name(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"crossprune"}
    assert "crossprune/__init__.py" not in wheel, "crossprune is a namespace: packages from outside join it"


def test_every_module_is_inside(wheel: set[str]) -> None:
    modules = {in_wheel(path) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert not modules - wheel, "list the package in [tool.setuptools] of pyproject.toml"
    # The scripts that made a data set's labels lie beside its frames; they are data, not modules.
    generators = {name for name in wheel if name.startswith("crossprune/datasets/")}
    assert {name for name in wheel if name.endswith(".py")} - generators == modules


def test_every_data_file_is_inside(wheel: set[str]) -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    files += (ROOT / "datasets").glob("*/*")
    data = {
        in_wheel(path)
        for path in files
        if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts
    }
    assert any(name.endswith("/card.toml") for name in data), "no data set has a card"
    assert not data - wheel, "add a pattern to [tool.setuptools.package-data] of pyproject.toml"


def test_licence_and_command(wheel: set[str]) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)
    assert any(name.endswith("/entry_points.txt") for name in wheel)
