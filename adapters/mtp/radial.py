"""Radial functions that know no data: where a fit of them begins, and what exact refits keep."""

from __future__ import annotations

import numpy as np
from crossprune.adapters.mtp.kernels import chebyshev
from crossprune.adapters.mtp.model import Radial
from crossprune.harness.contract import FloatArray

QUADRATURE = 64
"""Points of Gauss and Legendre: exact for polynomials of degree 127; the largest here is 2·(29 + 2) + 2."""


def orthonormal(min_distance: float, cutoff: float, size: int) -> FloatArray:
    """Return g_k = Σ_l O_kl T_l(ξ) (r_cut - r)², orthonormal over the shell of neighbours: O, 1/Å².

    The inner product is the mean over the shell's volume, ∫ g_k g_l r² dr / ∫ r² dr from ``min_distance``
    to ``cutoff`` (Å): what a uniform density of neighbours would see. By Gram and Schmidt from k = 0 on, so
    that g_k has k nodes. Shape (size, size).
    """
    points, weights = np.polynomial.legendre.leggauss(QUADRATURE)
    distances = min_distance + (cutoff - min_distance) * (points + 1) / 2
    values, slopes = np.zeros((QUADRATURE, size)), np.zeros(size)
    for row, distance in zip(values, distances.tolist(), strict=True):
        chebyshev(distance, min_distance, cutoff, row, slopes)
    weights = weights * distances**2
    gram = values.T @ (values * (weights / weights.sum())[:, None])
    found: FloatArray = np.linalg.inv(np.linalg.cholesky(gram))
    return found


def mixing(n_elements: int, n_radial: int, size: int, *, by_centre: bool) -> FloatArray:
    """Return which g_k each radial function begins with, shape (n_elements, n_elements, .., size).

    Function μ is g_μ for the first element, and turns towards a further g_k for others, by at most 90
    degrees: cos θ g_μ + sin θ g_(n_radial + μ). ``by_centre`` gives each element of the centre radial
    functions of its own, zero at all others, and so invariants and coefficients of its own: the third
    dimension is then n_elements · n_radial; θ follows the neighbour's element. Without it θ is different
    for every ordered pair.
    """
    found = np.zeros((n_elements, n_elements, n_radial * (n_elements if by_centre else 1), size))
    partners = n_radial + np.arange(n_radial) % max(size - n_radial, 1)
    for centre in range(n_elements):
        for neighbour in range(n_elements):
            turn = neighbour / n_elements if by_centre else (centre * n_elements + neighbour) / n_elements**2
            for mu in range(n_radial):
                row = found[centre, neighbour, mu + (centre * n_radial if by_centre else 0)]
                row[mu] += np.cos(turn * np.pi / 2)
                if turn:
                    row[partners[mu]] += np.sin(turn * np.pi / 2)
    return found


def size_of(n_chebyshev: int, n_radial: int, n_elements: int) -> int:
    """Return how many polynomials are needed: one for each radial function, and one more for alloys."""
    return max(n_chebyshev, n_radial + (n_elements > 1))


def unfitted(
    n_elements: int, n_radial: int, size: int, *, min_distance: float, cutoff: float, by_centre: bool
) -> Radial:
    """Return the radial functions of `mixing` (lengths in Å)."""
    functions = orthonormal(min_distance, cutoff, size)
    mixed = mixing(n_elements, n_radial, size, by_centre=by_centre) @ functions
    return Radial(np.ascontiguousarray(mixed), min_distance, cutoff)
