"""Every script of examples/ runs as it is, in a folder of its own, and is one that the guide can show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from crossprune.adapters import FAMILIES

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
NAMES = [family.name for family in FAMILIES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_a_title_and_cells(path: Path) -> None:
    assert re.match(r'"""\n(?P<title>.+)\n(=+)\n\n', path.read_text()), "a docstring with an underlined title"
    assert "\n# %%\n" in path.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path, require_adapter: Callable[[str], None]) -> None:
    for name in NAMES:
        if f'"{name}"' in path.read_text():
            require_adapter(name)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "MPLBACKEND": "agg", "PATH": programs, "PYTHONSAFEPATH": "1"}
    call = [sys.executable, "-W", "error:::crossprune", str(path)]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert not list(tmp_path.iterdir()), "an example writes into a temporary folder"
