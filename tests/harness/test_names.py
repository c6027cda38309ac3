"""Names that become files and folders."""

from __future__ import annotations

import pytest
from crossprune.harness.names import LONGEST, fault_of_name, fault_of_path


@pytest.mark.parametrize("name", ["a", "si-pbe, 3 seeds", "α-Ti (0.5)", "2026-01-01T00-00-00", "x" * LONGEST])
def test_ordinary_names_pass(name):
    assert fault_of_name(name) == ""


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/",
        "a\0b",
        "\x1b[2J",
        ".hidden",
        "\ud800",
        "",
        "a\nb",
        " a",
        "a ",
        "x" * (LONGEST + 1),
    ],
)
def test_names_that_lead_elsewhere_do_not(name):
    fault = fault_of_name(name)
    assert "is no name; allowed: 1 to 100 characters" in fault
    assert len(fault) < 250
    assert fault.isprintable()


def test_paths_may_lead_anywhere_but_must_be_paths():
    assert fault_of_path("../data/si.xyz") == fault_of_path("/" + "/".join(["a" * 200] * 9)) == ""
    for path in ("a\0.xyz", "a\n.xyz", "x" * 5000, "é" * 200):
        assert "is no path" in fault_of_path(path)
