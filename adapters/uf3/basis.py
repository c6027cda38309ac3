"""The knots that the options ask for, without coefficients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from crossprune.adapters.uf3.knots import ORDER, clamped, pair_knots, spaced
from crossprune.adapters.uf3.options import Uf3Options
from crossprune.adapters.uf3.parameters import Pair, Parameters, Triple, pairs_of, triples_of
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import StudyError


def radii_sums(elements: Sequence[str]) -> FloatArray:
    """Return the sum of covalent radii of each pair of elements (Cordero 2008), Å, shape (n, n)."""
    radii = covalent_radii[[atomic_numbers[element] for element in elements]]
    sums: FloatArray = radii[:, None] + radii
    return sums


def empty_parameters(elements: Sequence[str], options: Uf3Options) -> Parameters:
    """Place the knots of all pairs and triples; all coefficients are 0.

    Raises
    ------
    StudyError
        If a cutoff is not above the distance where knots begin.
    """
    inner = options.inner_fraction * radii_sums(elements)
    for name in ("cutoff", "cutoff_3b") if options.resolution_3b else ("cutoff",):
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
    triples = []
    for c, a, b in triples_of(len(elements)) if options.resolution_3b else ():
        legs = [_leg(inner[c, one], options) for one in (a, b)]
        across = clamped(
            spaced(inner[a, b], 2 * options.cutoff_3b, 2 * options.resolution_3b, options.knot_spacing)
        )
        shape = (len(legs[0]) - ORDER, len(legs[1]) - ORDER, len(across) - ORDER)
        triples.append(Triple((c, a, b), (legs[0], legs[1], across), np.zeros(shape)))
    return Parameters(tuple(elements), np.zeros(len(elements)), tuple(pairs), tuple(triples))


def _leg(inner: float, options: Uf3Options) -> FloatArray:
    return clamped(spaced(inner, options.cutoff_3b, options.resolution_3b, options.knot_spacing))
