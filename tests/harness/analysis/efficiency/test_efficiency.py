from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.efficiency import drawn as module
from crossprune.harness.analysis.efficiency.curves import inverse, log_saving
from crossprune.harness.analysis.efficiency.drawn import drawn_curves
from crossprune.harness.analysis.efficiency.enough import LADDER, enough
from crossprune.harness.analysis.efficiency.saving import COLUMNS, TOLERANCE, data_efficiency
from crossprune.harness.analysis.units import TestErrors as Errors

FRACTIONS = np.array([0.025, 0.05, 0.1, 0.2, 0.5, 1.0])
FORCE = "force_mae_ev_per_angstrom"
N_TEST = 60
WAYS = {"fps": ("gap", 0.06), "random": ("random", 0.12)}
"""Method → chooser and scatter of seeds at the smallest fraction, as measured (docs/statistics.md)."""


def table(errors, keys=None, n_full=None):
    """Lay out errors, method → shape (n_seeds, n_fractions), as a results table; NaN: the cell failed.

    With ``n_full`` it says how many configurations, and labels (three each), are chosen.
    """
    sizes = {} if n_full is None else {"n_configurations": n_full, "n_labels": 3 * n_full}
    rows = [
        {
            "dataset": "x",
            "model": "snap",
            "chooser": WAYS[method][0],
            "method": method,
            "fraction": fraction,
            "seed": seed,
            "split": "test",
            "group": "all",
            "status": "done" if np.isfinite(error) else "failed",
            "fit_key": f"{method}/{seed}/{place}" if keys is None else keys[method][seed][place],
            FORCE: error,
            **{name: fraction * size for name, size in sizes.items()},
        }
        for method, square in errors.items()
        for seed, line in enumerate(square)
        for place, (fraction, error) in enumerate(zip(FRACTIONS, line, strict=True))
    ]
    return pd.DataFrame(rows)


def efficiency(errors, **options):
    found = data_efficiency(drawn_curves(table(errors), FORCE, **options))
    assert list(found.columns) == COLUMNS
    return {row["method"]: row for row in found.to_dict("records")}


def planted(knee, slope=0.5):
    """Return log errors that fall as a power of the fraction, until they are the full set's."""
    return np.maximum(0.0, slope * np.log(knee / FRACTIONS))


def spread(errors, deviations):
    return np.exp(errors + np.outer(deviations, np.r_[np.ones(len(FRACTIONS) - 1), 0.0]))


def test_the_knee_of_a_known_curve_and_what_random_needs():
    errors = {"fps": spread(planted(0.1), [-0.02, 0, 0.02]), "random": spread(planted(0.2), [0.03, 0, -0.03])}
    found = efficiency(errors)
    assert found["fps"]["fraction"] == pytest.approx(0.1 / 1.05**2, rel=0.01)
    assert found["random"]["fraction"] == pytest.approx(0.2 / 1.05**2, rel=0.01)
    assert found["fps"]["data_ratio"] == pytest.approx(2.0, rel=0.01)
    for row in found.values():
        assert row["low"] < row["fraction"] < row["high"]
    assert found["fps"]["data_ratio_low"] < 2 < found["fps"]["data_ratio_high"]
    assert np.isnan(found["random"]["data_ratio"])  # the base line
    assert (found["fps"]["n_seeds"], found["fps"]["remark"]) == (3, "")


def test_a_fraction_below_the_studys_is_no_number():
    errors = {
        "fps": spread(planted(0.02), [-0.01, 0, 0.01]),
        "random": spread(planted(0.2), [-0.01, 0, 0.01]),
    }
    row = efficiency(errors)["fps"]
    assert [row["fraction"], row["low"], row["high"]] == [-np.inf] * 3
    assert [row["data_ratio"], row["data_ratio_low"], row["data_ratio_high"]] == [np.inf] * 3
    assert "fraction, low of fraction, high of fraction ≤ 0.025, the smallest" in row["remark"]
    assert "data ratio, low of data ratio, high of data ratio beyond the study" in row["remark"]


def test_nothing_is_said_of_two_ways_that_are_there_from_the_start():
    flat = spread(planted(0.01), [-0.01, 0, 0.01])
    row = efficiency({"fps": flat, "random": flat})["fps"]
    assert np.isnan(row["data_ratio"])
    assert (row["data_ratio_low"], row["data_ratio_high"]) == (-np.inf, np.inf)
    assert "data ratio unknown: both are there at the smallest" in row["remark"]


def test_an_end_that_falls_below_the_studys_fractions_is_said():
    row = efficiency({"fps": spread(planted(0.04), [-0.1, 0, 0.1])})["fps"]
    assert 0.025 < row["fraction"] < row["high"]
    assert row["low"] == -np.inf
    assert row["remark"] == "low of fraction ≤ 0.025, the smallest"


def test_one_seed_and_seeds_that_repeat_each_other_have_no_interval():
    for deviations, words in (([0.0], "one seed: no interval"), ([0.0, 0.0, 0.0], "seeds do not differ")):
        row = efficiency({"fps": spread(planted(0.1), deviations)})["fps"]
        assert row["fraction"] == pytest.approx(0.1 / 1.05**2)
        assert np.isnan([row["low"], row["high"]]).all()
        assert words in row["remark"]


def test_a_seed_that_lost_a_cell_is_left_out_and_counted():
    errors = spread(planted(0.1), [-0.02, 0, 0.02, 0.5])
    errors[3, 2] = np.nan
    row = efficiency({"fps": errors})["fps"]
    assert row["fraction"] == pytest.approx(0.1 / 1.05**2, rel=0.01)
    assert row["n_seeds"] == 3
    assert row["remark"] == "1 of 4 seeds lost a cell and are left out"
    errors[:, 3] = [np.nan, 1, 1, 1]
    errors[1:3, 4] = np.nan
    row = efficiency({"fps": errors})["fps"]
    assert (row["n_seeds"], np.isnan(row["fraction"])) == (0, True)


def test_a_curve_without_the_full_set_is_left_out():
    errors = spread(planted(0.1), [-0.02, 0, 0.02])
    errors[:, -1] = np.nan
    assert efficiency({"fps": errors}) == {}


def test_errors_of_a_fit_that_are_missing_are_named():
    tests = {"x": Errors({"fps/0/0": np.ones(3)}, np.ones(3))}
    with pytest.raises(ValueError, match="of 11 fits are missing, 'fps/0/1' first"):
        efficiency({"fps": spread(planted(0.1), [-0.02, 0.02])}, tests=tests)


def ladder(errors, **options):
    return enough(drawn_curves(table(errors, **options), FORCE))


def test_the_ladder_says_at_its_tolerance_what_the_table_of_efficiency_says():
    errors = {"fps": spread(planted(0.04), [-0.1, 0, 0.1]), "random": spread(planted(0.2), [0.03, 0, -0.03])}
    curves = drawn_curves(table(errors), FORCE)
    for tolerance in LADDER:
        here = enough(curves).query("tolerance == @tolerance").reset_index(drop=True)
        whole = data_efficiency(curves, tolerance)
        shared = ["dataset", "model", "chooser", "method", "fraction", "low", "high", "n_seeds"]
        pd.testing.assert_frame_equal(here[shared], whole[shared], rtol=1e-6)


def test_who_accepts_more_needs_no_more_data():
    source = np.random.default_rng(0)
    noisy = np.exp(planted(0.2) + 0.1 * source.normal(size=(4, len(FRACTIONS))))
    found = ladder({"fps": noisy})
    assert found["tolerance"].tolist() == list(LADDER)
    for name in ("fraction", "low", "high", "n_configurations", "n_labels"):
        assert (np.diff(found[name].to_numpy(), prepend=np.inf)[1:] <= 0).all() or found[name].isna().all()
    assert (found["low"] <= found["fraction"]).all()
    assert (found["fraction"] <= found["high"]).all()
    assert found["fraction"].max() <= 1, "the full set is as good as itself"


def test_a_fraction_of_the_ladder_is_where_a_fine_grid_first_meets_the_target():
    errors = spread(planted(0.3, slope=0.8), [-0.01, 0, 0.01])
    found = ladder({"fps": errors})
    grid = np.linspace(np.log(FRACTIONS[0]), 0.0, 20001)
    curve = np.interp(grid, np.log(FRACTIONS), np.log(errors).mean(axis=0))
    for row in found[found["tolerance"] > 0].to_dict("records"):
        reached = curve <= curve[-1] + np.log1p(row["tolerance"])
        assert row["fraction"] == pytest.approx(np.exp(grid[reached][0]), rel=1e-3)


def test_labels_lie_between_those_of_the_studys_fractions_and_stay_censored():
    found = ladder({"fps": spread(planted(0.1), [-0.02, 0, 0.02])}, n_full=1000).set_index("tolerance")
    row = found.loc[0.05]
    assert row["n_labels"] == pytest.approx(3 * 1000 * row["fraction"])
    assert row["n_configurations"] == pytest.approx(1000 * row["fraction"])
    assert row["n_labels_low"] < row["n_labels"] < row["n_labels_high"]
    assert found.loc[1.0, "fraction"] == found.loc[1.0, "n_labels"] == -np.inf
    assert ladder({"fps": spread(planted(0.1), [-0.02, 0, 0.02])})["n_labels"].iloc[:4].isna().all()


def test_a_curve_of_which_no_seed_is_whole_has_rows_that_know_nothing():
    errors = spread(planted(0.1), [-0.02, 0.02])
    errors[0, 0] = errors[1, 1] = np.nan
    found = ladder({"fps": errors})
    assert len(found) == len(LADDER)
    assert found[["fraction", "low", "high"]].isna().all(axis=None)


def simulate(source, knees, n_seeds):
    """Simulate a study: table, and errors per test configuration.

    Draws of a seed are nested, so that its luck is shared by all fractions, less at larger ones; another
    2 % is a cell's own. A way errs by 30 % more or less on a test configuration whatever the seed, so
    that all seeds err together; at the full set all ways agree.
    """
    here, apart = np.sqrt(1 - FRACTIONS), (FRACTIONS / FRACTIONS[0]) ** -0.3 * (FRACTIONS < 1)
    hardness = source.normal(0.0, 0.6, N_TEST) + source.normal(0.0, 0.3, N_TEST)
    sums, keys, errors = {}, {}, {}
    for (method, (_, scatter)), knee in zip(WAYS.items(), knees, strict=True):
        own = here[:, None] * source.normal(0.0, 0.3, N_TEST) - 0.045 * here[:, None] ** 2
        luck = source.normal(0.0, scatter, (n_seeds, 1)) * apart
        luck += source.normal(0.0, 0.02, luck.shape) * (FRACTIONS < 1)
        square = np.exp((planted(knee) + luck)[:, :, None] + own + hardness)
        keys[method] = [
            [f"{method}/{seed}/{place}" for place in range(len(FRACTIONS))] for seed in range(n_seeds)
        ]
        sums |= {keys[method][seed][place]: square[seed, place] for seed, place in np.ndindex(luck.shape)}
        errors[method] = square.mean(axis=2)
    return table(errors, keys), {"x": Errors(sums, np.ones(N_TEST))}


def promises(n_studies, n_seeds, knees):
    """Return medians over truth and coverage of both fractions and the ratio, over simulated studies."""
    logs, curves = np.log(FRACTIONS), [planted(knee)[None] for knee in knees]
    floor = np.array([np.log1p(TOLERANCE)])
    truths = [float(np.exp(inverse(logs, one, floor[:, None])[0, 0])) for one in curves]
    truths.append(float(np.exp(log_saving((logs, logs), tuple(curves), floor)[0][0])))
    found, covered = [], []
    for study in range(n_studies):
        results, tests = simulate(np.random.default_rng([study, n_seeds]), knees, n_seeds)
        curves = drawn_curves(results, FORCE, tests=tests, seed=study)
        rows = data_efficiency(curves).set_index("method")
        numbers = [rows.loc[method, ["fraction", "low", "high"]] for method in WAYS]
        numbers.append(rows.loc["fps", ["data_ratio", "data_ratio_low", "data_ratio_high"]])
        found.append([float(one.iloc[0]) for one in numbers])
        covered.append(
            [one.iloc[1] <= truth <= one.iloc[2] for one, truth in zip(numbers, truths, strict=True)]
        )
    return np.median(found, axis=0) / truths, np.mean(covered, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize(("n_studies", "n_seeds"), [(100, 3), (50, 5), (50, 10)])
def test_knees_and_ratios_keep_their_promise(n_studies, n_seeds, monkeypatch):
    monkeypatch.setattr(module, "N_RESAMPLES", 800)
    medians, coverage = promises(n_studies, n_seeds, (0.1, 0.2))
    np.testing.assert_allclose(medians, 1.0, atol=0.12)  # three standard errors of 50 studies
    assert (coverage > 0.95 - 3 * np.sqrt(0.05 * 0.95 / n_studies)).all()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("knees", [(0.1, 0.2), (0.2, 0.2)])
@pytest.mark.parametrize("n_seeds", [3, 5, 10])
def test_knees_and_ratios_keep_their_promise_to_a_per_cent(n_seeds, knees, monkeypatch):
    monkeypatch.setattr(module, "N_RESAMPLES", 1000)
    medians, coverage = promises(2000, n_seeds, knees)
    print(n_seeds, knees, medians.round(3), coverage.round(3))
    np.testing.assert_allclose(medians, 1.0, atol=0.04)
    assert (coverage > 0.93).all()
    assert (coverage < 0.98).all()
