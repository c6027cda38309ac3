"""Every method against its definition, written down naively, on small input."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from crossprune.harness.selection import entropy as kernels
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.entropy import bandwidth_of, diversity, entropy, entropy_greedy, set_cover
from crossprune.harness.selection.farthest import (
    farthest_environment,
    farthest_point,
    gradient_guided,
    greedy_farthest,
)


@pytest.fixture
def candidates():
    rng = np.random.default_rng(5)
    lengths = rng.integers(1, 6, 25)
    n_atoms = lengths.sum()
    return Candidates(
        rng.normal(size=(n_atoms, 4)),
        np.concatenate([[0], np.cumsum(lengths)]),
        mean_forces=rng.uniform(0.1, 1, 25),
    )


def generator():
    return np.random.default_rng(3)


def atoms_of(candidates, points):
    return [points[a:b] for a, b in itertools.pairwise(candidates.offsets)]


def greedy(scores, start, n_chosen):
    """Pick the best ``scores(chosen)`` among what is left."""
    chosen = [start]
    while len(chosen) < n_chosen:
        found = np.array(scores(chosen), dtype=float)
        found[chosen] = -np.inf
        chosen.append(int(np.argmax(found)))
    return chosen


def test_farthest_point(candidates):
    points, start = candidates.points(), generator().permutation(25)[0]

    def scores(chosen):
        return [min(np.linalg.norm(point - points[j]) for j in chosen) for point in points]

    assert farthest_point(candidates, 9, generator()).tolist() == greedy(scores, start, 9)


def test_farthest_point_equals_scikit_matter(candidates):
    from skmatter.sample_selection import FPS

    order = generator().permutation(25)
    selector = FPS(n_to_select=12, initialize=0).fit(candidates.points()[order])
    assert farthest_point(candidates, 12, generator()).tolist() == order[selector.selected_idx_].tolist()


@pytest.mark.parametrize("block", [1, 7, 1 << 21])
def test_farthest_environment(candidates, block, monkeypatch):
    monkeypatch.setattr("crossprune.harness.selection.farthest.BLOCK", block)
    atoms = atoms_of(candidates, candidates.environments())
    start = generator().permutation(25)[0]

    def scores(chosen):
        picked = np.concatenate([atoms[j] for j in chosen])
        return [max(min(np.linalg.norm(x - y) for y in picked) for x in one) for one in atoms]

    assert farthest_environment(candidates, 9, generator()).tolist() == greedy(scores, start, 9)


@pytest.mark.parametrize("largest", [0.5, 1.0])
def test_gradient_guided(candidates, largest):
    """Score g^β d with β from −largest to largest over the picks (Trestman 2025, ascending)."""
    points = candidates.points()
    exponents = np.linspace(-largest, largest, 9)

    def scores(chosen):
        weights = candidates.mean_forces ** exponents[len(chosen)]
        return [
            g * min(np.linalg.norm(p - points[j]) for j in chosen)
            for g, p in zip(weights, points, strict=True)
        ]

    picked = gradient_guided(candidates, 9, generator(), largest=largest).tolist()
    assert picked == greedy(scores, picked[0], 9)


def test_gradient_guided_starts_with_probability_of_the_inverse_force(candidates):
    inverse = 1 / candidates.mean_forces
    starts = [gradient_guided(candidates, 2, np.random.default_rng(seed))[0] for seed in range(4000)]
    shares = np.bincount(starts, minlength=25) / 4000
    np.testing.assert_allclose(shares, inverse / inverse.sum(), atol=0.025)  # 4 deviations of a share of 0.2


def test_gradient_guided_begins_with_relaxed_configurations_and_ends_with_strained_ones():
    rng = np.random.default_rng(0)
    force = rng.uniform(0.1, 3.0, 400)
    candidates = Candidates(rng.normal(size=(400, 3)), np.arange(401), mean_forces=force)
    picked = gradient_guided(candidates, 40, generator())
    assert force[picked[:10]].mean() < force.mean() - 0.3 < force.mean() + 0.3 < force[picked[-10:]].mean()


def test_gradient_guided_by_equal_forces_is_farthest_point(candidates):
    same = replace(candidates, mean_forces=np.ones(25))
    picked = gradient_guided(same, 9, generator())
    np.testing.assert_array_equal(picked, greedy_farthest(candidates.points(), picked[:1], 9))


def test_gradient_guided_needs_forces():
    with pytest.raises(ValueError, match="needs forces"):
        gradient_guided(Candidates(np.ones((2, 1)), np.arange(3)), 1, generator())


def test_log_kernel_sum_far_below_underflow():
    points = np.array([[0.0], [100.0]])
    found = kernels.log_kernel_sum(points, points[:1], 1.0)
    np.testing.assert_allclose(found, [0.0, -5000.0])


def test_entropy_and_diversity_count_distinct_environments():
    points = np.repeat(np.arange(4.0)[:, None] * 100, 3, axis=0)
    assert entropy(points, 1.0) == pytest.approx(np.log(4))
    assert diversity(points, 1.0) == pytest.approx(np.log(4))
    assert entropy(points[:3], 1.0) == pytest.approx(0.0)


def test_bandwidth_passes_equal_environments_over():
    points = np.repeat(np.arange(6.0)[:, None], 2, axis=0)
    assert bandwidth_of(points, generator()) == pytest.approx(1.0)


def kernel(x, y, bandwidth):
    return np.exp(-np.square(x[:, None] - y[None]).sum(axis=-1) / (2 * bandwidth**2))


@pytest.mark.parametrize("block", [1, 1 << 21])
def test_set_cover(candidates, block, monkeypatch):
    monkeypatch.setattr("crossprune.harness.selection.entropy.BLOCK", block)
    points = candidates.environments()
    atoms, bandwidth = atoms_of(candidates, points), bandwidth_of(points, generator())
    own = np.array([-np.log(kernel(one, one, bandwidth).mean(axis=1)).mean() for one in atoms])

    def scores(chosen):
        picked = np.concatenate([atoms[j] for j in chosen])
        return [
            (-np.log(kernel(one, picked, bandwidth).sum(axis=1))).max() + h
            for one, h in zip(atoms, own, strict=True)
        ]

    expected = greedy(scores, int(np.argmax(own)), 9)
    assert set_cover(candidates, 9, generator()).tolist() == expected


def test_entropy_greedy(candidates):
    points = candidates.environments()
    atoms, bandwidth = atoms_of(candidates, points), bandwidth_of(points, generator())
    own = np.array([-np.log(kernel(one, one, bandwidth).mean(axis=1)).mean() for one in atoms])

    def scores(chosen):
        return [
            -np.log(
                kernel(one, np.concatenate([*(atoms[j] for j in chosen), one]), bandwidth).sum(axis=1)
            ).mean()
            for one in atoms
        ]

    expected = greedy(scores, int(np.argmax(own)), 9)
    assert entropy_greedy(candidates, 9, generator()).tolist() == expected


def test_columns_of_rounding_noise_have_no_say_in_a_space():
    """Squares of sums that vanish by symmetry: 1e-32, different in every configuration."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(20, 3)) * [1.0, 1e-3, 1e-6]
    noise = rng.normal(0, 1e-16, (20, 5)) ** 2 * np.geomspace(1, 1e-20, 5)
    lengths = np.arange(21)
    together, alone = Candidates(np.hstack([noise, real]), lengths), Candidates(real, lengths)
    np.testing.assert_allclose(together.points(), alone.points())
    assert farthest_point(together, 8, generator()).tolist() == farthest_point(alone, 8, generator()).tolist()
    np.testing.assert_allclose(Candidates(1e-20 * real, lengths).points(), alone.points())
