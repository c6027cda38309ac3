"""Compiled loops over centres: radial functions, moments, energies and forces by the adjoint."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from crossprune.adapters.mtp.compiled import compiled


@compiled
def chebyshev(r: float, low: float, cutoff: float, value: Any, slope: Any) -> None:
    """Fill T_k(ξ) (r_cut - r)² and its derivative by r, for all k."""
    to_unit = 2.0 / (cutoff - low)
    x = to_unit * (r - low) - 1.0
    rest = cutoff - r
    smooth, dsmooth = rest * rest, -2.0 * rest
    before, dbefore, now, dnow = 0.0, 0.0, 1.0, 0.0
    for k in range(len(value)):
        value[k] = now * smooth
        slope[k] = dnow * smooth + now * dsmooth
        if k == 0:
            after, dafter = x, to_unit
        else:
            after = 2.0 * x * now - before
            dafter = 2.0 * (to_unit * now + x * dnow) - dbefore
        before, dbefore, now, dnow = now, dnow, after, dafter


@compiled
def monomials(unit: Any, r: float, powers: Any, work: Any, value: Any, slope: Any) -> None:
    """Fill x^a y^b z^c / r^(a+b+c) and its gradient by the position, 1/Å, for all monomials."""
    for axis in range(3):
        work[axis, 0] = 1.0
        for n in range(1, work.shape[1]):
            work[axis, n] = work[axis, n - 1] * unit[axis]
    for m in range(len(powers)):
        a, b, c = powers[m, 0], powers[m, 1], powers[m, 2]
        x, y, z = work[0, a], work[1, b], work[2, c]
        product = x * y * z
        value[m] = product
        down = (a + b + c) * product
        slope[0, m] = ((a * work[0, a - 1] * y * z if a else 0.0) - down * unit[0]) / r
        slope[1, m] = ((b * work[1, b - 1] * x * z if b else 0.0) - down * unit[1]) / r
        slope[2, m] = ((c * work[2, c - 1] * x * y if c else 0.0) - down * unit[2]) / r


@compiled
def scratch(starts: Any, tables: Any, n_chebyshev: int) -> Any:
    """Allocate what `expand` fills: for the centre of most neighbours, with the basic moments last."""
    most = 1
    for i in range(len(starts) - 1):
        most = max(most, starts[i + 1] - starts[i])
    return (
        np.zeros((most, n_chebyshev)),
        np.zeros((most, n_chebyshev)),
        np.zeros((most, tables.n_radial)),
        np.zeros((most, tables.n_radial)),
        np.zeros((most, len(tables.powers))),
        np.zeros((most, 3, len(tables.powers))),
        np.zeros((most, 3)),
        np.zeros((3, tables.highest + 1)),
        np.zeros(tables.n_moments),
    )


@compiled
def expand(
    z: int, kinds: Any, vectors: Any, radial: Any, low: float, cutoff: float, tables: Any, s: Any
) -> None:
    """Fill the scratch ``s`` of a centre: radial functions and monomials by neighbour, and basic moments."""
    base, dbase, f, df, y, dy, unit, work, moments = s
    first = tables.basic[z, 0]
    moments[:] = 0.0
    for k in range(len(vectors)):
        r = math.sqrt(vectors[k, 0] ** 2 + vectors[k, 1] ** 2 + vectors[k, 2] ** 2)
        for axis in range(3):
            unit[k, axis] = vectors[k, axis] / r
        chebyshev(r, low, cutoff, base[k], dbase[k])
        for mu in range(tables.n_radial):
            value = slope = 0.0
            for n in range(base.shape[1]):
                value += radial[z, kinds[k], mu, n] * base[k, n]
                slope += radial[z, kinds[k], mu, n] * dbase[k, n]
            f[k, mu], df[k, mu] = value, slope
        monomials(unit[k], r, tables.powers, work, y[k], dy[k])
        for b in range(tables.basic[z, 1] - first):
            moments[b] += f[k, tables.mu[first + b]] * y[k, tables.monomial[first + b]]


@compiled
def contract(z: int, tables: Any, moments: Any) -> None:
    """Form the products of moments, in order."""
    for t in range(tables.product[z, 0], tables.product[z, 1]):
        a, b, c = tables.products[t, 0], tables.products[t, 1], tables.products[t, 2]
        moments[c] += tables.factors[t] * moments[a] * moments[b]


@compiled
def kinds_of(i: int, species: Any, starts: Any, index: Any, kinds: Any) -> None:
    """Fill the elements of a centre's neighbours."""
    for k in range(starts[i + 1] - starts[i]):
        kinds[k] = species[index[starts[i] + k]]


@compiled
def values(
    tables: Any,
    radial: Any,
    low: float,
    cutoff: float,
    species: Any,
    starts: Any,
    index: Any,
    vectors: Any,
) -> Any:
    """Return every invariant at every atom (no unit): shape (n_atoms, n_columns)."""
    s = scratch(starts, tables, radial.shape[3])
    moments = s[8]
    kinds = np.zeros(len(s[0]), dtype=np.int64)
    found = np.zeros((len(species), tables.n_columns))
    for i in range(len(species)):
        z = species[i]
        kinds_of(i, species, starts, index, kinds)
        expand(z, kinds, vectors[starts[i] : starts[i + 1]], radial, low, cutoff, tables, s)
        contract(z, tables, moments)
        for alpha in range(tables.scalar[z, 0], tables.scalar[z, 1]):
            found[i, tables.columns[alpha]] = moments[tables.scalars[alpha]]
    return found


@compiled
def evaluate(
    tables: Any,
    radial: Any,
    low: float,
    cutoff: float,
    coefficients: Any,
    references: Any,
    species: Any,
    starts: Any,
    index: Any,
    vectors: Any,
) -> Any:
    """Return energies per atom (eV), forces (eV/Å) and the virial dE/dε (eV, shape (3, 3))."""
    n_atoms = len(species)
    energies, forces, virial = np.zeros(n_atoms), np.zeros((n_atoms, 3)), np.zeros((3, 3))
    s = scratch(starts, tables, radial.shape[3])
    _, _, f, df, y, dy, unit, _, moments = s
    kinds = np.zeros(len(f), dtype=np.int64)
    adjoint, across = np.zeros(tables.n_moments), np.zeros(len(tables.powers))
    for i in range(n_atoms):
        z, begin, n_neighbours = species[i], starts[i], starts[i + 1] - starts[i]
        kinds_of(i, species, starts, index, kinds)
        expand(z, kinds, vectors[begin : begin + n_neighbours], radial, low, cutoff, tables, s)
        contract(z, tables, moments)
        energies[i] = references[z]
        adjoint[:] = 0.0
        for alpha in range(tables.scalar[z, 0], tables.scalar[z, 1]):
            coefficient = coefficients[tables.columns[alpha]]
            energies[i] += coefficient * moments[tables.scalars[alpha]]
            adjoint[tables.scalars[alpha]] += coefficient
        for t in range(tables.product[z, 1] - 1, tables.product[z, 0] - 1, -1):
            a, b, c = tables.products[t, 0], tables.products[t, 1], tables.products[t, 2]
            weight = tables.factors[t] * adjoint[c]
            adjoint[a] += weight * moments[b]
            adjoint[b] += weight * moments[a]
        first = tables.basic[z, 0]
        for k in range(n_neighbours):
            across[:] = 0.0
            along = 0.0
            for b in range(first, tables.basic[z, 1]):
                mu, m = tables.mu[b], tables.monomial[b]
                across[m] += adjoint[b - first] * f[k, mu]
                along += adjoint[b - first] * df[k, mu] * y[k, m]
            j = index[begin + k]
            for axis in range(3):
                pull = along * unit[k, axis]
                for m in range(len(across)):
                    pull += across[m] * dy[k, axis, m]
                forces[i, axis] += pull
                forces[j, axis] -= pull
                for other in range(3):
                    virial[axis, other] += pull * vectors[begin + k, other]
    return energies, forces, virial
