from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from crossprune.harness.errors import StudyError
from crossprune.harness.tables import from_table, read_toml


@dataclass(frozen=True)
class Inner:
    width: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    cutoff: float = 5.0
    order: int = 3
    quick: bool = False
    kind: Literal["linear", "quadratic"] = "linear"
    fractions: tuple[float, ...] = (1.0,)
    radii: dict[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    limit: float | None = None

    def __post_init__(self):
        if self.cutoff <= 0:
            raise ValueError(f"cutoff must be positive, got {self.cutoff} Å")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
@pytest.mark.parametrize(
    "make", [lambda x: {"cutoff": x}, lambda x: {"inner": {"width": x}}, lambda x: {"limit": x}]
)
def test_numbers_are_finite(make, value):
    with pytest.raises(StudyError, match=r"(cutoff|width|limit): expected a finite number, got .{1,45}$"):
        from_table(Outer, {"name": "x", **make(value)}, "[x]")


def test_reads_nested_tables_and_turns_integers_into_floats():
    table = {
        "name": "x",
        "cutoff": 4,
        "fractions": [1, 0.5],
        "radii": {"Mo": 1},
        "inner": {"width": 2},
        "limit": 3,
    }
    read = from_table(Outer, table, "[x]")
    assert read == Outer("x", 4.0, fractions=(1.0, 0.5), radii={"Mo": 1.0}, inner=Inner(2.0), limit=3.0)
    assert isinstance(read.cutoff, float)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "x", "cutof": 4.0}, r"unknown key 'cutof'; did you mean 'cutoff'"),
        ({}, r"\[x\]: missing name"),
        ({"name": "x", "order": 3.5}, r"order: expected int, got 3.5"),
        ({"name": "x", "order": True}, r"order: expected int, got True"),
        ({"name": "x", "quick": 1}, r"quick: expected bool, got 1"),
        ({"name": "x", "kind": "cubic"}, r"kind: unknown value 'cubic'.*known: linear, quadratic"),
        ({"name": "x", "fractions": 0.5}, r"fractions: expected a list, got 0.5"),
        ({"name": "x", "inner": {"widht": 1}}, r"inner: unknown key 'widht'; did you mean 'width'"),
        ({"name": "x", "cutoff": -1.0}, r"\[x\]: cutoff must be positive, got -1.0 Å"),
    ],
)
def test_wrong_tables_say_what_is_wrong(table, message):
    with pytest.raises(StudyError, match=message):
        from_table(Outer, table, "[x]")


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(StudyError, match=r"no such file: .*none.toml"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[study\nname = 1")
    with pytest.raises(StudyError, match=r"bad.toml is not valid TOML"):
        read_toml(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"seed = {'1' * 5000}", "an integer has more than 64 bits$"),
        (f"seeds = [0, 0x{'1' * 5000}]", "an integer has more than 64 bits$"),
        (f"seed = -{2**63 + 1}", "an integer has more than 64 bits$"),
        (f"seeds = {'[' * 5000}{']' * 5000}", "nested more than 50 deep$"),
        (f"seeds = {'[' * 52}{']' * 52}", "nested more than 50 deep$"),
        (f"[{'.'.join('a' * 5000)}]", "nested more than 50 deep$"),
        ("a = ';'b", "Expected newline"),
    ],
)
def test_what_no_message_can_show_is_not_toml(tmp_path, text, fault):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(StudyError, match=rf"bad.toml is not valid TOML: {fault}"):
        read_toml(tmp_path / "bad.toml")


def test_integers_of_64_bits_and_some_depth_are_read(tmp_path):
    (tmp_path / "good.toml").write_text(f"seeds = [{-(2**63)}, {2**63 - 1}]\ndeep = {'[' * 50}{']' * 50}")
    assert read_toml(tmp_path / "good.toml")["seeds"] == [-(2**63), 2**63 - 1]
