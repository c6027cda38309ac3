"""Who may import whom: the layers, and what adapters may know."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp
import pytest
from importlinter.application.use_cases import lint_imports
from importlinter.configuration import configure

ROOT = Path(__file__).parents[2]
FOR_ADAPTERS = {f"crossprune.harness.{name}" for name in ("contract", "frames", "errors", "tables")}
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*CONFIGURATION["root_packages"], cache_dir=None)


def modules_of(folder: str) -> set[str]:
    return {f"crossprune.{folder}.{path.stem}" for path in (ROOT / folder).glob("*.py")} - {
        f"crossprune.{folder}.__init__"
    }


def is_adapter(module: str) -> bool:
    return module.startswith("crossprune.adapters.") and not module.rpartition(".")[2].startswith("_")


def test_layers_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    kept = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert kept, capsys.readouterr().out


def test_every_harness_module_has_a_layer() -> None:
    layers = CONFIGURATION["contracts"][0]["layers"]
    listed = {name for layer in layers for name in re.findall(r"crossprune\.harness\.\w+", layer)}
    forgotten = modules_of("harness") - listed
    assert not forgotten, f"give {sorted(forgotten)} a layer in [tool.importlinter] of pyproject.toml"


def test_every_module_is_seen_by_the_linter(graph: grimp.ImportGraph) -> None:
    files = modules_of("harness") | modules_of("adapters") | modules_of("reports")
    assert files <= graph.modules, "import-linter is blind on these modules"


def test_adapters_know_only_the_contract(graph: grimp.ImportGraph) -> None:
    for module in modules_of("adapters"):
        imported = graph.find_modules_directly_imported_by(module)
        foreign = {name for name in imported if name.startswith("crossprune.harness")} - FOR_ADAPTERS
        assert not foreign, f"{module} imports {sorted(foreign)}; adapters may use {sorted(FOR_ADAPTERS)}"


def test_adapters_do_not_import_each_other(graph: grimp.ImportGraph) -> None:
    for module in modules_of("adapters"):
        others = filter(is_adapter, graph.find_modules_directly_imported_by(module))
        assert not sorted(others), f"{module} imports an adapter; shared code goes into an underscore file"
