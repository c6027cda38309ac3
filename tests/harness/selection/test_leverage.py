"""Leverage against its definition, and where it says something."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.optimal_design import leverage, leverage_scores


def sample(n, k, seed=0):
    rng = np.random.default_rng(seed)
    return Candidates(rng.normal(size=(n, k)) @ rng.normal(size=(k, k)), np.arange(n + 1)).points()


@pytest.mark.parametrize(("n", "k"), [(40, 6), (20, 50)])
def test_leverage_is_that_of_the_leading_axes(n, k):
    """Mahoney & Drineas 2009, eq. 3, times the rank: Σ_ξ u_iξ² over the leading left singular vectors."""
    points = sample(n, k)
    left, singular, _ = np.linalg.svd(points)
    axes = [j for j in range(min(n, k)) if singular[j] > 1e-9 * singular[0]]
    mean = np.mean([singular[j] ** 2 for j in axes])
    leading = [j for j in axes if singular[j] ** 2 > mean]
    expected = [sum(left[i, j] ** 2 for j in leading) + 1 / n for i in range(n)]
    np.testing.assert_allclose(leverage_scores(points), expected, atol=1e-12)
    assert leverage_scores(points).sum() == pytest.approx(len(leading) + 1)


def test_leverage_of_equal_axes_is_the_diagonal_of_the_hat_matrix():
    """Variances that are all the mean all count: the leverage of a linear model with an offset."""
    points = np.linalg.qr(sample(30, 4))[0]
    rows = np.column_stack([np.ones(30), points])
    np.testing.assert_allclose(leverage_scores(points), np.diag(rows @ np.linalg.pinv(rows)), atol=1e-12)


def test_leverage_of_fewer_points_than_columns_is_not_flat():
    points = sample(20, 50)
    rows = np.column_stack([np.ones(20), points])
    np.testing.assert_allclose(np.diag(rows @ np.linalg.pinv(rows)), 1.0)  # on all axes it says nothing
    scores = leverage_scores(points)
    assert scores.std() / scores.mean() > 0.2
    far = np.vstack([points, 3 * points[0]])  # what is far along a leading axis comes first
    assert leverage_scores(far)[-1] > 2 * np.median(leverage_scores(far))


def test_leverage_draws_in_proportion():
    candidates = Candidates(np.random.default_rng(5).normal(size=(25, 4)), np.arange(26))
    scores = leverage_scores(candidates.points())
    first = [leverage(candidates, 1, np.random.default_rng(seed))[0] for seed in range(4000)]
    np.testing.assert_allclose(np.bincount(first, minlength=25) / 4000, scores / scores.sum(), atol=0.02)


def test_leverage_of_a_space_without_columns_is_that_of_the_offset():
    np.testing.assert_allclose(leverage_scores(np.empty((4, 0))), 0.25)
