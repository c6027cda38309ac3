from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.analysis.efficiency.curves import ends, inverse, log_saving, monotone, seed_moves
from scipy import stats
from scipy.optimize import isotonic_regression

LOGS = np.log([0.05, 0.1, 0.2, 0.5, 1.0])


def rng():
    return np.random.default_rng(0)


def test_many_curves_at_once_are_scipys_one_by_one():
    values = rng().standard_t(2, size=(300, 6))
    expected = [isotonic_regression(one, increasing=False).x for one in values]
    np.testing.assert_allclose(monotone(values), expected, atol=1e-9)


def test_a_power_law_is_crossed_where_it_should_be():
    found = inverse(LOGS, -0.3 * LOGS[None], np.array([[-0.3 * np.log(0.37), -0.3 * np.log(0.06)]]))
    np.testing.assert_allclose(np.exp(found), [[0.37, 0.06]])


def test_what_lies_outside_of_the_fractions_is_no_number():
    curves = np.array([[0.5, 0.4, 0.4, 0.1, 0.0]])
    found = inverse(LOGS, curves, np.array([[0.5, 0.6, -0.1, 0.4]]))
    np.testing.assert_allclose(found, [[-np.inf, -np.inf, np.inf, np.log(0.1)]])


def test_a_curve_moved_along_fractions_saves_that_much_data():
    fractions = (np.log([0.05, 0.1, 0.3, 1.0]), LOGS)
    curves = (-0.3 * fractions[0][None], -0.3 * (fractions[1][None] - np.log(2.5)))
    least, most = log_saving(fractions, curves, np.array([0.29]))
    np.testing.assert_allclose(np.exp([least, most]), 2.5, rtol=1e-12)


def test_the_saving_is_the_mean_over_log_errors():
    curves = (np.array([[1.0, 0.8, 0.3, 0.1, 0.0]]), np.array([[1.2, 1.1, 0.9, 0.2, 0.0]]))
    levels = np.linspace(0.05, 1.0, 20001)[None, :-1] + 0.95 / 40000
    fine = (inverse(LOGS, curves[1], levels) - inverse(LOGS, curves[0], levels)).mean()
    assert log_saving((LOGS, LOGS), curves, np.array([0.05]))[0][0] == pytest.approx(fine, rel=1e-3)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.0, 0.5, (np.inf, np.inf)), (0.5, 0.0, (-np.inf, -np.inf)), (0.0, 0.0, (-np.inf, np.inf))],
)
def test_curves_without_a_common_error_bound_the_saving_from_one_side_at_most(first, second, expected):
    curves = tuple(np.linspace(top, 0.0, 5)[None] for top in (first, second))
    assert tuple(float(one[0]) for one in log_saving((LOGS, LOGS), curves, np.array([0.1]))) == expected


def test_every_line_between_two_fractions_moves_by_students_t():
    source = rng()
    errors = source.normal(size=(3, 4))
    moves = seed_moves(errors, source.normal(size=(40000, 3)), source.uniform(size=40000))
    mixed = np.array([0.3, 0.7, 0.0, -1.0])
    expected = stats.t(2, scale=stats.sem(errors @ mixed)).ppf([0.025, 0.25, 0.75, 0.975])
    np.testing.assert_allclose(np.quantile(moves @ mixed, [0.025, 0.25, 0.75, 0.975]), expected, rtol=0.05)


def test_ends_that_are_infinite_are_said_as_such():
    values = np.r_[np.full(50, -np.inf), np.linspace(0, 1, 950)]
    low, high = ends(values, values)
    assert low == -np.inf
    assert high == pytest.approx(0.974, abs=2e-3)
