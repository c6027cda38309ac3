"""Invariants of a level: how many there are, what they are, and that products of moments give them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

pytest.importorskip("numba")  # the package imports its kernels
from crossprune.adapters.mtp.invariants import connected_invariants, invariants, level_of, place
from crossprune.adapters.mtp.plan import plan_of, repeated

RNG = np.random.default_rng(0)
LETTERS = "abcdefghijkl"


def neighbours(n_radial, n_neighbours=5):
    """Unit vectors and made-up values of the radial functions, one row per neighbour."""
    vectors = RNG.normal(size=(n_neighbours, 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return vectors, RNG.uniform(0.2, 1.0, (n_neighbours, n_radial))


def moments_of(plan, vectors, radial):
    """Fill all moments by the rows of the plan."""
    moments = np.zeros(plan.n_moments)
    for row, (mu, *powers) in enumerate(plan.basic):
        moments[row] = np.sum(radial[:, mu] * np.prod(vectors ** np.array(powers), axis=1))
    for left, right, factor, target in plan.products:
        moments[target] += factor * moments[left] * moments[right]
    return moments


def tensor(mu, nu, vectors, radial):
    """Σ_j f_μ r̂ ⊗ ... ⊗ r̂, shape (3,) * nu, by its definition."""
    total = np.zeros((3,) * nu)
    for vector, value in zip(vectors, radial, strict=True):
        one = np.array(value[mu])
        for _ in range(nu):
            one = np.multiply.outer(one, vector)
        total = total + one
    return total


def contracted(one, vectors, radial):
    """Contract whole tensors by index letters, an edge of multiplicity n being n letters."""
    names, used = [""] * one.n_vertices, 0
    for j in range(one.n_vertices):
        for i in range(j):
            letters = LETTERS[used : used + one.edges[place(i, j)]]
            used += len(letters)
            names[i] += letters
            names[j] += letters
    tensors = [
        tensor(label[0], len(name), vectors, radial) for label, name in zip(one.labels, names, strict=True)
    ]
    return float(np.einsum(",".join(names) + "->", *tensors))


@pytest.mark.parametrize(
    ("level", "count"), [(2, 1), (4, 2), (6, 5), (8, 9), (10, 16), (12, 29), (14, 52), (16, 92)]
)
def test_a_level_has_as_many_invariants_as_in_mlip(level, count):
    """Numbers of the templates of MLIP-2; the published files of levels 20 and 24 have 288 and 864."""
    assert len(invariants(level)) == count == len(plan_of(level).scalars)
    assert all(level_of(product, 4) <= level for product in invariants(level))


@pytest.mark.parametrize(("level", "step"), [(12, 4), (8, 1)])
def test_invariants_are_contractions_of_tensors(level, step):
    plan = plan_of(level, step)
    vectors, radial = neighbours(plan.n_radial)
    found = moments_of(plan, vectors, radial)[plan.scalars]
    expected = [
        prod(contracted(one, vectors, radial) for one in product) for product in invariants(level, step)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_no_two_invariants_are_the_same():
    plan = plan_of(16)
    vectors, radial = neighbours(plan.n_radial, 9)
    values = np.sort(moments_of(plan, vectors, radial)[plan.scalars])
    assert np.all(np.diff(values) > 1e-9 * np.abs(values[1:]))
    assert len(set(connected_invariants(16))) == len(connected_invariants(16))


def test_invariants_do_not_turn():
    plan = plan_of(12)
    vectors, radial = neighbours(plan.n_radial)
    before = moments_of(plan, vectors, radial)[plan.scalars]
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    after = moments_of(plan, vectors @ rotation, radial)[plan.scalars]
    np.testing.assert_allclose(after, before, rtol=1e-10)


def test_copies_of_a_plan_have_radial_functions_of_their_own():
    plan = plan_of(8)
    twice = repeated(plan, 2)
    vectors, radial = neighbours(2 * plan.n_radial)
    found = moments_of(twice, vectors, radial)[twice.scalars]
    for copy in range(2):
        own = radial[:, copy * plan.n_radial : (copy + 1) * plan.n_radial]
        expected = moments_of(plan, vectors, own)[plan.scalars]
        np.testing.assert_array_equal(found[copy * len(expected) : (copy + 1) * len(expected)], expected)


def test_every_moment_is_formed_before_it_is_used():
    plan = repeated(plan_of(14), 2)
    last = np.full(plan.n_moments, -1)
    for row, (left, right, _, target) in enumerate(plan.products):
        assert target >= len(plan.basic)
        last[target] = row
        assert max(last[left], last[right]) < row
        assert target not in (left, right)
    assert np.all(last[len(plan.basic) :] >= 0)
