"""Pairs are those that were planned, ratios those one gets by hand, and labels tell variants apart."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis import comparisons
from crossprune.harness.analysis.cells import labelled, partial_errors
from crossprune.harness.analysis.statistics import from_configurations
from crossprune.harness.analysis.units import TestErrors as Errors
from crossprune.harness.evaluation.metrics import METRICS
from scipy import sparse, stats

FORCE = "force_mae_ev_per_angstrom"
MODELS = ("ace", "gap", "snap")


def study(error, *, models=MODELS, fractions=(0.1, 0.5, 1.0), seeds=(0, 1, 2), datasets=("a",)):
    """One test row per cell; ``error(chooser, fraction, seed, model)`` is NaN for a failed cell."""
    rows = [
        {
            "dataset": dataset,
            "chooser": chooser,
            "method": "random" if chooser == "random" else "fps",
            "fraction": fraction,
            "seed": seed,
            "model": model,
            "fit_key": f"{dataset}-{chooser}-{fraction}-{seed}-{model}",
            FORCE: error(chooser, fraction, seed, model),
        }
        for dataset, chooser, fraction, seed, model in itertools.product(
            datasets, ("random", *MODELS), fractions, seeds, models
        )
    ]
    table = pd.DataFrame(rows).assign(split="test", group="all")
    return table.assign(status=np.where(table[FORCE].isna(), "failed", "done"))


def tables(results, metric, *, split="test", **options):
    return comparisons.compare(partial_errors(results, metric, split), **options)


def compare(*arguments, **options):
    return tables(*arguments, **options)["answer"]


def compare_fractions(*arguments, **options):
    return tables(*arguments, **options)["fractions"]


def against_random(*arguments, **options):
    return tables(*arguments, **options)["choosers"]


def overall(table):
    return table[table["model"] == "all"].set_index("comparison").to_dict("index")


def noisy(seed, gain):
    rng = np.random.default_rng(seed)

    def error(chooser, fraction, seed, model):
        return float(np.exp(rng.normal(0.0, 0.05) - gain * (chooser == model)) / fraction)

    return error


def test_ratios_by_hand():
    def error(chooser, fraction, seed, model):
        if fraction == 1.0:
            return 77.0 if chooser == model else 1.0  # would spoil the ratio if it counted
        return 0.5 if chooser == model else {"random": 1.0}.get(chooser, 2.0)

    found = overall(compare(study(error), FORCE))
    assert found["own / random"]["ratio"] == pytest.approx(0.5)
    assert found["other / random"]["ratio"] == pytest.approx(2.0)
    assert found["own / other"]["ratio"] == pytest.approx(0.25)
    assert found["own / random"]["n_pairs"] == 18  # 2 fractions below 1 × 3 seeds × 3 models
    assert found["own / random"]["n_units"] == 3
    assert found["own / random"]["verdict"] == "too few seeds"  # they repeat each other exactly


def test_luck_shared_by_all_models_is_not_taken_for_an_effect():
    def error(chooser, fraction, seed, model):
        return (1.0, 1.2, 1.0)[seed] if chooser == "random" else 1.0

    found = overall(compare(study(error), FORCE))["own / random"]
    assert found["ratio"] == pytest.approx(1.2 ** (-1 / 3))
    assert found["verdict"] == "none found"  # 18 pairs, but one unlucky draw


def test_a_planted_gain_is_found():
    found = overall(compare(study(noisy(1, 0.1), seeds=range(6), datasets=("a", "b")), FORCE))
    for comparison in ("own / random", "own / other"):
        assert found[comparison]["verdict"] == "lower"
        assert found[comparison]["low"] < np.exp(-0.1) < found[comparison]["high"]
    assert found["other / random"]["verdict"] == "none found"


def test_pairs_lost_to_failures_are_counted():
    def error(chooser, fraction, seed, model):
        return np.nan if chooser == "snap" and seed == 0 else 1.0 + 0.01 * seed

    found = overall(compare(study(error), FORCE))
    assert found["own / other"]["n_missing"] == 2  # model snap, own chooser, 2 fractions below 1
    assert found["own / other"]["n_pairs"] == 16
    assert found["own / random"]["n_missing"] == 6  # how good snap chooses for others is not known there


def test_without_others_there_is_no_pair():
    alone = study(noisy(0, 0.0))
    alone = alone[(alone["model"] == "snap") & (alone["chooser"] == "snap")]
    found = compare(alone, FORCE)
    assert found["verdict"].tolist() == ["no pairs"] * 3
    assert set(found["design"]) == {"no square"}


def test_each_way_of_choosing_is_compared_over_all_models():
    def error(chooser, fraction, seed, model):
        scale = {"random": 1.0, "gap": 0.8, "snap": 1.2}.get(chooser, 1.0)
        return scale * (1 + 0.01 * seed * (chooser != "random"))

    found = overall(against_random(study(error), FORCE))
    assert found["gap · fps / random"]["verdict"] == "lower"
    assert found["snap · fps / random"]["verdict"] == "higher"
    assert "random / random" not in found


def test_the_same_table_gives_the_same_interval_in_any_order():
    results = study(noisy(3, 0.0))
    shuffled = results.sample(frac=1.0, random_state=0)
    assert compare(results, FORCE).equals(compare(shuffled, FORCE))


def test_variants_are_methods_of_their_own_and_labels_are_given_once():
    table = pd.DataFrame({"method": ["fps"] * 3, "scaling": ["standard", "whitened", ""]})
    table = table.assign(pooling=["mean", "mean", "max"], budget=["configurations", "atoms", "labels"])
    once = labelled(table)
    expected = ["fps", "fps, whitened scaling, atoms budget", "fps, max pooling, labels budget"]
    assert once["method"].tolist() == expected
    assert labelled(once).equals(once)


def test_cells_that_differ_in_scaling_are_not_mixed():
    plain = study(noisy(0, 0.0)).assign(scaling="standard")
    other = study(noisy(1, 0.0)).assign(scaling="whitened")
    errors = partial_errors(pd.concat([plain, other]), FORCE, "test")
    assert set(errors["method"]) == {"random", "random, whitened scaling", "fps", "fps, whitened scaling"}


def test_influences_give_the_standard_error_of_a_mean():
    sums = np.random.default_rng(0).lognormal(0.0, 0.3, 40)
    found = from_configurations(Errors({"x": sums}, np.ones(40)).influence(sparse.csr_array([[1.0]])))
    assert np.sqrt(np.square(found.deviations).sum()) == pytest.approx(stats.sem(sums) / sums.mean())


def test_influences_are_derivatives_of_the_log_error():
    source = np.random.default_rng(1)
    counts = source.integers(1, 9, 12).astype(float)
    sums = {str(fit): source.lognormal(0.0, 0.5, 12) * counts for fit in range(3)}
    shares = sparse.csr_array([[1.0, -0.5, -0.5], [0.0, 1.0, -1.0]])
    found = Errors(sums, counts).influence(shares)
    step = 1e-6
    for one in range(12):
        weights = np.ones(12)
        weights[one] += step
        logs = np.array([np.log((s * weights).sum() / s.sum()) for s in sums.values()])
        np.testing.assert_allclose(found[:, one], shares @ logs / step, rtol=1e-4)


def test_a_test_set_of_few_configurations_widens_the_interval():
    results = study(noisy(1, 0.1), seeds=range(6))
    source = np.random.default_rng(0)
    sums = {key: source.lognormal(0.0, 1.0, 12) for key in results["fit_key"]}
    tests = {"a": Errors(sums, np.ones(12))}
    wide = overall(compare(results, FORCE, tests=tests, primary="own / random"))["own / random"]
    slim = overall(compare(results, FORCE, primary="own / random"))["own / random"]
    assert wide["low"] < slim["low"] < slim["high"] < wide["high"]
    assert wide["ratio"] == slim["ratio"]


@pytest.mark.parametrize(
    ("kept", "verdicts"),
    [
        (lambda table: table["chooser"] == "random", {"no pairs"}),
        (lambda table: table["chooser"] != "random", {"no pairs", "none found"}),
        (lambda table: table["fraction"] == 1.0, {"no pairs"}),
    ],
)
def test_a_study_with_nothing_to_compare_has_no_pairs(kept, verdicts):
    results = study(noisy(1, 0.0))
    results = results[kept(results)]
    sums = {key: np.linspace(1.0, 2.0, 20) for key in results["fit_key"]}
    for tests in (None, {"a": Errors(sums, np.ones(20))}):
        assert set(compare(results, FORCE, tests=tests)["verdict"]) == verdicts
        assert set(against_random(results, FORCE, tests=tests)["verdict"]) <= {"no pairs"}


def test_an_exploded_fit_counts_as_much_as_mean_and_is_not_missing():
    table = study(noisy(0, 0.1), models=("snap",), fractions=(0.1,))
    bad = (table["chooser"] == "snap") & (table["seed"] == 0)
    flagged = table.assign(flag=np.where(bad, "exploded: largest force (eV/Å) 1e+17", ""))
    for metric in METRICS:
        flagged[f"mean_{metric}"] = np.where(bad, 0.8, np.nan)
    by_hand = table.assign(**{FORCE: table[FORCE].where(~bad, 0.8)})
    flagged[FORCE] = flagged[FORCE].where(~bad, 1e17)
    found, expected = compare(flagged, FORCE), compare(by_hand, FORCE)
    pd.testing.assert_frame_equal(found.drop(columns="at_end"), expected.drop(columns="at_end"))
    assert found["at_end"].tolist() == pytest.approx([1 / 6, 0.0, 1 / 6])  # own only: one of three seeds
    assert (found["n_missing"] == 0).all()


def additive(own=0.0):
    """Errors whose logarithms are sums of a chooser's, a model's and a fraction's, and a term for owners."""
    source = np.random.default_rng(0)
    quality = dict(zip((*MODELS, "random"), source.normal(0.0, 0.3, 4), strict=True))
    hardness = dict(zip(MODELS, source.normal(0.0, 0.5, 3), strict=True))

    def error(chooser, fraction, seed, model):
        place = [seed, MODELS.index(model), len(chooser), int(100 * fraction)]
        luck = 0.004 * np.random.default_rng(place).normal()
        terms = quality[chooser] + hardness[model] + luck + own * (chooser == model)
        return float(np.exp(terms) / fraction**0.3)

    return error


LOST = {
    "a model at one fraction": lambda table: (table["model"] == "gap") & (table["fraction"] == 0.1),
    "one pair of chooser and model": lambda table: (table["model"] == "gap") & (table["chooser"] == "ace"),
    "an own chooser at one fraction": lambda table: (
        (table["model"] == "snap") & (table["chooser"] == "snap") & (table["fraction"] == 0.1)
    ),
    "one seed of a chooser": lambda table: (table["chooser"] == "ace") & (table["seed"] == 1),
}


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("own", [0.0, np.log(0.95)])
def test_lost_cells_do_not_look_like_ownership(lost, own):
    """An additive null gave 1.012 (1.007 to 1.016) for a lost model, 1.028 for a lost pair of 25."""
    results = study(additive(own), seeds=range(5))
    gone = LOST[lost](results)
    results.loc[gone, "status"], results.loc[gone, FORCE] = "failed", np.nan
    found = overall(compare(results, FORCE, primary="own / other"))["own / other"]
    assert found["ratio"] == pytest.approx(np.exp(own), rel=5e-3)
    assert found["low"] < np.exp(own) < found["high"]


def test_an_owner_that_loses_its_own_cells_does_not_dilute_ownership():
    """One term for all models gave 0.93 for 0.79 to the third: the one owner had the fewest cells."""

    def error(chooser, fraction, seed, model):
        luck = 0.004 * np.random.default_rng([seed, len(chooser + model), int(100 * fraction)]).normal()
        return float(np.exp(luck) * (0.79 if chooser == model == "gap" else 1.0))

    results = study(error, seeds=range(6))
    gone = (results["model"] == "gap") & (results["chooser"] == "gap") & (results["seed"] > 1)
    results.loc[gone, "status"], results.loc[gone, FORCE] = "failed", np.nan
    found = overall(compare(results, FORCE, primary="own / other"))["own / other"]
    assert found["ratio"] == pytest.approx(0.79 ** (1 / 3), rel=5e-3)
    assert found["n_missing"] == gone[results["fraction"] < 1].sum()


def test_two_lines_of_random_are_both_the_base_line():
    """The one that came last stood for both."""
    results = study(noisy(7, 0.1))
    is_random = results["chooser"] == "random"
    worse = results[is_random].assign(method="random, whitened scaling")
    worse[FORCE] *= 4.0
    found = overall(compare(pd.concat([results, worse]), FORCE))
    alone = overall(compare(results, FORCE))
    for name in ("own / random", "other / random"):
        assert found[name]["ratio"] == pytest.approx(alone[name]["ratio"] / 2.0)


def test_complete_squares_give_means_of_pairs():
    results = study(noisy(5, 0.1), seeds=range(4), datasets=("a", "b"))
    found = overall(compare(results, FORCE))
    keys = ["dataset", "fraction", "seed", "model", "chooser"]
    wide = np.log(results[results["fraction"] < 1].set_index(keys)[FORCE]).unstack("chooser")
    own = wide.apply(lambda row: row[row.name[3]], axis=1)
    others = wide[list(MODELS)].apply(lambda row: row.drop(row.name[3]).mean(), axis=1)
    for name, expected in {
        "own / random": own - wide["random"],
        "other / random": others - wide["random"],
        "own / other": own - others,
    }.items():
        assert np.log(found[name]["ratio"]) == pytest.approx(expected.mean(), abs=1e-12)


def test_a_chooser_without_a_model_does_not_spoil_ownership():
    """It is in the mean of pairs: a bad one makes all others look like owners."""

    def error(chooser, fraction, seed, model):
        return {"snap": 3.0}.get(chooser, 1.0) * (1 + 0.01 * seed * (chooser == model))

    found = overall(compare(study(error, models=("ace", "gap")), FORCE))["own / other"]
    assert found["ratio"] == pytest.approx(1.01, abs=1e-3)
    assert found["design"] == "square"


def test_one_model_alone_is_no_square_and_says_so():
    found = compare(study(noisy(0, 0.0), models=("snap",)), FORCE)
    assert set(found["design"]) == {"no square"}
    assert np.isfinite(found["ratio"]).all()


def test_variants_own_their_own_and_kin_counts_on_neither_side():
    """Two SNAP variants had no own chooser, and their own data counted as other."""
    names = {"ace": "ace", "gap": "snap6", "snap": "snap8"}
    results = study(noisy(0, 0.0)).replace({"chooser": names, "model": names})
    kin = (results["chooser"] != results["model"]) & results["chooser"].str.startswith("snap")
    kin &= results["model"].str.startswith("snap")
    own = results["chooser"] == results["model"]
    results["relation"] = np.select(
        [results["chooser"] == "random", own, kin], ["random", "own", "kin"], "other"
    )
    spoilt = results.assign(**{FORCE: results[FORCE].where(~kin, 100.0)})
    pd.testing.assert_frame_equal(compare(results, FORCE), compare(spoilt, FORCE))
    assert overall(compare(results, FORCE))["own / other"]["n_pairs"] > 0


def test_verdict_interval_and_p_never_contradict_each_other():
    for seed in range(10):
        results = study(noisy(seed, 0.04))
        found = tables(results, FORCE, primary="own / random")
        for row in pd.concat(found.values()).to_dict("records"):
            excluded = row["high"] < 1 or row["low"] > 1
            assert excluded == (row["p"] < 0.05) == (row["verdict"] in ("lower", "higher"))
            assert row["p"] >= row["p_alone"] * (1 - 1e-12)
            assert row["low"] <= row["low_alone"] * (1 + 1e-12)


def test_the_primary_comparison_stands_alone():
    results = study(noisy(2, 0.05))
    rows = compare(results, FORCE, primary="own / other").set_index(["model", "comparison"])
    row = rows.loc[("all", "own / other")]
    assert (row["role"], row["low"], row["p"]) == ("primary", row["low_alone"], row["p_alone"])
    assert (rows.drop(index=[("all", "own / other")])["role"] == "exploratory").all()
    assert set(compare(results, FORCE)["role"]) == {"exploratory"}


def test_effects_come_by_fraction_with_their_trend():
    """Own / other of exp(-0.1) at a tenth, fading to nothing at a half."""

    def error(chooser, fraction, seed, model):
        gain = 0.1 * np.log2(0.5 / fraction) / np.log2(5.0) if fraction < 1 else 0.0
        luck = 0.002 * np.random.default_rng([seed, int(100 * fraction), len(model + chooser)]).normal()
        return float(np.exp(luck - gain * (chooser == model)))

    found = compare_fractions(study(error, fractions=(0.1, 0.25, 0.5, 1.0), seeds=range(4)), FORCE)
    found = found[found["comparison"] == "own / other"].set_index("fraction")["ratio"]
    assert list(found.index) == ["0.1", "0.25", "0.5", "trend"]
    assert found["0.1"] == pytest.approx(np.exp(-0.1), abs=0.01)
    assert found["0.5"] == pytest.approx(1.0, abs=0.01)
    assert found["trend"] == pytest.approx(np.exp(0.1 / np.log2(5.0)), abs=0.005)


def test_random_of_the_same_budget_is_the_base_line():
    halves = [
        study(noisy(seed, 0.0)).assign(budget=name) for seed, name in ((4, "configurations"), (5, "labels"))
    ]
    both = compare(pd.concat(halves), FORCE)
    first, second = (compare(one, FORCE) for one in halves)
    assert (both["n_pairs"] == first["n_pairs"] + second["n_pairs"]).all()
    middle = np.exp((np.log(first["ratio"]) + np.log(second["ratio"])) / 2)
    np.testing.assert_allclose(both["ratio"], middle, rtol=1e-12)


def test_pools_of_one_data_set_give_one_data_set():
    results = study(noisy(6, 0.0), datasets=("x, pool 0", "x, pool 1", "x, pool 2", "y"), seeds=range(3))
    apart = compare(results, FORCE, primary="own / other")
    results["source"] = results["dataset"].str[0]
    together = compare(results, FORCE, primary="own / other")
    assert np.isfinite(apart["low_anywhere"]).all()  # as if there were four data sets
    assert together["low_anywhere"].isna().all()
    sets = [compare(part, FORCE) for _, part in results.groupby("source")]
    middle = np.exp((np.log(sets[0]["ratio"]) + np.log(sets[1]["ratio"])) / 2)
    np.testing.assert_allclose(together["ratio"], middle, rtol=1e-12)  # each data set counts once


def test_the_trend_is_that_of_each_method():
    """Two methods of other strength at other fractions are no trend; it came out as 1.25 (1.23 to 1.27)."""

    def flat(strength, source):
        rng = np.random.default_rng(source)
        return lambda chooser, fraction, seed, model: float(
            np.exp(rng.normal(0.0, 0.01)) * (strength if chooser == model else 1.0)
        )

    fractions = (0.1, 0.2, 0.4, 1.0)
    parts = [study(flat(strength, n), fractions=fractions) for n, strength in enumerate((0.8, 1.25))]
    parts[1] = parts[1][parts[1]["chooser"] != "random"].assign(method="cur")
    both = pd.concat([parts[0][parts[0]["fraction"] < 0.4], parts[1][parts[1]["fraction"] > 0.1]])
    found = compare_fractions(both, FORCE).set_index(["comparison", "fraction"])
    assert found.loc[("own / other", "trend"), "ratio"] == pytest.approx(1.0, abs=0.03)
