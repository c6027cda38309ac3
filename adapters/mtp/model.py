"""What a moment tensor potential consists of, and the tables that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from crossprune.adapters.mtp.plan import Plan
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray


@dataclass(frozen=True)
class Radial:
    """Radial functions f_μ(r) = Σ_k c_μk T_k(ξ) (r_cut - r)², one set per ordered pair of elements.

    T_k are Chebyshev polynomials, ξ goes from -1 at ``min_distance`` to 1 at ``cutoff`` (Novikov 2021,
    doi:10.1088/2632-2153/abc9fe, eqs. 4 and 5); below ``min_distance`` they go on as polynomials.
    """

    coefficients: FloatArray
    """c, 1/Å², shape (n_elements, n_elements, n_radial, n_chebyshev): the centre, then the neighbour."""
    min_distance: float
    """Å."""
    cutoff: float
    """Å."""


@dataclass(frozen=True)
class Model:
    """A moment tensor potential: the energy of atom i is e_z(i) + Σ_α ξ_α B_α."""

    plan: Plan
    radial: Radial
    coefficients: FloatArray
    """ξ of the invariants, eV, shape (n_scalars,)."""
    references: FloatArray
    """e of each element, eV, shape (n_elements,)."""


class Tables(NamedTuple):
    """A plan in the form that the kernels read: for each element of the centre what is not zero there.

    Ranges have a row per element, first and last + 1. Moments are numbered anew for each element: basic
    ones first, in the order of ``mu``.
    """

    basic: IntArray
    """Ranges in ``mu`` and ``monomial``, shape (n_elements, 2)."""
    product: IntArray
    """Ranges in ``products`` and ``factors``."""
    scalar: IntArray
    """Ranges in ``scalars`` and ``columns``."""
    mu: IntArray
    """Radial function of a basic moment."""
    monomial: IntArray
    """Its monomial, as a row of ``powers``."""
    powers: IntArray
    """Powers of x, y, z in each monomial, shape (n_monomials, 3)."""
    products: IntArray
    """First factor, second factor, target, shape (.., 3)."""
    factors: FloatArray
    """Multiplicity of each product."""
    scalars: IntArray
    """Moments that are invariants."""
    columns: IntArray
    """Their places among the coefficients."""
    n_columns: int
    n_moments: int
    """Largest number of moments of an element."""
    n_radial: int
    highest: int
    """Highest power of a coordinate."""


def tables_of(plan: Plan, radial: FloatArray) -> Tables:
    """Return the tables of a plan with these radial coefficients, shape (n, n, n_radial, n_chebyshev)."""
    powers, monomial = np.unique(plan.basic[:, 1:], axis=0, return_inverse=True)
    monomial = monomial.reshape(-1)
    seen = np.any(radial != 0.0, axis=(1, 3))  # by centre and radial function
    patterns: dict[bytes, int] = {}
    parts: list[_Part] = []
    places = []
    for row in seen:
        if row.tobytes() not in patterns:
            patterns[row.tobytes()] = len(parts)
            parts.append(_part(plan, row, monomial))
        places.append(patterns[row.tobytes()])
    ranges = [
        _ranges([len(part.mu) for part in parts], places),
        _ranges([len(part.products) for part in parts], places),
        _ranges([len(part.scalars) for part in parts], places),
    ]
    return Tables(
        basic=ranges[0],
        product=ranges[1],
        scalar=ranges[2],
        mu=np.concatenate([part.mu for part in parts]),
        monomial=np.concatenate([part.monomial for part in parts]),
        powers=powers,
        products=np.concatenate([part.products for part in parts]),
        factors=np.concatenate([part.factors for part in parts]).astype(np.float64),
        scalars=np.concatenate([part.scalars for part in parts]),
        columns=np.concatenate([part.columns for part in parts]),
        n_columns=len(plan.scalars),
        n_moments=max(len(part.mu) + part.n_formed for part in parts),
        n_radial=radial.shape[2],
        highest=int(powers.max(initial=0)),
    )


class _Part(NamedTuple):
    """What the tables hold for one element; moments are numbered for it."""

    mu: IntArray
    monomial: IntArray
    products: IntArray
    factors: IntArray
    scalars: IntArray
    columns: IntArray
    n_formed: int


def _ranges(lengths: Sequence[int], places: Sequence[int]) -> IntArray:
    """Return first and last + 1 of parts that stand one after another, for the part of each element."""
    ends = np.cumsum([0, *lengths])
    return np.column_stack([ends[:-1], ends[1:]])[list(places)].astype(np.int64)


def _part(plan: Plan, seen: NDArray[np.bool_], monomial: IntArray) -> _Part:
    """Return what is left of a plan when only some radial functions are not zero."""
    n_basic = len(plan.basic)
    basic = np.flatnonzero(seen[plan.basic[:, 0]])
    alive = np.zeros(plan.n_moments, dtype=bool)
    alive[basic] = True
    kept = []
    for row, (left, right, _, target) in enumerate(plan.products.tolist()):
        if alive[left] and alive[right]:
            alive[target] = True
            kept.append(row)
    formed = n_basic + np.flatnonzero(alive[n_basic:])
    number = np.zeros(plan.n_moments, dtype=np.int64)
    number[basic], number[formed] = np.arange(len(basic)), len(basic) + np.arange(len(formed))
    products = plan.products[kept]
    columns = np.flatnonzero(alive[plan.scalars])
    return _Part(
        mu=plan.basic[basic, 0],
        monomial=monomial[basic],
        products=np.ascontiguousarray(number[products[:, [0, 1, 3]]]),
        factors=products[:, 2],
        scalars=number[plan.scalars[columns]],
        columns=columns,
        n_formed=len(formed),
    )
