"""The rules of the layout: what files are called, how long they are, how many lie in a room."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "harness", "adapters", "reports")
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
LONGEST, MEDIAN = 400, 200
"""Lines of a file: more than one idea, and what is usual (house style)."""
FULL = {"harness": 15, "adapters/ace": 20, "tests/adapters": 20}
"""Entries of a room at most, where it is not `ROOM`."""
ROOM = 18


def sources(
    root: Path, folders: tuple[str, ...] = (*PACKAGES, "benchmarks", "datasets", "docs", "examples", "tests")
) -> list[Path]:
    return sorted(path for folder in folders for path in (root / folder).rglob("*.py"))


def relative(paths: list[Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in paths]


def nameless(root: Path) -> list[str]:
    return relative([path for path in sources(root) if path.stem in SAY_NOTHING], root)


def n_lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def long_files(root: Path) -> list[str]:
    return relative([path for path in sources(root) if n_lines(path) > LONGEST], root)


def crowded(root: Path) -> list[str]:
    """Return the rooms with too many entries: whoever looks in sees no roles any more."""
    rooms = {path.parent for path in sources(root, (*PACKAGES, "tests"))}
    found = []
    for room in sorted(rooms):
        name = str(room.relative_to(root))
        n_entries = sum(one.name != "__pycache__" for one in room.iterdir())
        if n_entries > FULL.get(name, ROOM):
            found.append(f"{name}: {n_entries}")
    return found


def faces_with_more_than_names(root: Path) -> list[str]:
    """Return each ``__init__`` of a room that does more than import names: keys look through it."""
    allowed = (ast.Import, ast.ImportFrom)
    found = []
    for path in sources(root, ("harness", "adapters", "reports")):
        if path.name != "__init__.py" or path.parent == root / "adapters":
            continue
        docstring, *rest = ast.parse(path.read_text()).body
        is_text = isinstance(docstring, ast.Expr) and isinstance(docstring.value, ast.Constant)
        if not is_text or any(not isinstance(one, allowed) and not _is_all(one) for one in rest):
            found.append(path)
    return relative(found, root)


def _is_all(node: ast.stmt) -> bool:
    """Tell whether a statement is a plain ``__all__ = [...]`` of texts."""
    if not (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"):
        return False
    return isinstance(node.value, ast.List) and all(isinstance(one, ast.Constant) for one in node.value.elts)


def test_file_names_say_something() -> None:
    assert not nameless(ROOT)


def test_files_hold_one_idea() -> None:
    assert not long_files(ROOT), f"longer than {LONGEST} lines: split them"
    lengths = [n_lines(path) for path in sources(ROOT, PACKAGES)]
    assert statistics.median(lengths) <= MEDIAN


def test_rooms_are_not_crowded() -> None:
    assert not crowded(ROOT), "make a room for a role of its own"


def test_rooms_open_with_names_only() -> None:
    assert not faces_with_more_than_names(ROOT)


@pytest.mark.parametrize("folder", ["harness", "adapters/ace", "harness/engine"])
def test_planted_faults_are_found_in_every_room(tmp_path: Path, folder: str) -> None:
    room = tmp_path / folder
    room.mkdir(parents=True)
    (room / "__init__.py").write_text('"""A room."""\n\nCACHE = {}\n')
    (room / "helpers.py").write_text("x = 1\n" * (LONGEST + 1))
    for number in range(25):
        (room / f"part{number}.py").touch()
    assert nameless(tmp_path) == [f"{folder}/helpers.py"]
    assert long_files(tmp_path) == [f"{folder}/helpers.py"]
    assert crowded(tmp_path) == [f"{folder}: 27"]
    assert faces_with_more_than_names(tmp_path) == [f"{folder}/__init__.py"]


def test_tests_mirror_the_rooms() -> None:
    for top in ("harness", "adapters"):
        tests = {path.parent.name for path in (ROOT / "tests" / top).glob("*/test_*.py")}
        rooms = {path.parent.name for path in (ROOT / top).glob("*/__init__.py")}
        assert tests <= rooms, "a folder of tests without a room"
    assert not list((ROOT / "tests").rglob("__init__.py")), "tests are files, not packages"


def test_no_conftest_in_the_root() -> None:
    assert not (ROOT / "conftest.py").exists(), "it puts the root on sys.path; use tests/conftest.py"
    assert not (ROOT / "__init__.py").exists()
    assert not (ROOT / "crossprune").exists(), "started from the root it would shadow the installed package"


def test_types_are_marked_once() -> None:
    assert [
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("py.typed")
    ] == ["api/py.typed"]
