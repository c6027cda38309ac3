from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.selection.diagnostics import (
    coverage,
    expected_jaccard,
    jaccard,
    linear_cka,
    neighbourhood_overlap,
    reconstruction_error,
    two_nn,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_jaccard_by_hand():
    assert jaccard(np.array([1, 2, 3]), np.array([2, 3, 4])) == 0.5


@pytest.mark.parametrize(("n_all", "first", "second"), [(30, 5, 5), (30, 20, 15), (10, 10, 4)])
def test_expected_jaccard_is_that_of_random_sets(n_all, first, second):
    source = rng()
    drawn = [
        jaccard(source.permutation(n_all)[:first], source.permutation(n_all)[:second]) for _ in range(4000)
    ]
    assert expected_jaccard(n_all, first, second) == pytest.approx(np.mean(drawn), abs=0.006)


def test_coverage_equals_its_definition():
    points = rng().normal(size=(60, 3)) + 5
    chosen = np.array([3, 7, 20, 41])
    rest = [i for i in range(60) if i not in chosen]
    distances = [min(np.linalg.norm(points[i] - points[j]) for j in chosen) for i in rest]
    assert coverage(points, chosen) == pytest.approx((max(distances), np.mean(distances)))
    assert coverage(points, np.arange(60)) == (0.0, 0.0)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_two_nn_finds_the_dimension_of_a_curved_manifold(dimension):
    inner = rng().uniform(size=(3000, dimension))
    points = 100 * np.column_stack([inner, np.sin(inner), inner**2])
    assert two_nn(points) == pytest.approx(dimension, rel=0.12)
    copies = points + 1e-6 * rng(1).normal(size=points.shape)
    assert two_nn(np.concatenate([points, copies])) == pytest.approx(dimension, rel=0.12)


def test_cka_ignores_rotation_and_scale_and_sees_unrelated_spaces():
    first = rng().normal(size=(400, 5))
    rotation, _ = np.linalg.qr(rng(1).normal(size=(5, 5)))
    assert linear_cka(first, 3.0 * first @ rotation + 1.0) == pytest.approx(1.0)
    assert linear_cka(first, rng(2).normal(size=(400, 5))) < 0.05


def test_cka_is_the_kernel_alignment():
    first, second = rng().normal(size=(30, 3)), rng(1).normal(size=(30, 4))
    centring = np.eye(30) - 1 / 30
    k, m = (centring @ x @ x.T @ centring for x in (first, second))
    expected = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(first, second) == pytest.approx(expected)


def test_neighbourhoods():
    first = rng().normal(size=(300, 4))
    shared, chance = neighbourhood_overlap(first, 2.0 * first)
    assert shared == 1.0
    assert neighbourhood_overlap(first, rng(1).normal(size=(300, 4)))[0] == pytest.approx(chance, abs=0.02)


def test_reconstruction_is_one_sided():
    rich = rng().normal(size=(4000, 6))
    poor = rich[:, :3]
    assert reconstruction_error(rich, poor, rng()) < 0.01
    assert reconstruction_error(poor, rich, rng()) == pytest.approx(np.sqrt(0.5), abs=0.05)
