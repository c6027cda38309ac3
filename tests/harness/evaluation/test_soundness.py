"""Exploded fits are named by a stated criterion and count as much as `mean`; sound ones are left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.contract import Predictions
from crossprune.harness.evaluation.soundness import CLIPS, as_mean, clipped, explosion, undetermined

SIZES = np.full(6, 4)


def predictions(scale=1.0, shift=0.0):
    rng = np.random.default_rng(0)
    energies = -40.0 + rng.normal(0, 1, 6) + shift
    return Predictions(energies, scale * rng.normal(size=(24, 3)), np.zeros((6, 6)))


@pytest.mark.parametrize(
    ("own", "others"),
    [
        (predictions(), predictions()),
        (predictions(0.0), predictions(0.0)),  # no forces at all: as good as `mean`
        (predictions(3.0), predictions(50.0)),
        (predictions(shift=2.0), predictions(shift=400.0)),
    ],
)
def test_poor_fits_are_sound(own, others):
    assert explosion(own, predictions(), SIZES, others, SIZES) == ""


@pytest.mark.parametrize(
    ("own", "others", "says"),
    [
        (predictions(20.0), predictions(), "training force error"),
        (predictions(shift=50.0), predictions(), "training energy error"),
        (predictions(), predictions(1e17), "largest force"),
        (predictions(), predictions(shift=1e12), "largest energy"),
    ],
)
def test_explosions_are_named(own, others, says):
    found = explosion(own, predictions(), SIZES, others, SIZES)
    assert found.startswith("exploded: ")
    assert says in found


def test_perfect_crystals_have_no_labels_to_compare_with_and_still_count_as_sound():
    none = Predictions(np.full(6, -40.0), np.zeros((24, 3)), np.zeros((6, 6)))
    near = Predictions(np.full(6, -40.1), np.full((24, 3), 0.01), np.zeros((6, 6)))
    assert explosion(near, none, SIZES, near, SIZES) == ""


def test_compositions_that_the_chosen_frames_leave_open_are_counted():
    compound = np.array([[2.0, 2.0], [8.0, 8.0]])
    assert undetermined(compound, 3 * compound) == ""
    assert undetermined(compound, np.array([[1.0, 2], [2, 2], [0, 1]])).startswith("compositions of 2 frames")
    assert undetermined(np.vstack([compound, [1.0, 2.0]]), np.array([[0.0, 1]])) == ""
    assert undetermined(np.array([[1.0, 0.0]]), np.array([[0.0, 1]])).startswith("compositions of 1 frames")


def test_means_take_the_score_of_mean_in_place_of_an_exploded_one():
    table = pd.DataFrame(
        {
            "flag": ["", "exploded: largest force 1e17", "compositions of 2 frames"],
            "force_mae_ev_per_angstrom": [0.1, 1e17, 0.2],
            **{name: [np.nan, 0.8, np.nan] for name in CLIPS},
        }
    )
    assert clipped(table)["force_mae_ev_per_angstrom"].tolist() == [0.1, 0.8, 0.2]
    assert table["force_mae_ev_per_angstrom"].tolist() == [0.1, 1e17, 0.2]


def test_mean_is_zero_forces_and_energies_per_element():
    found = as_mean(np.array([[1.0, 0], [0, 2]]), np.array([-3.0, -10]), np.array([[2.0, 1]]), 3)
    assert found.energies == pytest.approx([-11.0])
    assert not found.forces.any()
