"""Ways beside their own kind: masks beside wholes of as many labels, ways beside controls of their shares."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import labelled, partial_errors
from crossprune.harness.analysis.comparisons import compare

FORCE = "force_mae_ev_per_angstrom"
CHOOSERS = ("gap", "random", "snap")


def study(error):
    """One test row per cell, whole and masked; ``error`` takes chooser, seed and mask."""
    axes = itertools.product(CHOOSERS, (0.1, 0.5, 1.0), (0, 1, 2), ("gap", "snap"), ("none", "atoms"))
    rows = [
        {
            "chooser": chooser,
            "method": "random" if chooser == "random" else "fps_atoms",
            "fraction": fraction,
            "seed": seed,
            "model": model,
            "mask": mask,
            "fit_key": f"{chooser}-{fraction}-{seed}-{model}-{mask}",
            FORCE: error(chooser, seed, mask),
        }
        for chooser, fraction, seed, model, mask in axes
    ]
    settled = {"dataset": "a", "split": "test", "group": "all", "status": "done", "budget": "labels"}
    return pd.DataFrame(rows).assign(**settled)


def test_masks_are_compared_with_their_wholes_and_with_random_masks():
    quality = {"random": 1.0, "gap": 0.8, "snap": 1.2}

    def error(chooser, seed, mask):
        gain = {"gap": 0.5, "random": 2.0}.get(chooser, 1.0) if mask == "atoms" else 1.0
        return gain * quality[chooser] * (1 + 0.01 * seed)

    table = compare(partial_errors(study(error), FORCE, "test"))["choosers"]
    found = table[table["model"] == "all"].set_index("comparison")["ratio"]
    ratios = {
        "gap · fps_atoms, labels budget / random": 0.8,
        "gap · fps_atoms, atoms mask, labels budget / random": 0.8 * 0.5 / 2.0,
        "gap · fps_atoms, atoms mask, labels budget / whole": 0.5,
        "snap · fps_atoms, labels budget / random": 1.2,
        "snap · fps_atoms, atoms mask, labels budget / random": 1.2 / 2.0,
        "snap · fps_atoms, atoms mask, labels budget / whole": 1.0,
        "random, atoms mask, labels budget / whole": 2.0,
    }
    assert found.to_dict() == pytest.approx(ratios, rel=1e-9)


def test_a_study_without_masks_has_no_rows_of_them():
    results = study(lambda chooser, seed, mask: 1.0 + 0.01 * seed)
    whole = results[results["mask"] == "none"]
    tables = [
        compare(partial_errors(one, FORCE, "test"))["choosers"] for one in (whole, whole.drop(columns="mask"))
    ]
    assert not tables[0]["comparison"].str.contains("mask|whole").any()
    pd.testing.assert_frame_equal(*tables)


def test_overlap_with_the_test_set_is_not_read_from_masks():
    results = study(lambda chooser, seed, mask: 1.0 + 0.01 * seed)
    n_chosen = np.where(results["mask"] == "atoms", 70, 80 * results["fraction"])
    found = partial_errors(results.assign(n_eval_configurations=20, n_configurations=n_chosen), FORCE, "test")
    masked = found["method"].str.contains("mask")
    assert masked.any()
    assert found.loc[masked, "overlap"].isna().all()
    assert np.allclose(found.loc[~masked, "overlap"], 0.25)


def test_no_mask_goes_without_saying():
    table = pd.DataFrame({"method": ["fps_atoms"] * 2, "mask": ["none", "atoms"]})
    assert labelled(table)["method"].tolist() == ["fps_atoms", "fps_atoms, atoms mask"]


def test_controls_are_nobodys_and_each_way_stands_beside_its_own():
    """What is drawn with a chooser's shares is no choice of its descriptor, and dilutes no verdict."""
    quality = {"random": 1.0, "gap": 0.8, "snap": 1.2}
    results = study(lambda chooser, seed, mask: quality[chooser] * (1 + 0.01 * seed))
    plain = results[results["mask"] == "none"].assign(budget="configurations")
    described = plain[plain["chooser"] != "random"]
    controls = described.assign(
        method="fps_atoms@shares",
        fit_key=described["fit_key"] + "c",
        **{FORCE: 0.95 * (1 + 0.01 * described["seed"])},
    )
    without = compare(partial_errors(plain, FORCE, "test"))
    tables = compare(partial_errors(pd.concat([plain, controls], ignore_index=True), FORCE, "test"))
    columns = ["comparison", "model", "ratio", "n_pairs"]
    pd.testing.assert_frame_equal(tables["answer"][columns], without["answer"][columns])
    table = tables["choosers"]
    found = table[table["model"] == "all"].set_index("comparison")["ratio"]
    ratios = {
        "gap · fps_atoms / random": 0.8,
        "gap · fps_atoms@shares / random": 0.95,
        "gap · fps_atoms / shares": 0.8 / 0.95,
        "snap · fps_atoms / random": 1.2,
        "snap · fps_atoms@shares / random": 0.95,
        "snap · fps_atoms / shares": 1.2 / 0.95,
    }
    assert found.to_dict() == pytest.approx(ratios, rel=1e-9)


def test_masks_stand_beside_the_wholes_of_a_study_and_not_among_them():
    """Where not every model can be masked, own / random would be over other models than own / other."""
    quality = {"random": 1.0, "gap": 0.8, "snap": 1.2}
    results = study(
        lambda chooser, seed, mask: quality[chooser] * (9.0 if mask == "atoms" else 1.0) * (1 + 0.01 * seed)
    )
    columns = ["comparison", "model", "ratio", "n_pairs"]
    answers = [
        compare(partial_errors(table, FORCE, "test"))["answer"][columns]
        for table in (results, results[results["mask"] == "none"])
    ]
    pd.testing.assert_frame_equal(*answers)
    alone = compare(partial_errors(results[results["mask"] == "atoms"], FORCE, "test"))["answer"]
    assert (alone["n_pairs"] > 0).any()
