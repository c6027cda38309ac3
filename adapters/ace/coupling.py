"""Coupling of spherical harmonics to rotation and inversion invariants."""

from __future__ import annotations

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError

Combination = tuple[int, ...]
"""The m of each factor of a product."""


@functools.cache
def clebsch_gordan(l1: int, m1: int, l2: int, m2: int, l3: int, m3: int) -> float:
    """Return ⟨l1 m1 l2 m2 | l3 m3⟩ by Racah's formula.

    Varshalovich, Moskalev and Khersonskii, Quantum Theory of Angular Momentum (1988), equation 8.2.1(3).

    Examples
    --------
    >>> round(clebsch_gordan(1, 1, 1, -1, 0, 0), 12)
    0.57735026919
    """
    if m1 + m2 != m3 or not abs(l1 - l2) <= l3 <= l1 + l2:
        return 0.0
    if abs(m1) > l1 or abs(m2) > l2 or abs(m3) > l3:
        return 0.0
    f = math.factorial
    square = (
        (2 * l3 + 1) * f(l3 + l1 - l2) * f(l3 - l1 + l2) * f(l1 + l2 - l3)
        * f(l3 + m3) * f(l3 - m3) * f(l1 - m1) * f(l1 + m1) * f(l2 - m2) * f(l2 + m2)
    ) / f(l1 + l2 + l3 + 1)  # fmt: skip
    total = 0.0
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1):
        denominator = (
            f(k) * f(l1 + l2 - l3 - k) * f(l1 - m1 - k) * f(l2 + m2 - k)
            * f(l3 - l2 + m1 + k) * f(l3 - l1 - m2 + k)
        )  # fmt: skip
        total += (-1) ** k / denominator
    return math.sqrt(square) * total


def intermediate_momenta(ls: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield all intermediate L of factors with angular momenta ``ls``, as PACE's files order them.

    Factors are coupled in pairs (1, 2), (3, 4), (5, 6), then the first two pairs together; what is
    left couples to 0. One L for three factors, two for four, three for five, four for six.
    """
    rank = len(ls)
    if rank <= 2:
        if (rank == 2 and ls[0] == ls[1]) or (rank == 1 and ls[0] == 0):
            yield ()
        return
    first = range(abs(ls[0] - ls[1]), ls[0] + ls[1] + 1)
    if rank == 3:
        yield from ((ls[2],) for _ in (0,) if ls[2] in first)
        return
    second = range(abs(ls[2] - ls[3]), ls[2] + ls[3] + 1)
    if rank == 4:
        yield from ((one, one) for one in first if one in second)
        return
    last = [ls[4]] if rank == 5 else range(abs(ls[4] - ls[5]), ls[4] + ls[5] + 1)
    for one, other, end in itertools.product(first, second, last):
        if abs(one - other) <= end <= one + other:
            yield (one, other, end) if rank == 5 else (one, other, end, end)


@functools.cache
def couple(ls: tuple[int, ...], inner: tuple[int, ...]) -> tuple[tuple[Combination, ...], tuple[float, ...]]:
    """Return the m combinations of an invariant and their generalised Clebsch-Gordan weights.

    Only half of the combinations is given: the first non-zero m is positive and stands, with twice
    the weight, for its mirror image as well, of which the product is the complex conjugate.

    Raises
    ------
    DataError
        If ``inner`` does not couple ``ls`` to an invariant.
    """
    rank = len(ls)
    if not 1 <= rank <= 6:
        raise DataError(f"products of {rank} factors are not supported; 1 to 6 are")
    if sum(ls) % 2 or inner not in set(intermediate_momenta(ls)):
        raise DataError(f"l = {list(ls)} with intermediate L = {list(inner)} is no invariant")
    combinations, weights = [], []
    for ms in itertools.product(*(range(-one, one + 1) for one in ls)):
        nonzero = [m for m in ms if m]
        if sum(ms) or (nonzero and nonzero[0] < 0):
            continue
        weight = _weight(ls, ms, inner)
        if weight:
            combinations.append(ms)
            weights.append(2 * weight if nonzero else weight)
    return tuple(combinations), tuple(weights)


def _weight(ls: Sequence[int], ms: Sequence[int], inner: Sequence[int]) -> float:
    """Return the generalised Clebsch-Gordan coefficient of one combination."""
    if len(ls) == 1:
        return 1.0
    tree = [(l, m) for l, m in zip(ls, ms, strict=True)]  # noqa: E741
    weight, names = 1.0, list(inner)
    pairs: list[tuple[int, int]] = []
    while len(tree) >= 2 and names:
        (l1, m1), (l2, m2), tree = tree[0], tree[1], tree[2:]
        top = (names.pop(0), m1 + m2)
        weight *= clebsch_gordan(l1, m1, l2, m2, *top)
        pairs.append(top)
        if len(pairs) == 2 and (tree or names):
            (l1, m1), (l2, m2) = pairs
            end = names.pop(0)
            weight *= clebsch_gordan(l1, m1, l2, m2, end, m1 + m2)
            pairs = [(end, m1 + m2)]
    (l1, m1), (l2, m2) = pairs + tree
    return weight * clebsch_gordan(l1, m1, l2, m2, 0, 0)


def independent_momenta(ls: tuple[int, ...], labels: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Choose intermediate momenta whose invariants are linearly independent.

    Factors with equal ``labels`` (and equal l) commute, which makes some couplings dependent or zero
    (Dusson 2022, doi:10.1016/j.jcp.2022.110946, section 3). The products of sorted factors are
    independent polynomials, so the rank of their weights decides.
    """
    if sum(ls) % 2:
        return []
    chosen: list[tuple[int, ...]] = []
    basis: list[dict[tuple[tuple[int, int, int], ...], float]] = []
    for inner in intermediate_momenta(ls):
        vector: dict[tuple[tuple[int, int, int], ...], float] = defaultdict(float)
        for ms, weight in zip(*couple(ls, inner), strict=True):
            key = tuple(sorted(zip(labels, ls, ms, strict=True)))
            mirror = tuple(sorted((label, l, -m) for label, l, m in key))  # noqa: E741
            vector[min(key, mirror)] += weight
        rows = [*basis, vector]
        keys = sorted({key for row in rows for key in row})
        matrix: FloatArray = np.array([[row.get(key, 0.0) for key in keys] for row in rows])
        # Weights are sums of square roots of small fractions: zero is zero to rounding.
        if np.linalg.matrix_rank(matrix, tol=1e-9) == len(rows):
            basis.append(vector)
            chosen.append(inner)
    return chosen
