"""Values on an end of their scale hide differences, and the sentence says how many there are."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.comparisons import compare
from crossprune.harness.analysis.outcomes import scales
from crossprune.harness.analysis.outcomes.compared import compare_outcomes
from crossprune.harness.engine.results import by_pool
from crossprune.reports.wording import answer

MODELS = ("ace", "snap")
FORCE = "force_mae_ev_per_angstrom"


def results(groups=("",)):
    """A square with random, of one data set; one pool for each held-out group."""
    source = np.random.default_rng(0)
    axes = itertools.product(enumerate(groups), ("random", *MODELS), (0.1, 0.5), range(3), MODELS)
    rows = [
        (1000 * bool(group) + pool, group, chooser, fraction, seed, model, source.lognormal(0.0, 0.05))
        for (pool, group), chooser, fraction, seed, model in axes
    ]
    columns = ["pool", "held_out", "chooser", "fraction", "seed", "model", FORCE]
    table = pd.DataFrame(rows, columns=columns).assign(dataset="a", split="test", group="all", status="done")
    table["method"] = np.where(table["chooser"] == "random", "random", "fps")
    keys = table[columns[:-1]].astype(str).agg("-".join, axis=1)
    return table.assign(cell=keys, fit_key=keys)


CELLS = partial_errors(results(), FORCE, "test")


def own_other(outcome):
    table = compare_outcomes([outcome], {})["outcomes"].assign(metric=outcome.name)
    return table[table["comparison"] == "own / other"].to_dict("records")[0]


def test_ramps_that_reach_the_top_are_counted_and_said():
    """All of 288 ramps of one model ended at the top, and the verdict spoke as if they had failed there."""
    rows = CELLS[["cell", "fit_key", "model", "chooser"]].assign(
        dataset="a", ensemble="ramp", status="done", failure="", survival_ps=1.0, velocity_seed=0
    )
    whole = rows["model"] == "snap"
    kelvin = np.random.default_rng(1).uniform(1000.0, 1500.0, len(rows))
    rows["survived"], rows["survival_temperature_k"] = whole, np.where(whole, 2000.0, kelvin)
    at_once = ~whole & (rows["chooser"] == "random")
    rows.loc[at_once, "survival_temperature_k"] = 20.0
    [outcome] = scales.dynamics_outcomes(CELLS, rows)
    table = compare_outcomes([outcome], {})["outcomes"].set_index("comparison")["at_end"]
    assert table["own / other"] == pytest.approx(0.5)  # random takes no part
    assert table["own / random"] == pytest.approx(0.75)
    [sentence] = answer([own_other(outcome)])
    assert "50 % of the values are at an end of their scale, where differences hide" in sentence


def test_properties_that_are_good_enough_or_lost_are_counted():
    rows = CELLS[["cell", "fit_key"]].assign(structure="bcc", property="c11_gpa", status="done")
    rows = rows.assign(reference=100.0, error=np.resize([0.5, 5.0, 5.0, 900.0], len(rows)))
    found = next(iter(scales.property_outcomes(CELLS, rows))).cells["at_end"]
    assert found.tolist() == np.resize([1.0, 0.0, 0.0, 1.0], len(rows)).tolist()
    [sentence] = answer(compare(CELLS, primary="own / other")["answer"].head(1).to_dict("records"))
    assert "end of their scale" not in sentence


@pytest.mark.parametrize(
    ("groups", "unit"), [(("",), "seed"), (("", ""), "pool"), (("x", "y", "z"), "group")]
)
def test_what_is_independent_is_named(groups, unit):
    """Groups that are held out in turn were called pools."""
    table = by_pool(results(groups))
    found = compare(partial_errors(table, FORCE, "test"), primary="own / other")["answer"]
    assert set(found["repeat"]) == {unit}
    [sentence] = answer(found[(found["model"] == "all") & (found["role"] == "primary")].to_dict("records"))
    n_seeds = 3 * len(groups)
    words = f"{n_seeds} seeds" if unit == "seed" else f"{len(groups)} {unit}s with {n_seeds} seeds"
    assert f"pairs, {words}" in sentence
