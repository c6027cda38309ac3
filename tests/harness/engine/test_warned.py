"""A cell's status must not depend on how this process or its parent filters warnings."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from crossprune.harness.engine.outcome import run_all

STUDY = """
[study]
name = "strict"
datasets = ["si-pbe"]
fractions = [0.5]
seeds = [0]
models = ["mean"]
[data.si-pbe]
smoke = true
"""


def announce(root, module, category):
    """Run a stage in which a line of ``module`` warns."""

    def stage(root):
        warnings.warn_explicit("goes away", category, f"{module}.py", 1, module=module)
        return 1, True

    (outcome,) = run_all(root, None, [(stage, ())])
    return outcome


@pytest.mark.parametrize("module", ["ase.atoms", "numpy", "crossprunes"])
@pytest.mark.parametrize("category", [DeprecationWarning, RuntimeWarning, ResourceWarning])
def test_a_warning_of_another_package_fails_no_stage(tmp_path, module, category):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.warns(category, match="goes away"):
            outcome = announce(tmp_path, module, category)
    assert (outcome.status, outcome.value) == ("done", 1)


def test_a_warning_of_our_own_stays_what_the_caller_made_of_it(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcome = announce(tmp_path, "crossprune.adapters.mean", RuntimeWarning)
    assert outcome.status == "failed"
    assert "goes away" in outcome.reason


def test_a_filter_for_one_kind_makes_no_other_kind_visible(tmp_path):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", category=UnicodeWarning)  # as phonopy does for one of NumPy's
        assert announce(tmp_path, "ase.atoms", DeprecationWarning).status == "done"
        assert not shown
        assert announce(tmp_path, "ase.atoms", UnicodeWarning).status == "done"
        assert len(shown) == 1


@pytest.mark.slow
def test_a_run_where_every_warning_is_an_error_has_all_cells(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    program = (
        "import warnings as w; w.simplefilter('error'); import crossprune.harness.cli.main as m; m.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "study.toml", "--store", "out", "--workers", "1"],
        cwd=Path(tmp_path),
        env={**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 done" in done.stdout
