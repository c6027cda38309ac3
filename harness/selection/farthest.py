"""Farthest-point selection: on configurations, on atoms, and guided by forces; memory is linear."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates

BLOCK = 1 << 21
"""Distances held at once, 16 MB: they stay near the cache, whatever the number of points."""
BETA = 1.0
"""Weight of forces in gradient-guided selection: score = force^BETA · distance."""


def farthest_point(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration farthest from all picked ones.

    Euclidean distances between pooled and scaled points (Eldar 1997, doi:10.1109/83.623193;
    Imbalzano 2018, doi:10.1063/1.5024611). The generator shuffles the configurations first: it
    decides the start and every tie. Given ones count as picked before, and there is no start. Larger
    budgets contain smaller ones.
    """
    order, begun = candidates.shuffled(rng)
    points = candidates.points()[order]
    start = begun if len(begun) else np.zeros(1, dtype=np.int64)
    picked = greedy_farthest(points, np.ones(len(points)), start, len(begun) + n_chosen)
    return order[picked[len(begun) :]]


def gradient_guided(
    candidates: Candidates, n_chosen: int, rng: np.random.Generator, *, beta: float = BETA
) -> IntArray:
    """Pick the configuration with the largest force^β · distance to all picked ones.

    After arXiv 2510.08906, where the force is that of a configuration: here its mean over atoms. The
    first one is drawn with probability ∝ force^β. ``beta = 0`` is `farthest_point`. It needs forces,
    so it cannot choose what to label. Configurations without force come last.

    Raises
    ------
    ValueError
        If the candidates carry no forces.
    """
    if candidates.mean_forces is None:
        raise ValueError("gradient_fps needs forces, and these candidates have none")
    order = rng.permutation(candidates.n_configurations)
    means = candidates.mean_forces
    weights = np.where(means > 0, means, 0.0)[order] ** beta
    start = 0
    if beta != 0 and weights.sum() > 0:
        start = int(rng.choice(len(weights), p=weights / weights.sum()))
    return order[greedy_farthest(candidates.points()[order], weights, np.array([start]), n_chosen)]


def farthest_environment(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration that holds the atom farthest from all picked atoms.

    An averaged descriptor hides rare environments; this one looks for them. Cost O(atoms × picked
    atoms × k). Start, ties, given ones and nesting as in `farthest_point`; pooling plays no part.
    """
    order, begun = candidates.shuffled(rng)
    points, starts = candidates.environments(), candidates.offsets
    squares = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf)
    picked = begun.tolist() or [0]
    for step in range(len(begun) + n_chosen - 1):
        first, last = starts[order[picked[step]]], starts[order[picked[step]] + 1]
        lower_to(nearest, points, squares, points[first:last])
        if step + 1 == len(picked):
            scores = np.maximum.reduceat(nearest, starts[:-1])[order]
            scores[picked] = -np.inf
            picked.append(int(np.argmax(scores)))
    return order[picked[len(begun) :]]


def greedy_farthest(points: FloatArray, weights: FloatArray, start: IntArray, n_chosen: int) -> IntArray:
    """Pick points by weight × distance to the picked ones; ties go to the first.

    Parameters
    ----------
    points
        Shape (n, k); centred, so that squares of distances do not cancel.
    weights
        Not negative, shape (n,).
    start
        Picked before, at least one.
    n_chosen
        How many with these, at most n.

    Returns
    -------
    IntArray
        Picked indices in their order, ``start`` first.
    """
    points = np.ascontiguousarray(points)
    squares = np.einsum("ij,ij->i", points, points)
    nearest, fresh = np.full(len(points), np.inf), np.empty(len(points))
    factors = np.square(weights)
    weighted = not np.all(factors == 1.0)
    picked = np.empty(n_chosen, dtype=np.int64)
    picked[: len(start)] = start
    for step in range(1, n_chosen):
        last = picked[step - 1]
        np.matmul(points, -2.0 * points[last], out=fresh)
        fresh += squares
        fresh += squares[last]
        np.maximum(fresh, 0.0, out=fresh)  # rounding
        np.minimum(nearest, fresh, out=nearest)
        nearest[last] = -1.0  # below every other, so that nothing is picked twice
        if step < len(start):
            continue
        picked[step] = np.argmax(np.where(nearest < 0, nearest, nearest * factors) if weighted else nearest)
    return picked


def lower_to(nearest: FloatArray, points: FloatArray, squares: FloatArray, centres: FloatArray) -> None:
    """Lower squared distances ``nearest`` to those from ``centres``, in place, block by block."""
    own = np.einsum("ij,ij->i", centres, centres)
    width = max(1, BLOCK // len(centres))
    for first in range(0, len(points), width):
        part = slice(first, first + width)
        cross = points[part] @ centres.T
        cross *= -2.0
        cross += own
        found = np.maximum(cross.min(axis=1) + squares[part], 0.0)
        np.minimum(nearest[part], found, out=nearest[part])
