"""A study in which descriptors without a model choose."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from crossprune.harness.analysis.details.artefacts import gather
from crossprune.harness.analysis.spaces.described import diagnostics_of
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.stored import stored_dataset, stored_features, stored_vectors
from crossprune.harness.engine.study import parse_study
from crossprune.harness.store.objects import Store
from crossprune.harness.store.tables import PROVENANCE

pytestmark = pytest.mark.slow  # four runs

OPTIONS = {
    "shape": {"adapter": "composition", "cell_shape": True},
    "euler": {"cutoff": 5.0, "n_radii": 16},
}
STUDY = """
[study]
name = "x"
datasets = ["si-pbe"]
models = ["mean"]
choosers = {choosers}
[data.si-pbe]
smoke = true
"""
N_FEATURES = {"composition": 2, "shape": 5, "euler": 16, "mean": 2}


def study(choosers, **axes):
    given = {
        "name": "x",
        "datasets": ["si-pbe"],
        "models": ["mean"],
        "fractions": [0.25],
        "seeds": [0],
    }
    table = {**given, "choosers": choosers, **axes}
    options = {name: OPTIONS[name] for name in choosers if name in OPTIONS}
    return parse_study({"study": table, "data": {"si-pbe": {"smoke": True}}, "options": options}, "test")


@pytest.mark.parametrize("choosers", [("composition", "shape", "mean"), ("composition", "euler")])
def test_structures_choose_beside_atoms(choosers, tmp_path, require_adapter):
    for name in choosers:
        require_adapter("composition" if name == "shape" else name)
    given, store = study(choosers, methods=["fps", "entropy"]), Store(tmp_path)
    table = run(given, store, SerialExecutor()).table
    assert set(table["status"]) == {"done"}
    assert set(table["chooser"]) == {"random", *choosers}
    plan = Plan.of(given, store)
    found = {(cell.choice.chooser, plan.relation(cell)) for cell in plan.keys}
    own = {"random": "random", "mean": "own"}
    assert found == {(name, own.get(name, "other")) for name in ("random", *choosers)}
    features = {task.spec.label: key for (stage, key), task in plan.tasks.items() if stage == "features"}
    sizes = stored_dataset(store.root, plan.dataset_keys["si-pbe", 0]).sizes
    for name in set(choosers) - {"mean"}:
        vectors = stored_vectors(store, features[name], "atoms")
        assert vectors.shape == (30, N_FEATURES[name])
        np.testing.assert_array_equal(
            stored_features(store, features[name]), np.repeat(vectors, sizes, axis=0)
        )


def test_the_report_shows_spaces_of_structures_beside_those_of_atoms(tmp_path):
    given = study(("composition", "mean"), fractions=[0.25, 1.0])
    table = run(given, Store(tmp_path), SerialExecutor()).table
    provenance = {"toml": STUDY.format(choosers='["composition", "mean"]')}
    (tmp_path / PROVENANCE).write_text(json.dumps(provenance))
    found = diagnostics_of(tmp_path, table)
    spaces = found["spaces"].set_index(["space", "other"])
    assert set(spaces.index) == set(itertools.product(("composition", "mean"), repeat=2))
    assert found["chosen"].notna().all(axis=None)
    maps = {one.space: one for one in gather(tmp_path, table).maps}
    assert set(maps) == {"composition", "mean"}
    # Volumes and densities per atom: other numbers in the same order, or in the opposite one.
    density, volume = (maps[name].points[:, 0] for name in ("mean", "composition"))
    steps = np.diff(volume[np.argsort(density)])
    assert (np.sign(steps[np.abs(steps) > 1e-9]) != np.sign(steps.sum())).sum() == 0


def test_deviations_of_one_vector_end_a_cell_and_no_other(tmp_path):
    given = study(("composition", "mean"), poolings=["mean", "std"])
    table = run(given, Store(tmp_path), SerialExecutor()).table
    cells = table.drop_duplicates("cell")
    for chooser, pooling in itertools.product(("composition", "mean"), ("mean", "std")):
        mine = cells[(cells["chooser"] == chooser) & (cells["pooling"] == pooling)]
        refused = (chooser, pooling) == ("composition", "std")
        assert set(mine["status"]) == {"skipped" if refused else "done"}
        assert all("which has no deviation to choose by" in one for one in mine["reason"] if refused)


def test_what_has_no_model_is_not_retrained(tmp_path):
    given = study(("mean",), models=["mean", "composition"])
    table = run(given, Store(tmp_path), SerialExecutor()).table
    skipped = table[table["model"] == "composition"]
    assert set(skipped["status"]) == {"skipped"}
    assert all("has no fitter" in one for one in skipped["reason"])
