"""Farthest-point selection: on configurations, on atoms, and guided by forces; memory is linear."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates

BLOCK = 1 << 21
"""Distances held at once, 16 MB: they stay near the cache, whatever the number of points."""
LARGEST_EXPONENT = 1.0
"""Exponents of the force in gradient-guided selection rise from minus this to this, as published."""
LEAST_FORCE = 1e-8
"""Added to each force, eV/Å, so that none is zero, as the authors' code does."""


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
    picked = greedy_farthest(points, start, len(begun) + n_chosen)
    return order[picked[len(begun) :]]


def gradient_guided(
    candidates: Candidates, n_chosen: int, rng: np.random.Generator, *, largest: float = LARGEST_EXPONENT
) -> IntArray:
    """Pick the configuration with the largest force^β · distance to all picked ones, while β rises.

    Gradient-guided farthest points (Trestman 2025, arXiv 2510.08906, ascending schedule): the exponent rises
    linearly from −``largest`` at the first pick, drawn with probability ∝ force^β, to ``largest`` at the
    last, so that relaxed configurations come first and strained ones last. The force is the mean length
    over the atoms of a configuration. It needs forces, so it cannot choose what to label. Not nested:
    the number of picks sets the pace.

    Raises
    ------
    ValueError
        If the candidates carry no forces.
    """
    if candidates.mean_forces is None:
        raise ValueError("gradient_fps needs forces, and these candidates have none")
    order = rng.permutation(candidates.n_configurations)
    forces = candidates.mean_forces[order] + LEAST_FORCE
    exponents = np.linspace(-largest, largest, n_chosen) if n_chosen > 1 else np.array([largest])
    chances = forces ** exponents[0]
    start = rng.choice(len(forces), size=1, p=chances / chances.sum())
    points = candidates.points()[order]
    return order[greedy_farthest(points, start, n_chosen, weights=forces, exponents=exponents)]


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


def greedy_farthest(
    points: FloatArray,
    start: IntArray,
    n_chosen: int,
    *,
    weights: FloatArray | None = None,
    exponents: FloatArray | None = None,
) -> IntArray:
    """Pick points by distance to the picked ones, or weight^exponent × distance; ties go to the first.

    Parameters
    ----------
    points
        Shape (n, k); centred, so that squares of distances do not cancel.
    start
        Picked before, at least one.
    n_chosen
        How many with these, at most n.
    weights, exponents
        Positive, shape (n,), and what they are raised to at each pick, shape (n_chosen,); both or none.

    Returns
    -------
    IntArray
        Picked indices in their order, ``start`` first.
    """
    points = np.ascontiguousarray(points)
    squares = np.einsum("ij,ij->i", points, points)
    nearest, fresh = np.full(len(points), np.inf), np.empty(len(points))
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
        scores = nearest
        if weights is not None and exponents is not None:
            scores = np.where(nearest < 0, nearest, nearest * weights ** (2.0 * exponents[step]))
        picked[step] = np.argmax(scores)
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
