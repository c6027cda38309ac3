"""Choosing in the metric of a family's own fit, from the study to the chosen frames."""

from __future__ import annotations

import json
import tomllib

import numpy as np
from crossprune.harness.analysis.answer import analyse
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.keys import selection_seed
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.stored import stored_selection
from crossprune.harness.engine.study import parse_study
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import choose
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "metric"
datasets = ["si-pbe"]
models = []
choosers = ["chimes", "composition"]
scalings = ["model", "standard"]
poolings = ["mean_std"]
fractions = [0.3]
seeds = [0]
[data.si-pbe]
smoke = true
[options.chimes]
order_2b = 8
order_3b = 4
cutoff_3b = 4.0
energy_weight = WEIGHT
"""


def study(weight):
    text = STUDY.replace("WEIGHT", str(weight))
    return text, parse_study(tomllib.loads(text), "test")


def test_a_choice_is_made_in_the_metric_of_the_fit_and_analysed_in_it(tmp_path):
    text, given = study(300.0)
    found = run(given, Store(tmp_path), SerialExecutor())
    found.write(tmp_path / "results.parquet")
    (tmp_path / "provenance.json").write_text(json.dumps({"toml": text}))
    cells = found.table.set_index(["chooser", "scaling"])
    assert cells.loc[("composition", "model"), "status"] == "skipped"
    assert "knows no metric" in cells.loc[("composition", "model"), "reason"]
    assert (cells.drop(index=("composition", "model"))["status"] == "done").all()
    table = analyse(tmp_path)["findings"]
    assert {"model", "standard"} == set(table[table["chooser"] == "chimes"]["scaling"])
    assert set(table["level"]) <= {"note", "warning"}


def test_stored_choices_are_those_of_points_in_the_metric(tmp_path):
    store, given = Store(tmp_path), study(300.0)[1]
    run(given, store, SerialExecutor())
    plan = Plan.of(given, store)
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    adapter = plan.specs["chimes"].make(dataset.elements)
    train, picked = dataset.indices("train"), []
    features = [adapter.features(dataset.frames[index]) for index in train]
    terms = adapter.terms(np.concatenate(features), np.zeros(sum(map(len, features)), dtype=int))
    for scaling in ("model", "standard"):
        values = terms if scaling == "model" else np.concatenate(features)
        ends = np.cumsum([len(one) for one in features])[:-1]
        norms = np.sqrt(np.square(values).mean(axis=0)) if scaling == "model" else np.ones(values.shape[1])
        parts = np.split(values / norms, ends)
        points = np.array([[*one.mean(axis=0), *one.std(axis=0)] for one in parts])
        cell = next(
            one for one in plan.keys if one.choice.chooser == "chimes" and one.choice.scaling == scaling
        )
        seed = selection_seed(plan.dataset_keys["si-pbe", 0], cell.choice)
        candidates = Candidates(
            points, np.arange(len(points) + 1), scaling="none" if scaling == "model" else "standard"
        )
        expected = choose("fps", candidates, 0.3, np.random.default_rng(seed))
        stored = stored_selection(store, plan.needs[cell][0][1])
        assert stored.tolist() == train[expected].tolist()
        picked.append(stored.tolist())
    assert picked[0] != picked[1]


def test_only_the_choice_in_the_metric_rests_on_what_only_the_fit_reads(tmp_path):
    keys = []
    for weight in (100.0, 300.0):
        plan = Plan.of(study(weight)[1], Store(tmp_path))
        orders = {
            cell.choice.scaling: plan.needs[cell][0] for cell in plan.keys if cell.choice.chooser == "chimes"
        }
        keys.append(orders)
    assert keys[0]["standard"] == keys[1]["standard"]
    assert keys[0]["model"] != keys[1]["model"]
