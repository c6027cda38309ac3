"""Farthest-point selection: on configurations, on atoms, and guided by forces; memory is linear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates

BLOCK = 1 << 21
"""Distances held at once, 16 MB: they stay near the cache, whatever the number of points."""
BLOCK_VALUES = 1 << 18
"""Coordinates brought up to date at once, 2 MB: less would leave the matrix product little to do."""
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
    start = int(rng.choice(len(forces), p=chances / chances.sum()))
    return order[_weighted(candidates.points()[order], start, n_chosen, forces, exponents)]


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


class Points(Protocol):
    """Rows that can be had a slice at a time: an array, or a file that need not fit into memory."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""

    def __getitem__(self, part: slice, /) -> FloatArray:
        """Return some rows."""


def greedy_farthest(points: Points, start: IntArray, n_chosen: int) -> IntArray:
    """Pick points by their distance to the picked ones; ties go to the first.

    Parameters
    ----------
    points
        Shape (n, k); centred, so that squares of distances do not cancel.
    start
        Picked before, at least one.
    n_chosen
        How many with these, at most n.

    Returns
    -------
    IntArray
        Picked indices in their order, ``start`` first.
    """
    return farthest_first(points, start, n_chosen)[0]


def farthest_first(
    points: Points, start: IntArray, n_chosen: int, on_picked: Callable[[int], object] = lambda n: None
) -> tuple[IntArray, FloatArray]:
    """Pick as `greedy_farthest`; also return the distance to those before, of ``start`` infinite.

    Distances to picked points only fall, so what a block of points last knew bounds it from above: only the
    block with the largest bound is brought up to date, with all picks since, before a pick is certain
    (Minoux 1978, doi:10.1007/BFb0006528, does so for one candidate at a time). Memory beside
    ``points``: the picked ones, and a block.
    """
    n, k = points.shape
    width = max(1, min(n, BLOCK_VALUES // max(1, k)))
    edges = np.append(np.arange(0, n, width), n)
    bounds, known = np.full(len(edges) - 1, np.inf), np.zeros(len(edges) - 1, dtype=np.int64)
    nearest, squares = np.full(n, np.inf), np.full(n, -1.0)
    picked, reached = np.empty(n_chosen, dtype=np.int64), np.full(n_chosen, np.inf)
    centres = np.empty((max(len(start), min(n_chosen, 64)), k))
    for step in range(n_chosen):
        if step == len(centres):
            centres = np.concatenate([centres, np.empty((min(step, n_chosen - step), k))])
        if step < len(start):
            picked[step] = start[step]
        else:
            while known[block := int(np.argmax(bounds))] < step:
                part = slice(int(edges[block]), int(edges[block + 1]))
                _bring_up(nearest, squares, points[part], part, centres[known[block] : step])
                bounds[block], known[block] = nearest[part].max(), step
            part = slice(int(edges[block]), int(edges[block + 1]))
            picked[step] = part.start + np.argmax(nearest[part])
            reached[step] = np.sqrt(nearest[picked[step]])
        centres[step] = points[slice(int(picked[step]), int(picked[step]) + 1)][0]
        nearest[picked[step]] = -1.0  # below every other, so that nothing is picked twice
        on_picked(step + 1)
    return picked, reached


def _bring_up(
    nearest: FloatArray, squares: FloatArray, block: FloatArray, part: slice, centres: FloatArray
) -> None:
    """Lower the squared distances of a block's points to those from more centres, in place."""
    if squares[part.start] < 0:
        squares[part] = np.einsum("ij,ij->i", block, block)
    lower_to(nearest[part], block, squares[part], centres)


def _weighted(
    points: FloatArray, start: int, n_chosen: int, weights: FloatArray, exponents: FloatArray
) -> IntArray:
    """Pick by weight^exponent · distance to the picked ones; exponents of each pick, shape (n_chosen,)."""
    points = np.ascontiguousarray(points)
    squares = np.einsum("ij,ij->i", points, points)
    nearest = np.full(len(points), np.inf)
    picked = np.empty(n_chosen, dtype=np.int64)
    picked[0] = start
    for step in range(1, n_chosen):
        last = picked[step - 1]
        lower_to(nearest, points, squares, points[last : last + 1])
        nearest[last] = -1.0  # below every other, so that nothing is picked twice
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
