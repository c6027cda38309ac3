"""Cells of the matrix are geometric means of paired ratios; intervals hold for one picture together."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.outcomes.matrix import COLUMNS, matrix
from crossprune.harness.analysis.outcomes.scales import Outcome
from crossprune.harness.engine.results import by_pool

FORCE = "force_mae_ev_per_angstrom"
NAMES = ("ace", "gap", "snap")


def outcome(error, *, seeds=(0,), pools=(0,), fractions=(0.1, 0.5), better="lower"):
    """One force error per cell: ``error(chooser, fraction, (pool, seed), model)``, NaN if it failed."""
    rows = [
        {
            "dataset": "a",
            "pool": pool,
            "chooser": chooser,
            "method": "random" if chooser == "random" else "fps",
            "fraction": fraction,
            "seed": seed,
            "model": model,
            FORCE: error(chooser, fraction, (pool, seed), model),
        }
        for pool, seed, chooser, fraction, model in itertools.product(
            pools, seeds, ("random", *NAMES), fractions, NAMES
        )
    ]
    table = by_pool(pd.DataFrame(rows).assign(split="test", group="all"))
    table = table.assign(status=np.where(table[FORCE].isna(), "failed", "done"))
    return Outcome("force", "test", better, partial_errors(table, FORCE, "test"))


def test_a_cell_is_the_geometric_mean_of_ratios_paired_by_seed_and_pool():
    values = {}
    rng = np.random.default_rng(3)

    def error(*key):
        return values.setdefault(key, float(np.exp(rng.normal())))

    table = matrix([outcome(error, seeds=(0, 1), pools=(0, 1, 2))], {})
    assert list(table.columns) == COLUMNS
    assert len(table) == 2 * 4 * 3, "a row for every fraction, way and model, pools and seeds averaged"
    repeats = list(itertools.product((0, 1, 2), (0, 1)))
    for row in table.to_dict("records"):
        own = [values[row["chooser"], row["fraction"], one, row["model"]] for one in repeats]
        base = [values["random", row["fraction"], one, row["model"]] for one in repeats]
        assert row["value"] == pytest.approx(np.exp(np.mean(np.log(own))))
        if row["chooser"] == "random":
            assert np.isnan(row["ratio"])
            continue
        assert row["ratio"] == pytest.approx(np.exp(np.mean(np.log(own) - np.log(base))))
        assert row["low"] < row["ratio"] < row["high"]
        assert row["relation"] == ("own" if row["chooser"] == row["model"] else "other")
        assert row["n_pairs"] == len(repeats)


def test_a_lost_cell_loses_its_pair_and_is_counted():
    def error(chooser, fraction, repeat, model):
        lost = (chooser, fraction, repeat, model) == ("ace", 0.1, (0, 1), "gap")
        return np.nan if lost else 0.1 * (1 + 0.1 * repeat[1])

    table = matrix([outcome(error, seeds=(0, 1, 2))], {})
    hit = table[(table["chooser"] == "ace") & (table["fraction"] == 0.1)].set_index("model")
    assert hit["n_missing"].to_dict() == {"ace": 0, "gap": 1, "snap": 0}
    assert hit["n_pairs"].to_dict() == {"ace": 3, "gap": 2, "snap": 3}


def test_an_outcome_without_a_matrix_and_no_outcome_give_none():
    one = outcome(lambda *cell: 0.1)
    other = Outcome("force_p95", "test", "lower", one.cells)
    assert matrix([other], {}).empty
    assert list(matrix([], {}).columns) == COLUMNS


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "low", "high"), [(0.0, 0.0, 0.09), (0.5, 0.9, 1.0)], ids=["none", "one"])
def test_pictures_claim_a_difference_as_often_as_they_say(effect, low, high):
    """Of pictures without an effect one in twenty has a starred cell; one that is there is found."""
    rng = np.random.default_rng(7)
    claims = []
    for _ in range(200):
        luck = {pool: rng.normal(scale=0.05) for pool in range(6)}

        def error(chooser, fraction, repeat, model, luck=luck):
            shift = effect if (chooser, model) == ("ace", "gap") else 0.0
            shared = luck[repeat[0]] if chooser == "random" else 0.0
            return float(np.exp(shared - shift + rng.normal(scale=0.05)))

        table = matrix([outcome(error, pools=range(6), fractions=(0.1,))], {})
        found = table["verdict"].isin(["lower", "higher"])
        claims.append(
            bool(
                found.any()
                if not effect
                else found[table["chooser"].eq("ace") & table["model"].eq("gap")].all()
            )
        )
    assert low <= np.mean(claims) <= high
