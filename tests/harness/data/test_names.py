"""Names of data sets: spellings of one path are one data set, and no table is read for nothing."""

from __future__ import annotations

import pytest
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.names import check_distinct, table_of
from crossprune.harness.errors import StudyError

CARDS = ("si-pbe",)


@pytest.mark.parametrize("spelling", ["x.xyz", "./x.xyz", "sub/../x.xyz", "{here}/x.xyz"])
@pytest.mark.parametrize("name", ["x.xyz", "./x.xyz", "{here}/./x.xyz"])
def test_a_table_is_found_under_every_spelling(tmp_path, monkeypatch, spelling, name):
    monkeypatch.chdir(tmp_path)
    spelling, name = (one.format(here=tmp_path) for one in (spelling, name))
    assert table_of({spelling: {"seed": 1}}, [name, "si-pbe"], name, CARDS) == {"seed": 1}
    assert table_of({spelling: {"seed": 1}}, [name, "si-pbe"], "si-pbe", CARDS) is None


def test_a_link_is_the_file_it_leads_to(tmp_path):
    (tmp_path / "a.xyz").touch()
    (tmp_path / "b.xyz").symlink_to(tmp_path / "a.xyz")
    with pytest.raises(StudyError, match="are one data set; give it once"):
        check_distinct([str(tmp_path / "a.xyz"), str(tmp_path / "b.xyz")], CARDS)


def test_a_table_of_no_data_set_is_an_error_with_a_suggestion():
    with pytest.raises(StudyError, match=r"unknown data set 'si-pbee'; did you mean 'si-pbe'\? known"):
        table_of({"si-pbee": {}}, ["si-pbe"], "si-pbe", CARDS)


def test_two_tables_of_one_data_set():
    with pytest.raises(StudyError, match=r"'x\.xyz' and '\./x\.xyz' are one data set; write one table"):
        table_of({"x.xyz": {}, "./x.xyz": {}}, ["x.xyz"], "x.xyz", CARDS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 5000 + ".xyz", "has 5000|5004 characters"),
        ("a\0.xyz", "has control characters"),
        (" ", "is empty"),
    ],
)
def test_names_that_no_file_has(name, message):
    with pytest.raises(StudyError, match=message):
        load_dataset(name)


def test_a_name_longer_than_the_file_system_takes():
    with pytest.raises(ValueError, match="no such file"):
        load_dataset("x" * 500 + ".xyz")
