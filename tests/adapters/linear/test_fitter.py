from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.linear.fitter import (
    LinearFitter,
    LinearOptions,
    Rows,
    RowsPotential,
    Solution,
    solve,
)
from crossprune.harness.errors import DataError


def problem(rows=60, columns=7, seed=0):
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(rows, columns)) * np.logspace(-6, 3, columns)
    truth = rng.normal(size=columns) / np.logspace(-6, 3, columns)
    return design, design @ truth + 0.01 * rng.normal(size=rows)


def test_without_ridge_it_is_least_squares():
    design, target = problem()
    found = solve(design, target, n_offsets=2, ridge=0.0)
    norms = np.linalg.norm(design, axis=0)
    expected = np.linalg.lstsq(design / norms, target, rcond=None)[0] / norms
    np.testing.assert_allclose(np.concatenate([found.coefficients, found.offsets]), expected, rtol=1e-9)


def test_ridge_minimises_the_documented_function():
    design, target = problem()
    ridge = 1e-2
    norms = np.linalg.norm(design, axis=0)
    penalty = np.diag(np.sqrt(ridge) * norms)
    penalty[-1] = 0.0
    augmented = np.vstack([design, penalty]) / norms
    expected = np.linalg.lstsq(augmented, np.concatenate([target, np.zeros(7)]), rcond=None)[0] / norms
    found = solve(design, target, n_offsets=1, ridge=ridge)
    np.testing.assert_allclose(np.concatenate([found.coefficients, found.offsets]), expected, rtol=1e-9)


def test_condition_number_is_that_of_the_scaled_design():
    design, target = problem()
    scaled = design / np.linalg.norm(design, axis=0)
    assert solve(design, target, 0, 1e-10).condition_number == pytest.approx(np.linalg.cond(scaled), rel=1e-8)


def test_fewer_rows_than_columns_give_the_smallest_solution():
    design, target = problem(rows=3)
    found = solve(design, target, n_offsets=0, ridge=0.0)
    np.testing.assert_allclose(design @ found.coefficients, target, rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_columns_that_others_determine_give_the_smallest_solution(seed):
    """Pivots of rounding, of any size that it has, must not decide: copies share, and nothing explodes."""
    rng = np.random.default_rng(seed)
    design = rng.normal(size=(300, 60)) * 10.0 ** rng.uniform(-3, 3, 60)
    combined = rng.normal(size=(60, 30)) if seed % 2 else np.eye(60)[:, rng.permutation(60)[:30]]
    design = np.hstack([design, design @ combined])[:, rng.permutation(90)]
    target, norms = rng.normal(size=300), np.linalg.norm(design, axis=0)
    expected = np.linalg.pinv(design / norms, rcond=1e-10) @ target
    found = solve(design, target, n_offsets=0, ridge=0.0)
    np.testing.assert_allclose(found.coefficients * norms, expected, rtol=1e-6, atol=1e-9)
    assert found.condition_number > 1e14


def test_nan_is_refused():
    design, target = problem()
    design[3, 2] = np.nan
    with pytest.raises(DataError, match="not finite"):
        solve(design, target, 0, 0.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ridge": -1.0}, "ridge must not be negative"),
        ({"energy_weight": 0.0, "force_weight": 0.0}, "nothing to fit"),
    ],
)
def test_impossible_options_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        LinearOptions(**values)


class RowsOfTwo(RowsPotential):
    adapter = "two"


class Two(LinearFitter[LinearOptions]):
    """Two columns: the number of atoms, and its half; enough to be saved and read."""

    name = "two"
    options_type = LinearOptions
    n_columns = 2

    def rows(self, atoms):
        return Rows(np.array([1.0, 0.5]) * len(atoms), np.zeros((3 * len(atoms), 2)), None)

    def potential(self, solution):
        return RowsOfTwo(self, solution)


RowsOfTwo.fitter_type = Two


@pytest.mark.parametrize(
    ("line", "value", "says"),
    [
        (0, "nan", "has 3 numbers, 1 of them NaN or infinite; this two potential needs 3"),
        (2, "-inf", "has 3 numbers, 1 of them NaN or infinite"),
        (2, "", "has 2 numbers, 0 of them NaN or infinite; this two potential needs 3, all finite"),
        (1, "1.0\n2.0", "has 4 numbers"),
        (1, "x", "holds no readable two potential"),
    ],
)
def test_saved_coefficients_must_be_whole_and_finite(tmp_path, line, value, says):
    potential = RowsOfTwo(Two(["Cu"]), Solution(np.array([1.0, 2.0]), np.array([3.0]), 1.0))
    potential.export(tmp_path)
    assert RowsOfTwo.read(tmp_path).coefficients.tolist() == [1.0, 2.0]
    path = tmp_path / "coefficients.txt"
    lines = path.read_text().splitlines()
    lines[line] = value
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=says):
        RowsOfTwo.read(tmp_path)
