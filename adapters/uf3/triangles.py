"""Compiled search: the interval of a distance, the neighbours that triples have, their triangles."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters.uf3.compiled import compiled


@compiled
def interval(r: float, s: int, splines: Any) -> int:
    """Return the number of the interval of spline ``s`` that holds ``r``, or −1."""
    if not splines.low[s] <= r < splines.high[s]:
        return -1
    bin_ = min(int((r - splines.low[s]) * splines.per_length[s]), splines.hint.shape[1] - 1)
    q = splines.hint[s, bin_]
    while r >= splines.right[q]:
        q += 1
    return int(q)


@compiled
def fill(r: float, q: int, splines: Any, values: Any, slopes: Any) -> None:
    """Fill the four functions of interval ``q`` and their derivatives by r, 1/Å."""
    x = r - splines.left[q]
    for p in range(4):
        a, b = splines.powers[q, p, 0], splines.powers[q, p, 1]
        c, d = splines.powers[q, p, 2], splines.powers[q, p, 3]
        values[p] = a + x * (b + x * (c + x * d))
        slopes[p] = b + x * (2.0 * c + x * 3.0 * d)


@compiled
def pair(
    e: int,
    z: int,
    species: Any,
    index: Any,
    vectors: Any,
    splines: Any,
    tables: Any,
    values: Any,
    slopes: Any,
) -> tuple[float, int]:
    """Fill the functions of a neighbour's distance from a centre of element ``z``.

    Returns the distance, and the place of the first function, or −1 where there is none.
    """
    x, y, w = vectors[e, 0], vectors[e, 1], vectors[e, 2]
    r = np.sqrt(x * x + y * y + w * w)
    p = tables.pair[z, species[index[e]]]
    spline = tables.pair_spline[p]
    q = interval(r, spline, splines)
    if q < 0:
        return r, -1
    fill(r, q, splines, values, slopes)
    return r, int(tables.pair_start[p] + q - splines.start[spline])


@compiled
def legs(
    i: int, species: Any, starts: Any, index: Any, vectors: Any, splines: Any, tables: Any, s: Any
) -> int:
    """List the neighbours of a centre that triples have, with the functions of their distances.

    ``s`` is what `scratch` made: entries, lengths, first functions, values, slopes. Returns how many.
    """
    entry, length, first, values, slopes = s
    count, z = 0, species[i]
    if tables.leg_reach <= 0.0:
        return 0
    for e in range(starts[i], starts[i + 1]):
        x, y, w = vectors[e, 0], vectors[e, 1], vectors[e, 2]
        r = np.sqrt(x * x + y * y + w * w)
        if r >= tables.leg_reach:
            continue
        entry[count], length[count] = e, r
        for other in range(len(tables.pair)):
            spline = tables.leg[z, species[index[e]], other]
            q = interval(r, spline, splines)
            first[count, other] = -1
            if q >= 0:
                first[count, other] = q - splines.start[spline]
                fill(r, q, splines, values[count, other], slopes[count, other])
        count += 1
    return count


@compiled
def scratch(starts: Any, n_elements: int) -> Any:
    """Make room for the neighbours of any centre."""
    most = 1
    for i in range(len(starts) - 1):
        most = max(most, starts[i + 1] - starts[i])
    return (
        np.empty(most, dtype=np.int64),
        np.empty(most),
        np.empty((most, n_elements), dtype=np.int64),
        np.empty((most, n_elements, 4)),
        np.empty((most, n_elements, 4)),
    )


@compiled
def triangle(
    a: int,
    b: int,
    z: int,
    species: Any,
    index: Any,
    vectors: Any,
    splines: Any,
    tables: Any,
    s: Any,
    across: Any,
    side: Any,
) -> Any:
    """Find the triple of two neighbours of a centre of element ``z`` and the functions of their distance.

    Fills ``across`` (values, slopes) and ``side`` (unit vector). Returns the neighbours in the order of the
    triple, its number (−1 where it does not count), the place of its first coefficient, and their distance.
    """
    entry, _, first, _, _ = s
    kind_a, kind_b = species[index[entry[a]]], species[index[entry[b]]]
    if kind_a > kind_b:
        a, b, kind_a, kind_b = b, a, kind_b, kind_a
    if first[a, kind_b] < 0 or first[b, kind_a] < 0:
        return a, b, -1, 0, 0.0
    for axis in range(3):
        side[axis] = vectors[entry[b], axis] - vectors[entry[a], axis]
    r = np.sqrt(side[0] * side[0] + side[1] * side[1] + side[2] * side[2])
    t = tables.triple[z, kind_a, kind_b]
    spline = tables.across[t]
    q = interval(r, spline, splines)
    if q < 0:
        return a, b, -1, 0, 0.0
    fill(r, q, splines, across[0], across[1])
    for axis in range(3):
        side[axis] /= r
    place = (
        tables.triple_start[t]
        + first[a, kind_b] * tables.stride[t, 0]
        + first[b, kind_a] * tables.stride[t, 1]
        + q
        - splines.start[spline]
    )
    return a, b, t, place, r
