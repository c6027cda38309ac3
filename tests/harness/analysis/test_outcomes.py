"""Outcomes are on the scales that the documents say, and all of them are compared the same way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.comparisons import compare
from crossprune.harness.analysis.outcomes import scales
from crossprune.harness.analysis.outcomes.compared import compare_outcomes
from crossprune.harness.analysis.outcomes.groups import compare_groups
from crossprune.harness.analysis.outcomes.scales import Outcome
from crossprune.harness.analysis.outcomes.tradeoffs import tradeoffs
from crossprune.harness.engine.results import by_pool
from crossprune.harness.engine.study import OUTCOMES
from scipy import stats

MODELS = ("ace", "gap", "snap")
FORCE = "force_mae_ev_per_angstrom"


def results(error=lambda chooser, fraction, seed, model: 1.0, *, seeds=range(3), datasets=("a",)):
    """One test row per cell of a square with random."""
    axes = itertools.product(datasets, ("random", *MODELS), (0.1, 0.5), seeds, MODELS)
    rows = [
        (
            *(dataset, chooser, fraction, seed, model, f"{dataset}-{chooser}-{fraction}-{seed}-{model}"),
            error(chooser, fraction, seed, model),
        )
        for dataset, chooser, fraction, seed, model in axes
    ]
    columns = ["dataset", "chooser", "fraction", "seed", "model", "fit_key", FORCE]
    table = pd.DataFrame(rows, columns=columns).assign(split="test", group="all")
    table["cell"] = table["fit_key"]
    table["method"] = np.where(table["chooser"] == "random", "random", "fps")
    return table.assign(status=np.where(table[FORCE].isna(), "failed", "done"))


def noisy(seed, own=0.0, noise=0.05):
    source = np.random.default_rng(seed)

    def error(chooser, fraction, seed, model):
        return float(np.exp(source.normal(0.0, noise) + own * (chooser == model)) / fraction)

    return error


def outcome(error, name="force", part="test", better="lower", **options):
    return Outcome(name, part, better, partial_errors(results(error, **options), FORCE, "test"))


def test_studies_may_ask_for_every_error_and_for_every_mean():
    assert set(scales.ERRORS) < set(OUTCOMES)
    assert {"properties", "properties_seen", "properties_unseen", "survival"} < set(OUTCOMES)


def properties(**columns):
    return pd.DataFrame(columns).assign(fit_key=lambda one: one.get("fit_key", "a"))


def test_errors_of_properties_count_in_tolerances_and_failures_as_the_worst():
    table = properties(
        property=["c11_gpa"] * 5 + ["formation_energy_ev", "energy_unrelaxed_ev_per_angstrom2"],
        error=[3.0, -3.0, 0.01, 1e9, np.nan, 0.2, 0.1],
        status=["done", "suspect", "done", "done", "failed", "done", "done"],
        reference=1.0,
    )
    expected = np.log([3.0, 3.0, 1.0, 200.0, 200.0, 10.0, 100.0])
    np.testing.assert_allclose(scales.scaled_errors(table), expected, rtol=1e-12)
    skipped = properties(property=["c11_gpa"], error=np.nan, status="skipped", reference=1.0)
    assert np.isnan(scales.scaled_errors(skipped)).all()


def of(outcomes):
    return {one.name: one.cells.set_index("cell")["log_error"] for one in outcomes}


def test_means_over_properties_count_phonons_once_and_miss_nothing():
    cells = partial_errors(results(), FORCE, "test")
    first, second = cells["cell"][:2]
    rows = [
        ("diamond", "c11_gpa", 10.0, "done", "pool"),
        ("phonon", "x_1_thz", 1.0, "done", "pool"),
        ("phonon", "x_2_thz", 10.0, "done", "pool"),
        ("bcc", "bulk_modulus_gpa", 100.0, "done", "held out"),
        ("bcc", "c11_at_reference_strain_gpa", 50.0, "done", "held out"),  # said by another row already
        ("bcc", "c44_gpa", 5.0, "done", ""),
    ]
    columns = ["structure", "property", "error", "status", "reference_seen"]
    one = pd.DataFrame(rows, columns=columns).assign(cell=first, reference=1.0)
    one.loc[5, "reference"] = np.nan  # nothing to compare with
    other = one.assign(cell=second)
    other.loc[0, "status"], other.loc[0, "error"] = "skipped", np.nan
    found = of(scales.property_outcomes(cells, pd.concat([one, other])))
    phonons = np.log([10.0, 100.0]).mean()
    assert found["phonons"][first] == pytest.approx(phonons)
    assert found["properties"][first] == pytest.approx(np.mean([np.log(10.0), phonons, np.log(100.0)]))
    assert found["properties_seen"][first] == pytest.approx((np.log(10.0) + phonons) / 2)
    assert found["properties_unseen"][second] == pytest.approx(np.log(100.0))
    assert np.isnan(found["properties"][second])  # a mean over fewer would be another number
    assert "bcc c44" not in found


def runs(fit, **columns):
    plain = {"ensemble": "nvt", "status": "done", "temperature_k": 300.0, "n_atoms": 8, "trajectory": ""}
    given = {"failure": "", "survived": True, "survival_ps": 1.0, "planned_ps": 1.0} | columns
    table = pd.DataFrame({**plain, "survival_temperature_k": np.nan, **given})
    return table.assign(cell=fit, fit_key=fit, dataset="a", velocity_seed=range(len(table)))


def test_survival_is_a_mean_time_and_a_crash_is_the_worst():
    cells = partial_errors(results(), FORCE, "test")
    fits = cells["cell"].tolist()
    table = pd.concat(
        [
            runs(fits[0], survived=[True, False], failure=["", "too_hot"], survival_ps=[1.0, 0.2]),
            runs(fits[1], status=["crashed", "done"], survived=[None, True], survival_ps=[np.nan, 1.0]),
            runs(fits[2], survival_ps=[0.3]),  # cut short: how long it would have lasted is not known
            runs(fits[3], ensemble="ramp", survival_temperature_k=[400.0, 900.0]),
            runs(fits[4], ensemble="ramp", status="crashed", survived=[None]),
        ]
    )
    table["survived"] = table["survived"].astype("boolean")
    found = of(scales.dynamics_outcomes(cells, table))
    assert found["survival"][fits[0]] == pytest.approx(np.log(0.6))
    assert found["survival"][fits[1]] == pytest.approx(np.log(0.5))
    assert np.isnan(found["survival"][fits[2]])
    assert np.exp(found["survival_temperature"][fits[3]]) == pytest.approx(600.0)
    assert np.exp(found["survival_temperature"][fits[4]]) == pytest.approx(50.0)


def test_cells_of_seeds_that_were_not_assessed_are_not_lost():
    cells = partial_errors(results(), FORCE, "test")
    asked = cells.loc[cells["seed"] == 1, "cell"]
    rows = pd.DataFrame({"cell": asked, "structure": "bcc", "property": "c11_gpa", "error": 2.0})
    [found] = [
        one
        for one in scales.property_outcomes(cells, rows.assign(status="done", reference=1.0))
        if one.name == "bcc c11"
    ]
    assert set(found.cells["seed"]) == {1}
    assert found.cells["log_error"].notna().all()


def test_cells_that_share_a_fit_with_what_was_asked_were_not_asked():
    """Choosers whose sets do not move with the seed made one seed of properties look like three."""
    table = results()
    still = table["chooser"].isin(("ace", "gap"))
    table.loc[still, "fit_key"] = table.loc[still, "fit_key"].str.replace(
        r"-\d+-(?=[a-z]+$)", "-x-", regex=True
    )
    cells = partial_errors(table, FORCE, "test")
    asked = cells[(cells["seed"] == 0) & (cells["model"] != "snap")]
    rows = asked[["cell", "fit_key"]].assign(
        structure="bcc", property="c11_gpa", status="done", reference=1.0
    )
    rows["error"] = np.random.default_rng(0).lognormal(1.0, 0.2, len(rows))
    one = next(iter(scales.property_outcomes(cells, rows)))
    assert set(one.cells["seed"]) == {0}
    assert set(one.cells["model"]) == {"ace", "gap"}
    found = compare_outcomes([one], {})["outcomes"].set_index("comparison").loc["own / other"]
    assert (found["verdict"], found["n_units"], found["n_missing"]) == ("too few seeds", 1, 0)


def test_errors_that_only_pools_can_tell_have_no_interval_without_them():
    """Over seeds, percentiles, worst groups and stresses take the shared test frames for evidence."""
    tests = {("force", "test"): {}}
    for name in scales.UNTESTED:
        one = outcome(noisy(1, -0.5), name=name)
        alone = compare_outcomes([one], tests)["outcomes"].set_index("comparison").loc["own / other"]
        assert (alone["verdict"], np.isnan(alone["p_alone"])) == ("needs pools", True)
        pools = outcome(noisy(1, -0.5), name=name, datasets=("a, 0", "a, 1", "a, 2", "a, 3"))
        pools = replace(pools, cells=pools.cells.assign(source="a"))
        several = compare_outcomes([pools], tests)["outcomes"].set_index("comparison").loc["own / other"]
        assert several["verdict"] == "lower"


def test_runs_that_failed_have_the_worst_distribution_if_others_have_one():
    """They were left out, for a run that failed has no second half to compare."""
    cells = partial_errors(results(), FORCE, "test")
    fits = cells["cell"].tolist()
    lost = {"survived": [False], "failure": ["too_hot"], "rdf_error": [np.nan], "rdf_noise": [np.nan]}
    table = pd.concat(
        [
            runs(fits[0], rdf_error=[0.3], rdf_noise=[0.1]),
            runs(fits[1], **lost),
            runs(fits[2], **lost, temperature_k=900.0),  # nothing to compare with there
        ],
        ignore_index=True,
    )
    table["survived"] = table["survived"].astype("boolean")
    found = of(scales.dynamics_outcomes(cells, table))["rdf"]
    assert found[fits[0]] == pytest.approx(np.log(3.0))
    assert found[fits[1]] == pytest.approx(np.log(200.0))
    assert np.isnan(found[fits[2]])


def test_limits_of_the_machine_are_no_physics():
    cells = partial_errors(results(), FORCE, "test")
    fit = cells["cell"][0]
    table = pd.concat(
        [runs(fit, survived=[True]), runs(fit, status="timeout", survived=[None], survival_ps=[np.nan])]
    )
    table["survived"] = table["survived"].astype("boolean")
    assert np.isnan(of(scales.dynamics_outcomes(cells, table.reset_index(drop=True)))["survival"][fit])


def test_runs_that_a_model_cannot_make_take_nothing_from_its_others():
    """NPT without stress, or a group of which nothing is held out: rows of every cell of a model."""
    cells = partial_errors(results(), FORCE, "test")
    fit = cells["cell"][0]
    ramp = {"ensemble": "ramp", "survival_temperature_k": [700.0]}
    skipped = {"status": "skipped", "survived": [None], "survival_ps": [np.nan]}
    table = pd.concat(
        [
            runs(fit, survival_ps=[0.4], planned_ps=0.4),
            runs(fit, ensemble="npt", **skipped),
            runs(fit, **ramp),
            runs(fit, **skipped | {"ensemble": "ramp"}),
        ],
        ignore_index=True,
    )
    table["survived"] = table["survived"].astype("boolean")
    found = of(scales.dynamics_outcomes(cells, table))
    assert np.exp(found["survival"][fit]) == pytest.approx(0.4)
    assert np.exp(found["survival_temperature"][fit]) == pytest.approx(700.0)


def test_what_is_alike_in_all_cells_is_said_to_be():
    """All ramps that reach the top: "undecided, repeats that differ are needed", which they never will."""
    found = compare_outcomes([outcome(lambda *cell: 1.0)], {})["outcomes"]
    assert set(found["verdict"]) == {"all alike"}


def test_an_outcome_alone_is_compared_as_errors_are():
    one = outcome(noisy(0, -0.2))
    found = compare_outcomes([one], {})["outcomes"].set_index("comparison").loc["own / other"]
    expected = compare(one.cells)["answer"].set_index(["model", "comparison"]).loc[("all", "own / other")]
    for name in ("ratio", "low_alone", "high_alone", "p_alone", "n_pairs", "n_units"):
        assert found[name] == pytest.approx(expected[name])
    assert found["low"] == pytest.approx(found["low_alone"])  # of one row, together is alone


def test_intervals_of_many_outcomes_hold_together():
    """Of eight outcomes without an effect one is "found" in 0.34 of studies, if each looks at itself."""
    alone = together = 0
    for number in range(40):
        several = [outcome(noisy([number, one]), name=f"x{one}", seeds=range(4)) for one in range(8)]
        table = compare_outcomes(several, {})["outcomes"]
        rows = table[table["comparison"] == "own / other"]
        alone += (rows["p_alone"] < 0.05).any()
        together += rows["verdict"].isin(["lower", "higher"]).any()
        assert (rows["p"] >= rows["p_alone"] - 1e-12).all()
    assert alone >= 6
    assert together <= 5


def test_effects_of_outcomes_come_by_fraction():
    def fading(chooser, fraction, seed, model):
        luck = 0.002 * np.random.default_rng([seed, int(100 * fraction), len(model + chooser)]).normal()
        return float(np.exp(luck - 0.2 * (chooser == model) * (fraction < 0.3)))

    table = compare_outcomes([outcome(fading, seeds=range(4))], {})["outcomes_by_fraction"]
    ratio = table.set_index("fraction")["ratio"]
    assert ratio["0.1"] == pytest.approx(np.exp(-0.2), abs=0.01)
    assert ratio["0.5"] == pytest.approx(1.0, abs=0.01)
    assert ratio["trend"] == pytest.approx(np.exp(0.2 / np.log2(5.0)), abs=0.005)


def test_what_is_good_by_two_outcomes_is_correlated_and_more_data_are_not():
    quality = np.random.default_rng(3).normal(size=(4, 3))

    def good(chooser, fraction, seed, model):
        place = ("random", *MODELS).index(chooser), MODELS.index(model)
        luck = 0.01 * np.random.default_rng([seed, *place]).normal()
        return float(np.exp(quality[place] + luck) / fraction)

    def bad(*cell):
        return 1.0 / good(*cell)

    first = outcome(good)
    same = outcome(good, name="properties", part="")
    other = outcome(bad, name="vacancy", part="")
    hotter = outcome(bad, name="survival", part="", better="higher")
    found = tradeoffs([first, same, other, hotter]).set_index(["second", "over"])["correlation"]
    for over in ("cells", "choosers"):
        assert found["properties", over] > 0.9
        assert found["survival", over] > 0.9  # what survives longer is better
        assert found["vacancy", over] < -0.9


def test_cells_that_have_one_outcome_only_are_not_ranked():
    """All cells counted, where one model of three was asked for its properties."""
    first = outcome(noisy(1), seeds=range(4))
    second = outcome(noisy(2), name="properties", part="", seeds=range(4))
    some = second.cells[second.cells["model"] != "snap"].reset_index(drop=True)
    without = replace(first, cells=first.cells[first.cells["model"] != "snap"].reset_index(drop=True))
    found, expected = (tradeoffs([one, replace(second, cells=some)]) for one in (first, without))
    pd.testing.assert_frame_equal(found, expected)


def test_the_same_dozen_cells_in_every_seed_are_a_dozen():
    """Effects that last over seeds and are not related are no trade-off, however many seeds there are."""
    claimed = 0
    for number in range(100):
        first, second = (np.random.default_rng([number, one]).normal(size=(4, 3)) for one in range(2))

        def lasting(effect, source, chooser, fraction, seed, model):
            place = ("random", *MODELS).index(chooser), MODELS.index(model)
            return float(np.exp(effect[place] + 0.05 * source.normal()) / fraction)

        pair = (
            outcome(partial(lasting, first, np.random.default_rng([number, 5])), seeds=range(6)),
            outcome(
                partial(lasting, second, np.random.default_rng([number, 6])),
                name="properties",
                part="",
                seeds=range(6),
            ),
        )
        found = tradeoffs(pair).set_index("over")
        claimed += found.loc["cells", "p"] < 0.05
    assert claimed <= 11


def test_outcomes_that_have_nothing_in_common_are_not_correlated():
    """More data are better by every outcome, and would make anything correlate."""
    claimed = 0
    for number in range(200):
        pair = outcome(noisy([number, 0])), outcome(noisy([number, 1]), name="properties", part="")
        found = tradeoffs(pair).set_index("over")
        claimed += found.loc["cells", "p"] < 0.05
    assert claimed <= 0.09 * 200


def test_a_comparison_says_how_many_labels_each_side_had():
    """Of equal numbers of configurations, ACE's farthest points had 194 atoms where random had 307."""
    table = results(noisy(1))
    labels = {"ace": 200.0, "random": 300.0}
    table["n_labels"] = table["chooser"].map(labels).fillna(250.0) * table["fraction"]
    found = compare(partial_errors(table, FORCE, "test"))
    ratios = found["choosers"].set_index(["model", "comparison"])["label_ratio"]
    assert ratios["all", "ace · fps / random"] == pytest.approx(2 / 3)
    assert ratios["gap", "snap · fps / random"] == pytest.approx(5 / 6)
    answer = found["answer"].set_index(["model", "comparison"])["label_ratio"]
    assert answer["ace", "own / other"] == pytest.approx(200 / 250)
    assert answer["all", "own / other"] == pytest.approx(1.0)  # each chooser is own and other as often
    assert compare(outcome(noisy(1)).cells)["answer"]["label_ratio"].isna().all()


def groups_of(error, names, *, held_out=False, pools=(0,)):
    """Rows of held-out groups, as a run's table has them; ``error(group)`` gives a group's own effect."""
    parts = []
    for number, name in enumerate(names):
        for pool in pools:
            part = results(noisy([number, pool], error(name))).assign(group=name, split="ood", pool=pool)
            parts.append(part.assign(pool=1001 + number, held_out=name) if held_out else part)
    return by_pool(pd.concat(parts, ignore_index=True))


@pytest.mark.parametrize("held_out", [False, True])
def test_groups_are_the_units_of_transfer(held_out):
    """An interval over seeds says nothing on groups; two groups are two."""
    effects = dict(zip("abcdef", (-0.3, 0.3, -0.2, 0.2, -0.1, 0.2), strict=True))
    rows = groups_of(effects.get, effects, held_out=held_out)
    found = compare_groups(rows, {"force": FORCE}).set_index("group")
    for name, effect in effects.items():
        assert np.log(found.loc[name, "ratio"]) == pytest.approx(effect, abs=0.06)
        assert found.loc[name, "n_groups"] == 1
    logs = np.log(found.loc[list(effects), "ratio"])
    overall = found.loc["all"]
    assert (overall["n_groups"], overall["verdict"]) == (6, "none found")
    assert np.log(overall["ratio"]) == pytest.approx(logs.mean())
    half = stats.t.isf(0.025, 5) * logs.std() * np.sqrt(1 / 6 + 0.25)
    assert np.log(overall["high_alone"] / overall["ratio"]) == pytest.approx(half)
    two = compare_groups(groups_of(effects.get, "ac", held_out=held_out), {"force": FORCE}).set_index("group")
    assert two.loc["all", "n_groups"] == 2
    assert two.loc["all", "low_alone"] < 1.0 < two.loc["all", "high_alone"]  # -0.3 and -0.2 are no proof


def test_cells_that_failed_are_lost_in_every_group():
    rows = groups_of(lambda name: 0.0, "ab")
    gone = (rows["model"] == "gap") & (rows["chooser"] == "gap")
    lost = rows[gone & (rows["group"] == "a")].assign(
        status="failed", group="all", split="test", **{FORCE: np.nan}
    )
    found = compare_groups(pd.concat([rows[~gone], lost]), {"force": FORCE}).set_index("group")
    assert found.loc[["a", "b"], "n_missing"].tolist() == [6, 6]  # 2 fractions × 3 seeds
    assert found.loc["all", "n_missing"] == 12
