"""Pairs are those that were planned, ratios those one gets by hand, and labels tell variants apart."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis import comparisons
from crossprune.harness.analysis.comparisons import TestErrors as Errors
from crossprune.harness.analysis.comparisons import against_random, compare, labelled, partial_errors
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
    assert found["verdict"] == "no difference"  # 18 pairs, but one unlucky draw


def test_a_planted_gain_is_found():
    found = overall(compare(study(noisy(1, 0.1), seeds=range(6), datasets=("a", "b")), FORCE))
    for comparison in ("own / random", "own / other"):
        assert found[comparison]["verdict"] == "lower"
        assert found[comparison]["low"] < np.exp(-0.1) < found[comparison]["high"]
    assert found["other / random"]["verdict"] == "no difference"


def test_pairs_lost_to_failures_are_counted():
    def error(chooser, fraction, seed, model):
        return np.nan if chooser == "snap" and seed == 0 else 1.0 + 0.01 * seed

    found = overall(compare(study(error), FORCE))
    assert found["own / random"]["n_missing"] == 2  # model snap, own chooser, 2 fractions below 1
    assert found["own / random"]["n_pairs"] == 16
    assert found["other / random"]["n_missing"] == 4  # the mean over others needs all of them


def test_without_others_there_is_no_pair():
    alone = study(noisy(0, 0.0))
    alone = alone[(alone["model"] == "snap") & (alone["chooser"] == "snap")]
    assert compare(alone, FORCE)["verdict"].tolist() == ["no pairs"] * 3


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


def test_resampled_test_configurations_scatter_as_theory_says(monkeypatch):
    monkeypatch.setattr(comparisons.statistics, "N_RESAMPLES", 20_000)
    sums = np.random.default_rng(0).lognormal(0.0, 0.3, 40)
    one = sparse.csr_array([[1.0]])
    found = Errors({"x": sums}, np.ones(40)).resampled(one, np.random.default_rng(1))[0]
    half = (np.quantile(found, 0.975) - np.quantile(found, 0.025)) / 2
    expected = stats.t.ppf(0.975, 39) * stats.sem(sums) / sums.mean()
    assert half == pytest.approx(expected, rel=0.03)


def test_resamples_in_blocks_are_those_of_all_fits_at_once(monkeypatch):
    source = np.random.default_rng(0)
    errors = Errors({str(fit): source.lognormal(0.0, 0.5, 12) for fit in range(30)}, np.ones(12))
    shares = sparse.random_array((4, 30), density=0.3, rng=1, format="csr")
    whole = errors.resampled(shares, np.random.default_rng(2))
    monkeypatch.setattr(comparisons, "BLOCK", 7)
    np.testing.assert_allclose(errors.resampled(shares, np.random.default_rng(2)), whole, rtol=0, atol=1e-12)


def test_a_test_set_of_few_configurations_widens_the_interval():
    results = study(noisy(1, 0.1), seeds=range(6))
    source = np.random.default_rng(0)
    sums = {key: source.lognormal(0.0, 1.0, 12) for key in results["fit_key"]}
    wide = overall(compare(results, FORCE, tests={"a": Errors(sums, np.ones(12))}))["own / random"]
    slim = overall(compare(results, FORCE))["own / random"]
    assert wide["low"] < slim["low"] < slim["high"] < wide["high"]
    assert wide["ratio"] == slim["ratio"]


@pytest.mark.parametrize(
    ("kept", "verdicts"),
    [
        (lambda table: table["chooser"] == "random", {"no pairs"}),
        (lambda table: table["chooser"] != "random", {"no pairs", "no difference"}),
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
    pd.testing.assert_frame_equal(found, expected)
    assert (found["n_missing"] == 0).all()
