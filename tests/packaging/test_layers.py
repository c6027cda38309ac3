"""Who may import whom: the layers of rooms, circles inside them, and what adapters may know."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LINT = f"""
import sys
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure
configure()
sys.exit(not lint_imports(config_filename={str(ROOT / "pyproject.toml")!r}, cache_dir=None))
"""
FOR_ADAPTERS = ("crossprune.harness.contract", "crossprune.harness.errors", "crossprune.harness.tables")
FRAMES = "crossprune.harness.data.frames"
SHARED = ("crossprune.adapters.linear", "crossprune.adapters.programs")
Graph = dict[str, set[str]]
Lint = Callable[[Path], CompletedProcess[str]]

pytestmark = pytest.mark.slow


@pytest.fixture
def lint(run_on: Callable[..., CompletedProcess[str]]) -> Lint:
    return lambda folder: run_on(folder, "-c", LINT)


def within(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


def family_of(module: str) -> str:
    """Return the room or file in ``adapters/`` that a module belongs to."""
    return ".".join(module.split(".")[:3])


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that import each other in a circle, whatever room they are in."""
    names = sorted(graph)
    place = {name: index for index, name in enumerate(names)}
    pairs = [(place[name], place[other]) for name in names for other in graph[name]]
    rows, columns = zip(*pairs, strict=True)
    matrix = csr_array(([1] * len(pairs), (rows, columns)), shape=(len(names), len(names)))
    _, labels = connected_components(matrix, directed=True, connection="strong")
    groups: dict[int, list[str]] = {}
    for name, label in zip(names, labels.tolist(), strict=True):
        groups.setdefault(label, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def strangers(graph: Graph) -> list[str]:
    """Return what adapters import and may not: most of the harness, and other families."""
    found = []
    for module in sorted(graph):
        if not module.startswith("crossprune.adapters."):
            continue
        for other in sorted(graph[module]):
            harness = not other.startswith("crossprune.adapters") and other != FRAMES
            family = other.startswith("crossprune.adapters.") and family_of(other) != family_of(module)
            if (harness and not within(other, FOR_ADAPTERS)) or (family and not within(other, SHARED)):
                found.append(f"{module} imports {other}")
    return found


def test_layers_are_kept(wheel: Path, lint: Lint) -> None:
    done = lint(wheel)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        (
            "harness/errors.py",
            "import crossprune.harness.cli.main",
            "harness.errors -> crossprune.harness.cli",
        ),
        (
            "harness/store/disk.py",
            "from crossprune.harness.engine.processes import pool",
            "-> crossprune.harness.engine",
        ),
        ("harness/data/frames.py", "from crossprune.harness.store import disk", "data.frames -> crossprune"),
        ("harness/analysis/answer.py", "from crossprune.adapters import snap", "-> crossprune.adapters.snap"),
        (
            "adapters/mean.py",
            "def later():\n    from crossprune.adapters.ace import radial",
            "mean -> crossprune",
        ),
    ],
)
def test_a_planted_import_breaks_the_layers(
    planted: Callable[..., Path], lint: Lint, file: str, line: str, says: str
) -> None:
    done = lint(planted(file, line))
    assert done.returncode == 1
    assert says in re.sub(r"\s+", " ", done.stdout), done.stdout


def test_every_room_has_a_layer_and_every_family_is_independent() -> None:
    layers, families = CONFIGURATION["contracts"]
    named = {name for layer in layers["layers"] for name in re.findall(r"[\w.]+", layer)}
    named -= {path.stem for path in (ROOT / "api").iterdir()}
    rooms = {
        f"{top}{path.stem}"
        for folder, top in (("harness", "harness."), (".", ""))
        for path in (ROOT / folder).iterdir()
        if (path / "__init__.py").is_file() or (folder == "harness" and path.suffix == ".py")
    } - {"harness", "api", "harness.__init__"}
    assert named == rooms, "give each room a layer in [tool.importlinter] of pyproject.toml"
    modules = [path for path in (ROOT / "adapters").glob("[!_]*") if path.suffix in ("", ".py")]
    files = {path.stem for path in modules} - {"linear", "programs"}
    assert {name.rpartition(".")[2] for name in families["modules"]} == files, (
        "list the family in the contract 'no family imports another' of pyproject.toml"
    )


def test_every_module_is_seen(graph: Graph) -> None:
    tops = {"api": "", "harness": "harness", "adapters": "adapters", "reports": "reports"}
    files = {
        ".".join(
            ["crossprune", *([top] if top else []), *path.relative_to(ROOT / folder).with_suffix("").parts]
        )
        for folder, top in tops.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    modules = {name.removesuffix(".__init__") for name in files}
    assert modules <= graph.keys(), "the linter is blind on these modules"


def test_there_is_no_circle_even_inside_a_room(graph: Graph) -> None:
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("file", "line", "others"),
    [
        ("harness/engine/grid.py", "from crossprune.harness.engine import loop", {"grid", "loop"}),
        (
            "adapters/ace/radial.py",
            "from crossprune.adapters.ace.kernels import expand",
            {"radial", "kernels"},
        ),
        (
            "adapters/nnp/files.py",
            "def f():\n    import crossprune.adapters.nnp.potential",
            {"files", "potential"},
        ),
    ],
)
def test_a_planted_circle_is_found(
    planted: Callable[..., Path],
    read_graph: Callable[[Path], Graph],
    file: str,
    line: str,
    others: set[str],
) -> None:
    (found,) = circles(read_graph(planted(file, line)))
    assert others <= {name.rpartition(".")[2] for name in found}


def test_adapters_know_only_the_contract(graph: Graph) -> None:
    assert strangers(graph) == [], f"adapters may use {FOR_ADAPTERS}, {FRAMES} and {SHARED}"


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("adapters/linear/evidence.py", "from crossprune.harness.selection import farthest"),
        ("adapters/mean.py", "def f():\n    from crossprune.harness.data.cards import load_card"),
        ("adapters/programs/quip.py", "import crossprune.adapters.gap.options"),
        ("adapters/mean.py", "from crossprune import datasets"),
    ],
)
def test_a_planted_stranger_is_found(
    planted: Callable[..., Path], read_graph: Callable[[Path], Graph], file: str, line: str
) -> None:
    found = strangers(read_graph(planted(file, line)))
    assert [one.split(" imports ")[0] for one in found] == [
        f"crossprune.{file.removesuffix('.py').replace('/', '.')}"
    ]
