"""Numbers in tables against calculation by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.errors import DataError
from crossprune.reports import tables

FORCE = "force_mae_ev_per_angstrom"
RANDOM_ERRORS = (0.2, 0.4, 0.6)
SNAP_ERRORS = (0.1, 0.4, 0.3)


def error(chooser: str, fraction: float, seed: int, model: str) -> float:
    if chooser == "gap" and model == "snap":
        return np.nan
    return {"random": RANDOM_ERRORS, "snap": SNAP_ERRORS, "gap": SNAP_ERRORS}[chooser][seed]


def test_matrix_holds_mean_standard_error_and_number_of_seeds(make_results):
    square = tables.matrix(make_results(error), FORCE, dataset="mlearn-Mo", fraction=0.1)
    assert list(square.index) == [("random", "random"), ("gap", "fps"), ("snap", "fps")]
    random = square.loc[("random", "random")]
    assert random["mean"]["snap"] == pytest.approx(0.4)
    assert random["standard_error"]["snap"] == pytest.approx(0.2 / np.sqrt(3))  # deviations -0.2, 0, 0.2
    assert random["n_seeds"]["snap"] == 3


def test_cells_that_all_failed_stay_in_the_matrix_with_no_seeds(make_results):
    square = tables.matrix(make_results(error), FORCE, dataset="mlearn-Mo", fraction=0.5)
    assert np.isnan(square.loc[("gap", "fps"), ("mean", "snap")])
    assert square.loc[("gap", "fps"), ("n_seeds", "snap")] == 0


def test_one_seed_has_no_standard_error(make_results):
    square = tables.matrix(make_results(error, seeds=(0,)), FORCE, dataset="mlearn-Mo", fraction=0.1)
    assert square.loc[("snap", "fps"), ("mean", "snap")] == pytest.approx(0.1)
    assert np.isnan(square.loc[("snap", "fps"), ("standard_error", "snap")])


def test_ratio_to_random_is_paired_by_seed(make_results):
    square = tables.relative(make_results(error), FORCE, dataset="mlearn-Mo", fraction=0.1)
    # per seed 1/2, 1, 1/2: geometric mean 4^(-1/3); logs spread by ln2 · (2/3, 1/3, 1/3) around their mean
    spread = np.log(2) * np.sqrt((4 / 9 + 1 / 9 + 1 / 9) / 2)
    ratio = 4 ** (-1 / 3)
    row = square.loc[("snap", "fps")]
    assert row["ratio"]["snap"] == pytest.approx(ratio)
    assert row["ratio_standard_error"]["snap"] == pytest.approx(ratio * spread / np.sqrt(3))
    assert row["n_pairs"]["snap"] == 3


def test_a_seed_without_random_gives_no_ratio(make_results):
    results = make_results(error)
    lost = (results["chooser"] == "random") & (results["seed"] == 1)
    square = tables.relative(results[~lost], FORCE, dataset="mlearn-Mo", fraction=0.1)
    assert square.loc[("snap", "fps"), ("ratio", "snap")] == pytest.approx(0.5)
    assert square.loc[("snap", "fps"), ("n_pairs", "snap")] == 2


def test_groups_and_other_splits_do_not_enter(make_results):
    results = make_results(error)
    noise = [results.assign(group="surface"), results.assign(split="ood"), results.assign(split="remainder")]
    for extra in noise:
        extra[FORCE] = 99.0
    longer = pd.concat([*noise, results], ignore_index=True)
    expected = tables.matrix(results, FORCE, dataset="mlearn-Mo", fraction=0.1)
    square = tables.matrix(longer, FORCE, dataset="mlearn-Mo", fraction=0.1)
    pd.testing.assert_frame_equal(square, expected)


def test_learning_curve_follows_the_number_of_configurations(make_results):
    curves = tables.learning_curves(make_results(error), FORCE, dataset="mlearn-Mo")
    line = curves[(curves["model"] == "gap") & (curves["chooser"] == "snap")]
    assert line["n_configurations"].tolist() == [20, 100, 200]
    assert line["mean"].to_numpy() == pytest.approx(np.full(3, 0.8 / 3))
    assert curves[(curves["model"] == "snap") & (curves["chooser"] == "gap")].empty


def test_failures_list_every_unfinished_cell_once(make_results):
    failures = tables.failures(make_results(error, reason="numbers ran out"))
    assert len(failures) == 9  # 3 fractions × 3 seeds of model snap on data that gap chose
    assert set(failures["reason"]) == {"numbers ran out"}


def test_data_kept_and_cost_count_each_cell_once(make_results):
    results = make_results(error)
    kept = tables.data_kept(results)
    assert kept.loc[(kept["chooser"] == "gap") & (kept["fraction"] == 0.5), "n_atoms"].item() == 5400
    cost = tables.cost(results)
    assert cost.loc[(cost["model"] == "snap") & (cost["fraction"] == 0.1), "n_cells"].item() == 6


def test_a_lacking_column_is_named(make_results):
    with pytest.raises(DataError, match="lacks the column fit_s"):
        tables.check_columns(make_results(error).drop(columns="fit_s"))


def test_a_misspelt_metric_gets_a_suggestion(make_results):
    with pytest.raises(DataError, match="did you mean 'force_mae_ev_per_angstrom'"):
        tables.cell_errors(make_results(error), "force_mae_ev_per_angstroem", "test")


def test_ratios_are_to_random_of_the_same_budget(make_results):
    frames = make_results(error)
    atoms = frames.assign(method=frames["method"] + ", atoms mask")
    atoms.loc[atoms["chooser"] == "random", FORCE] *= 2
    both = pd.concat([frames, atoms], ignore_index=True)
    square = tables.relative(both, FORCE, dataset="mlearn-Mo", fraction=0.1)
    whole, masked = (square.loc[("snap", way), ("ratio", "snap")] for way in ("fps", "fps, atoms mask"))
    assert masked == pytest.approx(whole / 2)
    assert square.loc[("random", "random, atoms mask"), ("ratio", "snap")] == pytest.approx(1.0)
