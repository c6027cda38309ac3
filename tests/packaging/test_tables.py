"""Adapter table, files, extras, tox environments and workflow stay in step."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

from crossprune.adapters import ADAPTERS, EXTRAS, READERS
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FAMILIES = {name: extra for name, extra in EXTRAS.items() if name in ADAPTERS}


def extras() -> dict[str, list[Requirement]]:
    return {name: list(map(Requirement, lines)) for name, lines in PROJECT["optional-dependencies"].items()}


def test_every_adapter_file_is_in_the_table() -> None:
    files = {path.stem for path in (ROOT / "adapters").glob("[!_]*.py")}
    assert not files - ADAPTERS.keys(), "add the file to ADAPTERS in adapters/__init__.py"
    assert not ADAPTERS.keys() - files, "ADAPTERS in adapters/__init__.py names a file that is not there"


def test_table_names_module_and_class() -> None:
    for name, target in ADAPTERS.items():
        assert re.fullmatch(rf"crossprune\.adapters\.{name}:[A-Z]\w*", target), target
    for scheme, target in READERS.items():
        module, _, function = target.partition(":")
        path = ROOT / "adapters" / f"{module.rpartition('.')[2]}.py"
        assert path.is_file(), f"READERS[{scheme!r}] names {target}, but there is no {path.name}"
        assert re.search(rf"^def {function}\(", path.read_text(), re.MULTILINE), target


def test_classes_of_the_table_exist() -> None:
    for name, target in ADAPTERS.items():
        path = ROOT / "adapters" / f"{name}.py"
        class_name = target.partition(":")[2]
        assert path.is_file(), f"{target}: no adapters/{name}.py"
        assert re.search(rf"^class {class_name}\b", path.read_text(), re.MULTILINE), (
            f"{target}: adapters/{name}.py has no class {class_name}"
        )


def test_extras_exist() -> None:
    unknown = EXTRAS.keys() - ADAPTERS.keys() - READERS.keys()
    assert not unknown, "EXTRAS in adapters/__init__.py names neither an adapter nor a reader"
    missing = set(EXTRAS.values()) - extras().keys()
    assert not missing, "add the extra to [project.optional-dependencies] of pyproject.toml"


def test_every_extra_of_a_family_is_in_the_tables() -> None:
    unused = (
        extras().keys() - set(EXTRAS.values()) - {"all", "test", "phonons"}
    )  # phonons serves the properties
    assert not unused, "no line of EXTRAS in adapters/__init__.py uses this extra"


def test_all_means_all() -> None:
    (everything,) = extras()["all"]
    forgotten = set(EXTRAS.values()) - everything.extras
    assert everything.name == "crossprune"
    assert not forgotten, "add it to the extra 'all' in pyproject.toml"


def test_tox_runs_each_family_alone() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    (section,) = [name for name in tox.sections() if name.startswith("testenv:adapter-")]
    words = set(re.fullmatch(r"testenv:adapter-\{(.*)\}", section)[1].split(","))  # type: ignore[index]
    assert words == FAMILIES.keys(), f"[{section}] of tox.ini: one word per adapter with an extra"
    for name, extra in FAMILIES.items():
        assert f"\n{name}: {extra}" in tox[section]["extras"], f"tox.ini: extras of adapter-{name}"
        assert f"\n{name}: " in tox[section]["commands"], f"tox.ini: commands of adapter-{name}"
        assert f"--require {name} " in tox[section]["commands"], f"tox.ini: --require of adapter-{name}"


def test_workflow_runs_each_family_alone() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    (words,) = re.findall(r"adapter: \[(.*)\]", workflow)
    assert set(words.split(", ")) == FAMILIES.keys(), ".github/workflows/tests.yml: matrix of one-family"


def test_mypy_checks_every_package() -> None:
    tox = (ROOT / "tox.ini").read_text()
    for folder in ("harness", "adapters", "reports"):
        assert f"-p crossprune.{folder}" in tox, f"tox.ini: mypy does not check {folder}"
