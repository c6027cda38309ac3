"""One order of picking gives the set of every fraction that each would choose by itself."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.selection.gathering import Pool, costs, gather, order
from crossprune.harness.selection.methods import BUDGETS, METHODS, choose

SMALLER = (0.1, 0.17, 0.3, 0.5)
NESTED = [name for name, method in METHODS.items() if method.nested]
STRATIFIED = ["fps@groups", "fps_atoms@clusters"]


@pytest.fixture(scope="module")
def silicon():
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    return dataset, np.random.default_rng(0).normal(size=(int(dataset.sizes.sum()), 5))


def chosen(dataset, features, method, fraction, budget):
    """Choose by the method itself, without an order."""
    train = dataset.indices("train")
    candidates = gather(dataset, train, features)
    picked = choose(method, candidates, fraction, np.random.default_rng(7), costs(dataset, train, budget))
    return np.sort(train[picked])


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("method", [*NESTED, *STRATIFIED])
def test_fractions_of_an_order_are_what_the_method_chooses(silicon, method, budget):
    dataset, features = silicon
    settings = {"method": method, "budget": budget}
    candidates = gather(dataset, dataset.indices("train"), features)
    picked = order(dataset, candidates, fraction=0.5, rng=np.random.default_rng(7), **settings)
    pool = Pool.of(dataset, budget)
    for fraction in SMALLER:
        expected = chosen(dataset, features, method, fraction, budget)
        np.testing.assert_array_equal(pool.subset(picked, fraction), expected)
    np.testing.assert_array_equal(pool.subset(picked, 1.0), dataset.indices("train"))


@pytest.mark.parametrize("method", sorted(set(METHODS) - set(NESTED)))
def test_other_methods_choose_each_fraction_by_itself(silicon, method):
    dataset, features = silicon
    settings = {"method": method, "budget": "configurations"}
    candidates = gather(dataset, dataset.indices("train"), features)
    for fraction in SMALLER:
        picked = order(dataset, candidates, fraction=fraction, rng=np.random.default_rng(7), **settings)
        expected = chosen(dataset, features, method, fraction, "configurations")
        np.testing.assert_array_equal(Pool.of(dataset, "configurations").subset(picked, fraction), expected)
