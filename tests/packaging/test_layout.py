"""The rules of the layout: what files are called, where they lie and how long they are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "adapters", "reports")
SAY_NOTHING = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
LONGEST = 400  # lines: more than one idea in a file (house style)
SOURCES = [
    path
    for folder in (*PACKAGES, "datasets", "tests", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
]


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in sorted(paths)]


def test_file_names_say_something() -> None:
    assert not relative([path for path in SOURCES if path.stem in SAY_NOTHING])


def test_files_hold_one_idea() -> None:
    long = [path for path in SOURCES if len(path.read_text().splitlines()) > LONGEST]
    assert not relative(long), f"longer than {LONGEST} lines: split them"


def test_packages_are_flat_and_typed() -> None:
    nested = [path for package in PACKAGES for path in (ROOT / package).glob("*/**/*.py")]
    assert not relative(nested), "a sub-package works in editable mode and is missing from the wheel"
    for package in PACKAGES:
        assert (ROOT / package / "__init__.py").is_file()
        assert (ROOT / package / "py.typed").is_file()


def test_folders_that_are_no_packages() -> None:
    inits = [path for folder in ("datasets", "tests") for path in (ROOT / folder).rglob("__init__.py")]
    assert not relative(inits), "a wheel with datasets/__init__.py overwrites the package of that name"
    assert not (ROOT / "__init__.py").exists()


def test_no_conftest_in_the_root() -> None:
    assert not (ROOT / "conftest.py").exists(), "it puts the root on sys.path; use tests/conftest.py"
