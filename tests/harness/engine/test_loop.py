from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import LocalPool, SerialExecutor
from crossprune.harness.engine.results import COLUMNS, VOLATILE
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import METRICS
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.store.objects import Store

SMOKE = {"si-pbe": {"smoke": True}}
SNAP = {"twojmax": 4, "cutoff": 4.5}


def study(**changes):
    axes = {
        "name": "test",
        "datasets": ["si-pbe"],
        "choosers": ["mean"],
        "fractions": [0.25, 1.0],
        "seeds": [0, 1],
        "models": ["mean"],
    }
    tables = {key: changes.pop(key) for key in ("options", "weights", "limits") if key in changes}
    return parse_study({"study": {**axes, **changes}, "data": SMOKE, **tables}, "test")


def stable(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns=list(VOLATILE))


@pytest.fixture
def serial(tmp_path):
    def go(given, folder="store", **settings):
        return run(given, Store(tmp_path / folder), SerialExecutor(), **settings)

    return go


def test_the_table_has_every_cell_and_column(serial):
    result = serial(study())
    table = result.table
    assert list(table.columns) == list(COLUMNS)
    assert set(table["status"]) == {"done"}
    cells = table.drop_duplicates("cell")
    assert len(cells) == 2 * 2 * 2  # mean and random, two fractions, two seeds
    assert set(table["chooser"]) == {"mean", "random"}
    overall = table[table["group"] == "all"]
    assert overall[list(METRICS)].notna().all(axis=None)
    assert set(table.loc[table["fraction"] == 1.0, "split"]) == {"test", "ood"}
    assert set(table.loc[table["fraction"] == 0.25, "split"]) == {"test", "ood", "remainder"}


def test_each_input_is_computed_once(serial):
    result = serial(study(models=["mean"], seeds=[0, 1, 2]))
    assert result.computed["prepare"] == 1
    assert result.computed["features"] == 1
    # Fraction 1 is one subset, whoever chooses it and whatever the seed: 6 others and that one.
    assert result.computed["fit"] <= 7


def test_one_order_of_picking_serves_all_fractions(serial):
    axes = {"choosers": ["mean"], "fractions": [0.1, 0.2, 0.3, 0.4, 1.0], "seeds": [0, 1, 2]}
    assert serial(study(**axes)).computed["selection"] == 3 * 2, "one per seed and way"
    more = serial(study(**axes | {"fractions": [0.3, 0.4]}))
    assert not +more.computed, "the same largest fraction, the same orders"


def test_cells_end_before_all_data_are_chosen(serial):
    ended = []
    serial(study(choosers=[], fractions=[0.5], seeds=list(range(30))), on_progress=ended.append)
    assert 1 in {one.done for one in ended}, "the first cell ends before the second seed's data are chosen"


def test_the_second_run_computes_nothing(serial):
    first, second = serial(study()), serial(study())
    assert not +second.computed
    pd.testing.assert_frame_equal(first.table, second.table)


def test_order_of_lists_changes_nothing(serial):
    first = serial(study())
    second = serial(study(fractions=[1.0, 0.25], seeds=[1, 0]))
    assert not +second.computed
    pd.testing.assert_frame_equal(first.table, second.table)


def test_a_cell_alone_gives_what_it_gives_in_the_whole(serial):
    whole = serial(study()).table
    alone = serial(study(fractions=[0.25], seeds=[1]), folder="other").table
    part = whole[(whole["fraction"] == 0.25) & (whole["seed"] == 1)].reset_index(drop=True)
    pd.testing.assert_frame_equal(stable(part), stable(alone))


def test_seeds_choose_different_data(serial):
    table = serial(study(choosers=[], fractions=[0.25])).table
    errors = table[(table["split"] == "test") & (table["group"] == "all")]
    assert errors["energy_mae_mev_per_atom"].nunique() == 2


@pytest.mark.slow
def test_the_fit_of_a_seed_does_not_depend_on_labels_of_options_or_on_code(
    serial, require_adapter, monkeypatch
):
    require_adapter("nnp")
    given = {"n_radial": 4, "angular_sharpness": [1.0], "zetas": [1.0], "hidden": [8, 8], "steps": 200}
    axes = {"models": ["nnp"], "choosers": [], "fractions": [1.0], "options": {"nnp": given}}
    table = serial(study(**axes)).table
    assert table.drop_duplicates("cell")["fit_key"].nunique() == 2, "a network per seed, on the same frames"
    monkeypatch.setattr(AdapterSpec, "fingerprint", "of other code")
    other = serial(study(**axes), folder="other").table
    assert set(other["fit_key"]).isdisjoint(table["fit_key"])
    np.testing.assert_array_equal(other[list(METRICS)], table[list(METRICS)])


def test_broken_cells_are_rows_and_the_others_finish(serial):
    result = serial(study(models=["mean", "broken"], choosers=["mean", "broken"]))
    table = result.table
    failed = table[table["status"] == "failed"]
    assert set(table.loc[table["model"] == "broken", "status"]) == {"failed"}
    assert set(table.loc[table["chooser"] == "broken", "status"]) == {"failed"}
    assert failed["reason"].str.contains("RuntimeError: the adapter 'broken' always raises").all()
    assert failed["reason"].str.contains("Traceback").all()
    others = table[(table["model"] == "mean") & (table["chooser"] != "broken")]
    assert set(others["status"]) == {"done"}


def test_failed_cells_are_kept_unless_retried(serial):
    broken = study(models=["broken"], choosers=[])
    serial(broken)
    kept = serial(broken)
    assert kept.statuses["failed"] == 4
    again = serial(broken, retry=["failed"])
    assert again.statuses["failed"] == 4
    assert again.table["cell"].tolist() == kept.table["cell"].tolist()


def test_variants_of_an_adapter_are_models_of_their_own(serial, require_adapter):
    require_adapter("snap")
    options = {
        "linear": {"adapter": "snap", **SNAP},
        "quadratic": {"adapter": "snap", "quadratic": True, **SNAP},
    }
    table = serial(study(models=["linear", "quadratic"], choosers=["linear"], options=options)).table
    assert set(table["status"]) == {"done"}
    assert set(table["model"]) == {"linear", "quadratic"}
    assert table["energy_mae_mev_per_atom"].nunique() > 2


def test_options_and_weights_change_the_result(serial, require_adapter):
    require_adapter("snap")
    base = {"models": ["snap"], "choosers": [], "fractions": [1.0], "seeds": [0]}
    plain = serial(study(**base, options={"snap": SNAP})).table
    heavy = serial(study(**base, options={"snap": {**SNAP, "energy_weight": 1e4}})).table
    weighted = serial(study(**base, options={"snap": SNAP}, weights={"diamond": {"energy": 100.0}})).table
    errors = [
        one.loc[one["group"] == "all", "energy_mae_mev_per_atom"].iloc[0] for one in (plain, heavy, weighted)
    ]
    assert len(set(errors)) == 3


def test_a_cell_whose_chosen_frames_have_no_weight_is_not_done(serial):
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    counts = Counter(dataset.groups[index] for index in dataset.indices("train"))
    others = sorted(counts, key=lambda group: (counts[group], group))[1:]
    weights = {group: {"energy": 0, "forces": 0} for group in others}
    table = serial(study(choosers=[], fractions=[0.01, 1.0], seeds=[0, 1, 2, 3], weights=weights)).overall
    assert set(table.loc[table["fraction"] == 1.0, "status"]) == {"done"}
    failed = table[table["status"] == "failed"]
    assert len(failed) > 0
    assert (
        failed["reason"].str.contains("the weights of energies and forces are 0 in the groups of all").all()
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["snpa"]}, r"unknown adapter 'snpa'; did you mean 'snap'"),
        ({"methods": ["fsp"]}, r"unknown selection method 'fsp'; did you mean 'fps'"),
        ({"datasets": ["si-pb"]}, r"unknown data set 'si-pb'; did you mean 'si-pbe'"),
        ({"options": {"mean": {"cutoff": 3.0}}}, r"\[options.mean\]: unknown key 'cutoff'"),
    ],
)
def test_wrong_names_are_refused_before_anything_runs(serial, changes, message):
    with pytest.raises(StudyError, match=message):
        serial(study(**changes))


@pytest.mark.slow
def test_a_pool_gives_the_table_of_the_serial_run(serial, tmp_path, require_adapter):
    require_adapter("snap")
    given = study(models=["snap", "mean"], choosers=["snap"], options={"snap": SNAP})
    pool = LocalPool(2, timeout_s=100)
    parallel = run(given, Store(tmp_path / "parallel"), pool)
    pool.shutdown()
    pd.testing.assert_frame_equal(stable(parallel.table), stable(serial(given).table))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "timeout_s", "status", "reason"),
    [
        ("segfault", 100.0, "crashed", "SIGSEGV"),
        ("hang", 3.0, "timeout", "wall-time limit"),
        ("memory", 100.0, "out_of_memory", r"used [\d.]+ GB of memory, 1 GB are allowed"),
    ],
)
def test_a_crash_a_hang_or_a_glutton_costs_one_cell(tmp_path, how, timeout_s, status, reason):
    given = study(models=["mean", "broken"], choosers=[], seeds=[0], options={"broken": {"how": how}})
    pool = LocalPool(2, timeout_s, memory_gb=1.0)
    table = run(given, Store(tmp_path / "s"), pool).table
    pool.shutdown()
    broken = table[table["model"] == "broken"]
    assert set(broken["status"]) == {status}
    assert broken["reason"].str.contains(reason).all()
    assert set(table.loc[table["model"] == "mean", "status"]) == {"done"}


STUDY = """
[study]
name = "killed"
datasets = ["si-pbe"]
choosers = ["snap"]
fractions = [0.1, 0.2, 0.3, 0.4, 0.5]
seeds = [0, 1, 2, 3]
models = ["snap"]
[options.snap]
twojmax = 6
quadratic = true
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, require_adapter):
    require_adapter("snap")
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    command = [
        sys.executable,
        "-m",
        "crossprune.harness.cli.main",
        "run",
        str(path),
        "--workers",
        "2",
        "--store",
    ]
    with subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL) as process:
        fits = tmp_path / "killed" / "objects" / "fit"
        deadline = time.monotonic() + 60
        while len(list(fits.glob("*/*"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    finished = {folder.name: folder.stat().st_mtime_ns for folder in fits.glob("*/*")}
    assert 5 <= len(finished) < 40
    environment = {**os.environ, "COLUMNS": "200"}
    for folder in ("killed", "undisturbed"):
        subprocess.run([*command, str(tmp_path / folder)], check=True, capture_output=True, env=environment)
    assert {name: (_fit(fits, name)).stat().st_mtime_ns for name in finished} == finished
    tables = [pd.read_parquet(tmp_path / folder / "results.parquet") for folder in ("killed", "undisturbed")]
    pd.testing.assert_frame_equal(stable(tables[0]), stable(tables[1]), check_exact=True)
    assert np.isfinite(tables[0].loc[tables[0]["group"] == "all", "force_mae_ev_per_angstrom"]).all()


def _fit(fits: Path, name: str) -> Path:
    return fits / name[:2] / name


def test_every_axis_of_selection_is_a_column_and_no_key_collides(serial):
    methods = ["fps", "gradient_fps", "stratified", "kmeans"]
    axes = {"methods": methods, "scalings": ["standard", "none"], "fractions": [0.3], "seeds": [0]}
    by_frames, by_atoms = serial(study(**axes)), serial(study(**axes, budget="atoms"))
    cells = pd.concat([by_frames.table, by_atoms.table]).drop_duplicates("cell")
    assert set(cells["status"]) == {"done"}
    names = ["chooser", "method", "scaling", "pooling", "budget"]
    assert len(cells) == len(cells.drop_duplicates(names)) == 2 * (2 + 3 * 2)


@pytest.mark.slow
def test_an_exploded_fit_is_done_flagged_and_keeps_its_errors(serial):
    """Nothing holds coefficients down here: singular values are kept to the last digit."""
    wild = {"solver": "svd", "svd_smallest": 1e-18, "order_2b": 24, "order_3b": 6, "cutoff": 5.0}
    given = study(models=["chimes"], fractions=[0.1, 1.0], seeds=[0], options={"chimes": wild})
    table = serial(given).table
    overall = table[(table["group"] == "all") & (table["split"] == "test")]
    assert set(overall["status"]) == {"done"}
    gone = overall["flag"].str.startswith("exploded: ")
    assert gone[overall["fraction"] == 0.1].all()
    force = "force_mae_ev_per_angstrom"
    assert (overall.loc[gone, force] > 10 * overall.loc[gone, f"mean_{force}"]).all()
    assert overall.loc[~gone, [f"mean_{metric}" for metric in METRICS]].isna().all(axis=None)
