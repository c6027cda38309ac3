"""List, tree and wheel hold the same: the wheel is built from a clean source distribution."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]

pytestmark = pytest.mark.slow


def in_wheel(path: Path, root: Path = ROOT) -> str:
    """Return where a file of the tree lies in the wheel."""
    folder, *rest = path.relative_to(root).parts
    return "/".join([*("crossprune" if folder == "api" else f"crossprune/{folder}").split("/"), *rest])


def rooms_of(root: Path) -> set[str]:
    """Return the packages of a tree: every folder with an ``__init__.py``."""
    inits = [path for folder in FOLDERS.values() for path in (root / folder).rglob("__init__.py")]
    return {in_wheel(path.parent, root).replace("/", ".") for path in inits}


def strays_of(root: Path) -> set[str]:
    """Return the folders of a tree that hold modules and are no package."""
    folders = {folder for folder in FOLDERS.values() if folder != "datasets"}  # its scripts are data
    modules = [path for folder in folders for path in (root / folder).rglob("*.py")]
    return {str(path.parent) for path in modules if not (path.parent / "__init__.py").is_file()}


def test_the_list_is_the_tree() -> None:
    assert set(SETUPTOOLS["packages"]) == rooms_of(ROOT), "list every room in pyproject.toml"
    assert not strays_of(ROOT), "a folder with modules needs an __init__.py"


def test_a_room_that_is_not_listed_is_found(tmp_path: Path) -> None:
    for folder in FOLDERS.values():
        (tmp_path / folder / "room").mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "harness" / "room" / "__init__.py").touch()
    (tmp_path / "adapters" / "room" / "kernels.py").touch()
    assert rooms_of(tmp_path) == {*FOLDERS, "crossprune.harness.room"}
    assert strays_of(tmp_path) == {str(tmp_path / "adapters" / "room")}


def test_only_top_level_name(wheel: Path) -> None:
    assert {path.name for path in wheel.iterdir() if path.suffix != ".dist-info"} == {"crossprune"}


def test_the_wheel_is_the_tree(wheel: Path) -> None:
    files = {
        in_wheel(path)
        for folder in FOLDERS.values()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {str(path.relative_to(wheel)) for path in (wheel / "crossprune").rglob("*") if path.is_file()}
    assert any(name.endswith("/card.toml") for name in held), "no data set has a card"
    assert not files - held, "add a pattern to [tool.setuptools.package-data] of pyproject.toml"
    assert not held - files


def test_licence_command_and_types(wheel: Path) -> None:
    (facts,) = wheel.glob("*.dist-info")
    assert (facts / "licenses" / "LICENSE").is_file()
    assert "crossprune = crossprune.harness.cli.main:main" in (facts / "entry_points.txt").read_text()
    assert (wheel / "crossprune" / "py.typed").is_file(), "types are not seen by those who install crossprune"


def test_the_face_of_all_imports_nothing_heavy(wheel: Path, run_on) -> None:
    program = "import sys, crossprune; print(crossprune.__version__, {'numpy', 'ase'} & set(sys.modules))"
    done = run_on(wheel, "-c", program)
    assert done.stdout.split()[1:] == ["set()"], done.stdout + done.stderr
    assert done.stdout[0].isdigit()
