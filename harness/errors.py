"""The errors a caller must tell apart, and the wording they share."""

from __future__ import annotations

import difflib
import json
import shlex
import signal
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution

LONGEST = 100
"""Characters of a name that a message shows."""


class UserError(ValueError):
    """Something the user gave is wrong; the message says what to do."""


class DataError(UserError):
    """A data set, file or frame cannot be used."""


class NoLabels(DataError):
    """A frame has no energy or no forces, under any name that could be meant."""


class StudyError(UserError):
    """A study, option or command-line value cannot be used."""


class TooFewFrames(UserError):
    """A model cannot be fitted on so few configurations."""


class MissingPackage(ImportError):
    """An optional package is not installed; the message says what to install, such as ``crossprune[gap]``."""

    def __init__(self, what: str, package: str, requirement: str) -> None:
        super().__init__(f"{what} needs {package}: {pip_command(requirement)}")


class CellTimeout(Exception):
    """A stage used up its wall time."""


class CellOutOfMemory(Exception):
    """A stage used up its memory."""


class CellCrash(Exception):
    """A program that a stage runs was killed by a signal."""


class WorkerDied(Exception):
    """A worker process ended by itself or was killed; negative exit codes are signals."""

    def __init__(self, exit_code: int, detail: str = "") -> None:
        super().__init__(exit_code, detail)
        self.exit_code, self.detail = exit_code, detail

    def __str__(self) -> str:
        """Name the signal or the exit code."""
        code = -self.exit_code if self.exit_code < 0 else None
        known = {int(one): one.name for one in signal.Signals}
        name = known.get(code, f"exit code {self.exit_code}") if code else f"exit code {self.exit_code}"
        return f"the worker died of {name}{'; ' if self.detail else ''}{self.detail}"


class NoWorkers(Exception):
    """No worker process comes up, so nothing can be computed; the message says why."""


class DiskFull(Exception):
    """Nothing more can be written; the message says where, what is free and how to go on."""


class PropertyError(Exception):
    """A physical property cannot be computed; the message is the reason in its row."""


class MotionLost(Exception):
    """A program that runs molecular dynamics gave up; the message is its own."""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """Word the error for a name that is not in a list.

    Parameters
    ----------
    kind
        What the name stands for, such as ``"adapter"``.
    name
        What was given.
    known
        The allowed names.

    Returns
    -------
    str
        ``unknown adapter 'snpa'; did you mean 'snap'? known: gap, snap``.

    Examples
    --------
    >>> unknown_name("adapter", "snpa", ["snap", "gap"])
    "unknown adapter 'snpa'; did you mean 'snap'? known: gap, snap"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    shown = repr(str(name)) if len(str(name)) <= LONGEST else f"{str(name)[:LONGEST]!r}…"
    return f"unknown {kind} {shown}{hint} known: {', '.join(names) or 'none'}"


def pip_command(requirement: str) -> str:
    """Return what installs a requirement in the way that its package was installed, so that it works.

    Parameters
    ----------
    requirement
        As an index knows it, such as ``crossprune[gap]``. A package that was installed from a folder, a file
        or a repository says so in its ``direct_url.json`` (PEP 610), and is installed from there again.
    """
    name, bracket, extras = requirement.partition("[")
    try:
        origin = json.loads(distribution(name.strip()).read_text("direct_url.json") or "{}")
        url, folder = str(origin.get("url", "")), origin.get("dir_info")
        version_control = origin.get("vcs_info", {})
    except (PackageNotFoundError, ValueError, AttributeError):
        url, folder, version_control = "", None, {}
    if folder is not None and url.startswith("file://"):
        editable = "-e " if folder.get("editable") else ""
        return f"pip install {editable}{shlex.quote(_path_of(url) + bracket + extras)}"
    if version_control:
        url = f"{version_control.get('vcs', 'git')}+{url}@{version_control.get('commit_id', 'HEAD')}"
    return f"pip install '{requirement} @ {url}'" if url else f"pip install '{requirement}'"


def _path_of(url: str) -> str:
    from urllib.request import url2pathname  # here, because it takes a while and is rarely needed

    return url2pathname(url.removeprefix("file://"))
