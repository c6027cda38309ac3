"""Information entropy of atomic environments by kernel density, and selection that raises it.

After QUESTS (Schwalbe-Koda 2025, doi:10.1038/s41467-025-59232-0; minimum set cover: arXiv 2511.10561),
whose bandwidth belongs to its own descriptor: here the bandwidth follows from the latent space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates

BLOCK = 1 << 21
"""Kernel values held at once, 16 MB."""
N_PROBES = 500
"""Environments whose nearest neighbours set the bandwidth: its median is then good to some per cent."""


def entropy(points: FloatArray, bandwidth: float) -> float:
    """Return the entropy −⟨log (1/n) Σ_j K(x_i, x_j)⟩ of environments, nats.

    K is a Gaussian of unit height: identical environments give 0, n isolated ones log n.
    """
    return float(np.log(len(points)) - log_kernel_sum(points, points, bandwidth).mean())


def diversity(points: FloatArray, bandwidth: float) -> float:
    """Return log Σ_i 1/Σ_j K(x_i, x_j): the logarithm of the number of distinct environments."""
    sums = log_kernel_sum(points, points, bandwidth)
    return float(np.logaddexp.reduce(-sums))


def log_kernel_sum(points: FloatArray, centres: FloatArray, bandwidth: float) -> FloatArray:
    """Return log Σ_j exp(−|x_i − c_j|² / 2h²), shape (n,), block by block and without underflow."""
    result = np.empty(len(points))
    own = np.einsum("ij,ij->i", centres, centres)
    width = max(1, BLOCK // len(centres))
    for first in range(0, len(points), width):
        block = points[first : first + width]
        exponents = block @ centres.T
        exponents *= -2.0
        exponents += own
        exponents += np.einsum("ij,ij->i", block, block)[:, None]
        np.maximum(exponents, 0.0, out=exponents)
        exponents *= -0.5 / bandwidth**2
        top = exponents.max(axis=1)
        exponents -= top[:, None]
        result[first : first + width] = top + np.log(np.exp(exponents, out=exponents).sum(axis=1))
    return result


def bandwidth_of(points: FloatArray, rng: np.random.Generator) -> float:
    """Return the median distance from an environment to its nearest distinct neighbour.

    Over `N_PROBES` environments against all; equal environments (symmetry) are passed over.
    """
    probes = points[rng.permutation(len(points))[:N_PROBES]]
    nearest = np.full(len(probes), np.inf)
    width = max(1, BLOCK // len(probes))
    squares = np.einsum("ij,ij->i", probes, probes)
    scale = float(squares.mean()) if len(squares) else 1.0
    for first in range(0, len(points), width):
        block = points[first : first + width]
        distances = block @ probes.T
        distances *= -2.0
        distances += squares
        distances += np.einsum("ij,ij->i", block, block)[:, None]
        distances[distances <= 1e-10 * scale] = np.inf  # itself or equal, to rounding
        np.minimum(nearest, distances.min(axis=0), out=nearest)
    found = nearest[np.isfinite(nearest)]
    return float(np.sqrt(np.median(found))) if len(found) else 1.0


def set_cover(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick the configuration with the environment least covered so far, by minimum set cover.

    Score: max over its environments of −log Σ_chosen K, plus its own entropy; the first is the one
    with the largest own entropy (arXiv 2511.10561). Given ones count as chosen before. O(atoms × picked
    atoms × k), linear memory; the generator sets the probes of the bandwidth and breaks ties; nested.
    """
    points, bandwidth, own = _environments(candidates, rng)
    starts = candidates.offsets[:-1]
    entropies = np.log(candidates.sizes) - np.add.reduceat(own, starts) / candidates.sizes

    def score(covered: FloatArray) -> FloatArray:
        newest: FloatArray = np.maximum.reduceat(-covered, starts)
        return newest + entropies

    return _greedy(candidates, points, bandwidth, entropies, score, n_chosen, rng)


def entropy_greedy(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick the configuration whose environments are, on average, newest to the chosen set and itself.

    Score: mean over its environments of −log Σ_(chosen and itself) K: the differential entropy of
    QUESTS, in which a candidate's own redundancy counts, so that a large cell of equal atoms gains
    nothing by its size. Cost, ties, given ones and nesting as in `set_cover`; the first has the largest
    entropy.
    """
    points, bandwidth, own = _environments(candidates, rng)
    starts = candidates.offsets[:-1]
    entropies = np.log(candidates.sizes) - np.add.reduceat(own, starts) / candidates.sizes

    def score(covered: FloatArray) -> FloatArray:
        mean: FloatArray = np.add.reduceat(-np.logaddexp(covered, own), starts) / candidates.sizes
        return mean

    return _greedy(candidates, points, bandwidth, entropies, score, n_chosen, rng)


def _environments(candidates: Candidates, rng: np.random.Generator) -> tuple[FloatArray, float, FloatArray]:
    """Return environments, bandwidth, and log Σ K of each over its own configuration."""
    points = candidates.environments()
    bandwidth = bandwidth_of(points, rng)
    pairs = itertools.pairwise(candidates.offsets)
    own = [log_kernel_sum(points[first:last], points[first:last], bandwidth) for first, last in pairs]
    return points, bandwidth, np.concatenate(own)


def _greedy(
    candidates: Candidates,
    points: FloatArray,
    bandwidth: float,
    first_score: FloatArray,
    score: Callable[[FloatArray], FloatArray],
    n_chosen: int,
    rng: np.random.Generator,
) -> IntArray:
    """Pick by ``score`` of log Σ_chosen K per environment, which every pick raises."""
    order, begun = candidates.shuffled(rng)
    picked = begun.tolist() or [int(np.argmax(first_score[order]))]
    covered = np.full(len(points), -np.inf)
    for step in range(len(begun) + n_chosen - 1):
        first, last = candidates.offsets[order[picked[step]] + np.arange(2)]
        np.logaddexp(covered, log_kernel_sum(points, points[first:last], bandwidth), out=covered)
        if step + 1 == len(picked):
            scores = score(covered)[order]
            scores[picked] = -np.inf
            picked.append(int(np.argmax(scores)))
    return order[picked[len(begun) :]]
