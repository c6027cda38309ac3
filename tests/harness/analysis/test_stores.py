"""Two runs side by side: what is the same is said to be, and what moved is told from what seeds do anyway."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.stores import SETTING, Finished, causes, compare_runs
from crossprune.harness.cli.main import app
from crossprune.harness.errors import StudyError
from crossprune.reports.several.stores import finding
from typer.testing import CliRunner

FORCE, ENERGY = "force_mae_ev_per_angstrom", "energy_mae_mev_per_atom"
SEEDS = range(4)
TOML = '[study]\nname = "x"\nfractions = [0.1]\n[options.snap]\ntwojmax = 6\n'


def table(change=1.0, models=("gap", "snap"), seeds=SEEDS, data="d"):
    """Make a run; ``change`` is a factor on errors of snap, or one for each seed."""
    rows = []
    for model in models:
        for seed in seeds:
            factor = np.broadcast_to(change, len(seeds))[seed] if model == "snap" else 1.0
            rows.append(
                {
                    "dataset": "x",
                    "chooser": "random",
                    "method": "random",
                    "fraction": 0.1,
                    "seed": seed,
                    "model": model,
                    "split": "test",
                    "group": "all",
                    "status": "done",
                    "reason": "",
                    "dataset_key": data,
                    FORCE: 0.2 * (1 + 0.1 * seed) * factor,
                    ENERGY: 5.0 + seed,
                }
            )
    return pd.DataFrame(rows)


def finished(results, name="run", **facts):
    return Finished(name, results, facts)


def compared(after, before=None):
    return compare_runs(finished(table() if before is None else before), finished(after))


def test_equal_tables_say_no_difference():
    changes = compared(table())
    assert changes.is_none
    assert finding(changes) == "No difference: 4 errors of the same cells agree to 0.1 %."
    assert (changes.errors["ratio"] == 1).all()


def test_noise_of_libraries_is_no_difference():
    assert compared(table(1.0005)).is_none
    assert not compared(table(1.002)).is_none


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (1.05, "higher"),
        ([1.04, 1.05, 1.06, 1.05], "higher"),
        ([0.9, 0.91, 0.92, 0.9], "lower"),
        ([1.3, 0.8, 1.1, 0.9], "within the seeds"),
    ],
)
def test_a_change_is_told_from_what_seeds_do(change, verdict):
    changes = compared(table(change))
    row = changes.errors.set_index(["metric", "model"]).loc[("force", "snap")]
    logs = np.log(np.broadcast_to(change, 4))
    assert row["ratio"] == pytest.approx(np.exp(logs.mean()))
    half = 3.182446 * logs.std(ddof=1) / 2  # Student's t of three degrees of freedom
    np.testing.assert_allclose([row["low"], row["high"]], np.exp([logs.mean() - half, logs.mean() + half]))
    assert row["scatter"] == pytest.approx(np.log(1 + 0.1 * np.arange(4)).std(ddof=1))
    assert row["verdict"] == verdict
    assert (changes.errors.query("model == 'gap' or metric == 'energy'")["verdict"] == "same").all()
    assert not changes.is_none


def test_one_seed_tells_no_more_than_that_it_moved():
    changes = compared(table(1.5, seeds=range(1)), table(seeds=range(1)))
    assert set(changes.errors["verdict"]) == {"same", "one seed"}
    assert "1 moved, with one seed to tell by" in finding(changes)


def test_cells_of_one_run_alone_are_named():
    changes = compared(table(models=("snap", "ace")))
    assert changes.only_before[[*SETTING, "n_seeds"]].to_dict("records") == [
        {
            "dataset": "x",
            "chooser": "random",
            "method": "random",
            "fraction": 0.1,
            "model": "gap",
            "n_seeds": 4,
        }
    ]
    assert changes.only_after["model"].tolist() == ["ace"]
    assert "Beside them: 1 setting gone, 1 setting new." in finding(changes)


def test_cells_that_newly_fail_are_named_with_their_reason():
    broken = table()
    broken.loc[0, ["status", "reason", FORCE, ENERGY]] = ["failed", "boom", np.nan, np.nan]
    changes = compared(broken)
    assert changes.newly_failing[["model", "seed", "reason_after"]].to_numpy().tolist() == [
        ["gap", 0, "boom"]
    ]
    assert compared(table(), broken).newly_done["model"].tolist() == ["gap"]
    assert "1 cell newly failing" in finding(changes)
    assert (changes.errors["n_seeds"] == np.where(changes.errors["model"] == "gap", 3, 4)).all()


def test_exploded_fits_count_as_mean():
    gone = table().assign(flag="", **{f"mean_{FORCE}": 0.9})
    gone.loc[0, "flag"], gone.loc[0, FORCE] = "exploded: largest force", 1e17
    changes = compared(gone, table().assign(flag="", **{f"mean_{FORCE}": 0.9}))
    assert changes.errors["ratio"].max() == pytest.approx((0.9 / 0.2) ** 0.25)


def test_runs_without_a_common_cell_are_refused():
    with pytest.raises(StudyError, match="no cell in common: data sets x and x, models gap, snap and ace"):
        compared(table(models=("ace",)))


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"toml": TOML.replace("6", "8")}, "options.snap.twojmax: 6 → 8"),
        ({"toml": TOML.replace('"x"', '"y"')}, None),
        ({"versions": "lammps 2; numpy 2.4"}, "lammps: 1 → 2"),
        ({"versions": "lammps 1"}, "numpy: 2.4 → not said"),
        ({"commit": "def"}, "commit: abc → def"),
        ({"date": "2026-01-01"}, None),
    ],
)
def test_what_runs_rest_on_is_compared(facts, cause):
    known = {"toml": TOML, "versions": "lammps 1; numpy 2.4", "commit": "abc"}
    found = list(causes(finished(table(), **known), finished(table(), **{**known, **facts})))
    assert found == ([] if cause is None else [cause])


def test_other_data_under_the_same_name_are_said():
    found = list(causes(finished(table()), finished(table(data="e"))))
    assert found == ["data set x: content or split changed"]


def written(folder, results, **facts):
    from crossprune.harness.engine.results import RESULTS

    folder.mkdir()
    whole = dict.fromkeys(RESULTS.texts, "") | dict.fromkeys(RESULTS.numbers, np.nan)
    whole |= {"pool": 0, "mask": "none", "budget": "configurations"}
    columns = {name: value for name, value in whole.items() if name not in results}
    results.assign(**columns).to_parquet(folder / "results.parquet")
    (folder / "provenance.json").write_text(json.dumps({"study": "x", **facts}))
    return folder


def test_the_command_writes_a_page_and_says_what_it_found(tmp_path):
    before = written(tmp_path / "before", table(), toml=TOML)
    after = written(tmp_path / "after", table(1.2), toml=TOML.replace("6", "8"))
    done = CliRunner().invoke(app, ["compare", str(before), str(after)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "1 rose and 0 fell beyond what their seeds tell" in " ".join(done.output.split())
    text = (after / "compared.html").read_text()
    assert "before → after" in text
    assert "options.snap.twojmax: 6 → 8" in text
    assert text.count('class="panel"') == 2  # force and energy
    assert "src=" not in text
    same = CliRunner().invoke(app, ["compare", str(before), str(before), "--page", str(tmp_path / "p.html")])
    assert "No difference" in same.output
    assert "Both rest on the same study" in (tmp_path / "p.html").read_text()


def test_names_of_a_store_cannot_become_html(tmp_path):
    evil = "</script><b>"
    before = written(tmp_path / "before", table().assign(model=evil))
    after = written(tmp_path / "after", table(1.2).assign(model=evil), commit="<i>x")
    CliRunner().invoke(app, ["compare", str(before), str(after)], catch_exceptions=False)
    text = (after / "compared.html").read_text()
    assert evil not in text
    assert "<i>x" not in text
