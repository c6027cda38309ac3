"""The first screen says what was asked, what was found, how sure that is, and what cannot be settled."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from crossprune.harness.analysis.outcomes.matrix import COLUMNS
from crossprune.harness.analysis.primary import Asked
from crossprune.harness.engine.study import Primary
from crossprune.reports.headline import headline, title_of
from crossprune.reports.page import render
from crossprune.reports.pictures import choices, curves_data, matrix_data

BY_DEFAULT = Asked()


def row(comparison="own / other", verdict="lower", ratio=0.9, low=0.85, high=0.95, **changed):
    return {
        "metric": "force",
        "split": "test",
        "model": "all",
        "comparison": comparison,
        "verdict": verdict,
        "ratio": ratio,
        "low": low,
        "high": high,
        "low_anywhere": math.nan,
        "high_anywhere": math.nan,
        "design": "square",
        "better": "lower",
        "n_missing": 1,
    } | changed


def said(*rows, question=BY_DEFAULT, n_owners=5):
    return headline(pd.DataFrame(rows), question, n_owners)


def test_lower_errors_are_better_and_higher_survival_is():
    assert said(row()).finding == (
        "Models do better on data that their own descriptor chose than on data that another's chose: "
        "10.0 % lower force errors."
    )
    assert "do worse" in said(row(verdict="higher", ratio=1.2)).finding
    question = Asked(Primary(outcome="survival"))
    survival = row(metric="survival", verdict="higher", ratio=1.5, better="higher")
    assert "do better" in said(survival, question=question).finding
    assert "50.0 % higher survival times" in said(survival, question=question).finding


def test_no_difference_found_says_how_large_one_may_be():
    found = said(row(verdict="none found", ratio=0.99, low=0.95, high=1.03))
    assert found.finding.startswith("No difference found in force errors")
    assert "0.950 to 1.030" in found.sureness
    assert "may still be there" in found.sureness


@pytest.mark.parametrize("verdict", ["all alike", "too few seeds", "needs pools", "no pairs"])
def test_what_is_not_decided_is_asked_again(verdict):
    found = said(row(verdict=verdict, ratio=math.nan, low=math.nan, high=math.nan))
    assert found.finding.startswith("Not decided: do models do better")
    assert found.sureness == ""


def test_what_a_study_does_not_compare_is_not_said_to_be_unfinished():
    found = said(
        row(verdict="no pairs", ratio=math.nan, low=math.nan, n_missing=0, design="no square"), n_owners=5
    )
    assert "no model with data of both kinds" in found.finding
    assert found.limits == (), "nothing is compared, so that nothing can be confounded"


def test_without_an_interval_no_difference_is_not_said_to_be_sought():
    one = row("own / random", verdict="too few seeds", ratio=1.08, low=math.nan, high=math.nan)
    other = row("other / random", verdict="all alike", ratio=1.0, low=math.nan, high=math.nan)
    assert said(one, other).beside == (
        "Against random data, ratios of force errors: own 1.080, undecided: too few repeats; "
        "another's 1.000, all alike."
    )


def test_nothing_to_compare_is_not_decided():
    assert headline(None, BY_DEFAULT, 0).finding.startswith("Not decided")


@pytest.mark.parametrize(
    ("n_owners", "words"), [(1, "One descriptor cannot"), (2, "1 of 2 studies"), (3, "1 of 6 studies")]
)
def test_few_choosers_cannot_settle_it(n_owners, words):
    [limit] = said(row(), n_owners=n_owners).limits
    assert words in limit
    assert "cannot settle whose should choose" in limit
    assert said(row(), n_owners=4).limits == ()


def test_what_came_out_for_each_model_is_told_where_it_settles_nothing():
    rows = [row(), row(model="a", ratio=0.9), row(model="b", ratio=1.1, verdict="none found")]
    [limit] = said(*rows, n_owners=2).limits
    assert limit.endswith("Here own data came out better for a, worse for b, not all of it beyond chance.")


def test_what_was_asked_afterwards_and_what_is_no_square_limit_the_finding():
    late = Asked(changed="the primary comparison was named on 2026-01-01, when 3 cells had ended")
    assert "exploratory" in said(row(), question=late).limits[-1]
    assert "no square" in said(row(design="no square")).limits[0]


def test_random_is_told_beside():
    found = said(row(), row("own / random", ratio=0.8, low=0.7, high=0.9))
    assert found.beside == "Against random data, ratios of force errors: own 0.800 (0.700 to 0.900)."


def test_a_ratio_beyond_all_sense_is_not_spelt_out():
    found = said(row(ratio=5e300, low=4e300, high=6e300, verdict="higher"), row("own / random", ratio=1e-9))
    assert "Ratio >1000; with 95 % confidence it is within >1000 to >1000" in found.sureness
    assert "own <0.001" in found.beside


def test_titles_name_data_and_study():
    assert title_of(["a", "b"], "mine") == "a, b · study mine"
    assert title_of(list("abcdef"), "mine") == "a, b, c, d and 2 more · study mine"


def cells(**columns):
    base = dict.fromkeys(COLUMNS, math.nan)
    base |= {"outcome": "force", "split": "test", "better": "lower", "source": "x", "fraction": 0.1}
    base |= {"relation": "other", "verdict": "lower", "n_pairs": 3, "n_units": 3, "n_missing": 0}
    return base | columns


@pytest.fixture
def table():
    return pd.DataFrame(
        [
            cells(way="random", chooser="random", method="random", model="a", value=2.0, verdict=None),
            cells(way="b · fps", chooser="b", method="fps", model="a", value=1.0, ratio=0.5, relation="own"),
            cells(way="b · fps", chooser="b", method="fps", model="c", value=4.0, ratio=2.0),
            cells(
                outcome="survival", split="", way="b · fps", chooser="b", method="fps", model="a", value=7.0
            ),
        ]
    )


def test_a_picture_has_random_first_and_null_where_nothing_is(table):
    picture = matrix_data(table)["force:test"]["sets"]["x"]["0.1"]
    assert picture["ways"] == ["random", "b · fps"]
    assert picture["models"] == ["a", "c"]
    assert picture["ratio"][1] == [0.5, 2.0]
    assert picture["own"] == [[0, 0], [1, 0]]
    assert picture["value"][0][1] is None


def test_outcomes_come_as_people_ask_for_them(table):
    assert list(matrix_data(table)) == ["force:test", "survival"]
    shown = choices(
        {"x, pool 0": "x"}, matrix_data(table), [("force_mae_ev_per_angstrom", "test")], Primary()
    )
    assert shown["first"] == {"dataset": "x", "outcome": "force:test", "fraction": "0.1"}
    assert shown["outcome"] == [("force:test", "Force MAE, test set"), ("survival", "Survival time")]


def test_curves_average_pools_and_scatter_over_them(table):
    summary = pd.DataFrame(
        {
            "dataset": ["x, pool 0", "x, pool 1"],
            "fraction": 0.1,
            "chooser": "b",
            "method": "fps",
            "model": "a",
            "n_configurations": [10.0, 12.0],
            "mean": [1.0, 3.0],
            "standard_error": [0.1, 0.1],
            "n_seeds": 2,
        }
    )
    sources = {"x, pool 0": "x", "x, pool 1": "x"}
    found = curves_data([("force_mae_ev_per_angstrom", "test", summary)], sources, matrix_data(table))
    assert found["force:test"]["x"]["a"]["b · fps"] == {"x": [0.1], "y": [2.0], "e": [1.0], "n": [11.0]}
    assert found["survival"]["x"]["a"]["b · fps"]["y"] == [7.0]


def test_names_are_never_markup(make_results):
    name = "<script>alert(1)</script>"
    results = make_results(lambda *cell: 0.1, choosers=("random", name), models=(name,), datasets=(name,))
    page = render(results, {"study": name}, {})
    assert name not in page
