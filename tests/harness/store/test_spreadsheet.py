"""What a spreadsheet would take for a formula is a text in CSV, and numbers stay numbers."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from crossprune.harness.store.spreadsheet import without_formulas


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=", '=HYPERLINK("http://x","y")', "＝1+1"],
)
def test_formulas_become_texts(text):
    table = pd.DataFrame({"model": [text, "snap"], text: ["a", text]})
    found = pd.read_csv(io.StringIO(without_formulas(table).to_csv(index=False)), keep_default_na=False)
    assert found.shape == (2, 2)
    assert found.iloc[0, 0] == f"'{text}".replace("\r", "\n")
    assert found.iloc[1, 0] == "snap"
    assert found.columns[1][0] == "'"


@pytest.mark.parametrize("text", ["a\r=1+1", "a\r\n=1+1", 'a",=1+1', "a\n=1+1"])
def test_no_text_begins_a_cell_of_its_own(text):
    table = pd.DataFrame({"reason": [text]})
    found = pd.read_csv(io.StringIO(without_formulas(table).to_csv(index=False)))
    assert found.shape == (1, 1)
    assert found.iloc[0, 0] == text.replace("\r\n", "\n").replace("\r", "\n")


def test_numbers_and_other_texts_stay_as_they_are():
    table = pd.DataFrame(
        {
            "energy": [-1.5, 2.0],
            "seed": [-1, 0],
            "text": ["-1.5", "+2e3"],
            "model": ["a=b", "snap"],
            "nothing": [None, "x"],
        }
    )
    assert without_formulas(table).equals(table)


def test_the_table_itself_is_not_changed():
    table = pd.DataFrame({"model": ["=1"], "kind": pd.Categorical(["-x"])})
    assert list(without_formulas(table).iloc[0]) == ["'=1", "'-x"]
    assert list(table.iloc[0]) == ["=1", "-x"]
