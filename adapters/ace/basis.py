"""Choice of the invariants of a linear ACE by their degree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.adapters.ace.coupling import couple, independent_momenta
from crossprune.adapters.ace.model import Function

STEPS = 20
"""Steps in which the degrees grow until there are enough functions."""
Factor = tuple[int, int, int]
"""Element index, n (from 1) and l of one factor."""


@dataclass(frozen=True)
class DegreeRule:
    """Which products of factors (n, l) to take: those with Σ (n - 1 + l_weight l) <= the order's degree.

    Kovács 2021, doi:10.1021/acs.jctc.1c00647, section 2.2, with n counted from 1.
    """

    max_degrees: tuple[float, ...]
    """Largest degree for one, two, ... factors."""
    l_weight: float = 1.0
    n_functions: int = 0
    """Keep so many functions, as if all degrees were scaled down together; 0 keeps all."""


def degree(ns: Sequence[int], ls: Sequence[int], l_weight: float) -> float:
    """Return the degree of a product."""
    return sum(n - 1 for n in ns) + l_weight * sum(ls)


def build_functions(n_elements: int, rule: DegreeRule) -> tuple[Function, ...]:
    """Return linearly independent invariants of one centre, in the order of PACE's files."""
    if not rule.n_functions:
        return tuple(sorted(_enumerate(n_elements, rule, 1.0), key=lambda function: function.order))

    def shrink(function: Function) -> tuple[float, tuple[object, ...]]:
        """Return the least factor on all degrees that still admits a function."""
        limit = rule.max_degrees[function.rank - 1]
        return degree(function.ns, function.ls, rule.l_weight) / max(limit, 1e-9), function.order

    found: list[Function] = []
    for step in range(1, STEPS + 1):
        found = _enumerate(n_elements, rule, step / STEPS)
        if len(found) >= rule.n_functions:
            break
    found = sorted(found, key=shrink)[: rule.n_functions]
    return tuple(sorted(found, key=lambda function: function.order))


def _enumerate(n_elements: int, rule: DegreeRule, scale: float) -> list[Function]:
    """Return all functions whose degree is at most ``scale`` times their order's limit."""
    functions = []
    for rank, limit in enumerate(rule.max_degrees, 1):
        for factors in _products(rank, scale * limit, n_elements, rule.l_weight):
            elements, ns, ls = zip(*factors, strict=True)
            labels = tuple(1000 * element + n for element, n in zip(elements, ns, strict=True))
            for inner in independent_momenta(ls, labels):
                ms, weights = couple(ls, inner)
                functions.append(Function(elements, ns, ls, ms, np.array(weights)[:, None], inner))
    return functions


def _products(rank: int, limit: float, n_elements: int, l_weight: float) -> Iterator[tuple[Factor, ...]]:
    """Yield products of sorted factors whose momenta can couple to an invariant."""
    factors = _factors(rank, limit, n_elements, l_weight)
    costs = [degree([n], [l], l_weight) for _, n, l in factors]  # noqa: E741

    def grow(begin: int, chosen: list[Factor], left: float) -> Iterator[tuple[Factor, ...]]:
        if len(chosen) == rank:
            if sum(factor[2] for factor in chosen) % 2 == 0:
                yield tuple(chosen)
            return
        for index in range(begin, len(factors)):
            if costs[index] <= left + 1e-9:
                yield from grow(index, [*chosen, factors[index]], left - costs[index])

    yield from grow(0, [], limit)


def _factors(rank: int, limit: float, n_elements: int, l_weight: float) -> list[Factor]:
    """Return the sorted factors that a product of ``rank`` factors can have."""
    found = []
    for element in range(n_elements):
        for n in range(1, int(limit) + 2):
            l = 0  # noqa: E741
            while degree([n], [l], l_weight) <= limit + 1e-9 and (rank > 1 or l == 0):
                found.append((element, n, l))
                l += 1  # noqa: E741
    return sorted(found)
