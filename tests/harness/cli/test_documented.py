"""Every study and every documented command runs, in a smoke size: nobody can break one unnoticed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from ase.io import read, write
from crossprune.adapters.programs.pacemaker_program import find_pacemaker
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.cli.main import app
from crossprune.harness.errors import MissingPackage
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}.*$", re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:^|&&|\bsrun)\s*crossprune\s+(?P<words>[a-z](?:(?!\s(?:[#|>&]|[0-9]>)).)*)")
"""At the start of a line or span, or after another command; up to a comment, a pipe or the next command."""
PLACEHOLDERS = {
    "STUDY.toml": "mo.toml",
    "STORE": "mo",
    "BEFORE": "mo-before",
    "AFTER": "mo-after",
    "STORE-or-SET": "si-pbe",
    "SET": "si-pbe",
    "CARD": "si-pbe",
    "FILE": "frames.extxyz",
    "ADAPTER": "mean",
    "POOL": "md.extxyz",
    "NAME": "eam",
    "POTENTIAL": "potential/mean",
    "ace:PATH": "ace:potential/ace/potential.yaml",
    "chimes:PATH": "chimes:potential/chimes/params.txt",
    "mtp:PATH": "mtp:potential/mtp/potential.mtp",
    "pod:PATH": "pod:potential/pod/model_param.pod",
    "uf3:PATH": "uf3:potential/uf3/uf3.json",
    "lammps:snap:NAME": "lammps:snap:Mo_Zuo_JPCA2020",
    "mlearn-ELEMENT": "mlearn-Mo",
    "name": "eam",
}
"""Words in capitals, or in angle brackets, and what a test takes for them."""
OF_ONE_COMMAND = {
    ("adapters", "NAME"): "snap",
    ("check", "name"): "mean",
    ("evaluate", "FOLDER"): "potential/mean",
    ("levels", "SET"): "si-pair",
    ("new-adapter", "FOLDER"): "my-eam",
    ("softening", "POTENTIAL"): "potential/ace",
    ("transfer", "STORE"): "crossprune-transfer-si",
    ("tune", "ADAPTER"): "snap",
}
"""The same for placeholders that stand for different things."""


def documents() -> list[Path]:
    """Return every file that shows commands: documents, studies with their head, and the help texts."""
    return [
        *sorted(ROOT.glob("*.md")),
        *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions"),
        *sorted((ROOT / "studies").glob("*.toml")),
        *sorted((ROOT / "harness" / "cli").glob("*.py")),
        *sorted((ROOT / ".github" / "workflows").glob("*.yml")),
    ]


def commands() -> dict[str, str]:
    """Return every documented command, without ``crossprune``, and the file that shows it first."""
    found: dict[str, str] = {}
    for path in documents():
        for text in _shown(path):
            for match in COMMAND.finditer(text):
                found.setdefault(" ".join(match["words"].split()), str(path.relative_to(ROOT)))
    return found


def _shown(path: Path) -> Iterator[str]:
    """Yield what a file shows as code: spans and blocks, comments of studies, steps of workflows."""
    text = path.read_text()
    if path.suffix == ".toml":
        yield from re.findall(r"^#.*(crossprune run .*)$", text, re.MULTILINE)
    if path.suffix == ".yml":
        yield from re.findall(r"^ *- run: (crossprune .*)$", text, re.MULTILINE)
    if path.suffix == ".py":
        yield from (span for line in text.splitlines() if "Example: " in line for span in SPAN.findall(line))
    if path.suffix == ".md":
        blocks = FENCED.findall(text)
        text = FENCED.sub("", text)
        blocks += INDENTED.findall(text)
        for line in "\n".join(blocks).splitlines():
            yield re.sub(r"^(\S+ ){5}cd \S+ ", "", line.strip())  # the five fields of a crontab
        for paragraph in INDENTED.sub("", text).split("\n\n"):
            yield from (" ".join(span.split()) for span in SPAN.findall(paragraph))


def words_of(command: str) -> list[str]:
    """Split a command and put names in place of its placeholders.

    Raises
    ------
    ValueError
        If a placeholder is not known: then nobody knows how to run the command.
    """
    words: list[str] = []
    for word in shlex.split(re.sub(r"[][]", " ", command)):
        bare = word.strip("<>")
        one = OF_ONE_COMMAND.get((words[0] if words else "", bare), PLACEHOLDERS.get(bare, bare))
        if re.search(r"(?<![A-Z_$=])[A-Z]{3,}(?![A-Z0-9_])", one):
            raise ValueError(f"{command}: what does {word!r} stand for? see PLACEHOLDERS")
        words.append(one)
    return words


def smoke_study(text: str, *, data: str | None = None) -> str:
    """Cut a study to a size for tests: smoke subsets, the ends of its fractions, one seed, few steps."""
    study = tomllib.loads(text)
    axes = study["study"]
    fractions = {max(0.25, one) for one in axes["fractions"]}  # of smoke subsets, less is too few
    axes["fractions"] = [min(fractions)] if axes.get("choosers") else sorted({min(fractions), max(fractions)})
    axes["seeds"], axes["methods"] = axes["seeds"][:1], axes.get("methods", ["fps"])[:1]
    axes["datasets"] = [data] if data else axes["datasets"][:1]
    axes["pools"] = min(axes.get("pools", 1), 2)
    study["data"] = {name: {"smoke": True} for name in axes["datasets"]}
    options = study.setdefault("options", {})
    for name in {*axes["models"], *axes.get("choosers", [])}:
        table = options.setdefault(name, {})
        family = table.get("adapter", name)
        if family == "nnp":
            table["steps"] = 20
        if family == "ace":
            table["max_degrees"] = [6, 4, 3, 2][: len(table.get("max_degrees", "123"))]
        if family == "mtp":
            table |= {"level": 8, "iterations": 3}
        if family == "gap":
            table |= {"n_sparse": min(20, table.get("n_sparse", 20)), "pool_per_configuration": 4}
        if family == "universal":
            table["epochs"] = 1
        if family == "uf3":
            table["resolution_3b"] = min(6, table.get("resolution_3b", 6))
    if "properties" in study:
        study["properties"]["names"] = ["lattice"]
    if "md" in study:
        study["md"] |= {
            "steps": 5,
            "ramp_steps": 5,
            "n_velocities": 1,
            "melting_fractions": [0.25],
            "repeat": 2,
        }
    return "\n".join(_lines(study, ()))


def _lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    """Write a table as TOML: strings, numbers and lists are as in JSON."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if place:
        yield f"[{'.'.join(map(json.dumps, place))}]"
    yield from (f"{json.dumps(key)} = {json.dumps(value)}" for key, value in plain.items())
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*place, key))


MENTIONS = {"analyze", "run", "tune"}
"""Names of commands that a text speaks of without calling them."""
ELSEWHERE = {
    "--executor": "needs a cluster; tests/harness/engine/test_clusters.py runs studies on Parsl",
}
STUDIES = {
    **{f"studies/{path.name}": path.read_text() for path in sorted((ROOT / "studies").glob("*.toml"))},
    "harness/cli/demo.toml": (ROOT / "harness" / "cli" / "demo.toml").read_text(),
    **{
        f"{name}: {block.split('name = ')[1].split()[0]}": block
        for name in ("README.md", "docs/studies.md", "docs/tuning.md")
        for block in re.findall(r"```toml\n(\[study\]\n.*?)```", (ROOT / name).read_text(), re.DOTALL)
    },
}
SMALL = """
[study]
name = "small"
datasets = ["si-pbe"]
choosers = ["ace"]
fractions = [0.25, 1.0]
seeds = [0]
models = ["ace", "chimes", "mean", "mtp", "pod", "uf3"]
[options.ace]
max_degrees = [6, 4]
[options.chimes]
order_3b = 0
[options.mtp]
level = 8
[options.uf3]
resolution_3b = 0
[data.si-pbe]
smoke = true
"""
"""What the documents call mo.toml, study.toml and the like."""
TRANSFER = """
[study]
name = "transfer"
datasets = ["si-pair"]
fractions = [0.5, 1.0]
seeds = [0]
models = ["mean"]
[data.si-pair]
smoke = true
[transfer]
source = "pbe"
target = "r2scan"
ways = ["source", "pooled"]
"""
"""What left the store that they look at."""
CARD = """
[protocol]
prototype = "diamond"
lattice_parameter_angstrom = 5.48
"""
"""What they call card.toml."""


def calls() -> list[list[str]]:
    """Return the documented commands as words, each once."""
    found = {tuple(words_of(one)): None for one in commands() if one not in MENTIONS}
    return [list(words) for words in found]


def invoke(words):
    """Run a command in this process; return its exit code and all that it said."""
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, words, catch_exceptions=False)
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Give a folder with a run study, its potentials, and what `new-adapter` needs of a checkout."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "mo.toml").write_text(SMALL)
    (folder / "studies").mkdir()
    (folder / "adapters").mkdir()
    (folder / "changes").mkdir()
    shutil.copy(ROOT / "adapters" / "__init__.py", folder / "adapters")
    code, said = invoke(["run", str(folder / "mo.toml"), "--store", str(folder / "mo"), "--workers", "0"])
    assert code == 0, said
    assert invoke(["export", "si-pbe", "--output", str(folder / "frames.extxyz")])[0] == 0
    for potential in sorted((folder / "mo" / "objects" / "fit").rglob("potential")):
        name = json.loads((potential / "potential.json").read_text())["adapter"]
        shutil.copytree(potential, folder / "potential" / name, dirs_exist_ok=True)
    return folder


@pytest.fixture
def needs_data(data_folder):
    """Return a function that skips where published data are named that are not there."""

    def require(text):
        for name in {"mlearn" for _ in re.finditer(r"\bmlearn-", text)} | set(re.findall("monbtaw", text)):
            data_folder(name)

    return require


def test_the_parser_finds_what_the_documents_show():
    found = commands()
    assert found["run mo.toml --store results --workers 2"] == "README.md"
    assert found["store gc mo"] == "docs/store.md"
    assert found["analyze crossprune-answer-si-pbe"] == "docs/answer.md"
    assert {"new-adapter <name> --outside FOLDER", "check snap"} <= set(found)
    assert len(found) >= 50


@pytest.mark.parametrize("words", calls(), ids=" ".join)
def test_every_documented_command_is_one(words):
    group = typer.main.get_command(app)
    while getattr(group, "commands", None):
        group, words = group.commands[words[0]], words[1:]
    group.make_context("documented", list(words))


@pytest.mark.slow
@pytest.mark.parametrize("words", calls(), ids=" ".join)
def test_every_documented_command_runs(workspace, monkeypatch, needs_data, require_adapter, words):
    needs_data(" ".join(words))
    if any(word.startswith("universal:") for word in words):
        require_adapter("universal")
    for option, reason in ELSEWHERE.items():
        if option in words:
            pytest.skip(reason)
    if any(word.startswith("studies/") for word in words) and words[0] == "run":
        pytest.skip("test_every_study_runs does it")
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("SCRATCH", str(workspace / "scratch"))
    code, said = invoke(smaller(workspace, words))
    assert code == 0, said


def smaller(workspace: Path, words: list[str]) -> list[str]:
    """Make what a command names, and give it the least work that its words allow."""
    words = [os.path.expandvars(word) for word in words]
    if words[0] == "demo":
        words = ["run", "demo.toml", *words[1:]]
    for word in words:
        study = ROOT / word if word.startswith("studies/") else None
        if word.endswith(".toml"):
            text = SMALL if study is None else smoke_study(study.read_text())
            text = CARD if word == "card.toml" else text
            (workspace / word).write_text(text)
    if words[0] in ("run", "nightly"):
        words = [*words, "--workers", "0"]
    if words[0] == "tune":
        words = [*words, "--workers", "0", "--folds", "2", "--option", "twojmax=4"]
    if words[0] == "properties" and "--name" not in words:
        words = [*words, "--name", "lattice"]
    is_run = words[0] == "softening" and words[1].startswith("crossprune-")
    stores = words[1:2] if words[0] in ("report", "analyze") or is_run else []
    stores = words[1:3] if words[0] == "compare" else stores
    for store in [*stores, *({"results", "mo-from-cluster"} & set(words))]:
        if not (workspace / store).exists():
            shutil.copytree(workspace / "mo", workspace / store)
    if words[0] == "transfer" and not (workspace / words[1]).exists():
        (workspace / "transfer.toml").write_text(TRANSFER)
        assert invoke(["run", "transfer.toml", "--store", words[1], "--workers", "0"])[0] == 0
    if words[0] == "select":
        words = ["5" if before == "-n" else word for before, word in zip(["", *words], words, strict=False)]
        for name in ("md.extxyz", "pool.extxyz", "labelled.extxyz", "more.db"):
            part = "3::40" if name in ("labelled.extxyz", "more.db") else "::10"
            write(workspace / name, read(workspace / "frames.extxyz", part))
    if words[0] == "softening" and "forces.extxyz" in words:
        frames = read(workspace / "frames.extxyz", ":")
        for atoms in frames:
            atoms.arrays |= {"dft": atoms.get_forces(), "model": 0.9 * atoms.get_forces()}
        write(workspace / "forces.extxyz", frames)
    if words[0] == "new-adapter":
        shutil.rmtree(workspace / "my-eam", ignore_errors=True)
        shutil.copy(ROOT / "adapters" / "__init__.py", workspace / "adapters")
        (workspace / "adapters" / "eam.py").unlink(missing_ok=True)
    return words


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_runs(tmp_path, monkeypatch, needs_data, require_adapter, name):
    if 'adapter = "universal"' in STUDIES[name]:
        require_adapter("universal")
    if 'fitter = "pacemaker"' in STUDIES[name]:
        try:
            find_pacemaker()
        except MissingPackage as missing:
            pytest.skip(str(missing))
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(smoke_study(STUDIES[name]))
    needs_data(Path("study.toml").read_text())
    for own in re.findall(r'"([\w.-]+\.extxyz\.gz)"', STUDIES[name]):  # a file of the user's
        study = tomllib.loads(STUDIES[name])
        groups = list(study.get("weights", "x"))
        several = "isolated_atom_energies" in study.get("data", {}).get(own, {})  # two elements: In and P
        frames = sample_frames(["Au", "Cu"] if several else ["Cu"], 24)
        for number, atoms in enumerate(frames):
            if several:
                atoms.symbols = ["In" if symbol == "Au" else "P" for symbol in atoms.symbols]
            atoms.info["group"] = groups[number % len(groups)]
        write(own, frames)
    code, said = invoke(["run", "study.toml", "--store", "out", "--workers", "0"])
    assert code == 0, said
    assert Path("out/report.html").is_file()
    assert invoke(["analyze", "out"])[0] == 0
