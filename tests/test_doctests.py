"""The examples in docstrings, run by import name (``--doctest-modules`` would import modules twice)."""

from __future__ import annotations

import doctest
import importlib
import inspect
from pathlib import Path

import crossprune
import pytest
from crossprune.harness.errors import MissingPackage

ROOT = Path(__file__).parents[1]


def with_examples(root: Path) -> list[str]:
    """Return the modules of a tree whose text has an example, in whatever room they are."""
    return [
        ".".join(["crossprune", *top, *path.relative_to(root / folder).with_suffix("").parts])
        for folder, top in {**{one: [one] for one in ("harness", "adapters", "reports")}, "api": []}.items()
        for path in sorted((root / folder).rglob("*.py"))
        if ">>> " in path.read_text()
    ]


MODULES = with_examples(ROOT)


def test_examples_in_every_room_are_found(tmp_path: Path) -> None:
    (tmp_path / "harness" / "room").mkdir(parents=True)
    (tmp_path / "harness" / "room" / "planted.py").write_text('"""Nothing.\n\n>>> 1 + 1\n3\n"""\n')
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "open.py").write_text('"""Nothing.\n\n>>> 1 + 1\n2\n"""\n')
    assert with_examples(tmp_path) == ["crossprune.harness.room.planted", "crossprune.open"]


@pytest.mark.parametrize("name", [name for name in crossprune.__all__ if not name.startswith("_")])
def test_public_names_have_examples_that_run(name: str) -> None:
    try:
        public = getattr(crossprune, name)
    except MissingPackage as error:
        pytest.skip(str(error))
    examples = [one for one in doctest.DocTestFinder().find(public, name) if one.examples]
    if inspect.isfunction(public):
        assert examples, f"crossprune.{name} has no example in its docstring"
    runner = doctest.DocTestRunner()
    for one in examples:
        assert runner.run(one).failed == 0, "the differences are printed above"


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except MissingPackage as error:
        pytest.skip(str(error))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0, "the differences are printed above"
