"""Which program named pacemaker is taken, and what is said of one that cannot fit."""

from __future__ import annotations

import json
import sys

import pytest

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions
from crossprune.adapters.programs.pacemaker_program import VARIABLE, find_pacemaker, interpreter_of
from crossprune.harness.errors import MissingPackage

HELP = "Fitting utility for atomic cluster expansion\npotentials."
GOOD = {"python-ace": "0.4.0rc1", "tensorflow": "2.20.0", "tensorpotential": "0.6.2.1", "numpy": "2.3.5"}


@pytest.fixture
def program(tmp_path):
    """Return a function that installs a program whose Python says what its packages are."""

    def make(said="", text=HELP, code=0):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        answer = said if isinstance(said, str) else json.dumps(said)
        (folder / "answer").write_text(f"a warning\n{answer}\n")
        python = folder / "python3"
        python.write_text(
            f'#!/bin/sh\nif [ "$1" = -c ]; then cat {folder}/answer; else exec {sys.executable} "$@"; fi\n'
        )
        path = folder / "pacemaker"
        path.write_text(f"#!{python}\nimport sys\nprint({text!r})\nsys.exit({code})\n")
        for one in (python, path):
            one.chmod(0o755)
        return path

    return make


@pytest.fixture
def made(monkeypatch):
    """Return a function that makes the adapter with a named program."""

    def make(path):
        monkeypatch.setenv(VARIABLE, str(path))
        return Ace(["Mo"], AceOptions(fitter="pacemaker"))

    return make


def test_absent_program_is_reported_when_the_adapter_is_made(made, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(MissingPackage, match="no program 'pacemaker' in the environment") as error:
        made("")
    for word in ("python-ace", "tensorpotential", "[pacemaker]", "'pyace' on the package index are other"):
        assert word in str(error.value)
    (tmp_path / "text").write_text("")
    for path in ("/nowhere/pacemaker", tmp_path / "text", tmp_path):
        with pytest.raises(MissingPackage, match=rf"{VARIABLE}={path}: there is no such program"):
            made(path)


def test_the_program_is_the_named_one_or_on_the_path(made, program, monkeypatch, tmp_path):
    path = program(GOOD)
    assert made(path)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    found = find_pacemaker()
    assert found.path == path
    assert found.versions == GOOD


def test_other_programs_of_that_name_are_refused(made, program):
    with pytest.raises(MissingPackage, match=r"is another program: its help .*package index"):
        made(program(GOOD, text="pacemaker: keep the rate of calls to an API"))


def test_a_program_that_does_not_start_is_reported(made, program):
    with pytest.raises(MissingPackage, match=r"does not start[\s\S]*pyace\.basis[\s\S]*python-ace"):
        made(program(GOOD, text="ModuleNotFoundError: No module named 'pyace.basis'", code=1))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"python-ace": "0.4.0rc1", "tensorflow": None, "reason": "ModuleNotFoundError: No module"},
            r"tensorflow is missing or broken there \(ModuleNotFoundError: No module\)",
        ),
        ({"python-ace": None, "reason": "ImportError: libX"}, r"python-ace is missing or broken .*libX"),
        (GOOD | {"numpy": "2.4.0"}, r"its NumPy is 2\.4\.0, .* 0\.6\.2\.1 needs one below 2\.4"),
        ("", "does not say its versions"),
        ("[]", "does not say its versions"),
        ({"numpy": "2.3.5"}, "does not say its versions"),
    ],
)
def test_what_a_fit_would_lack_is_said_before(made, program, said, message):
    with pytest.raises(MissingPackage, match=message) as error:
        made(program(said))
    assert VARIABLE in str(error.value)


def test_later_versions_are_left_to_try(made, program):
    assert made(program(GOOD | {"numpy": "2.5", "tensorpotential": "0.7"}))


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("#!{python}\nimport sys\n", True),
        ("#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n", True),
        ("#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n", True),
        ("#!/bin/sh\nexec something\n", False),
        ("#!/nowhere/python3\n", False),
        ("#!\n", False),
        ("\x7fELF", False),
        ("", False),
    ],
)
def test_python_of_a_program(tmp_path, head, found):
    script = tmp_path / "script"
    script.write_text(head.format(python=sys.executable))
    assert interpreter_of(script) == (sys.executable if found else None)
