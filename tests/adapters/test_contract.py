"""The contract suite: every check on every adapter; a new adapter adds no test code."""

from __future__ import annotations

import functools

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness.checks import CHECKS, Subject, run_check
from crossprune.harness.lookup import adapter_class

NAMES = [family.name for family in FAMILIES if family.name != "broken"]


@functools.cache
def subject(name: str) -> Subject:
    return Subject(adapter_class(name))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, check, require_adapter):
    require_adapter(name)
    result = run_check(check, subject(name))
    if result.outcome == "skipped":
        pytest.skip(f"{name}: {result.detail}")
    assert result.outcome == "passed", result.detail
