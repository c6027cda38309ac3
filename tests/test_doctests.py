"""The examples in docstrings, run by import name (``--doctest-modules`` would import modules twice)."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from crossprune.harness.errors import MissingPackage

ROOT = Path(__file__).parents[1]
MODULES = [
    f"crossprune.{folder}.{path.stem}"
    for folder in ("harness", "adapters", "reports")
    for path in sorted((ROOT / folder).glob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except MissingPackage as error:
        pytest.skip(str(error))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0, "the differences are printed above"
