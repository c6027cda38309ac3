"""Slopes, factors and windows against their definitions, and what turning a frame does to them."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.evaluation.softening import slopes as module
from crossprune.harness.evaluation.softening.histogram import EDGES, counts
from crossprune.harness.evaluation.softening.slopes import (
    SMALLEST,
    Forces,
    r2,
    scale,
    slope,
    sums_of,
    tells,
    theil_sen,
)
from scipy import stats
from scipy.spatial.transform import Rotation


def made(sizes=(4, 0, 7, 2), seed=0, mean=0.3):
    """Forces of configurations whose components have a mean, as parts of frames have."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(mean, 1.0, (sum(sizes), 3))
    predicted = 0.8 * reference + rng.normal(0.1, 0.4, reference.shape)
    return Forces(reference, predicted, np.array(sizes))


def each(forces):
    """Yield reference and prediction of each configuration."""
    cuts = np.cumsum(forces.sizes)[:-1]
    yield from zip(np.split(forces.reference, cuts), np.split(forces.predicted, cuts), strict=True)


def test_slopes_are_those_of_a_fitted_line():
    forces = made()
    sums = sums_of(forces)
    for row, (F, f) in zip(sums, each(forces), strict=True):
        if len(F):
            assert slope(row) == pytest.approx(np.polyfit(F.ravel(), f.ravel(), 1)[0])
            assert r2(row) == pytest.approx(stats.linregress(F.ravel(), f.ravel()).rvalue ** 2)
    x, y = forces.reference.ravel(), forces.predicted.ravel()
    assert slope(sums.sum(axis=0)) == pytest.approx(np.polyfit(x, y, 1)[0])
    assert r2(sums.sum(axis=0)) == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)


def test_the_scale_has_the_least_squared_error():
    forces = made()
    total = sums_of(forces).sum(axis=0)
    tried = np.linspace(0.5, 2.0, 1501)
    errors = [np.square(c * forces.predicted - forces.reference).sum() for c in tried]
    assert scale(total) == pytest.approx(tried[np.argmin(errors)], abs=1e-3)
    found = np.linalg.lstsq(forces.predicted.reshape(-1, 1), forces.reference.ravel(), rcond=None)[0]
    assert scale(total) == pytest.approx(found[0])


def test_slope_times_scale_is_r2_where_forces_add_up_to_zero():
    forces = made((6, 6))
    centred = [(F - F.mean(axis=0), f - f.mean(axis=0)) for F, f in each(forces)]
    forces = Forces(*(np.concatenate(one) for one in zip(*centred, strict=True)), forces.sizes)
    sums = sums_of(forces)
    np.testing.assert_allclose(slope(sums) * scale(sums), r2(sums))
    assert (slope(sums) < 1).all()


def test_theil_and_sen_is_the_median_of_all_pairs():
    forces = made((5, 3))
    forces.reference[0, 1] = forces.reference[0, 0]  # a pair without a slope
    found = theil_sen(forces, np.array([True, True]))
    for value, (F, f) in zip(found, each(forces), strict=True):
        x, y = F.ravel(), f.ravel()
        pairs = [
            (y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[j] != x[i]
        ]
        assert value == pytest.approx(np.median(pairs))
        assert value == pytest.approx(stats.theilslopes(y, x).slope)
    assert np.isnan(theil_sen(forces, np.array([False, False]))).all()


def test_theil_and_sen_of_a_large_frame_is_of_some_atoms_and_always_the_same(monkeypatch):
    forces = made((120,))
    whole = theil_sen(forces, np.array([True]))
    monkeypatch.setattr(module, "N_SAMPLED", 60)
    some = theil_sen(forces, np.array([True]))
    assert some != whole
    assert some == theil_sen(forces, np.array([True]))
    assert some == pytest.approx(whole, abs=0.1)  # five standard errors of 180 components


def test_turning_frames_changes_no_scale_but_what_looks_at_components():
    forces = made((5, 8, 9))
    turns = Rotation.random(3, random_state=np.random.default_rng(1))
    turned = [(turn.apply(F), turn.apply(f)) for turn, (F, f) in zip(turns, each(forces), strict=True)]
    other = Forces(*(np.concatenate(one) for one in zip(*turned, strict=True)), forces.sizes)
    before, after = sums_of(forces), sums_of(other)
    np.testing.assert_allclose(scale(after), scale(before))
    assert scale(after.sum(axis=0)) == pytest.approx(scale(before.sum(axis=0)))
    inside = [sums_of(one.within(0.5, 1.5))[:, 3:] for one in (forces, other)]
    np.testing.assert_allclose(*inside)
    every = np.full(3, True)
    for changed in (theil_sen(forces, every) - theil_sen(other, every), slope(before) - slope(after)):
        assert (
            np.abs(changed).max() > 1e-3
        )  # an intercept is one for x, y and z, and forces do not add up to 0
    assert np.abs(other.predicted - other.reference).mean() != pytest.approx(
        np.abs(forces.predicted - forces.reference).mean(), rel=1e-4
    )


def test_turning_frames_whose_forces_add_up_to_zero_changes_no_slope():
    turn = Rotation.random(random_state=np.random.default_rng(2))
    F, f = (one - one.mean(axis=0) for one in (made((9,)).reference, made((9,)).predicted))
    sums = [sums_of(Forces(*pair, np.array([9]))) for pair in ((F, f), (turn.apply(F), turn.apply(f)))]
    assert slope(sums[0]) == pytest.approx(slope(sums[1]))


def test_windows_that_adjoin_share_no_atom_and_lose_none():
    forces = made()
    forces.reference[0] = [0.0, 0.6, 0.8]  # on the edge: above it
    low, high = forces.within(0.0, 1.0), forces.within(1.0, np.inf)
    np.testing.assert_allclose(sums_of(low) + sums_of(high), sums_of(forces))
    np.testing.assert_array_equal(low.sizes + high.sizes, forces.sizes)
    assert (np.linalg.norm(low.reference, axis=1) < 1.0).all()
    assert [0.0, 0.6, 0.8] in high.reference.tolist()
    by_prediction = forces.within(1.0, np.inf, by_prediction=True)
    assert (np.linalg.norm(by_prediction.predicted, axis=1) >= 1.0).all()


def test_configurations_are_taken_with_their_atoms():
    forces = made()
    taken = forces.of(np.array([False, True, True, False]))
    np.testing.assert_array_equal(taken.sizes, [0, 7])
    np.testing.assert_array_equal(taken.reference, forces.reference[4:11])


def test_constant_reference_forces_tell_no_slope():
    size = 6
    rows = {
        "zero": np.zeros((size, 3)),
        "by rounding": 0.1 * SMALLEST * np.resize([1.0, -1.0], (size, 3)),
        "constant": np.full((size, 3), 12.3),
        "scattered": np.resize([0.01, -0.01], (size, 3)),
    }
    reference = np.concatenate(list(rows.values()))
    sums = sums_of(Forces(reference, reference + 1.0, np.full(len(rows), size)))
    assert dict(zip(rows, tells(sums), strict=True)) == {one: one == "scattered" for one in rows}
    assert not tells(sums_of(made())[1])
    assert np.isnan(slope(sums[0]))


def test_without_predicted_forces_no_factor_is_enough():
    forces = Forces(made((3,)).reference, np.zeros((3, 3)), np.array([3]))
    assert slope(sums_of(forces)) == 0.0
    assert scale(sums_of(forces)) == np.inf


def test_a_histogram_counts_edges_once_and_ends():
    values = np.array([-3.0, 0.5, 0.999, 1.0, 1.049, 1.5, np.inf, np.nan])
    found = dict(zip(EDGES[:-1].tolist(), counts(values), strict=True))
    assert {low: n for low, n in found.items() if n} == {-np.inf: 1, 0.5: 1, 0.95: 1, 1.0: 2, 1.5: 2}


def test_r2_is_at_most_one_and_does_not_overflow():
    forces = made()
    for size in (1.0, 1e99):
        line = Forces(size * forces.reference, 0.85 * size * forces.reference, forces.sizes)
        found = r2(sums_of(line).sum(axis=0))
        assert found <= 1.0
        assert found == pytest.approx(1.0)
