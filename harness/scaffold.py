"""Start a new adapter from a worked example: inside a checkout, or as a package of its own."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_table

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "crossprune-{name}"
version = "0.1.0"
description = "The model family {name} for crossprune"
requires-python = ">=3.11"
dependencies = ["crossprune"]

[project.entry-points."crossprune.adapters"]
{name} = "crossprune_{name}:{cls}"

[tool.setuptools]
py-modules = ["crossprune_{name}"]
"""


def source(name: str) -> str:
    """Return the worked example under a new name.

    Raises
    ------
    StudyError
        If the name is taken or cannot be a module's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", name):
        raise StudyError(f"{name!r} cannot name an adapter: lower-case letters and digits, such as 'mtp'")
    if name in adapter_table():
        raise StudyError(f"there is an adapter {name!r} already: {adapter_table()[name]}")
    text = (files("crossprune.harness") / "adapter_template.txt").read_text()
    return text.replace("CLASS", name.capitalize()).replace("NAME", name)


def outside(name: str, folder: Path) -> list[Path]:
    """Write a package that adds the adapter by its entry point; return its files.

    Raises
    ------
    StudyError
        If the name cannot be used or the folder is not empty.
    """
    text = source(name)
    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} is not empty; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"crossprune_{name}.py", folder / "pyproject.toml"]
    paths[0].write_text(text)
    paths[1].write_text(PYPROJECT.format(name=name, cls=name.capitalize()))
    return paths


def inside(name: str, checkout: Path) -> list[Path]:
    """Add the adapter to a checkout: file, table line and changelog fragment; return what was written.

    Raises
    ------
    StudyError
        If the name cannot be used or ``checkout`` is no checkout of crossprune.
    """
    text = source(name)
    table = checkout / "adapters" / "__init__.py"
    if not table.is_file() or "ADAPTERS" not in table.read_text():
        raise StudyError(
            f"{checkout.resolve()} is no checkout of crossprune; go there, or use --outside FOLDER "
            "for a package of its own"
        )
    line = f'    "{name}": "crossprune.adapters.{name}:{name.capitalize()}",\n'
    head, brace, tail = table.read_text().partition("ADAPTERS: dict[str, str] = {\n")
    entries, end, rest = tail.partition("}\n")
    table.write_text(head + brace + "".join(sorted([*entries.splitlines(keepends=True), line])) + end + rest)
    paths = [checkout / "adapters" / f"{name}.py", checkout / "changes" / f"{name}.added.md"]
    paths[0].write_text(text)
    paths[1].write_text(f"Model family `{name}`.\n")
    return [*paths, table]
