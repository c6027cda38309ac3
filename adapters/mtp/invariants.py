"""Which invariants a level holds: contractions of moment tensors, as graphs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations

Label = tuple[int, int, int, int]
"""Of a vertex: the moment's radial function μ, and how many x, y and z of its tensor are not contracted."""
MOST_MOMENTS = 4
"""Moments in a product, and so bodies less one: that is what the tables of the program MLIP hold."""
Edges = tuple[int, ...]
"""How many indices each pair of vertices contracts, pairs in the order (0, 1), (0, 2), (1, 2), (0, 3), …"""


def place(i: int, j: int) -> int:
    """Return where the pair (i, j), i < j, stands in `Edges`."""
    return j * (j - 1) // 2 + i


@dataclass(frozen=True, order=True)
class Contraction:
    """Moment tensors (vertices) some of whose indices are contracted with each other (edges).

    A vertex μ of degree ν is the tensor M_μ,ν = Σ_j f_μ(r_j) r̂_j^⊗ν of an atom's neighbours (Shapeev 2016,
    doi:10.1137/15M1054183, eq. 2.4). With indices left over it is one component of a tensor, without it is
    an invariant.
    """

    labels: tuple[Label, ...]
    edges: Edges

    @property
    def n_vertices(self) -> int:
        """Number of moment tensors."""
        return len(self.labels)

    def degree(self, vertex: int) -> int:
        """Return how many indices of a vertex are contracted."""
        others = (other for other in range(self.n_vertices) if other != vertex)
        return sum(self.edges[place(min(vertex, other), max(vertex, other))] for other in others)

    def level(self, step: int) -> int:
        """Sum of 2 + step · μ + ν over the moments (Novikov 2021, doi:10.1088/2632-2153/abc9fe, step 4)."""
        return sum(
            2 + step * label[0] + sum(label[1:]) + self.degree(vertex)
            for vertex, label in enumerate(self.labels)
        )

    def canonical(self) -> Contraction:
        """Return the same contraction with its vertices in a standard order."""
        return min(
            Contraction(
                tuple(self.labels[k] for k in order),
                tuple(
                    self.edges[place(min(order[i], order[j]), max(order[i], order[j]))]
                    for j in range(len(order))
                    for i in range(j)
                ),
            )
            for order in _orders(self.labels)
        )

    def is_connected(self) -> bool:
        """Tell whether every vertex is reached from the first one."""
        return connected_part(self, range(self.n_vertices))


def _orders(labels: Sequence[Label]) -> Iterator[tuple[int, ...]]:
    """Yield the orders of the vertices that leave their labels sorted."""
    groups: dict[Label, list[int]] = {}
    for vertex, label in enumerate(labels):
        groups.setdefault(label, []).append(vertex)
    parts: list[tuple[int, ...]] = [()]
    for label in sorted(groups):
        parts = [(*part, *order) for part in parts for order in permutations(groups[label])]
    yield from parts


def connected_part(contraction: Contraction, among: Sequence[int]) -> bool:
    """Tell whether the edges between some of the vertices connect them all."""
    reached, waiting = {among[0]}, [among[0]]
    while waiting:
        one = waiting.pop()
        for other in among:
            edge = other not in reached and contraction.edges[place(min(one, other), max(one, other))]
            if edge:
                reached.add(other)
                waiting.append(other)
    return len(reached) == len(among)


@functools.cache
def connected_invariants(level: int, step: int = 4) -> tuple[Contraction, ...]:
    """Return all connected complete contractions up to a level, each once, sorted by level and size."""
    found: set[Contraction] = set()
    for moments in _moments(level, step, MOST_MOMENTS, (0, 0)):
        for edges in _graphs(tuple(degree for _, degree in moments)):
            one = Contraction(tuple((mu, 0, 0, 0) for mu, _ in moments), edges)
            if one.is_connected():
                found.add(one.canonical())
    return tuple(sorted(found, key=lambda one: (one.level(step), one.n_vertices, one)))


@functools.cache
def invariants(level: int, step: int = 4) -> tuple[tuple[Contraction, ...], ...]:
    """Return all invariants up to a level: products of connected contractions, the constant left out.

    Sorted by level, then by the number of factors; each product's factors are sorted.
    """
    factors = connected_invariants(level, step)
    found: list[tuple[Contraction, ...]] = []
    for n_factors in range(1, MOST_MOMENTS + 1):
        small = [one for one in factors if one.level(step) <= level - 2 * (n_factors - 1)]
        found += [
            product
            for product in combinations_with_replacement(small, n_factors)
            if level_of(product, step) <= level and sum(one.n_vertices for one in product) <= MOST_MOMENTS
        ]
    position = {one: index for index, one in enumerate(factors)}
    return tuple(
        sorted(found, key=lambda one: (level_of(one, step), len(one), [position[factor] for factor in one]))
    )


def level_of(product: Sequence[Contraction], step: int) -> int:
    """Return the level of a product of contractions."""
    return sum(one.level(step) for one in product)


def _moments(
    level: int, step: int, most: int, least: tuple[int, int]
) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield all multisets of up to ``most`` moments (μ, ν) from ``least`` on, of at most this level."""
    for mu in range(least[0], (level - 2) // step + 1):
        for nu in range(least[1] if mu == least[0] else 0, level - 2 - step * mu + 1):
            yield ((mu, nu),)
            if most > 1:
                for rest in _moments(level - 2 - step * mu - nu, step, most - 1, (mu, nu)):
                    yield ((mu, nu), *rest)


def _graphs(degrees: tuple[int, ...]) -> Iterator[Edges]:
    """Yield all graphs without loops, but with multiple edges, whose vertices have these degrees."""
    *others, last = degrees
    if not others:
        if last == 0:
            yield ()
        return
    for row in _rows(last, others):
        left = tuple(degree - used for degree, used in zip(others, row, strict=True))
        for edges in _graphs(left):
            yield edges + row


def _rows(total: int, limits: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all ways to write ``total`` as a sum of numbers between 0 and each limit."""
    if not limits:
        if total == 0:
            yield ()
        return
    for first in range(min(total, limits[0]) + 1):
        for rest in _rows(total - first, limits[1:]):
            yield (first, *rest)
