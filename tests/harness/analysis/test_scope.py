"""How far ownership reaches, and how ways of choosing rank, where a study is no plain square."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.ranks import ranks
from crossprune.harness.analysis.scope import n_owners, scope

FORCE = "force_mae_ev_per_angstrom"
MODELS = ("ace", "gap", "snap")


def study(own=0.0, *, fractions=(0.1, 0.5), seeds=(0, 1, 2), datasets=("a",)):
    """Errors whose logarithms are sums of a chooser's, a model's and a fraction's, and a term for owners."""
    source = np.random.default_rng(0)
    quality = dict(zip((*MODELS, "random"), source.normal(0.0, 0.3, 4), strict=True))
    hardness = dict(zip(MODELS, source.normal(0.0, 0.5, 3), strict=True))
    axes = itertools.product(datasets, ("random", *MODELS), fractions, seeds, MODELS)
    rows = []
    for dataset, chooser, fraction, seed, model in axes:
        level = quality[chooser] + hardness[model] + source.normal(0.0, 0.004) + own * (chooser == model)
        rows.append((dataset, chooser, fraction, seed, model, np.exp(level) / fraction**0.3))
    columns = ["dataset", "chooser", "fraction", "seed", "model", FORCE]
    table = pd.DataFrame(rows, columns=columns).assign(split="test", group="all", status="done")
    return table.assign(method=np.where(table["chooser"] == "random", "random", "fps"))


def test_models_that_share_a_descriptor_are_one_of_it():
    results = study(np.log(0.8), fractions=(0.1,))
    twin = results[results["model"] == "snap"].assign(model="linear")
    results["relation"] = np.where(results["chooser"] == results["model"], "own", "other")
    twin["relation"] = np.where(twin["chooser"] == "snap", "own", "other")
    both = pd.concat([results, twin])
    found = scope(partial_errors(both, FORCE, "test"))
    assert found["n_descriptors"].tolist() == [3]
    assert found["ratio"].item() == pytest.approx(0.8, rel=0.01)
    assert n_owners(both) == 3


def test_kin_leaves_a_square_of_the_others():
    """Two variants of a family emptied the table, for no square has both."""
    names = {"ace": "ace", "gap": "snap6", "snap": "snap8"}
    results = study(np.log(0.8)).replace({"chooser": names, "model": names})
    kin = results["chooser"].str.startswith("snap") & results["model"].str.startswith("snap")
    own = results["chooser"] == results["model"]
    results["relation"] = np.select(
        [results["chooser"] == "random", own, kin], ["random", "own", "kin"], "other"
    )
    found = scope(partial_errors(results, FORCE, "test"))
    assert found["n_descriptors"].tolist() == [2]
    assert found["ratio"].item() == pytest.approx(0.8, rel=0.01)


def test_ranks_are_over_what_all_data_sets_and_ways_have():
    """Data sets with other choosers left no ranks; a way that was asked less was ranked by what was asked."""
    first = study(datasets=("a",))
    second = study(datasets=("b",))
    second = second[second["chooser"] != "gap"]
    some = (second["chooser"] == "snap") & (second["fraction"] < 0.3)  # its worst fraction was never asked
    both = pd.concat([first, second[~some]])
    found = ranks(partial_errors(both, FORCE, "test")).set_index("way")
    assert set(found.index) == {"random", "ace · fps", "snap · fps"}
    assert (found["n_blocks"] == 2).all()
    whole = ranks(partial_errors(pd.concat([first, second]), FORCE, "test")).set_index("way")
    assert found["rank"].equals(whole["rank"].reindex(found.index))
