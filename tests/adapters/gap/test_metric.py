"""The SOAP kernel as points."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.gap import metric
from crossprune.adapters.gap.metric import kernel_points
from crossprune.adapters.gap.options import GapOptions


def spectra(n, k, seed=0):
    found = np.abs(np.random.default_rng(seed).normal(size=(n, k)))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "k"), [(60, 8), (12, 40)])
def test_inner_products_are_the_kernel_within_elements_and_none_between(n, k):
    vectors, kinds = spectra(n, k), np.arange(n) % 2
    points = kernel_points(vectors, kinds, 2, zeta=4.0, delta=0.3)
    kernel = 0.3**2 * (vectors @ vectors.T) ** 4 * (kinds[:, None] == kinds)
    np.testing.assert_allclose(points @ points.T, kernel, atol=2e-6 * 0.3**2)


def test_means_are_at_the_maximum_mean_discrepancy():
    vectors = spectra(50, 6)
    points = kernel_points(vectors, np.zeros(50, dtype=int), 1, zeta=2.0, delta=1.0)
    first, second = points[:20].mean(axis=0), points[20:].mean(axis=0)
    kernel = (vectors @ vectors.T) ** 2
    expected = kernel[:20, :20].mean() + kernel[20:, 20:].mean() - 2 * kernel[:20, 20:].mean()
    assert np.square(first - second).sum() == pytest.approx(expected, abs=1e-5)


def test_few_columns_explain_most_and_copies_cost_none(monkeypatch):
    vectors = np.repeat(spectra(5, 30), 8, axis=0)
    points = kernel_points(vectors, np.zeros(40, dtype=int), 1, zeta=4.0, delta=1.0)
    assert points.shape == (40, 5)
    monkeypatch.setattr(metric, "MOST_POINTS", 3)
    assert kernel_points(vectors, np.zeros(40, dtype=int), 1, zeta=4.0, delta=1.0).shape == (40, 3)


def test_an_element_without_atoms_has_no_columns():
    assert kernel_points(spectra(3, 4), np.zeros(3, dtype=int), 2, zeta=4.0, delta=1.0).shape == (3, 3)


def test_the_expected_error_of_forces_follows_those_that_are_fitted():
    forces = np.full((10, 3), 2.0)
    assert GapOptions().weighed(forces).force_error == pytest.approx(0.06)
    assert GapOptions().weighed(0 * forces).force_error == 0.005
    assert GapOptions(sigma_force=0.1).weighed(forces).force_error == 0.1
