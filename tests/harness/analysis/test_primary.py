"""What a study asks is written down before it has results, and a later change is said."""

from __future__ import annotations

import json

import pytest
from crossprune.harness.analysis.primary import Asked, asked
from crossprune.harness.engine.study import Primary, parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.store.declared import NAME, declare, declared
from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record

FORCE = {"outcome": "force", "split": "test", "comparison": "own / other"}
ENERGY = {**FORCE, "outcome": "energy"}
NO_RUNS = {"ensembles": [], "reference_temperatures": False}
KEYS = ["0" * 32, "1" * 32]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "provenance.json").write_text(json.dumps({"study": "mo"}))
    return Store(tmp_path)


def has_results(store):
    store.put([Record(KEYS[0], "done", "", {}, [])])


def test_the_first_question_stands(store):
    declare(store, "mo", ENERGY, KEYS)
    has_results(store)
    declare(store, "mo", ENERGY, KEYS)
    assert len(declared(store.root)["mo"]) == 1
    assert asked(store.root) == Asked(Primary(**ENERGY))
    assert asked(store.root).comparison("energy", "test") == "own / other"
    assert asked(store.root).comparison("force", "test") == ""


def test_a_question_may_change_before_there_are_results(store):
    declare(store, "mo", FORCE, KEYS)
    declare(store, "mo", ENERGY, KEYS)
    assert asked(store.root) == Asked(Primary(**ENERGY))


def test_a_question_that_changes_after_results_is_exploratory(store):
    declare(store, "mo", FORCE, KEYS)
    has_results(store)
    declare(store, "mo", ENERGY, KEYS)
    found = asked(store.root)
    assert found.comparison("energy", "test") == found.comparison("force", "test") == ""
    assert "from own / other, force error, test to own / other, energy error, test" in found.changed
    assert "1 cells had ended" in found.changed


def test_a_question_that_is_not_the_default_comes_too_late_for_a_store_with_results(store):
    has_results(store)
    declare(store, "mo", ENERGY, KEYS)
    assert asked(store.root).changed


def test_studies_of_one_store_ask_their_own(store):
    declare(store, "other", ENERGY, KEYS)
    declare(store, "mo", FORCE, KEYS)
    assert asked(store.root) == Asked(Primary(**FORCE))


FOO = {**FORCE, "outcome": "foo"}


@pytest.mark.parametrize(
    "text",
    ["", "[", "[]", '{"mo": 3}', json.dumps({"mo": [{"asked": FOO, "date": "", "n_results": 0}]})],
)
def test_a_damaged_file_is_said_and_not_written_anew(store, text):
    (store.root / NAME).write_text(text)
    declare(store, "mo", FORCE, KEYS)
    assert (store.root / NAME).read_text() == text or "foo" in (store.root / NAME).read_text()
    assert "damaged" in asked(store.root).changed
    assert asked(store.root).comparison("force", "test") == ""


def test_the_default_comes_too_late_as_well(store):
    has_results(store)
    declare(store, "mo", FORCE, KEYS)
    assert "was named on" in asked(store.root).changed


def test_a_comparison_that_is_not_made_is_refused():
    with pytest.raises(ValueError, match="own / other"):
        Primary(comparison="own/other")


def test_a_question_that_is_changed_back_is_asked_and_its_history_said(store):
    declare(store, "mo", FORCE, KEYS)
    has_results(store)
    for question in (ENERGY, FORCE):
        declare(store, "mo", question, KEYS)
    found = asked(store.root)
    assert found.primary == Primary(**FORCE)
    assert found.comparison("force", "test") == ""
    assert found.changed.count("changed from") == 2


def test_a_run_that_was_not_finished_is_asked_what_it_said(store):
    """It writes no provenance, and the default stood for what it had asked."""
    declare(store, "mo", ENERGY, KEYS)
    has_results(store)
    (store.root / "provenance.json").unlink()
    assert asked(store.root) == Asked(Primary(**ENERGY))


@pytest.mark.parametrize(
    ("outcome", "tables", "words"),
    [
        ("properties", {}, r"\[properties\] enabled"),
        ("survival", {"md": {"enabled": True, "ramp": True, **NO_RUNS}}, "with ensembles"),
        ("survival_temperature", {"md": {"enabled": True}}, "ramp = true"),
    ],
)
def test_a_study_may_not_ask_for_what_it_does_not_compute(outcome, tables, words):
    study = {"name": "n", "datasets": ["si-pbe"], "models": ["mean"]}
    with pytest.raises(StudyError, match=words):
        parse_study({"study": study, "primary": {"outcome": outcome}, **tables}, "x.toml")
