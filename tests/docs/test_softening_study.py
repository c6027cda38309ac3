"""The script behind docs/studies/softening.md: its ratios of errors, and its tables on a small run."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import crossprune
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "softening_study.py"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    return run_path(str(SCRIPT))


def run(folder, **changes):
    """Run two sizes of one family, the worse one in the place of a factor."""
    study = {
        "study": {
            "name": "small",
            "datasets": ["si-pbe"],
            "models": ["pairs", "pairs-scale"],
            "fractions": [0.1, 0.5],
            "seeds": [0, 1],
            **changes,
        },
        "options": {
            "pairs": {"adapter": "uf3", "resolution_3b": 0},
            "pairs-scale": {"adapter": "uf3", "resolution_3b": 0, "ridge": 1e-2},
        },
        "data": {"si-pbe": {"smoke": True}},
    }
    crossprune.run(study, store=folder, workers=0)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory, require_adapter):
    require_adapter("uf3")
    return run(tmp_path_factory.mktemp("store"), methods=["force_lowest"])


def test_an_interval_of_a_ratio_holds_it_where_draws_and_frames_vary(script):
    """Errors vary by draw and by frame; 90 % intervals hold the true ratio of their means."""
    rng = np.random.default_rng(0)
    true, held = 1.1, []
    for _ in range(60):
        draws, frames = np.exp(0.05 * rng.normal(size=(2, 20, 1))), rng.gamma(2.0, size=(1, 60))
        first, second = true * draws[0] * frames, draws[1] * frames * np.exp(0.3 * rng.normal(size=(20, 60)))
        second /= np.exp(0.3**2 / 2)
        middle, low, high = script["ratio"](first, second)
        assert low < middle < high
        held.append(low < true < high)
    assert 0.78 < np.mean(held) <= 1.0


def test_equal_errors_are_within_the_margin(script):
    errors = np.random.default_rng(0).gamma(2.0, size=(20, 60))
    assert script["ratio"](errors, errors) == (1.0, 1.0, 1.0)


def test_before_and_after_are_errors_of_frames_that_were_not_drawn(script, store, capsys):
    script["main"]([str(store)])
    lines = [one for one in capsys.readouterr().out.splitlines() if one.startswith("| si-pbe | pairs |")]
    assert len(lines) == 2 * 2 + 1  # two ways of drawing, two sizes, and one against ten
    run = script["Run"](str(store))
    cells = run.cells[run.cells["fraction"].eq(0.1) & run.cells["method"].eq("force_lowest")]
    plain, scaled = (cells[cells["model"] == name].iloc[0] for name in ("pairs", "pairs-scale"))
    data = crossprune.load_frames("si-pbe", split="test", loading={"smoke": True})
    table = [crossprune.evaluate(one, data)["force_mae_ev_per_angstrom"][0] for one in (plain, scaled)]
    chosen = run.unseen(plain, parts=("test",))
    n = 3 * sum(map(len, data))
    for row, expected in zip((plain, scaled), table, strict=True):
        assert run.errors(row, chosen).sum() / n == pytest.approx(expected)
    found = script["effect"](run, cells[cells["model"] == "pairs"], cells[cells["model"] == "pairs-scale"])
    everything = [run.errors(row, run.unseen(plain)).sum() for row in (scaled, plain)]
    assert found["MAE after / before"].startswith(f"{everything[0] / everything[1]:.3f}")


def test_models_as_they_are_and_pairs_of_them(script, require_adapter, capsys, monkeypatch, tmp_path):
    require_adapter("uf3")
    monkeypatch.setitem(script["pairs"].__globals__, "PAIRS", (("pairs", "pairs-scale"),))
    monkeypatch.setitem(script["draw"].__globals__, "IMAGES", tmp_path)
    script["zero_shot"](str(run(tmp_path / "store", fractions=[1.0], seeds=[0])), drawn=True)
    said = capsys.readouterr().out
    assert "| si-pbe | pairs / pairs-scale |" in said
    assert said.count("| si-pbe | pairs |") == 1
    assert (tmp_path / "softening-zero-shot.svg").stat().st_size > 1000


def test_fits_by_what_they_were_fitted_to(script, store, capsys):
    script["made"](str(store))
    said = capsys.readouterr().out
    assert "| si-pbe | pairs | force_lowest |" in said
    assert "## Median c by group: si-pbe" in said
