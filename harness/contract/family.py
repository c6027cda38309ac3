"""What a model family offers, as names: the harness reads them without importing the family's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement

TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class FileFormat:
    """A kind of file in which the tools of a family want labelled frames."""

    endings: tuple[str, ...]
    """Ends of file names that mean the format, such as ``.pckl.gzip``."""
    writer: str
    """``module:function``; called with a path, the frames and the isolated atoms' energies (eV) or None."""

    def __post_init__(self) -> None:
        """Refuse what is no list of endings or names no function."""
        endings: object = self.endings
        if not (isinstance(endings, tuple) and all(isinstance(one, str) for one in endings)):
            raise ValueError(f"endings must be a tuple of strings, got {endings!r}")
        _require_target("writer", self.writer)


@dataclass(frozen=True)
class Family:
    """A model family: its adapter, what it needs, and what else it can read and write.

    The module that holds it must import nothing of the family, so that a family whose packages are
    missing can still be listed. A package from outside names its `Family` in the entry-point group
    ``crossprune.adapters``, under the family's name, and has the same rights as a family inside.
    """

    name: str
    """The adapter's name in studies."""
    adapter: str
    """``module:class`` of the adapter."""
    about: str = ""
    """One line for `crossprune adapters`."""
    requires: str = ""
    """What pip installs to make the family work, such as ``crossprune[ace]``; empty if nothing is needed."""
    readers: Mapping[str, str] = field(default_factory=dict)
    """Scheme of published potentials (``ace:FILE``) to ``module:function``, called with what follows it."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Names of their files, with ``*``, to what reads one, such as ``ace:{file}`` or ``nnp:{folder}``."""
    potentials: Mapping[str, str] = field(default_factory=dict)
    """Name in the header of saved potentials to ``module:class``; the adapter's own is known without."""
    recipe: str = ""
    """``module:function`` called with a potential: a `Recipe` for what its `export` writes; empty if none."""
    formats: Mapping[str, FileFormat] = field(default_factory=dict)
    """Formats of `crossprune export` by their names."""

    def __post_init__(self) -> None:
        """Refuse what the harness could not use, field by field."""
        for kind in ("name", "about", "requires"):
            if not isinstance(getattr(self, kind), str):
                raise ValueError(f"{kind} must be a text, got {getattr(self, kind)!r}")
        _require_target("adapter", self.adapter)
        if self.recipe != "":
            _require_target("recipe", self.recipe)
        for kind in ("readers", "files", "potentials", "formats"):
            given: object = getattr(self, kind)
            if not isinstance(given, Mapping) or not all(isinstance(one, str) for one in given):
                raise ValueError(f"{kind} must be a mapping of names, got {given!r}")
            for name, one in given.items():
                if kind == "formats":
                    if not isinstance(one, FileFormat):
                        raise ValueError(f"formats[{name!r}] must be a FileFormat, got {one!r}")
                elif kind == "files":
                    if not isinstance(one, str):
                        raise ValueError(f"files[{name!r}] must be a text, got {one!r}")
                else:
                    _require_target(f"{kind}[{name!r}]", one)
        try:
            Requirement(self.requires or "crossprune")
        except InvalidRequirement:
            raise ValueError(
                f"requires must be what pip installs, such as 'crossprune-mine[all]', got {self.requires!r}"
            ) from None


def _require_target(what: str, target: object) -> None:
    if not (isinstance(target, str) and TARGET.fullmatch(target)):
        raise ValueError(f"{what} must be 'module:name', got {target!r}")
