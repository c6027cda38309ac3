"""The knots that the options ask for, without coefficients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from crossprune.adapters.uf3.knots import ORDER, clamped, pair_knots, spaced
from crossprune.adapters.uf3.options import Uf3Options
from crossprune.adapters.uf3.parameters import (
    Pair,
    Parameters,
    Trims,
    Triple,
    fitted_of,
    pairs_of,
    triples_of,
)
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import StudyError

MOST_COLUMNS = 6000
"""Coefficients: two elements with the finest knots that `crossprune tune` tries, fits of minutes and 3 GB."""

RESOLUTION_3B, COARSEST = 10, 4
"""Intervals of triples where the options name none, and the fewest."""


def radii_sums(elements: Sequence[str]) -> FloatArray:
    """Return the sum of covalent radii of each pair of elements (Cordero 2008), Å, shape (n, n)."""
    radii = covalent_radii[[atomic_numbers[element] for element in elements]]
    sums: FloatArray = radii[:, None] + radii
    return sums


def empty_parameters(elements: Sequence[str], options: Uf3Options) -> Parameters:
    """Place the knots of all pairs and triples; all coefficients are 0.

    Triples of many elements get coarser knots, down to `COARSEST`, if the options name no resolution.

    Raises
    ------
    StudyError
        If a cutoff is not above the distance where knots begin, or there are more than `MOST_COLUMNS`
        coefficients to fit.
    """
    inner = options.inner_fraction * radii_sums(elements)
    for name in ("cutoff", "cutoff_3b") if options.resolution_3b != 0 else ("cutoff",):
        if getattr(options, name) <= 1.2 * inner.max():
            raise StudyError(
                f"adapter 'uf3': {name} {getattr(options, name)} Å leaves no room for knots, which begin at "
                f"{inner.max():.2f} Å (inner_fraction × the sum of covalent radii); raise the one or lower "
                "the other"
            )
    pairs = []
    for a, b in pairs_of(len(elements)):
        knots = pair_knots(inner[a, b], options.cutoff, options.resolution_2b, options.knot_spacing)
        pairs.append(Pair((a, b), knots, np.zeros(len(knots) - ORDER)))
    n_pair = sum(len(one.coefficients) - Trims().pair_end for one in pairs)
    triples = tuple(_triples(elements, options, _resolution(elements, options, n_pair)))
    return Parameters(tuple(elements), np.zeros(len(elements)), tuple(pairs), triples)


def _triples(elements: Sequence[str], options: Uf3Options, resolution: int) -> Iterator[Triple]:
    inner = options.inner_fraction * radii_sums(elements)

    def knots(begin: float, end: float, intervals: int) -> FloatArray:
        return clamped(spaced(begin, end, intervals, options.knot_spacing))

    for c, a, b in triples_of(len(elements)) if resolution else ():
        legs = [knots(inner[c, one], options.cutoff_3b, resolution) for one in (a, b)]
        across = knots(inner[a, b], 2 * options.cutoff_3b, 2 * resolution)
        shape = (len(legs[0]) - ORDER, len(legs[1]) - ORDER, len(across) - ORDER)
        yield Triple((c, a, b), (legs[0], legs[1], across), np.zeros(shape))


def _resolution(elements: Sequence[str], options: Uf3Options, n_pair: int) -> int:
    """Return the intervals of triples; refuse more than `MOST_COLUMNS` before anything is made of them."""

    def fits(resolution: int) -> bool:
        count = n_pair
        for triple in _triples(elements, options, resolution):
            count += int(fitted_of(triple, Trims()).sum())
            if count > MOST_COLUMNS:
                break
        return count <= MOST_COLUMNS

    asked = RESOLUTION_3B if options.resolution_3b is None else options.resolution_3b
    if fits(asked):
        return asked
    lower = next((resolution for resolution in range(asked - 1, COARSEST - 1, -1) if fits(resolution)), 0)
    if lower and options.resolution_3b is None:
        return lower
    remedy = f"lower resolution_3b to {lower}" if lower else "lower resolution_2b"
    if asked and not lower and fits(0):
        remedy = "leave triples out (resolution_3b = 0)"
    raise StudyError(
        f"adapter 'uf3': more than {MOST_COLUMNS} coefficients for {len(elements)} elements with "
        f"resolution_2b = {options.resolution_2b} and resolution_3b = {asked}; {remedy}"
    )
