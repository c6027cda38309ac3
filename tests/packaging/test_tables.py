"""Families, files, extras, tox environments and workflow stay in step."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from pathlib import Path

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness.contract import Family
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SHARED = {"linear", "programs"}
"""Rooms of adapters/ that are no family."""
FAMILIES_OF = {"descriptors": {"neighbours"}}
"""Rooms of which each file is a family, and files in them that are none."""
EXTRA_OF = {family.name: one for family in FAMILIES for one in Requirement(family.requires or "x").extras}


HEAVY = {"universal"}
"""Extras that bring gigabytes: no other extra has them, and an environment of tox's tests them."""


def extras() -> dict[str, list[Requirement]]:
    return {name: list(map(Requirement, lines)) for name, lines in PROJECT["optional-dependencies"].items()}


def out_of_step(families: tuple[Family, ...], root: Path) -> list[str]:
    """Say which families have no room or file, and which rooms or files no entry in the table."""
    rooms = (
        {path.parent.name for path in (root / "adapters").glob("*/__init__.py")} - SHARED - set(FAMILIES_OF)
    )
    files = {path.stem for path in (root / "adapters").glob("[!_]*.py")}
    for room, no_family in FAMILIES_OF.items():
        files |= {path.stem for path in (root / "adapters" / room).glob("[!_]*.py")} - no_family
    names = {family.name for family in families}
    return [f"no entry in FAMILIES: {name}" for name in sorted((rooms | files) - names)] + [
        f"no file or room: {name}" for name in sorted(names - rooms - files)
    ]


def nowhere(families: tuple[Family, ...], root: Path) -> list[str]:
    """Return the ``module:name`` of the table that are not in the tree; nothing is imported."""
    found = []
    for family in families:
        formats = [one.writer for one in family.formats.values()]
        recipe = [family.recipe] if family.recipe else []
        named = (family.adapter, *family.readers.values(), *family.potentials.values(), *formats, *recipe)
        for target in named:
            module, _, name = target.partition(":")
            path = root / module.removeprefix("crossprune.").replace(".", "/")
            file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if not file.is_file() or not re.search(
                rf"^(class|def) {name}\b|\b{name}\b[,\n)]", file.read_text(), re.M
            ):
                found.append(target)
    return found


def test_every_family_is_in_the_table() -> None:
    assert not out_of_step(FAMILIES, ROOT), "FAMILIES in adapters/__init__.py"
    names = [family.name for family in FAMILIES]
    assert names == sorted(set(names)), "sorted, each once"


def test_the_table_names_what_is_there() -> None:
    assert not nowhere(FAMILIES, ROOT)


def test_planted_faults_of_the_table_are_found(tmp_path: Path) -> None:
    (tmp_path / "adapters" / "deep").mkdir(parents=True)
    (tmp_path / "adapters" / "deep" / "__init__.py").write_text(
        "from crossprune.adapters.deep.adapter import Deep\n"
    )
    (tmp_path / "adapters" / "flat.py").write_text("class Flat:\n    pass\n")
    deep = Family(name="deep", adapter="crossprune.adapters.deep:Deep")
    lost = Family(
        name="lost", adapter="crossprune.adapters.lost:Lost", readers={"x": "crossprune.adapters.deep:read"}
    )
    assert out_of_step((deep, lost), tmp_path) == ["no entry in FAMILIES: flat", "no file or room: lost"]
    assert nowhere((deep, lost), tmp_path) == [
        "crossprune.adapters.lost:Lost",
        "crossprune.adapters.deep:read",
    ]


def test_what_families_need_are_extras_of_this_package() -> None:
    for family in FAMILIES:
        if family.requires:
            assert Requirement(family.requires).name == PROJECT["name"]
    missing = set(EXTRA_OF.values()) - extras().keys()
    assert not missing, "add the extra to [project.optional-dependencies] of pyproject.toml"
    unused = extras().keys() - set(EXTRA_OF.values()) - {"all", "cluster", "pacemaker", "phonons", "test"}
    assert not unused, "no family in adapters/__init__.py requires this extra"


def test_all_means_all() -> None:
    (everything,) = extras()["all"]
    assert everything.name == PROJECT["name"]
    assert not set(EXTRA_OF.values()) - everything.extras - HEAVY, (
        "add it to the extra 'all' in pyproject.toml"
    )


def test_tox_runs_each_family_alone() -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    (section,) = [name for name in tox.sections() if name.startswith("testenv:adapter-")]
    words = set(re.fullmatch(r"testenv:adapter-\{(.*)\}", section)[1].split(","))  # type: ignore[index]
    assert words == EXTRA_OF.keys() - HEAVY, f"[{section}] of tox.ini: a word per family with an extra"
    for name, extra in EXTRA_OF.items():
        if name in HEAVY:
            assert f"--require {name} " in tox[f"testenv:{name}"]["commands"]
            continue
        assert f"\n{name}: {extra}" in tox[section]["extras"], f"tox.ini: extras of adapter-{name}"
        assert f"\n{name}: " in tox[section]["commands"], f"tox.ini: commands of adapter-{name}"
        assert f"--require {name} " in tox[section]["commands"], f"tox.ini: --require of adapter-{name}"


def test_workflow_runs_each_family_alone() -> None:
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    (words,) = re.findall(r"adapter: \[(.*)\]", workflow)
    assert set(words.split(", ")) == EXTRA_OF.keys() - HEAVY, (
        ".github/workflows/tests.yml: matrix of one-family"
    )


def test_mypy_checks_everything() -> None:
    assert "\n    mypy -p crossprune\n    mypy examples\n" in (ROOT / "tox.ini").read_text()


@pytest.mark.parametrize("folder", ["adapters", "harness", "reports"])
def test_own_modules_are_never_named_in_strings(folder: str) -> None:
    """Keys follow import statements; only the table of families holds names, and `lookup` reads them."""
    for path in (ROOT / folder).rglob("*.py"):
        text = path.read_text()
        if path == ROOT / "adapters" / "__init__.py" or path.parent.name == "cli":
            continue
        assert not re.search(r"""["']crossprune\.(harness|adapters|reports)\.""", text), path
        if "import_module" in text:
            assert str(path.relative_to(ROOT)) in (
                "harness/lookup/families.py",
                "adapters/programs/quip.py",
            ), path


def test_messages_name_requirements_that_pip_knows() -> None:
    """The last argument of every `MissingPackage` is what to install: one of this package's extras."""
    calls = [
        node
        for folder in ("adapters", "harness")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "MissingPackage"
    ]
    given = [node.args[-1].value for node in calls if isinstance(node.args[-1], ast.Constant)]
    assert len(given) >= 10
    for one in given:
        assert Requirement(str(one)).name == PROJECT["name"], one
        assert Requirement(str(one)).extras <= extras().keys(), one
