"""What the statistics say in words must be what their tables hold."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import statistics_of
from crossprune.harness.analysis.primary import Asked
from crossprune.reports.findings.asked import primary_of, row_of
from crossprune.reports.findings.questions import ASKED, CAPTIONS, questions, verdicts_in_words
from crossprune.reports.page import write_report

FAMILIES = ("ace", "gap", "nnp", "snap")


def noisy(chooser: str, fraction: float, seed: int, model: str) -> float:
    key = [ord(one) for one in f"{chooser}{model}"]
    luck = np.random.default_rng([*key, seed, round(100 * fraction)]).normal(0, 0.02)
    own = 0.8 if chooser == model else 1.0
    return 0.2 * own ** (fraction < 1) * math.exp(luck * (fraction < 1)) / fraction**0.3


@pytest.fixture(scope="module")
def tables(tmp_path_factory, make_results):
    table = make_results(noisy, choosers=("random", *FAMILIES), models=FAMILIES, fractions=(0.1, 0.3, 1.0))
    return statistics_of(tmp_path_factory.mktemp("none"), table)


@pytest.fixture
def found(tables):
    return {one.name: one for one in questions(tables, Asked())}


def test_questions_come_in_the_order_in_which_people_ask(found):
    order = [name for name, *_ in ASKED]
    assert list(found) == [name for name in order if name in found]
    assert list(found)[:2] == ["by-fraction", "by-outcome"]
    assert {name for one in found.values() for name, *_ in one.tables} <= set(CAPTIONS)
    assert "by-group" not in found, "no group was held out"


def test_findings_are_those_of_the_tables(found, tables):
    rows = tables["fractions"].query("metric == 'force' and split == 'test' and comparison == 'own / other'")
    rows = rows[(rows["model"] == "all") & (rows["fraction"].astype(str) != "trend")]
    assert (rows["verdict"] == "lower").all()
    assert "better in 2 of 2 fractions" in found["by-fraction"].finding
    scope = tables["scope"].iloc[0]
    assert scope["p"] == pytest.approx(1 / 24)
    assert found["whose"].finding.startswith("It does here: 4.2 % of all ways")
    ranks = tables["ranks"].iloc[0]
    assert f"first in rank {ranks['way']}" in found["which-chooser"].finding
    assert "one data set, no test" in found["which-chooser"].finding
    saved = tables["efficiency"].query("metric == 'force' and split == 'test'")
    told = int((saved["data_ratio_low"] > 1).sum())
    assert f"In {told} of {int(saved['data_ratio_low'].notna().sum())} pairs" in found["saved"].finding
    power = tables["sizes"].query("comparison == 'own / other' and effect == 0.95").iloc[0]["power"]
    assert f"of 5 % in {100 * power:.0f}," in found["large-enough"].finding


@pytest.mark.parametrize(
    ("verdicts", "better", "text"),
    [
        (["lower", "lower"], "lower", "better in 2 of 2"),
        (
            ["lower", "higher", "none found"],
            "lower",
            "better in 1 of 3, worse in 1 of 3, no difference found",
        ),
        (["higher"], "higher", "better in 1 of 1"),
        (["none found", "all alike"], "lower", "no difference found in any of 2"),
        (["too few seeds"], "lower", "not testable in 1 of 1"),
        (["none found", "needs pools"], "lower", "no difference found in 1 of 2, not testable in 1 of 2"),
    ],
)
def test_directions_are_gains_by_what_is_better(verdicts, better, text):
    assert verdicts_in_words(pd.DataFrame({"verdict": verdicts, "better": better})).startswith(text)


def limits(tables, n_owners=4, per_configuration=True, **changes):
    table = tables["answer"].copy()
    row = row_of(table, Asked())
    for name, value in changes.items():
        table.loc[row["place"], name] = value
    known = primary_of(table, Asked(), n_owners, per_configuration=per_configuration)
    return known, {one.name: one for one in known.limits}


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"n_missing": 3}, "Lost", "3 of "),
        ({"label_ratio": 1.3}, "Labels", "1.30 times as many labels"),
        ({"at_end": 0.2}, "Ends of scale", "20 % of the values"),
        ({"design": "no square"}, "Not ownership", "no square of choosers and models"),
        ({"n_owners": 2}, "Descriptors", "too few to tell"),
        ({"n_test": 8.0}, "Test frames", "8, shared by all seeds"),
        ({"per_configuration": False}, "Test frames", "over seeds alone and too narrow"),
        ({"low_anywhere": 0.9, "high_anywhere": 1.1}, "Other data", "within 0.900 to 1.100"),
    ],
)
def test_a_pitfall_stands_beside_the_number_where_there_is_one(tables, changes, name, words):
    _, known = limits(tables, **changes)
    assert words in known[name].text
    assert known[name].is_pitfall


def test_nothing_is_warned_of_that_is_not_there(tables):
    primary, known = limits(tables, n_test=60.0, low_anywhere=0.7, high_anywhere=0.9)
    assert set(known) == {"Repeats", "Test frames", "Descriptors", "Lost", "Other data"}
    assert not any(one.is_pitfall for one in known.values())
    assert primary.sentence.startswith("Own data are better than other: the ratio is 0.80")
    assert len(primary.rows) == 1


def test_what_a_study_does_not_compare_has_neither_repeats_nor_losses(tables):
    nothing = {"verdict": "no pairs", "ratio": math.nan, "low": math.nan, "n_pairs": 0, "n_units": 0}
    primary, known = limits(tables, n_owners=0, design="no square", n_missing=0, **nothing)
    assert primary.sentence == "own / other is open: no model of this study has data of both kinds."
    assert set(known) == {"Descriptors"}
    assert known["Descriptors"].text == "None chooses for a model of its own here."


def test_nothing_found_is_not_said_to_be_nothing(tables):
    primary, _ = limits(tables, verdict="none found", ratio=0.99, low=0.9, high=1.1)
    assert "no difference was found" in primary.sentence
    assert "anything from 0.900 to 1.100 fits the data" in primary.sentence


def test_the_page_folds_what_was_not_asked_and_says_it_above(make_results, tmp_path):
    results = make_results(noisy, choosers=("random", *FAMILIES), models=FAMILIES)
    text = write_report(results, tmp_path, {"study": "x"}).read_text()
    places = [text.index(f'id="{name}"') for name in ("first", "statistics", "answer", "against-random")]
    places += [text.index(f'<details class="question" id="{name}"') for name in ("by-fraction", "saved")]
    assert places == sorted(places)
    assert text.count('<details class="question"') == text.count('<details class="question" id=')
