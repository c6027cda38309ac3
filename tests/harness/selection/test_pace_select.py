"""MaxVol beside pace_select of python-ace 0.4.0rc1, which chooses by the same determinant."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.maxvol import active_set, independent, maxvol

PICKED = {
    7: [6, 13, 17, 20],
    14: [12, 19, 21, 22, 23, 25, 30, 36],
    15: [4, 5, 7, 14, 16],
    18: [0, 5, 6, 11, 21, 22, 25, 33, 37],
    21: [0, 3, 9, 10, 16],
    22: [0, 1, 14, 15, 25, 30, 34],
    29: [0, 8, 10, 21],
    30: [7, 9, 14, 18, 23, 24, 31, 32],
    33: [4, 9, 12, 14, 16],
    39: [0, 9, 13, 14, 17],
    41: [4, 9, 13, 19, 23],
    45: [3, 5, 6, 17, 19],
    46: [1, 5, 7, 15, 18, 21, 23, 25, 26],
}
"""Configurations that its `compute_active_set` chose: those 13 of 50 inputs on which both end in the same
maximum. Swaps of one row lead to many; they begin with rows that LU decomposition pivots on, we with QR's."""


def sample(number):
    rng = np.random.default_rng(number)
    n, k = (25, 4) if number % 2 else (40, 8)
    lengths = rng.integers(1, 6, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Candidates(rng.normal(size=(lengths.sum(), k)), offsets)


@pytest.mark.parametrize("number", PICKED)
def test_stored_picks(number):
    candidates, expected = sample(number), PICKED[number]
    picked = maxvol(candidates, len(expected), np.random.default_rng(0))
    assert sorted(picked.tolist()) == expected


def test_the_program_itself():
    """Where it is installed: the same sets, and on others volumes like its own."""
    compute_active_set = pytest.importorskip("pyace.activelearning", exc_type=ImportError).compute_active_set
    gains = []
    for number in range(50):
        candidates = sample(number)
        rows, owners = (
            independent(candidates.environments()),
            np.repeat(np.arange(candidates.n_configurations), candidates.sizes),
        )
        actives, found = compute_active_set({0: rows.copy()}, {0: owners}, tol=1.01, max_iters=300)
        if number in PICKED:
            assert sorted({int(owner) for owner in found[0]}) == PICKED[number]
        active, _ = active_set(rows.copy())
        gains.append(np.linalg.slogdet(rows[active])[1] - np.linalg.slogdet(actives[0])[1])
    assert abs(np.mean(gains)) < 0.2
    assert np.abs(gains).max() < 1.0
