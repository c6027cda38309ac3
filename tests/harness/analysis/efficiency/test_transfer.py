"""What is carried over is compared with what is not: planted gains are found, and no others claimed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.efficiency.drawn import drawn_curves
from crossprune.harness.analysis.efficiency.transfer import COLUMNS, carried, transfer_savings
from crossprune.harness.contract.transfer import Transfer

FORCE = "force_mae_ev_per_angstrom"
FRACTIONS = 2.0 ** -np.arange(6)[::-1]
N_FULL = 256
MODELS = {"snap-prior": ("snap", Transfer("prior"))}


def table(errors):
    """Lay out errors, model → shape (n_seeds, n_fractions), as a results table."""
    return pd.DataFrame(
        {
            "dataset": "x",
            "model": model,
            "chooser": "random",
            "method": "random",
            "fraction": fraction,
            "seed": seed,
            "split": "test",
            "group": "all",
            "status": "done",
            "fit_key": f"{model}/{seed}/{fraction}",
            "n_configurations": fraction * N_FULL,
            "n_labels": 3 * fraction * N_FULL,
            FORCE: error,
        }
        for model, square in errors.items()
        for seed, line in enumerate(square)
        for fraction, error in zip(FRACTIONS, line, strict=True)
    )


def savings(errors):
    found = transfer_savings(drawn_curves(table(errors), FORCE), MODELS)
    assert list(found.columns) == COLUMNS
    return found


def test_a_model_that_needs_a_quarter_of_the_labels_is_seen_to():
    """Errors fall as n^-1/2; with transfer they are those of four times as many labels: half the error."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.2, (5, 1))
    plain = np.exp(common - 0.5 * np.log(FRACTIONS) + rng.normal(0, 0.02, (5, 6)))
    found = savings({"snap": plain, "snap-prior": plain / 2 * np.exp(rng.normal(0, 0.02, (5, 6)))})
    assert found["n_labelled"].tolist() == (FRACTIONS * N_FULL).tolist()
    np.testing.assert_allclose(found["error_ratio"], 0.5, rtol=0.03)
    assert (found["verdict"] == "helps").all()
    assert ((found["error_ratio_low"] < 0.5) & (found["error_ratio_high"] > 0.5)).sum() >= 5
    near = found[found["fraction"] <= 0.25]
    np.testing.assert_allclose(near["labels_ratio"], 4.0, rtol=0.2)
    assert ((near["labels_ratio_low"] < 4.0) & (near["labels_ratio_high"] > 4.0)).all()
    assert np.isinf(found["labels_ratio"].iloc[-1]), "the plain model never gets there"


def test_what_does_harm_is_said_to():
    rng = np.random.default_rng(1)
    plain = np.exp(-0.5 * np.log(FRACTIONS) + rng.normal(0, 0.02, (5, 6)))
    found = savings({"snap": plain, "snap-prior": 1.5 * plain * np.exp(rng.normal(0, 0.02, (5, 6)))})
    assert (found["verdict"] == "harms").all()
    assert found["labels_ratio"].iloc[0] == 0.0, "the plain model is better from its smallest number on"
    assert (found["labels_ratio"].iloc[2:] < 1).all()


def test_without_a_difference_few_are_claimed():
    """Intervals of 95 %: of 600 comparisons without an effect about 30 are claimed."""
    rng = np.random.default_rng(2)
    claimed = []
    for _ in range(100):
        plain, other = (np.exp(-0.5 * np.log(FRACTIONS) + rng.normal(0, 0.1, (5, 6))) for _ in range(2))
        claimed += (savings({"snap": plain, "snap-prior": other})["verdict"] != "not shown").tolist()
    assert 0.02 < np.mean(claimed) < 0.09


def test_where_all_seeds_are_one_subset_nothing_is_claimed():
    """Of the whole set every seed has the same fit, so that a difference has no interval."""
    rng = np.random.default_rng(3)
    plain = np.exp(-0.5 * np.log(FRACTIONS) + rng.normal(0, 0.1, (4, 6)))
    plain[:, -1] = 1.0
    other = plain * 0.9
    last = savings({"snap": plain, "snap-prior": other}).iloc[-1]
    assert last["verdict"] == "not shown"
    assert last["error_ratio"] == pytest.approx(0.9)
    assert np.isnan(last["error_ratio_low"])


def test_models_are_told_by_family_and_options_not_by_names():
    toml = """
    [study]
    name = "x"
    datasets = ["si-pair"]
    models = ["mine", "other", "carried", "ace"]
    [options.mine]
    adapter = "snap"
    twojmax = 4
    [options.other]
    adapter = "snap"
    [options.carried]
    adapter = "snap"
    twojmax = 4
    transfer = "prior"
    references = "source"
    [transfer]
    source = "pbe"
    ways = ["delta"]
    """
    found = carried({"toml": toml})
    assert found["carried"] == ("mine", Transfer("prior", "source"))
    assert found["ace-delta"] == ("ace", Transfer("delta"))
    assert found["other-delta"] == ("other", Transfer("delta"))


def test_a_model_without_its_plain_one_is_passed_over():
    rng = np.random.default_rng(4)
    assert savings({"snap-prior": np.exp(rng.normal(0, 0.1, (3, 6)))}).empty
