"""What is gathered of a store is what its models predict, its table says and its choices hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.details import fits
from crossprune.harness.analysis.details.artefacts import Artefacts, gather
from crossprune.harness.analysis.details.fits import errors_of_fits, fits_of, looked_at, nearest, part_of
from crossprune.harness.analysis.details.gathered import details_of
from crossprune.harness.analysis.details.groups import ERRORS, errors_of_groups
from crossprune.harness.analysis.details.structures import files_of, within
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.harness.engine.results import read_overall
from crossprune.harness.engine.stored import stored_dataset, stored_potential, stored_subset
from crossprune.harness.engine.study import parse_study


def data_of(opened):
    return stored_dataset(opened.root, opened.overall["dataset_key"].iloc[0])


def test_energies_and_errors_by_force_are_those_of_the_stored_potential(opened):
    dataset = data_of(opened)
    rows = opened.details.fits
    assert len(rows) == 5 * 2 * 2 * 2, "ways, fractions below the full set, models, parts"
    for row in rows[rows["way"] == "composition · fps, max pooling"].to_dict("records"):
        potential = stored_potential(opened.root, row["fit_key"])
        labels = opened.details.parts.set_index("part").loc[row["part"]]
        frames = dataset.indices(row["part"])
        assert labels["n_frames"] == len(frames)
        pairs = [
            (length, np.abs(force - label).mean())
            for index in frames
            for length, label, force in zip(
                np.linalg.norm(forces_of(dataset.frames[index]), axis=1),
                forces_of(dataset.frames[index]),
                potential.predict(dataset.frames[index]).forces,
                strict=True,
            )
        ]
        assert labels["n_atoms"] == len(pairs)
        fifth = [sum(length >= edge for edge in labels["edges"]) for length, _ in pairs]
        for number in range(5):
            here = [pair for pair, one in zip(pairs, fifth, strict=True) if one == number]
            size, error = np.mean(here, axis=0)
            assert row["force_mae"][number] == pytest.approx(error)
            assert labels["sizes"][number] == pytest.approx(size)
        for index, label, predicted in zip(labels["frames"], labels["labels"], row["energies"], strict=True):
            atoms = dataset.frames[index]
            assert label == pytest.approx(energy_of(atoms) / len(atoms))
            assert predicted == pytest.approx(potential.predict(atoms).energy / len(atoms))


def test_every_force_component_is_counted_once_in_its_bin(opened):
    dataset, rng = data_of(opened), np.random.default_rng(0)
    part = part_of(dataset, "test", points=5, side=7)
    assert len(part.shown) == 5
    forces = part.forces + rng.normal(size=part.forces.shape)
    forces[0, 0], forces[1, 1] = 1e17, -1e17
    energies = rng.normal(size=len(part.frames))
    shown, filled, counts, n_beyond, _ = looked_at(part, dataset.sizes, energies, forces)
    low, high = part.ends
    expected = np.zeros((7, 7), dtype=int)
    for label, value in zip(part.forces.ravel(), forces.ravel(), strict=True):
        row, column = (int(np.clip((one - low) / (high - low) * 7, 0, 6)) for one in (label, value))
        expected[row, column] += 1
    assert np.flatnonzero(expected).tolist() == filled.tolist()
    assert expected.ravel()[filled].tolist() == counts.tolist()
    assert n_beyond == np.sum((forces < low) | (forces > high)) >= 2
    np.testing.assert_allclose(shown, (energies / dataset.sizes[part.frames])[part.shown])


def test_errors_by_group_are_means_of_the_whole_table(opened):
    whole = opened.whole
    rows = whole[
        (whole["group"] != "all") & (whole["fraction"] < 1) & whole["split"].isin(["test", "ood"])
    ].copy()
    is_random = rows["chooser"] == "random"
    pooled = np.where(rows["pooling"] == "max", ", max pooling", "")
    rows["way"] = np.where(is_random, "random", rows["chooser"] + " · " + rows["method"] + pooled)
    by = ["dataset", "way", "fraction", "model", "split", "group"]
    expected = rows.groupby(by)[ERRORS].mean().reset_index()
    found = opened.details.groups
    pd.testing.assert_frame_equal(found[[*by, *ERRORS]], expected, check_dtype=False)
    in_memory = errors_of_groups(whole)
    pd.testing.assert_frame_equal(in_memory, found, check_dtype=False)


def test_exploded_and_unfinished_cells_do_not_spoil_a_group(opened):
    whole = opened.whole.copy()
    gone = (whole["seed"] == 0) & (whole["fraction"] == 0.25)
    whole.loc[gone, ERRORS] = 1e17
    whole.loc[gone, "flag"] = "exploded: largest force"
    whole.loc[gone, [f"mean_{one}" for one in ERRORS]] = 2.5
    lost = (whole["seed"] == 1) & (whole["fraction"] == 0.5)
    whole.loc[lost, "status"] = "failed"
    found = errors_of_groups(whole).set_index("fraction")
    plain = opened.whole[(opened.whole["split"] == "test") & (opened.whole["group"] == "vacancy")]
    assert found[ERRORS].max().max() < 1e4
    kept = found[(found["group"] == "vacancy") & (found["way"] == "random") & (found["model"] == "mean")]
    seed = plain[(plain["chooser"] == "random") & (plain["model"] == "mean")].set_index(["seed", "fraction"])
    assert kept.loc[0.5, ERRORS[1]] == pytest.approx(seed.loc[(0, 0.5), ERRORS[1]])
    assert kept.loc[0.25, ERRORS[1]] == pytest.approx((2.5 + seed.loc[(1, 0.25), ERRORS[1]]) / 2)


def test_kept_groups_are_counted_beside_the_pool(opened):
    dataset, kept = data_of(opened), opened.details.kept
    train = [dataset.groups[index] for index in dataset.indices("train")]
    here = opened.overall[(opened.overall["chooser"] == "mean") & (opened.overall["pooling"] == "mean")]
    here = here[(here["fraction"] == 0.5) & (here["model"] == "mean") & (here["split"] == "test")]
    chosen = [stored_subset(opened.root, key) for key in here["fit_key"]]
    assert len(chosen) == 2
    found = kept[(kept["way"] == "mean · fps") & (kept["fraction"] == 0.5)].set_index("group")
    assert set(found.index) == set(train)
    for group, row in found.iterrows():
        counts = [sum(dataset.groups[index] == group for index in one) for one in chosen]
        assert row["n_chosen"] == pytest.approx(np.mean(counts))
        assert row["n_pool"] == train.count(group)


def test_predictions_are_looked_at_once(opened, monkeypatch):
    calls = []
    real = fits.predicted
    monkeypatch.setattr(fits, "predicted", lambda *given: calls.append(1) or real(*given))
    errors_of_fits(opened.root, opened.overall)
    assert not calls, "the store kept the tables"
    errors_of_fits(opened.root, opened.overall[opened.overall["model"] == "mean"])
    assert calls


def test_of_many_fits_those_near_a_tenth_are_looked_at(opened):
    some = fits_of(opened.overall)
    assert set(some["seed"]) == {0}
    assert set(some["fraction"]) == {0.25, 0.5}
    assert nearest(some, most=len(some)) is some
    assert set(nearest(some, most=len(some) - 1)["fraction"]) == {0.25}
    assert len(nearest(some, most=3)) == 3


def test_atoms_have_a_limit_and_small_frames_fill_it():
    sizes = np.array([50, 10, 10, 10, 500])
    drawn = within(sizes, 75)
    assert sizes[drawn].sum() <= 75
    assert within(sizes, 580).all()
    assert not within(sizes, 9).any()
    assert within(np.full(1000, 7), 700).sum() == 100


def test_a_table_without_a_store_has_its_groups(opened, tmp_path):
    found = details_of(tmp_path, opened.whole, Artefacts())
    pd.testing.assert_frame_equal(found.groups, opened.details.groups, check_dtype=False)
    assert found.study is None
    assert not found.structures
    assert found.fits.empty


def test_files_are_those_of_the_part_where_card_or_study_says():
    def study(source, table=None):
        return parse_study(
            {"study": {"name": "x", "datasets": [source], "models": ["mean"]}, "data": {source: table or {}}},
            "x",
        )

    by_part = files_of(study("mlearn-Mo"), "mlearn-Mo")
    assert by_part["train"] == ("data/Mo/training.json",)
    assert by_part["test"] == ("data/Mo/test.json",)
    assert set(files_of(study("mlearn-Mo", {"split": "random"}), "mlearn-Mo")["test"]) == {
        "data/Mo/training.json",
        "data/Mo/test.json",
    }
    own = files_of(study("runs/pool.extxyz", {"test": "runs/tested.extxyz"}), "runs/pool.extxyz")
    assert own == {"train": ("pool.extxyz",), "test": ("tested.extxyz",), "ood": ("pool.extxyz",)}


def test_a_study_that_only_chooses_has_structures_and_no_fits(finished, tmp_path):
    text = """
    [study]
    name = "chosen"
    datasets = ["si-pbe"]
    models = []
    choosers = ["composition"]
    fractions = [0.5]
    seeds = [0]
    [data.si-pbe]
    smoke = true
    """
    root = finished(tmp_path, text)
    overall = read_overall(root / "results.parquet")
    found = details_of(root, overall, gather(root, overall), root / "results.parquet")
    assert found.n_fits == len(found.fits) == len(found.parts) == len(found.groups) == 0
    (one,) = found.structures
    assert set(one.frames) == set(one.dataset.indices("train")), "the points of the map"
    assert set(found.chosen) == {("si-pbe", "random", 0.5), ("si-pbe", "composition · fps", 0.5)}
