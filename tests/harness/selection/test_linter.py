"""The linter finds what is planted, and nothing in spaces that are healthy."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.linter import determined_by, effect, follows_size, lint

RNG = np.random.default_rng(0)
SIZES = RNG.integers(4, 40, 60)
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)])
OWNER = np.repeat(np.arange(60), SIZES)


def features(k=6):
    """Features of atoms whose means differ between configurations, and not by their size."""
    rng = np.random.default_rng(1)
    return 3.0 + rng.normal(size=(60, k))[OWNER] + rng.normal(size=(len(OWNER), k))


def linted(values, *, offsets=OFFSETS, volumes=None, compositions=None, **axes):
    n = len(offsets) - 1
    volumes = np.random.default_rng(2).uniform(15.0, 25.0, n) if volumes is None else volumes
    compositions = np.ones((n, 1)) if compositions is None else compositions
    return {one.finding: one for one in lint(Candidates(values, offsets, **axes), volumes, compositions)}


def test_a_healthy_space_has_no_findings():
    assert linted(features()) == {}
    assert linted(features(), pooling="mean_std") == {}


def test_noise_that_all_columns_of_unit_deviation_raise_is_an_error():
    """Means of force rows vanish by Newton's third law: half of a published space is rounding."""
    rows = features()
    rows -= (np.add.reduceat(rows, OFFSETS[:-1]) / SIZES[:, None])[OWNER]
    raised = linted(rows, pooling="mean_std", scaling="standard_all")["rounding noise"]
    assert (raised.level, raised.n_columns) == ("error", 6)
    assert raised.share == pytest.approx(0.5)
    assert raised.changed > 0.3
    alone = linted(rows, pooling="mean", scaling="standard")
    assert alone["nothing varies"].level == "error"
    assert linted(rows, pooling="mean", scaling="standard_all")["rounding noise"].share == pytest.approx(1.0)
    left_out = linted(rows, pooling="mean_std", scaling="standard")["rounding noise"]
    assert (left_out.level, left_out.changed) == ("note", 0.0)
    assert left_out.share == pytest.approx(0.0, abs=1e-12)


def test_an_energy_row_among_force_rows_encodes_the_number_of_atoms():
    """The mean over 3N + 1 rows is the energy row over 3N + 1."""
    rng = np.random.default_rng(3)
    blocks = []
    for size in SIZES:
        forces = rng.normal(size=(3 * size, 4))
        energy = 5.0 + 0.2 * rng.normal(size=(1, 4))
        blocks.append(np.vstack([energy, forces - forces.mean(axis=0)]))
    offsets = np.concatenate([[0], np.cumsum(3 * SIZES + 1)])
    found = linted(np.vstack(blocks), offsets=offsets, pooling="mean_std")["number of atoms"]
    assert (found.level, found.n_columns) == ("error", 4)
    assert found.share == pytest.approx(0.5)
    assert "number of atoms" not in linted(np.vstack(blocks), offsets=offsets, pooling="std")
    assert linted(features(), pooling="sum")["number of atoms"].level == "error"
    assert follows_size(np.ones((5, 2)), np.full(5, 8)).tolist() == [False, False]


def test_columns_of_volume_and_composition_are_found():
    volumes = np.linspace(10.0, 30.0, 60)
    shares = np.random.default_rng(4).dirichlet([1.0, 1.0, 1.0], 60)
    values = np.column_stack([features(2), volumes[OWNER] ** 2, (shares @ [1.0, 2.0, 5.0])[OWNER]])
    found = linted(values, volumes=volumes, compositions=shares)
    assert found["volume per atom"].n_columns == found["composition"].n_columns == 1
    assert found["volume per atom"].share == pytest.approx(0.25)
    assert not determined_by(np.random.default_rng(5).normal(size=(60, 3)), volumes[:, None]).any()


def test_constant_and_duplicate_columns_are_notes():
    values = features(3)
    found = linted(np.column_stack([values, np.full(len(values), 2.0), 3.0 * values[:, 0] + 1.0]))
    assert (found["constant columns"].n_columns, found["duplicate columns"].n_columns) == (1, 1)
    assert {one.level for one in found.values()} == {"note"}


def test_spaces_in_which_nothing_or_everything_is_far_are_said():
    assert linted(np.ones((60, 3)), offsets=np.arange(61))["nothing varies"].level == "error"
    alike = np.random.default_rng(6).normal(size=(40, 3000))
    found = linted(alike, offsets=np.arange(41))
    assert found["distances agree"].level == "warning"
    assert found["fewer points than columns"].level == "note"
    line = np.random.default_rng(7).normal(size=(60, 3)) * [10.0, 0.1, 0.1]
    assert linted(line, offsets=np.arange(61), scaling="none")["one direction"].level == "warning"


def test_an_effect_is_what_is_another_without_the_columns():
    points = np.random.default_rng(8).normal(size=(60, 4)) * [1.0, 1.0, 1.0, 9.0]
    candidates = Candidates(points, np.arange(61), scaling="none")
    share, changed = effect(candidates, np.array([False, False, False, True]))
    centred = np.square(points - points.mean(axis=0)).sum(axis=0)
    assert share == pytest.approx(centred[3] / centred.sum())
    assert changed > 0.3
    assert effect(candidates, np.zeros(4, dtype=bool)) == (0.0, 0.0)


def test_kinds_that_differ_in_size_are_no_fault_of_means_over_atoms():
    """Crystals of 8 atoms and liquids of 16: whatever tells them apart follows the number of atoms."""
    rng = np.random.default_rng(0)
    sizes = np.repeat([8, 16], 30)
    features = np.repeat(
        rng.normal(size=(60, 6)) * 0.05 + np.where(sizes == 8, 1.0, 2.0)[:, None], sizes, axis=0
    )
    candidates = Candidates(features, np.concatenate([[0], np.cumsum(sizes)]))
    volumes, shares = np.full(60, 20.0), np.ones((60, 1))
    levels = {
        intensive: {one.finding: one.level for one in lint(candidates, volumes, shares, intensive=intensive)}
        for intensive in (True, False)
    }
    assert levels[False]["number of atoms"] == "error"
    assert levels[True]["number of atoms"] == "note"
    assert "error" not in levels[True].values()
