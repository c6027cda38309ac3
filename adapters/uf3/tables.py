"""A UF3 potential as arrays for the compiled loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from crossprune.adapters.uf3.knots import hints, pieces
from crossprune.adapters.uf3.parameters import Parameters, columns_of
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray

N_BINS = 64
"""Bins of the tables that say where to begin looking for a distance's interval."""


class Splines(NamedTuple):
    """All different knot sequences; intervals are numbered through, those of s from ``start[s]``."""

    low: FloatArray
    """First knot, Å, shape (n_splines,)."""
    high: FloatArray
    """Last knot, Å."""
    per_length: FloatArray
    """Bins per Å."""
    start: IntArray
    hint: IntArray
    """Interval to begin at, shape (n_splines, N_BINS)."""
    left: FloatArray
    """Left end of each interval, Å, shape (n_intervals,)."""
    right: FloatArray
    powers: FloatArray
    """Polynomials of the four functions, shape (n_intervals, 4, 4)."""


class Tables(NamedTuple):
    """Which splines, columns and coefficients pairs and triples of elements have."""

    reach: float
    """Largest last knot of a pair, Å."""
    leg_reach: float
    """Largest last knot of a distance from a centre in a triple, Å; 0 without triples."""
    pair: IntArray
    """Number of each pair, shape (n_elements, n_elements)."""
    pair_spline: IntArray
    pair_start: IntArray
    """Place of each pair's first function in the next two."""
    pair_column: IntArray
    pair_value: FloatArray
    shift: IntArray
    """What is added to a pair's column for its feature, by centre and neighbour."""
    leg: IntArray
    """Spline of the distance from a centre to a neighbour beside another one: shape (n, n, n)."""
    triple: IntArray
    """Number of each triple, neighbours in order, shape (n, n, n)."""
    across: IntArray
    """Spline of the distance between the neighbours of each triple."""
    triple_start: IntArray
    """Place of each triple's first coefficient in the last two."""
    stride: IntArray
    """Steps of l and m in them, shape (n_triples, 2)."""
    triple_column: IntArray
    triple_value: FloatArray


def tables_of(parameters: Parameters) -> tuple[Splines, Tables, int]:
    """Lay out a potential.

    Returns
    -------
    tuple
        The splines, the tables, and the number of features: one per column, and for the pairs of different
        elements another one as seen from the second.
    """
    n, columns = len(parameters.elements), columns_of(parameters)
    sequences: dict[bytes, tuple[int, FloatArray]] = {}

    def number(knots: FloatArray) -> int:
        return sequences.setdefault(knots.tobytes(), (len(sequences), knots))[0]

    pair, shift = np.zeros((n, n), dtype=np.int64), np.zeros((n, n), dtype=np.int64)
    pair_start, n_features = [0], columns.count
    for index, (one, own) in enumerate(zip(parameters.pairs, columns.pairs, strict=True)):
        a, b = one.atoms
        pair[a, b] = pair[b, a] = index
        pair_start.append(pair_start[-1] + len(own))
        used = own[own >= 0]
        if a != b and len(used):
            shift[b, a] = n_features - used[0]
            n_features += len(used)
    leg = np.full((n, n, n), -1, dtype=np.int64)
    triple = np.full((n, n, n), -1, dtype=np.int64)
    stride, triple_start = [], [0]
    for index, three in enumerate(parameters.triples):
        c, a, b = three.atoms
        triple[c, a, b] = index
        leg[c, a, b], leg[c, b, a] = number(three.knots[0]), number(three.knots[1])
        _, rows, depth = three.coefficients.shape
        stride.append((rows * depth, depth))
        triple_start.append(triple_start[-1] + three.coefficients.size)
    pair_spline = [number(one.knots) for one in parameters.pairs]
    across = [number(three.knots[2]) for three in parameters.triples]
    tables = Tables(
        reach=max(float(one.knots[-1]) for one in parameters.pairs),
        leg_reach=max((float(k[-1]) for three in parameters.triples for k in three.knots[:2]), default=0.0),
        pair=pair,
        pair_spline=np.array(pair_spline, dtype=np.int64),
        pair_start=np.array(pair_start, dtype=np.int64),
        pair_column=np.concatenate(columns.pairs),
        pair_value=np.concatenate([one.coefficients for one in parameters.pairs]),
        shift=shift,
        leg=leg,
        triple=triple,
        across=np.array(across, dtype=np.int64),
        triple_start=np.array(triple_start, dtype=np.int64),
        stride=np.array(stride, dtype=np.int64).reshape(-1, 2),
        triple_column=_flat([one.ravel() for one in columns.triples], np.int64),
        triple_value=_flat([three.coefficients.ravel() for three in parameters.triples], np.float64),
    )
    return _splines([knots for _, knots in sequences.values()]), tables, n_features


def _flat(parts: list[NDArray[Any]], kind: type) -> NDArray[Any]:
    return np.concatenate([np.empty(0, dtype=kind), *parts])


def _splines(sequences: list[FloatArray]) -> Splines:
    made = [pieces(knots) for knots in sequences]
    start = np.cumsum([0] + [len(powers) for _, powers in made])
    low = np.array([ends[0] for ends, _ in made])
    high = np.array([ends[-1] for ends, _ in made])
    return Splines(
        low=low,
        high=high,
        per_length=N_BINS / (high - low),
        start=start.astype(np.int64),
        hint=np.array([hints(ends, N_BINS) + first for (ends, _), first in zip(made, start, strict=False)]),
        left=np.concatenate([ends[:-1] for ends, _ in made]),
        right=np.concatenate([ends[1:] for ends, _ in made]),
        powers=np.concatenate([powers for _, powers in made]),
    )
