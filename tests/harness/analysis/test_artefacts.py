from __future__ import annotations

import json
import shutil
import tomllib

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import statistics_of
from crossprune.harness.analysis.details.artefacts import Artefacts, gather, principal_axes
from crossprune.harness.analysis.spaces.predictions import predicted
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "x"
datasets = ["si-pbe"]
choosers = ["mean"]
fractions = [0.25, 1.0]
seeds = [0, 1]
models = ["mean"]
[data.si-pbe]
smoke = true
"""
FORCE = "force_mae_ev_per_angstrom"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    result = run(parse_study(tomllib.loads(STUDY), "x"), Store(folder), SerialExecutor())
    result.table.to_parquet(folder / "results.parquet")
    (folder / "provenance.json").write_text(json.dumps({"toml": STUDY}))
    return folder


@pytest.fixture
def results(root):
    return pd.read_parquet(root / "results.parquet")


@pytest.mark.parametrize(("n", "k"), [(200, 7), (7, 200)], ids=["tall", "wide"])
def test_a_plane_keeps_its_distances(n, k):
    rng = np.random.default_rng(0)
    plane = rng.normal(size=(n, 2)) * (3.0, 1.0)
    points = (plane - plane.mean(axis=0)) @ np.linalg.qr(rng.normal(size=(k, 2)))[0].T
    flat, shares = principal_axes(points)
    assert np.linalg.norm(flat[0] - flat[1]) == pytest.approx(np.linalg.norm(points[0] - points[1]))
    assert sum(shares) == pytest.approx(1.0)
    assert shares[0] > shares[1]
    assert flat[np.abs(flat[:, 0]).argmax(), 0] > 0


def test_a_space_of_one_axis_is_a_line():
    flat, shares = principal_axes(np.array([[-1.0], [0.0], [1.0]]))
    assert flat.tolist() == [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]
    assert shares == (1.0, 0.0)


def test_a_map_marks_what_was_chosen(root, results):
    (found,) = gather(root, results).maps
    assert found.space == "mean"
    assert len(found.groups) == len(found.points) == found.n_all
    kept = results[(results["fraction"] == 0.25) & (results["status"] == "done")]["n_configurations"]
    assert {len(chosen) for chosen in found.chosen.values()} == set(kept.astype(int))
    assert {way for way, _ in found.chosen} == {"random", "mean · fps"}


def test_parity_counts_every_component_of_unseen_frames(root, results):
    parity = gather(root, results).parity
    assert {(one.way, one.fraction, one.split) for one in parity} == {
        (way, fraction, split)
        for way, fraction in (("random", 0.25), ("mean · fps", 0.25), ("random", 1.0))
        for split in ("test", "ood")
    }
    for one in parity:
        row = results[(results["split"] == one.split) & (results["group"] == "all")].iloc[0]
        assert one.counts.sum() == 3 * row["n_eval_atoms"]


def test_parity_agrees_with_the_table(root, results):
    one = gather(root, results).parity[0]
    rows = results[(results["seed"] == one.seed) & (results["fraction"] == one.fraction)]
    row = rows[(rows["split"] == one.split) & (rows["group"] == "all") & (rows["chooser"] == "random")].iloc[
        0
    ]
    error = 1e3 * np.abs(np.diff(one.energies, axis=1)).mean()
    assert error == pytest.approx(row["energy_mae_mev_per_atom"], rel=1e-9)


def test_frames_that_a_model_saw_are_refused(root, results):
    store = Store(root)
    folder = store.path("fit", results["fit_key"].iloc[0])
    seen = np.load(folder / "subset.npy")
    with pytest.raises(ValueError, match="frames that the model was fitted to"):
        predicted(folder, seen[:1], np.full(1000, 2))


def test_a_pruned_store_gives_less_and_no_error(root, results, tmp_path):
    pruned = tmp_path / "pruned"
    shutil.copytree(root, pruned)
    for stage in ("features", "fit", "selection"):
        shutil.rmtree(pruned / "objects" / stage)
    found = gather(pruned, results)
    assert (found.maps, found.parity, found.per_configuration) == ((), (), False)
    assert found.overlap is not None
    assert found.overlap.empty
    assert len(statistics_of(pruned, results)["answer"]) > 0


def test_a_table_alone_gives_nothing(results, tmp_path):
    assert gather(tmp_path, results) == Artefacts()
    assert list(tmp_path.iterdir()) == []
