"""The headline finds what was planted, and claims nothing where nothing was."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.reports.headline import choosers_against_random, headline

FORCE = "force_mae_ev_per_angstrom"
ADAPTERS = ("ace", "gap", "snap")
WAYS = ("random", *ADAPTERS)


def noisy(seed: int, own_gain: float):
    """Return errors with 5 % of luck per cell, and a gain for a model's own chooser."""
    rng = np.random.default_rng(seed)

    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        return float(np.exp(rng.normal(0.0, 0.05) - own_gain * (chooser == model)) / fraction)

    return error


def rows(table):
    return table.set_index("comparison").to_dict("index")


def test_ratios_by_hand(make_results):
    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        if fraction == 1.0:
            return 77.0 if chooser == model else 1.0  # would spoil the ratio if it counted
        return 0.5 if chooser == model else {"random": 1.0, "ace": 2.0, "gap": 2.0, "snap": 2.0}[chooser]

    found = rows(headline(make_results(error, choosers=WAYS, models=ADAPTERS), FORCE))
    assert found["own / random"]["ratio"] == pytest.approx(0.5)
    assert found["other / random"]["ratio"] == pytest.approx(2.0)
    assert found["own / other"]["ratio"] == pytest.approx(0.25)
    assert found["own / random"]["n_pairs"] == 18  # 2 fractions below 1 × 3 seeds × 3 models
    assert found["own / random"]["n_distinct"] == 6  # seeds repeat each other exactly


def test_planted_gain_is_found(make_results):
    found = rows(headline(make_results(noisy(1, 0.1), choosers=WAYS, models=ADAPTERS), FORCE))
    for comparison in ("own / random", "own / other"):
        assert found[comparison]["verdict"] == "lower"
        assert found[comparison]["low"] < np.exp(-0.1) < found[comparison]["high"]
    assert found["other / random"]["verdict"] == "no difference"


def test_nothing_is_claimed_where_nothing_is(make_results):
    verdicts = [
        headline(make_results(noisy(seed, 0.0), choosers=WAYS, models=ADAPTERS), FORCE)["verdict"].tolist()
        for seed in range(10)
    ]
    claimed = sum(verdict != "no difference" for study in verdicts for verdict in study)
    assert claimed <= 3  # 30 intervals of 95 %: more than 3 misses have a chance of 6 %


def test_luck_shared_by_all_models_is_not_taken_for_an_effect(make_results):
    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        return (1.0, 1.2, 1.0)[seed] if chooser == "random" else 1.0

    found = rows(headline(make_results(error, choosers=WAYS, models=ADAPTERS), FORCE))
    assert found["own / random"]["ratio"] == pytest.approx(1.2 ** (-1 / 3))
    assert found["own / random"]["verdict"] == "no difference"  # 18 pairs, but one unlucky draw


def test_a_handful_of_pairs_decides_nothing(make_results):
    results = make_results(noisy(0, 3.0), models=("snap",), fractions=(0.1,), seeds=(0, 1, 2, 3, 4))
    found = rows(headline(results, FORCE))
    assert found["own / random"]["n_pairs"] == 5
    assert found["own / random"]["verdict"] == "too few pairs"


def test_pairs_lost_to_failures_are_counted(make_results):
    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        return np.nan if chooser == "snap" and seed == 0 else 1.0

    found = rows(headline(make_results(error), FORCE))
    assert found["own / random"]["n_missing"] == 2  # model snap, own chooser, 2 fractions below 1
    assert found["own / random"]["n_pairs"] == 10


def test_without_random_or_others_there_is_no_pair(make_results):
    alone = make_results(noisy(0, 0.0), choosers=("snap",), models=("snap",))
    assert headline(alone, FORCE)["verdict"].tolist() == ["no pairs"] * 3


def test_each_chooser_is_compared_over_all_models(make_results):
    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        return {"random": 1.0, "gap": 0.9, "snap": 1.1}[chooser] * (1 + 0.001 * seed * (chooser != "random"))

    found = rows(choosers_against_random(make_results(error, fractions=(0.1, 0.2, 0.5)), FORCE))
    assert found["gap / random"]["verdict"] == "lower"
    assert found["snap / random"]["verdict"] == "higher"


def test_the_same_table_gives_the_same_interval_in_any_order(make_results):
    results = make_results(noisy(3, 0.0))
    shuffled = results.sample(frac=1.0, random_state=0)
    assert headline(results, FORCE).equals(headline(shuffled, FORCE))
