"""Options that follow the data, were tuned on them, or are re-estimated inside: rows say so."""

from __future__ import annotations

import tomllib

import pytest
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_class, resolve
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "following"
datasets = ["si-pbe"]
models = ["chimes", "fixed"]
choosers = ["chimes"]
fractions = [0.4]
seeds = [0]
pools = 2
[data.si-pbe]
smoke = true
[options.chimes]
order_2b = 6
order_3b = 2
[options.fixed]
adapter = "chimes"
order_2b = 6
order_3b = 2
cutoff = 4.2
cutoff_3b = 4.0
cutoff_4b = 4.0
tuned_on = "another set"
"""


def study(text=STUDY):
    return parse_study(tomllib.loads(text), "test")


def test_what_the_study_leaves_open_follows_the_data_one_value_for_all_pools(tmp_path, require_adapter):
    require_adapter("chimes")
    plan = Plan.of(study(), Store(tmp_path))
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    wanted = adapter_class("chimes").geometry(dataset.spacing)
    options = plan.following["si-pbe", "chimes"].options
    assert {name: getattr(options, name) for name in wanted} == wanted
    assert plan.following["si-pbe", "fixed"].options.cutoff == 4.2
    own = {cell: plan.settings(cell) for cell in plan.keys if cell.model == "chimes"}
    assert {cell.choice.pool for cell in own} == {0, 1}
    assert set(own.values()) == {"from structures: " + ", ".join(f"{k} {v:g}" for k, v in wanted.items())}
    relations = {plan.relation(cell) for cell in own if cell.choice.chooser == "chimes"}
    assert relations == {"own"}


def test_rows_say_what_was_tuned(tmp_path, require_adapter):
    require_adapter("chimes")
    table = run(study(), Store(tmp_path), SerialExecutor()).overall
    said = dict(zip(table["model"], table["settings"], strict=True))
    assert said["fixed"] == "options tuned on all training labels of another set"
    assert said["chimes"].startswith("from structures: cutoff ")


def test_inside_re_estimates_the_ridge_where_a_family_can(tmp_path, require_adapter):
    require_adapter("chimes")
    text = STUDY.replace("pools = 2", 'tune = "inside"').replace('["chimes", "fixed"]', '["chimes", "mean"]')
    table = run(study(text), Store(tmp_path / "inside"), SerialExecutor()).overall
    said = dict(zip(table["model"], table["settings"], strict=True))
    assert said["chimes"].endswith("regularisation re-estimated on the chosen subset")
    assert said["mean"] == (
        "not tuned inside: adapter 'mean' has no regularisation that a fit can re-estimate"
    )
    by_hand = STUDY.replace("pools = 2", "").replace(
        "[options.chimes]", '[options.chimes]\nregularisation = "evidence"'
    )
    other = run(study(by_hand), Store(tmp_path / "hand"), SerialExecutor()).overall
    for chooser in ("random", "chimes"):
        one, two = (
            each[(each["model"] == "chimes") & (each["chooser"] == chooser) & (each["split"] == "test")]
            for each in (table, other)
        )
        assert one["fit_key"].tolist() == two["fit_key"].tolist()


def test_what_follows_and_what_is_given_must_go_together(require_adapter):
    require_adapter("mtp")
    spec = resolve("mtp", {"mtp": {"cutoff": 2.0}})
    says = "where min_distance 2.1 follow the data: min_distance must be between 0 and cutoff"
    with pytest.raises(StudyError, match=says):
        spec.following(3.0)


def test_tune_takes_one_word():
    with pytest.raises(ValueError, match="tune"):
        study(STUDY.replace("pools = 2", 'tune = "outside"'))
