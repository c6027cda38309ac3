"""Families from outside have the rights of those inside; one that is broken costs a line and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness import lookup
from crossprune.harness.errors import DataError, StudyError, pip_command

FAMILY = """
from crossprune.harness.contract import Family, FileFormat
FAMILY = Family(name="twin", adapter="twin.adapter:Twin", about="A twin of the mean.",
    readers={"twin": "twin.adapter:read"}, potentials={"twin-of-old": "twin.adapter:Potential"},
    formats={"lines": FileFormat((".lines",), "twin.adapter:write")})
"""
ADAPTER = """
from pathlib import Path
from crossprune.adapters.mean import Mean, MeanPotential
class Potential(MeanPotential):
    adapter = "twin-of-old"
class Twin(Mean):
    name = "twin"
    potential_type = Potential
def read(text):
    element, energy = text.split("=")
    return Potential({element: float(energy)})
def write(path, frames, isolated_atom_energies):
    Path(path).write_text(f"{len(frames)} frames, {isolated_atom_energies}")
"""


def install(site, files, *, entry="twin = twin:FAMILY", name="twin-package", requires=()):
    """Put a package with an entry point into the folder ``site``."""
    facts = site / f"{name.replace('-', '_')}-1.5.dist-info"
    facts.mkdir(parents=True)
    lines = [f"Name: {name}", "Version: 1.5", "Metadata-Version: 2.1", "Provides-Extra: all"]
    lines += ["Provides-Extra: deep", *(f"Requires-Dist: {one}" for one in requires)]
    (facts / "METADATA").write_text("\n".join(lines) + "\n")
    (facts / "entry_points.txt").write_text(f"[crossprune.adapters]\n{entry}\n")
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    return site


def run(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "250"}
    command = [sys.executable, "-m", "crossprune.harness.cli.main", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


def row(text: str, name: str) -> str:
    """Return the row of a family that is listed."""
    (line,) = [one for one in text.splitlines() if one.startswith(f"│ {name} ")]
    return line


def problem(text: str, name: str) -> str:
    """Return the line that says why a family cannot be used; empty if none does."""
    lines = [one for one in text.splitlines() if one.startswith(f"{name}: ")]
    assert len(lines) <= 1, lines
    return "".join(lines)


@pytest.mark.slow
def test_a_family_from_outside_lists_reads_and_writes(tmp_path):
    folder = install(tmp_path, {"twin/__init__.py": FAMILY, "twin/adapter.py": ADAPTER})
    listing = run(folder, "adapters")
    assert "A twin of the mean." in row(listing.stdout, "twin")
    assert re.search("all( others)? can be used", listing.stdout)
    evaluated = run(folder, "evaluate", "twin:Si=-5", "--data", "si-pbe")
    assert evaluated.returncode == 0, evaluated.stderr
    exported = run(folder, "export", "si-pbe", "--split", "test", "-o", "test.lines")
    assert exported.returncode == 0, exported.stderr
    assert (folder / "test.lines").read_text().endswith("frames, None")
    saved = "from twin.adapter import *; from crossprune.harness import lookup; p = Path('old')\n"
    saved += "Potential({'Si': 1.0}).save(p); print(type(lookup.load_potential(p)).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", saved],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
    )
    assert done.stdout == "Potential\n", done.stderr


FAULTY = {
    "raise": ("raise KeyError(text)", "cannot read 'Si=-5': KeyError: 'Si=-5'"),
    "exit": ("raise SystemExit(3)", "cannot read 'Si=-5': SystemExit: 3"),
    "file": ("return open(text)", "cannot read 'Si=-5': FileNotFoundError: [Errno 2] No such file"),
    "none": ("return None", "gave NoneType for 'Si=-5', not a Potential"),
    "user": ("from crossprune.harness.errors import DataError\n    raise DataError('no such thing')", None),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTY)
def test_what_a_reader_from_outside_raises_is_one_line_that_names_it(tmp_path, fault):
    body, says = FAULTY[fault]
    adapter = ADAPTER.replace("""    element, energy = text.split("=")\n""", f"    {body}\n")
    folder = install(tmp_path, {"twin/__init__.py": FAMILY, "twin/adapter.py": adapter})
    done = run(folder, "evaluate", "twin:Si=-5", "--data", "si-pbe")
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    expected = f"twin.adapter:read of the family 'twin' {says}" if says else "error: no such thing"
    assert expected in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise IndexError('lost')", "IndexError: lost"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("return None", "AttributeError: 'NoneType' object has no attribute 'energies'"),
        ("return super().predict_many(frames[:1])", "ValueError: it gave arrays of the shapes [(1,), (8, 3)"),
    ],
)
def test_what_a_potential_from_outside_does_wrong_is_one_line_that_names_it(tmp_path, body, says):
    predict = f"    def predict_many(self, frames):\n        {body}\nclass Twin"
    files = {"twin/__init__.py": FAMILY, "twin/adapter.py": ADAPTER.replace("class Twin", predict)}
    done = run(install(tmp_path, files), "evaluate", "twin:Si=-5", "--data", "si-pbe")
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    what = "twin.adapter:Potential.predict_many of the family 'twin-of-old' cannot predict the frames"
    assert f"{what} of the part 'test': {says}" in line


@pytest.mark.slow
def test_what_else_of_a_family_from_outside_raises_is_one_line(tmp_path):
    adapter = ADAPTER.replace("    Path(path).write_text(", "    raise ValueError(")
    adapter += (
        "    \n@classmethod\ndef load(cls, folder):\n    raise TypeError('lost')\nPotential.load = load\n"
    )
    folder = install(tmp_path, {"twin/__init__.py": FAMILY, "twin/adapter.py": adapter})
    exported = run(folder, "export", "si-pbe", "--split", "test", "-o", "test.lines")
    assert exported.returncode == 2
    assert (
        "twin.adapter:write of the family 'twin' cannot write these frames: ValueError: " in exported.stderr
    )
    assert "Traceback" not in exported.stderr
    assert list(folder.glob("*.lines*")) + list(folder.glob(".*.tmp")) == []
    saved = "from twin.adapter import *; Potential({'Si': 1.0}).save(Path('old'))"
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    subprocess.run([sys.executable, "-c", saved], env=environment, cwd=folder, check=True)
    loaded = run(folder, "evaluate", "old", "--data", "si-pbe")
    assert loaded.returncode == 2
    assert (
        "twin.adapter:Potential.load of the family 'twin' cannot read 'old': TypeError: lost" in loaded.stderr
    )
    assert "Traceback" not in loaded.stderr


NEEDS = FAMILY.replace('name="twin"', 'name="twin", requires="needs-package[all]"')
REFUSES = ADAPTER.replace(
    '    name = "twin"', '    name = "twin"\n    def __init__(self, *given):\n        self.lost'
)
BROKEN = {
    "syntax": ({"__init__": "def ("}, "broken: SyntaxError: "),
    "needy": ({"__init__": "import no_such_thing"}, "broken: ModuleNotFoundError: No module named"),
    "exits": ({"__init__": "raise SystemExit('bye')"}, "broken: SystemExit: bye"),
    "number": ({"__init__": "FAMILY = 3"}, "broken: number:FAMILY is neither a Family nor the class of"),
    "misnamed": (
        {"__init__": FAMILY.replace('name="twin"', 'name="other"')},
        "broken: misnamed:FAMILY is the family 'other', and the entry point is called 'misnamed'",
    ),
    "thief": (
        {"__init__": FAMILY.replace('{"twin":', '{"lammps":'), "adapter": ADAPTER},
        "broken: readers lammps: taken by the family 'snap'",
    ),
    "later": (
        {"__init__": FAMILY, "adapter": "def ("},
        "broken: later.adapter:Twin of the family 'later' cannot be imported: SyntaxError: ",
    ),
    "empty": ({"__init__": FAMILY, "adapter": "X = 1"}, "broken: empty.adapter does not define Twin"),
    "lacks": (
        {"__init__": NEEDS.replace("needs-package", "lacks-package"), "adapter": "import no_such_thing"},
        "adapter 'lacks' needs no-such-thing: pip install 'lacks-package[all]'",
    ),
    "absent": (
        {"__init__": NEEDS.replace("needs-package", "no-such-package"), "adapter": ADAPTER},
        "adapter 'absent' needs no-such-package: pip install 'no-such-package[all]'",
    ),
    "refuses": ({"__init__": FAMILY, "adapter": REFUSES}, "broken: AttributeError: 'Twin' object has no"),
    "nonsense": (
        {"__init__": NEEDS.replace("needs-package[all]", "not a requirement!!"), "adapter": ADAPTER},
        "broken: ValueError: requires must be what pip installs, such as 'crossprune-mine[all]', got",
    ),
    "listed": (
        {"__init__": FAMILY.replace('{"twin": "twin.adapter:read"}', "[1]"), "adapter": ADAPTER},
        "broken: ValueError: readers must be a mapping of names, got [1]",
    ),
    "pathless": (
        {"__init__": FAMILY.replace("twin.adapter:Twin", "Twin"), "adapter": ADAPTER},
        "broken: ValueError: adapter must be 'module:name', got 'Twin'",
    ),
    "extraless": (
        {"__init__": NEEDS.replace("needs-package[all]", "extraless-package[some]"), "adapter": ADAPTER},
        "broken: extraless-package 1.5, as it is installed, has no extra some; it has: all, deep",
    ),
    "nested": (
        {"__init__": NEEDS.replace("needs-package", "nested-package"), "adapter": ADAPTER},
        "adapter 'nested' needs no-such-thing: pip install 'nested-package[all]'",
    ),
    "usurper": (
        {"__init__": FAMILY.replace('{"twin-of-old":', '{"mean":'), "adapter": ADAPTER},
        "broken: potentials of the family 'mean' are its own to read",
    ),
    "foreign": (
        {"__init__": FAMILY, "adapter": ADAPTER.replace('adapter = "twin-of-old"', 'adapter = "snap"')},
        "broken: adapter 'foreign': its potentials are saved as 'snap', which its family does not read",
    ),
    "alias": (
        {"__init__": FAMILY, "adapter": ADAPTER.replace('name = "twin"', 'name = "nobody"')},
        "broken: adapter 'alias': the class alias.adapter:Twin calls itself 'nobody'",
    ),
    "numbered": (
        {"__init__": FAMILY.replace('{"twin":', "{3:"), "adapter": ADAPTER},
        "broken: ValueError: readers must be a mapping of names, got {3:",
    ),
    "stubborn": ({"__init__": "raise GeneratorExit('no')"}, "broken: GeneratorExit: no"),
    "outdated": (
        {"__init__": NEEDS.replace("needs-package", "outdated-package"), "adapter": ADAPTER},
        "adapter 'outdated' needs numpy>=999 (installed: ",
    ),
}
"""Files of a family from outside, and what its line in `crossprune adapters` says."""


@pytest.fixture(scope="module")
def broken_site(tmp_path_factory):
    """Return a folder with all broken families beside each other."""
    site = tmp_path_factory.mktemp("broken")
    for name, (files, _) in BROKEN.items():
        renamed = {f"{name}/{file}.py": text for file, text in files.items()}
        for path, text in renamed.items():
            if path.endswith("__init__.py") and name not in ("misnamed", "number"):
                text = text.replace('name="twin"', f'name="{name}"')
            if path.endswith("adapter.py"):
                text = text.replace('name = "twin"', f'name = "{name}"')
            text = text.replace("twin.adapter", f"{name}.adapter").replace(
                '"twin-of-old"', f'"{name}-of-old"'
            )
            text = text.replace('{"twin":', f'{{"{name}":').replace('{"lines":', f'{{"{name}":')
            renamed[path] = text
        requires = {
            "lacks": ['no-such-thing>=2; extra == "all"'],
            "nested": ['nested-package[deep]; extra == "all"', 'no-such-thing; extra == "deep"'],
            "outdated": ['numpy>=999; extra == "all"'],
        }.get(name, [])
        install(site, renamed, entry=f"{name} = {name}:FAMILY", name=f"{name}-package", requires=requires)
    return site


@pytest.mark.slow
def test_what_is_wrong_with_a_family_is_one_line(broken_site):
    listing = run(broken_site, "adapters")
    assert listing.returncode == 0, listing.stderr
    for name, (_, says) in BROKEN.items():
        assert says in problem(listing.stdout, name), problem(listing.stdout, name)
    for family in FAMILIES:
        assert family.name == "broken" or row(listing.stdout, family.name)  # which is for tests alone
        assert "broken" not in problem(listing.stdout, family.name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["syntax", "later", "absent"])
def test_who_asks_for_a_broken_family_is_told_why(broken_site, name):
    asked = run(broken_site, "check", name)
    assert asked.returncode == 2
    assert "Traceback" not in asked.stderr
    assert BROKEN[name][1].removeprefix("broken: ") in asked.stderr


@pytest.mark.slow
def test_a_name_that_is_taken_leaves_the_family_inside_as_it_is(tmp_path):
    folder = install(
        tmp_path,
        {"twin/__init__.py": FAMILY.replace('name="twin"', 'name="mean"')},
        entry="mean = twin:FAMILY",
    )
    listing = run(folder, "adapters").stdout
    assert row(listing, "mean")
    taken = "there is a family 'mean' already: crossprune.adapters.mean:Mean; give another name"
    assert problem(listing, "mean") == f"mean: broken: {taken} (package twin-package 1.5)"


@pytest.mark.slow
def test_a_class_may_stand_for_a_family_without_anything_else(tmp_path):
    alone = ADAPTER.replace('adapter = "twin-of-old"', 'adapter = "twin"')
    folder = install(tmp_path, {"twin.py": alone}, entry="twin = twin:Twin")
    listing = run(folder, "adapters").stdout
    assert row(listing, "twin")
    assert re.search("all( others)? can be used", listing)


@pytest.mark.slow
def test_a_missing_package_is_a_line_too(tmp_path):
    """As in the environment that `make demo` leaves: numba is not there."""
    hidden = "import sys\nsys.modules['numba'] = None\n"
    folder = install(
        tmp_path, {"sitecustomize.py": hidden, "twin/__init__.py": FAMILY, "twin/adapter.py": ADAPTER}
    )
    listing = run(folder, "adapters")
    assert listing.returncode == 0, listing.stderr
    for name in ("ace", "chimes", "mtp", "nnp", "uf3"):
        needs = f"adapter '{name}' needs numba: {pip_command(f'crossprune[{name}]')}"
        assert problem(listing.stdout, name) == f"{name}: {needs}"
        assert "–" in row(listing.stdout, name)
    assert not problem(listing.stdout, "mean")


def test_unknown_names_get_a_suggestion():
    with pytest.raises(StudyError, match="unknown adapter 'snpa'; did you mean 'snap'"):
        lookup.family_of("snpa")
    with pytest.raises(StudyError, match="unknown scheme 'lamps'; did you mean 'lammps'"):
        lookup.load_potential("lamps:snap:x")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Mo.mtp", "mtp:{file}"),
        ("model_param.pod", "pod:{file}"),
        ("uf3.json", "uf3:{file}"),
        ("potential.yace", "ace:{file}"),
        ("params.txt", "chimes:{file}"),
        ("input.nn", "nnp:{folder}"),
        ("model.snapcoeff", "lammps:snap:{file}"),
    ],
)
def test_files_of_a_potential_without_their_scheme_get_a_suggestion(name, says, tmp_path):
    (tmp_path / name).write_text("")
    wanted = says.format(file=tmp_path / name, folder=tmp_path)
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(DataError, match=re.escape(f"holds no saved potential; did you mean {wanted!r}?")):
            lookup.load_potential(source)
    (tmp_path / name).rename(tmp_path / "other.txt")
    with pytest.raises(StudyError, match="is neither a folder"):
        lookup.load_potential(tmp_path / "other.txt")


def test_every_family_inside_says_what_it_is():
    assert all(family.about.endswith(".") for family in FAMILIES)
