"""A set that is labelled already: what a study adds to it, and that every fit has it."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.stored import stored_subset
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.gathering import given_in
from crossprune.harness.store.objects import Store


def study(**changes):
    axes = {
        "name": "given",
        "datasets": ["si-pbe"],
        "models": ["mean"],
        "choosers": ["mean"],
        "methods": ["fps", "d_optimal", "fps@groups"],
        "fractions": [0.1, 0.2, 1.0],
        "seeds": [0, 1],
        "given": ["elastic", "md-*"],
        **changes,
    }
    return parse_study({"study": axes, "data": {"si-pbe": {"smoke": True}}}, "test")


@pytest.fixture(scope="module")
def silicon():
    return load_dataset("si-pbe", options=DataOptions(smoke=True))


@pytest.mark.parametrize("budget", ["configurations", "labels"])
def test_every_fit_has_what_is_given_and_as_much_more_as_the_fraction_says(tmp_path, silicon, budget):
    table = run(study(budget=budget), Store(tmp_path), SerialExecutor()).table
    given, train = set(given_in(silicon, "elastic + md-*").tolist()), silicon.indices("train")
    assert 0 < len(given) < len(train)
    assert {silicon.groups[index] for index in given} <= {
        "elastic",
        *(g for g in silicon.groups if g[:3] == "md-"),
    }
    done = table.drop_duplicates("cell").set_index("cell")
    assert set(done["status"]) == {"done"}
    assert set(done["method"]) == {"random", "fps", "d_optimal", "fps@groups"}
    labels = np.array([1 + 3 * len(atoms) + 6 for atoms in silicon.frames])
    for row in done.to_dict("records"):
        subset = set(stored_subset(tmp_path, row["fit_key"]).tolist())
        assert given <= subset <= set(train.tolist())
        added = sorted(subset - given)
        if row["fraction"] == 1.0:
            assert len(subset) == len(train)
        elif budget == "configurations":
            assert len(added) == int(row["fraction"] * (len(train) - len(given)) + 0.5)
        else:
            limit = row["fraction"] * labels[[index for index in train if index not in given]].sum()
            assert limit - labels.max() < labels[added].sum()
            assert labels[added].sum() <= limit or len(added) == 1
    counted = ", labels budget" if budget == "labels" else ""
    assert f"fps, elastic + md-* given{counted}" in set(labelled(done)["method"])


def test_without_a_given_set_nothing_changes(tmp_path):
    plain = run(study(given=[], methods=["fps"]), Store(tmp_path), SerialExecutor()).table
    assert set(plain["given"]) == {""}
    completed = run(study(methods=["fps"]), Store(tmp_path), SerialExecutor()).table
    assert set(completed["given"]) == {"elastic + md-*"}
    assert not set(plain["cell"]) & set(completed["cell"])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["elastc"], "'elastc' fits no group that can be chosen"),
        (["*"], "all training frames of si-pbe are given"),
        (["a, b"], "no commas and no"),
    ],
)
def test_what_cannot_be_given_is_refused(tmp_path, given, words):
    with pytest.raises(StudyError, match=words):
        run(study(given=given), Store(tmp_path), SerialExecutor())


def test_methods_that_complete_nothing_are_refused(tmp_path):
    with pytest.raises(StudyError, match="'kmeans' cannot complete a given set; these can: random"):
        run(study(methods=["fps", "kmeans"]), Store(tmp_path), SerialExecutor())


def test_masks_complete_nothing():
    with pytest.raises(StudyError, match="single atoms complete no given set"):
        study(masks=["atoms"], budget="labels")
