"""Frames that cannot be meant: own images too close, flat cells, impossible labels, reserved groups."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from crossprune.harness.data.frames import label
from crossprune.harness.data.validation import MIN_DISTANCE, check_frame, too_close
from crossprune.harness.errors import DataError


def frame(cell, positions=((0, 0, 0),), *, group="bulk", pbc=True, **labels) -> Atoms:
    atoms = Atoms(f"Cu{len(positions)}", positions, cell=cell, pbc=pbc)
    values = {"energy": -1.0, "forces": np.zeros((len(atoms), 3)), "stress": None, **labels}
    return label(atoms, **values, group=group)


@pytest.mark.parametrize("length", [0.05, 0.2, 0.29, 0.31, 3.0])
@pytest.mark.parametrize("skew", [0, 1, 7])
def test_an_own_image_counts(length, skew):
    short = np.array([length, 0, 0])
    cell = np.array([[0, 3.0, 0] + skew * short, short, [0.4, 0, 4.0] + 3 * skew * short])
    assert too_close(frame(cell)) == (length < MIN_DISTANCE)


def test_a_short_vector_along_an_open_direction_is_no_image():
    assert not too_close(frame(np.diag([3.0, 3.0, 0.1]), pbc=(True, True, False)))


@pytest.mark.parametrize("seed", range(40))
def test_thin_and_skewed_cells_against_a_neighbour_list(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(0.4, 1.5, 3)) + rng.normal(0, 0.1, (3, 3))
    cell[1] += rng.integers(-3, 4) * cell[0]
    pbc = rng.random(3) < 0.8
    atoms = frame(cell, rng.uniform(0, 1, (2, 3)) @ cell, pbc=pbc)
    expected = len(neighbor_list("i", atoms, MIN_DISTANCE)) > 0
    assert too_close(atoms) == expected


@pytest.mark.parametrize("height", [0.0, 1e-14, 1e-9, 1e-4])
def test_a_flat_cell_is_refused_at_once(height):
    cell = np.array([[3.0, 0, 0], [0, 3.0, 0], [np.pi, 3**0.5, height]])
    began = time.monotonic()
    with pytest.raises(DataError, match=r"the cell has no volume|closer than 0\.3"):
        check_frame(frame(cell), "here")
    assert time.monotonic() - began < 0.5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"energy": 1e200}, r"energy of 1e\+200 eV per atom is impossible"),
        ({"forces": np.full((1, 3), -1e200)}, r"forces of 1e\+200 eV/Å is impossible"),
        (
            {"stress": np.array([1e4, 0, 0, 0, 0, 0])},
            r"stress of 1e\+04 eV/Å³ is impossible .*in bar or kbar",
        ),
    ],
)
def test_impossible_labels(labels, message):
    with pytest.raises(DataError, match=f"here: {message}"):
        check_frame(frame(3 * np.eye(3), **labels), "here")


def test_positions_of_no_crystal():
    with pytest.raises(DataError, match="here: a position or cell vector is beyond 1e"):
        check_frame(frame(3 * np.eye(3), [[1e200, 0, 0]]), "here")


@pytest.mark.parametrize("group", ["all", "All", " all", "", "a\nb", "a\0b", "x" * 5000])
def test_groups_that_results_could_not_show(group):
    with pytest.raises(DataError, match=r"here: .*group's name.*(rename the group in the file)"):
        check_frame(frame(3 * np.eye(3), group=group), "here")


@pytest.mark.parametrize("group", ["none", "3", "surface, (1 1 1)", "[bold]x[/y]", "Ångström"])
def test_groups_that_it_can_show(group):
    atoms = frame(3 * np.eye(3), group=group)
    assert isinstance(atoms.calc, SinglePointCalculator)
    check_frame(atoms, "here")
