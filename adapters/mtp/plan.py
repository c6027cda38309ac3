"""In which order products of moments are formed, so that every invariant is found with few of them."""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from crossprune.adapters.mtp.invariants import Contraction, Label, connected_part, invariants, place
from crossprune.harness.contract import IntArray


@dataclass(frozen=True)
class Plan:
    """Basic moments, products of two moments, and which are invariants: the tables of a ``.mtp`` file.

    A moment is Σ factor · moment · moment over its rows of ``products``, and every row stands behind
    those that make its factors. Basic moments are M = Σ_j f_μ(r_j) x^a y^b z^c / r^(a+b+c).
    """

    basic: IntArray
    """μ, a, b, c of each basic moment, shape (n_basic, 4); they are the first moments."""
    products: IntArray
    """First factor, second factor, multiplicity, moment that it is added to; shape (n_products, 4)."""
    scalars: IntArray
    """The moments that are invariants, shape (n_scalars,)."""
    n_moments: int

    @property
    def n_radial(self) -> int:
        """Number of radial functions."""
        return int(self.basic[:, 0].max()) + 1

    def n_factors(self) -> IntArray:
        """Return how many basic moments each invariant is a product of, shape (n_scalars,)."""
        count = np.ones(self.n_moments, dtype=np.int64)
        for left, right, _, target in self.products.tolist():
            count[target] = count[left] + count[right]
        return count[self.scalars]


@functools.cache
def plan_of(level: int, step: int = 4) -> Plan:
    """Return the plan of all invariants up to a level; ``step`` is what a unit of μ counts."""
    builder = _Builder()
    scalars = [builder.invariant(factors) for factors in invariants(level, step)]
    return builder.plan(scalars)


def repeated(plan: Plan, times: int) -> Plan:
    """Return a plan that holds another one several times, with radial functions of their own each."""
    n_basic, n_radial = len(plan.basic), plan.n_radial
    n_formed = plan.n_moments - n_basic

    def moved(moments: IntArray, copy: int) -> IntArray:
        formed = moments + (times - 1) * n_basic + copy * n_formed
        return np.where(moments < n_basic, moments + copy * n_basic, formed)

    basic = [plan.basic + np.array([copy * n_radial, 0, 0, 0]) for copy in range(times)]
    products = []
    for copy in range(times):
        table = moved(plan.products, copy)
        table[:, 2] = plan.products[:, 2]
        products.append(table)
    scalars = [moved(plan.scalars, copy) for copy in range(times)]
    return Plan(
        np.concatenate(basic), np.concatenate(products), np.concatenate(scalars), times * plan.n_moments
    )


class _Builder:
    """Numbers moments, and collects the products that make them, as they are asked for."""

    def __init__(self) -> None:
        self._number: dict[Contraction | tuple[Contraction, ...], int] = {}
        self._products: list[tuple[int, int, int, int]] = []
        self._types: set[Contraction] = set()

    def invariant(self, factors: tuple[Contraction, ...]) -> int:
        """Return the number of an invariant, a product of complete contractions."""
        if len(factors) == 1:
            return self.component(factors[0])
        if factors not in self._number:
            left, right = self.invariant(factors[:-1]), self.component(factors[-1])
            self._number[factors] = self._next()
            self._products.append((left, right, 1, self._number[factors]))
        return self._number[factors]

    def component(self, given: Contraction) -> int:
        """Return the number of a component of a tensor, whose products are formed at its first mention."""
        one = given.canonical()
        if one not in self._number:
            terms: dict[tuple[int, int], int] = defaultdict(int)
            if one.n_vertices > 1:
                kind = _kind(one)
                left, _ = self._best(kind)
                self._types.add(kind.canonical())
                for first, second, factor in _terms(one, left):
                    a, b = sorted((self.component(first), self.component(second)))
                    terms[a, b] += factor
            self._number[one] = self._next()
            self._products += [(a, b, factor, self._number[one]) for (a, b), factor in sorted(terms.items())]
        return self._number[one]

    def plan(self, scalars: Sequence[int]) -> Plan:
        """Number anew, basic moments first."""
        basic = [key for key in self._number if isinstance(key, Contraction) and key.n_vertices == 1]
        basic.sort(key=lambda one: _order(one.labels[0]))
        old = [self._number[one] for one in basic]
        rest = sorted(set(range(len(self._number))) - set(old))
        new = np.empty(len(self._number), dtype=np.int64)
        new[[*old, *rest]] = np.arange(len(new))
        table = np.array(self._products, dtype=np.int64).reshape(-1, 4)
        for column in (0, 1, 3):
            table[:, column] = new[table[:, column]]
        labels = np.array([one.labels[0] for one in basic], dtype=np.int64)
        return Plan(labels, table, new[list(scalars)], len(new))

    def _next(self) -> int:
        return len(self._number)

    def _best(self, kind: Contraction) -> tuple[tuple[int, ...], int]:
        """Return the part of a tensor's vertices that is best multiplied with the rest, and what it costs."""
        found = []
        for left in _parts(kind):
            right = tuple(vertex for vertex in range(kind.n_vertices) if vertex not in left)
            across = [kind.edges[place(*sorted((u, w)))] for u in left for w in right]
            cost = _n_components(kind) * math.prod(_n_triples(edge) for edge in across)
            cost += self._cost(_sub(kind, left)) + self._cost(_sub(kind, right))
            found.append((cost, left))
        cost, left = min(found)
        return left, cost

    def _cost(self, kind: Contraction) -> int:
        """Return how many products the components of a tensor take; none if they are there."""
        if kind.n_vertices == 1 or kind.canonical() in self._types:
            return 0
        return self._best(kind)[1]


def _order(label: Label) -> tuple[int, int, int, int]:
    """Return the key of MLIP's order of basic moments: μ, ν, then x before y before z."""
    mu, a, b, c = label
    return mu, a + b + c, -a, -b


def _n_triples(nu: int) -> int:
    """Count the components of a symmetric tensor of rank ν."""
    return (nu + 1) * (nu + 2) // 2


def _triples(nu: int) -> Iterator[tuple[int, int, int]]:
    """Yield how many x, y and z the components of a symmetric tensor of rank ν have."""
    for a in range(nu, -1, -1):
        for b in range(nu - a, -1, -1):
            yield a, b, nu - a - b


def _kind(one: Contraction) -> Contraction:
    """Return the component of the same tensor whose free indices are all x: it stands for the tensor."""
    return Contraction(tuple((label[0], sum(label[1:]), 0, 0) for label in one.labels), one.edges)


def _n_components(kind: Contraction) -> int:
    return math.prod(_n_triples(label[1]) for label in kind.labels)


def _sub(kind: Contraction, part: Sequence[int]) -> Contraction:
    """Return the tensor of some vertices: what they were contracted with outside is free."""
    labels = []
    for vertex in part:
        mu, free = kind.labels[vertex][:2]
        labels.append((mu, free + kind.degree(vertex) - _inside(kind, vertex, part), 0, 0))
    return Contraction(tuple(labels), _edges(kind, part))


def _inside(one: Contraction, vertex: int, part: Sequence[int]) -> int:
    return sum(one.edges[place(*sorted((vertex, other)))] for other in part if other != vertex)


def _edges(one: Contraction, part: Sequence[int]) -> tuple[int, ...]:
    return tuple(one.edges[place(part[i], part[j])] for j in range(len(part)) for i in range(j))


def _parts(kind: Contraction) -> Iterator[tuple[int, ...]]:
    """Yield the parts with the first vertex such that the part and the rest are connected each."""
    others = range(1, kind.n_vertices)
    for size in range(kind.n_vertices - 1):
        for chosen in combinations(others, size):
            part = (0, *chosen)
            rest = tuple(vertex for vertex in others if vertex not in chosen)
            if connected_part(kind, part) and connected_part(kind, rest):
                yield part


def _terms(one: Contraction, left: Sequence[int]) -> Iterator[tuple[Contraction, Contraction, int]]:
    """Yield the products of which a component is the sum: a component of each part, and the multiplicity.

    A contraction of n indices that are symmetric on one side is a sum over how many of them are x, y and z,
    each counted n!/(a! b! c!) times.
    """
    right = [vertex for vertex in range(one.n_vertices) if vertex not in left]
    pairs = [(u, w) for u in left for w in right if one.edges[place(*sorted((u, w)))]]
    counts = [one.edges[place(*sorted(pair))] for pair in pairs]
    for choice in product(*(list(_triples(count)) for count in counts)):
        labels = [list(label) for label in one.labels]
        factor = 1
        for pair, count, triple in zip(pairs, counts, choice, strict=True):
            factor *= math.factorial(count) // math.prod(map(math.factorial, triple))
            for vertex in pair:
                for axis, number in enumerate(triple, start=1):
                    labels[vertex][axis] += number
        yield _component(one, left, labels), _component(one, right, labels), factor


def _component(one: Contraction, part: Sequence[int], labels: Sequence[Sequence[int]]) -> Contraction:
    chosen = [(labels[v][0], labels[v][1], labels[v][2], labels[v][3]) for v in part]
    return Contraction(tuple(chosen), _edges(one, part))
