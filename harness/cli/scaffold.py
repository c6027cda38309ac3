"""Start a new adapter from a worked example: inside a checkout, or as a package of its own."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path

from crossprune.harness import cli
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import families

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "crossprune-{name}"
version = "0.1.0"
description = "The model family {name} for crossprune"
requires-python = ">=3.11"
dependencies = ["crossprune"]

[project.optional-dependencies]
all = []  # the packages that the family needs, such as "numba>=0.60"

[project.entry-points."crossprune.adapters"]
{name} = "crossprune_{name}:FAMILY"

[tool.setuptools]
packages = ["crossprune_{name}"]
"""
PACKAGE = '''"""The model family {name}: as names; importing this must need no package but crossprune."""

from crossprune.harness.contract import Family

FAMILY = Family(
    name="{name}",
    adapter="crossprune_{name}.adapter:{cls}",
    about="Smooth histograms of pair distances, with ridge regression.",
    requires="crossprune-{name}[all]",
    readers={{"{name}": "crossprune_{name}.adapter:read_potential"}},
)
'''
README = """# crossprune-{name}

The model family `{name}` for crossprune.

    pip install -e '.[all]'        # again whenever pyproject.toml changes
    crossprune check {name}        # the contract: invariances, derivatives, refits, saving
    crossprune adapters            # is it there, what can it do, what is missing?

In a study: `models = ["{name}"]`, `choosers = ["{name}"]`, options in `[options.{name}]`.
A fitted potential is read back by
`crossprune evaluate {name}:STORE/objects/fit/…/potential --data SET`.
"""
HEAD = "FAMILIES: tuple[Family, ...] = (\n"
ENTRY = """    Family(
        name="{name}",
        adapter="crossprune.adapters.{name}:{cls}",
        about="Smooth histograms of pair distances, with ridge regression.",
        readers={{"{name}": "crossprune.adapters.{name}:read_potential"}},
    ),
"""


def source(name: str) -> str:
    """Return the worked example under a new name.

    Raises
    ------
    StudyError
        If the name is taken or cannot be a module's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*", name) or keyword.iskeyword(name):
        raise StudyError(
            f"{name!r} cannot name an adapter: lower-case letters and digits, not a keyword of Python; "
            "such as 'eam'"
        )
    if name in families():
        raise StudyError(f"there is an adapter {name!r} already: {families()[name].adapter}")
    text = (files(cli) / "adapter_template.txt").read_text()
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
    package = folder / f"crossprune_{name}"
    package.mkdir(parents=True, exist_ok=True)
    names = {"name": name, "cls": name.capitalize()}
    written = {
        package / "__init__.py": PACKAGE.format(**names),
        package / "adapter.py": text,
        folder / "pyproject.toml": PYPROJECT.format(**names),
        folder / "README.md": README.format(**names),
    }
    for path, content in written.items():
        path.write_text(content)
    return list(written)


def inside(name: str, checkout: Path) -> list[Path]:
    """Add the adapter to a checkout: file, entry in the table, changelog fragment; return what was written.

    Raises
    ------
    StudyError
        If the name cannot be used or ``checkout`` is no checkout of crossprune.
    """
    text = source(name)
    table = checkout / "adapters" / "__init__.py"
    if not table.is_file() or HEAD not in table.read_text():
        raise StudyError(
            f"{checkout.resolve()} is no checkout of crossprune; go there, or use --outside FOLDER "
            "for a package of its own"
        )
    if (checkout / "adapters" / name).exists():
        raise StudyError(f"adapters/{name}/ is a room that families share; give the adapter another name")
    head, _, tail = table.read_text().partition(HEAD)
    entries, end, rest = tail.partition("\n)\n")
    known = re.split(r"(?<=\n)(?=    Family\()", entries + "\n")
    new = ENTRY.format(name=name, cls=name.capitalize())
    table.write_text(head + HEAD + "".join(sorted([*known, new], key=_name_of)).rstrip("\n") + end + rest)
    paths = [checkout / "adapters" / f"{name}.py", checkout / "changes" / f"{name}.added.md"]
    paths[0].write_text(text)
    paths[1].write_text(f"Model family `{name}`.\n")
    return [*paths, table]


def _name_of(entry: str) -> str:
    found = re.search(r'name="(\w+)"', entry)
    assert found is not None
    return found[1]
