"""Documents that quote files, point to files or list columns stay true."""

from __future__ import annotations

import re
import subprocess
import textwrap
import tomllib
from pathlib import Path
from runpy import run_path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
INCLUDED = re.compile(r"<!-- included: (?P<path>\S+) -->\n *```\w+\n(?P<code>.*?)\n *```", re.DOTALL)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert not [target for target in targets if not (document.parent / target).exists()]


FOLDERS = "|".join(sorted(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."))
PATHS = re.compile(rf"(?<![\w./<{{-])((?:{FOLDERS})/[a-z0-9_./-]*\w\.(?:py|toml|md|yml|txt|json|bib))\b")
"""Files of the repository, from its root; words in capitals stand for names."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_paths_that_are_named_exist(document: Path) -> None:
    """Beside the document, as a link has it, or in the repository."""
    named = PATHS.findall(document.read_text())
    assert not [path for path in named if not any((one / path).exists() for one in (ROOT, document.parent))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_quoted_code_is_the_code(document: Path) -> None:
    for match in INCLUDED.finditer(document.read_text()):
        code = textwrap.dedent(match["code"])
        assert code in (ROOT / match["path"]).read_text(), f"{document.name} quotes an older {match['path']}"


def test_contributing_quotes_an_adapter() -> None:
    assert INCLUDED.search((ROOT / "CONTRIBUTING.md").read_text())


def test_study_of_the_readme_is_toml() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert tomllib.loads(block)["study"]["fractions"][-1] == 1.0


def test_decisions_are_numbered_and_complete() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), path.name


def test_nothing_in_the_guide_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        '<a href="https://doi.org/x">text</a><script src="x.js"></script>'
        '<script defer src="https://cdn.x/y.js"></script><link rel="stylesheet" href="//fonts.x">'
    )
    (tmp_path / "style.css").write_text("@import 'https://x/y.css'; a {background: url(data:x) url(y.png)}")
    found = run_path(str(ROOT / "docs" / "extensions" / "offline.py"))["loaded_from_elsewhere"](tmp_path)
    assert [one.split(": ")[0] for one in found] == ["page.html", "page.html", "style.css"]


def test_workflows_run_studies_that_exist() -> None:
    workflows = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    studies = set(re.findall(r"studies/\S+\.toml", workflows))
    assert studies
    assert not [study for study in studies if not (ROOT / study).is_file()]


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    (targets,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    rules = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    assert rules == set(targets.split())
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.findall(r"^  make (\S+) +\S", shown.stdout, re.MULTILINE) == targets.split()
