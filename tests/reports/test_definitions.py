"""Headings name words that the glossary has, and every word is needed."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from crossprune.reports.definitions import COLUMNS, WORDS, word_of
from crossprune.reports.page import write_report
from crossprune.reports.wording import exact, rounded


def test_every_heading_has_a_word_and_every_word_a_heading():
    assert set(COLUMNS.values()) == set(WORDS)


def test_the_page_explains_all_words_that_it_marks(make_results, tmp_path):
    results = make_results(lambda chooser, fraction, seed, model: 0.1 + 0.001 * seed)
    text = write_report(results, tmp_path, {"study": "mo"}).read_text(encoding="utf-8")
    marked = set(re.findall(r'data-word="([^"]+)"', text)) - {"${"}
    explained = set(re.findall(r'<dd id="word-([^"]+)"', text))
    assert {"ratio", "interval", "p", "seeds", "enough"} <= marked <= explained == set(WORDS)
    assert word_of("remark") == ""


@pytest.mark.parametrize(
    "value", [0.123456789, 1234.56, 1e-7 / 3, 2.0, 7, float("nan"), float("inf"), "snap"]
)
def test_cells_carry_the_digits_that_rounding_hides(value):
    attribute = exact(value)
    shown = rounded(value)
    if isinstance(value, float) and pd.notna(value) and abs(value) < 1e9 and float(shown) != value:
        assert float(attribute.partition('"')[2].rstrip('"')) == pytest.approx(value, rel=1e-5)
    else:
        assert attribute == ""
