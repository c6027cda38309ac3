"""Errors by the size of the force and by distance to the chosen set: against naive sums, and planted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse, read_results
from crossprune.harness.analysis.spaces.chosen import chosen_subsets
from crossprune.harness.analysis.spaces.described import of_errors
from crossprune.harness.analysis.spaces.errors import (
    MECHANISM,
    Errors,
    _mechanism,
    edges_of,
    errors_by,
    fifths,
)
from crossprune.harness.data.frames import forces_of
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.stored import stored_dataset, stored_potential, stored_subset
from crossprune.harness.engine.study import parse_study
from crossprune.harness.lookup import resolve
from crossprune.harness.store.objects import Store
from crossprune.harness.tables import parse_toml
from scipy.stats import spearmanr

STUDY = """
[study]
name = "errors"
datasets = ["si-pbe"]
models = ["chimes", "mean"]
choosers = ["chimes", "composition"]
fractions = [0.2, 0.5]
seeds = [0, 1]
[data.si-pbe]
smoke = true
[options.chimes]
order_2b = 8
order_3b = 4
cutoff_3b = 4.0
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("errors")
    result = run(parse_study(parse_toml(STUDY.encode(), "x"), "x"), Store(folder), SerialExecutor())
    result.write(folder / "results.parquet")
    (folder / "provenance.json").write_text(json.dumps({"toml": STUDY}))
    return folder


@pytest.mark.slow
def test_tables_are_what_naive_sums_give(store):
    results, tables = read_results(store), analyse(store)
    cell = results[
        (results["model"] == "chimes")
        & (results["chooser"] == "chimes")
        & (results["fraction"] == 0.2)
        & (results["split"] == "test")
        & (results["group"] == "all")
    ]
    found, ranks = [], []
    for row in cell.to_dict("records"):
        dataset, potential = (
            stored_dataset(store, row["dataset_key"]),
            stored_potential(store, row["fit_key"]),
        )
        spec = resolve("chimes", parse_study(parse_toml(STUDY.encode(), "x"), "x").options)
        features = [spec.make(("Si",)).features(atoms) for atoms in dataset.frames]
        train = np.concatenate([features[i] for i in dataset.indices("train")])
        kept = train.std(axis=0) > 1e-9
        middle, width = train.mean(axis=0)[kept], train.std(axis=0)[kept]
        chosen = np.concatenate([features[i] for i in stored_subset(store, row["fit_key"])])
        chosen = (chosen[:, kept] - middle) / width
        errors, distances, sizes = [], [], []
        for index in dataset.indices("test"):
            atoms = dataset.frames[index]
            forces = forces_of(atoms)
            errors += np.abs(potential.predict(atoms).forces - forces).mean(axis=1).tolist()
            sizes += np.linalg.norm(forces, axis=1).tolist()
            here = (features[index][:, kept] - middle) / width
            distances += [np.linalg.norm(chosen - vector, axis=1).min() for vector in here]
        edges = np.quantile(sizes, [0.2, 0.4, 0.6, 0.8])
        places = [sum(size >= edge for edge in edges) for size in sizes]
        found.append([np.mean(np.array(errors)[np.array(places) == fifth]) for fifth in range(5)])
        ranks.append(spearmanr(distances, errors).statistic)
    table = tables["errors_by_force"]
    mine = table[(table["model"] == "chimes") & (table["way"] == "chimes · fps") & (table["fraction"] == 0.2)]
    mine = mine[mine["part"] == "test"].sort_values("fifth")
    np.testing.assert_allclose(mine["force_mae"], np.mean(found, axis=0), rtol=1e-6)
    assert mine["force"].is_monotonic_increasing

    by_distance = tables["errors_by_distance"]
    shares = by_distance.groupby(["way", "fraction", "model", "part", "space"])["share"].sum()
    np.testing.assert_allclose(shares, 1.0)
    assert set(by_distance["space"]) == {"chimes", "composition"}
    assert set(by_distance.loc[by_distance["own"], "space"]) == {"chimes"}
    assert set(by_distance.loc[by_distance["own"], "model"]) == {"chimes"}
    assert set(tables["mechanism"]["model"]) == {"chimes", "mean"}


@pytest.mark.slow
def test_a_store_without_fits_has_empty_tables(store):
    results = read_results(store)
    nothing = errors_by(
        store,
        results.assign(fit_key=""),
        pd.DataFrame(columns=["dataset", "way", "fraction", "seed", "subset", "n_train"]),
    )
    assert all(table.empty for table in nothing.values())


@pytest.mark.slow
def test_cells_that_share_a_fit_have_rows_of_their_own(store):
    """Another chooser took the same sets: nothing new is fitted, and what was kept before is not enough."""
    results = read_results(store)
    of_errors(store, results, chosen_subsets(store, results))
    twin = results[results["chooser"] == "chimes"].assign(chooser="twin")
    both = pd.concat([results, twin], ignore_index=True)
    table = of_errors(store, both, chosen_subsets(store, both))["errors_by_force"]
    values = [table.loc[table["way"] == f"{name} · fps", "force_mae"].tolist() for name in ("chimes", "twin")]
    assert values[0] == values[1] != []


def planted(slope, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    distances = rng.uniform(size=300) + shift
    errors = slope * distances + rng.uniform(size=300)
    names = ("x", f"way {seed}", 0.1, 0, "snap")
    return Errors(names, "test", np.arange(300), rng.uniform(size=300), errors), distances


def test_planted_mechanisms_are_found_and_none_where_there_is_none():
    rows = []
    for slope in (5.0, 0.0):
        sets = [planted(slope, seed, shift=0.3 * seed) for seed in range(12)]
        distances = {(*one.names[:-1], "test", "ace"): values for one, values in sets}
        rows += _mechanism([one for one, _ in sets], distances, {("ace", "snap")})
    effect, none = pd.DataFrame(rows, columns=MECHANISM).to_dict("records")
    assert effect["own"]
    assert effect["within"] > 0.9
    assert effect["between"] > 0.9
    assert effect["n_sets"] == 12
    assert abs(none["within"]) < 0.1
    assert abs(none["between"]) < 0.8


def test_fifths():
    values = np.arange(10.0)
    assert np.bincount(fifths(values, edges_of(values))).tolist() == [2, 2, 2, 2, 2]
    assert set(fifths(np.zeros(4), edges_of(np.zeros(4)))) == {4}
