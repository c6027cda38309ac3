"""The program pacemaker: where it is, whether it is the real one, and whether it can fit."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crossprune.adapters.programs import process
from crossprune.harness.errors import CellCrash, CellOutOfMemory, CellTimeout, MissingPackage, pip_command
from packaging.version import Version

PROGRAM = "pacemaker"
VARIABLE = "CROSSPRUNE_PACEMAKER"
"""Of the environment: the path of another environment's program. No option, for studies name no programs."""
TIMEOUT_S, MEMORY_GB = 300.0, 8.0
"""For the look at a program: TensorFlow takes seconds to load, and a minute from a cold disk."""
SIGN = "atomic cluster expansion"
"""Words in the help of the real program."""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
"""No lines about graphics cards that are not there."""
BEHIND_SHELL = re.compile(r"""^'''exec' "?(?P<path>.+?)"? "\$0" "\$@"$""", re.MULTILINE)
"""Where the path of the interpreter is too long for the first line, pip writes a script of /bin/sh."""
BROKEN = (Version("0.6.2.1"), Version("2.4"))
"""tensorpotential up to the first makes numbers of arrays of one element, which NumPy from the second on
refuses: every fit would end in a TypeError."""
PROBE = """
import importlib.metadata, json
found = {}
for package, module in (("python-ace", "pyace.generalfit"), ("tensorflow", "tensorflow"),
                        ("tensorpotential", "tensorpotential.compat.pace.fit"), ("numpy", "numpy")):
    try:
        version = getattr(__import__(module, fromlist=["_"]), "__version__", None)
        found[package] = version or importlib.metadata.version(package)
    except BaseException as error:
        found[package], found["reason"] = None, f"{type(error).__name__}: {error}"
        break
print()
print(json.dumps(found))
"""
"""Imports what a fit imports, in the program's own Python, and prints the versions."""
ADVICE = (
    "fitter = 'pacemaker' runs the program of python-ace (ICAMS, Bochum; academic licence) with its backend "
    f"tensorpotential and NumPy below {BROKEN[1]}: {{command}}; or install these in another environment and "
    f"name its program: export {VARIABLE}=…/bin/pacemaker. The packages 'pacemaker' and 'pyace' on the "
    "package index are other things; fitter = 'own' needs none of it"
)


class MissingPacemaker(MissingPackage):
    """The original program is absent or cannot fit, or something else has its name."""

    def __init__(self, reason: str) -> None:
        ImportError.__init__(self, f"{reason}; {ADVICE.format(command=pip_command('crossprune[pacemaker]'))}")


@dataclass(frozen=True)
class Found:
    """A program that can fit."""

    path: Path
    versions: Mapping[str, str]
    """Of python-ace, tensorflow, tensorpotential and numpy; empty if its Python is not known."""


def find_pacemaker() -> Found:
    """Return the real program: the one that `VARIABLE` names, this environment's, or the search path's.

    It is run once in each process to see that it starts and is the real one, and its Python to see that what
    a fit needs can be imported: about ten seconds.

    Raises
    ------
    MissingPacemaker
        If there is none, it does not start, is another program of that name, or lacks what a fit needs.
    """
    if named := os.environ.get(VARIABLE, ""):
        path = Path(named).expanduser()
        if not (path.is_file() and os.access(path, os.X_OK)):
            raise MissingPacemaker(f"{VARIABLE}={named}: there is no such program")
        return _look_at(path.absolute(), path.stat().st_mtime_ns)
    for path in (Path(sys.executable).with_name(PROGRAM), Path(shutil.which(PROGRAM) or os.devnull)):
        if path.is_file() and os.access(path, os.X_OK):
            return _look_at(path.absolute(), path.stat().st_mtime_ns)
    raise MissingPacemaker(f"no program {PROGRAM!r} in the environment or on the PATH")


@cache
def _look_at(path: Path, _changed: int) -> Found:
    """Look at a program once per version of the file."""
    text = _output_of([str(path), "--help"], path)
    if SIGN not in " ".join(text.lower().split()):
        raise MissingPacemaker(f"{path} is another program: its help does not speak of the {SIGN}")
    python = interpreter_of(path)
    if python is None:
        return Found(path, {})
    lines = _output_of([python, "-c", PROBE], path).strip().splitlines()
    try:
        versions = dict(json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        versions = {}
    reason = versions.pop("reason", None)
    for package, version in versions.items():
        if version is None:
            raise MissingPacemaker(f"{path} cannot fit: {package} is missing or broken there ({reason})")
    found = {package: str(version) for package, version in versions.items()}
    if not {"numpy", "tensorpotential"} <= set(found):
        raise MissingPacemaker(f"{path}: its Python {python} does not say its versions")
    if Version(found["tensorpotential"]) <= BROKEN[0] and Version(found["numpy"]) >= BROKEN[1]:
        raise MissingPacemaker(
            f"{path} cannot fit: its NumPy is {found['numpy']}, and its tensorpotential "
            f"{found['tensorpotential']} needs one below {BROKEN[1]}"
        )
    return Found(path, found)


def _output_of(command: list[str], program: Path) -> str:
    with tempfile.TemporaryDirectory(prefix="crossprune-pacemaker-") as name:
        folder = Path(name)
        try:
            process.run(command, folder, timeout_s=TIMEOUT_S, memory_gb=MEMORY_GB, variables=QUIET)
        except (RuntimeError, OSError, CellCrash, CellOutOfMemory, CellTimeout) as error:
            raise MissingPacemaker(f"{program} does not start ({error})") from None
        return (folder / process.OUTPUT).read_text(errors="replace")


def interpreter_of(script: Path) -> str | None:
    """Return the Python that an installed program names in its first lines, None if it names none."""
    with script.open("rb") as stream:
        head = stream.read(2048).decode(errors="replace")
    first, _, rest = head.partition("\n")
    if not first.startswith("#!"):
        return None
    words = first[2:].split()
    if words and Path(words[0]).name == "env":
        words = [shutil.which(word) or "" for word in words[1:] if not word.startswith("-")]
    elif found := BEHIND_SHELL.search(rest):
        words = [found["path"]]
    return words[0] if words and "python" in Path(words[0]).name and Path(words[0]).is_file() else None
