"""Compiled derivatives: of every invariant by positions, and of predictions by radial coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters.mtp.compiled import compiled
from crossprune.adapters.mtp.kernels import contract, expand, kinds_of, scratch


@compiled
def derivatives(
    tables: Any,
    radial: Any,
    low: float,
    cutoff: float,
    species: Any,
    starts: Any,
    index: Any,
    vectors: Any,
) -> Any:
    """Return the energy, force and virial rows of every invariant.

    Of each centre ∂B/∂M of the basic moments M is carried along the products; times ∂M/∂r, shape
    (3·n_neighbours, n_basic), it is one matrix product.

    Returns
    -------
    tuple
        Σ_i B, shape (n_columns,); -∂(Σ B)/∂r, 1/Å, shape (3·n_atoms, n_columns); ∂(Σ B)/∂ε, shape
        (9, n_columns).
    """
    n_atoms, n_columns = len(species), tables.n_columns
    s = scratch(starts, tables, radial.shape[3])
    _, _, f, df, y, dy, unit, _, moments = s
    most = len(f)
    kinds = np.zeros(most, dtype=np.int64)
    sums, forces, virial = np.zeros(n_columns), np.zeros((3 * n_atoms, n_columns)), np.zeros((9, n_columns))
    for z in range(len(tables.basic)):
        first, n_basic = tables.basic[z, 0], tables.basic[z, 1] - tables.basic[z, 0]
        own, n_scalars = tables.scalar[z, 0], tables.scalar[z, 1] - tables.scalar[z, 0]
        carried = np.zeros((tables.n_moments, n_basic))
        by_moment, pulls = np.zeros((n_basic, n_scalars)), np.zeros((3 * most, n_scalars))
        by_position = np.zeros((3 * most, n_basic))
        for i in range(n_atoms):
            begin, n_neighbours = starts[i], starts[i + 1] - starts[i]
            if species[i] != z or n_neighbours == 0:
                continue
            kinds_of(i, species, starts, index, kinds)
            expand(z, kinds, vectors[begin : begin + n_neighbours], radial, low, cutoff, tables, s)
            contract(z, tables, moments)
            _carry(z, tables, moments, carried)
            for alpha in range(n_scalars):
                moment = tables.scalars[own + alpha]
                sums[tables.columns[own + alpha]] += moments[moment]
                for b in range(n_basic):
                    by_moment[b, alpha] = carried[moment, b]
            for k in range(n_neighbours):
                for axis in range(3):
                    for b in range(n_basic):
                        mu, m = tables.mu[first + b], tables.monomial[first + b]
                        by_position[3 * k + axis, b] = (
                            f[k, mu] * dy[k, axis, m] + df[k, mu] * unit[k, axis] * y[k, m]
                        )
            found = pulls[: 3 * n_neighbours]
            np.dot(by_position[: 3 * n_neighbours], by_moment, found)
            _scatter(i, index[begin:], vectors[begin:], tables.columns[own:], found, forces, virial)
    return sums, forces, virial


@compiled
def _scatter(i: int, index: Any, vectors: Any, columns: Any, found: Any, forces: Any, virial: Any) -> None:
    """Add a centre's derivatives by its neighbours' positions to force and virial rows."""
    for k in range(len(found) // 3):
        j = index[k]
        for axis in range(3):
            for alpha in range(found.shape[1]):
                pull, column = found[3 * k + axis, alpha], columns[alpha]
                forces[3 * i + axis, column] += pull
                forces[3 * j + axis, column] -= pull
                for other in range(3):
                    virial[3 * axis + other, column] += pull * vectors[k, other]


@compiled
def _carry(z: int, tables: Any, moments: Any, carried: Any) -> None:
    """Fill ∂moment/∂(basic moment), shape (n_moments, n_basic)."""
    n_basic = carried.shape[1]
    carried[:] = 0.0
    for b in range(n_basic):
        carried[b, b] = 1.0
    for t in range(tables.product[z, 0], tables.product[z, 1]):
        a, b, c = tables.products[t, 0], tables.products[t, 1], tables.products[t, 2]
        left, right = tables.factors[t] * moments[b], tables.factors[t] * moments[a]
        for x in range(n_basic):
            carried[c, x] += left * carried[a, x] + right * carried[b, x]


@compiled
def radial_gradient(
    tables: Any,
    radial: Any,
    low: float,
    cutoff: float,
    coefficients: Any,
    weight: float,
    displacements: Any,
    strain: Any,
    species: Any,
    starts: Any,
    index: Any,
    vectors: Any,
    gradient: Any,
) -> None:
    """Add ∂/∂c of (weight · E + the derivative of E along displacements and a strain) to ``gradient``.

    With displacements -w² (F - F_label) and likewise for stress, this is the gradient of a weighted sum
    of squares by the radial coefficients c: moments and their derivative along the direction go forward,
    the adjoints of both go back.

    Parameters
    ----------
    coefficients
        ξ, eV, shape (n_columns,).
    weight
        Number.
    displacements, strain
        Å, shape (n_atoms, 3); no unit, shape (3, 3): a pair's vector r changes by u_j - u_i + strain r.
    gradient
        Shape of ``radial``, changed in place.
    """
    s = scratch(starts, tables, radial.shape[3])
    base, dbase, f, df, y, dy, unit, _, moments = s
    kinds = np.zeros(len(f), dtype=np.int64)
    speed, toward = np.zeros_like(y), np.zeros(len(f))
    tangent = np.zeros(tables.n_moments)
    adjoint, dadjoint = np.zeros(tables.n_moments), np.zeros(tables.n_moments)
    by_value, by_slope = np.zeros(tables.n_radial), np.zeros(tables.n_radial)
    for i in range(len(species)):
        begin, n_neighbours = starts[i], starts[i + 1] - starts[i]
        z = species[i]
        first, n_basic = tables.basic[z, 0], tables.basic[z, 1] - tables.basic[z, 0]
        kinds_of(i, species, starts, index, kinds)
        expand(z, kinds, vectors[begin : begin + n_neighbours], radial, low, cutoff, tables, s)
        tangent[:] = 0.0
        for k in range(n_neighbours):
            j = index[begin + k]
            toward[k] = 0.0
            speed[k] = 0.0
            for axis in range(3):
                change = displacements[j, axis] - displacements[i, axis]
                for other in range(3):
                    change += strain[axis, other] * vectors[begin + k, other]
                toward[k] += change * unit[k, axis]
                for m in range(len(tables.powers)):
                    speed[k, m] += change * dy[k, axis, m]
            for b in range(n_basic):
                mu, m = tables.mu[first + b], tables.monomial[first + b]
                tangent[b] += df[k, mu] * toward[k] * y[k, m] + f[k, mu] * speed[k, m]
        for t in range(tables.product[z, 0], tables.product[z, 1]):
            a, b, c = tables.products[t, 0], tables.products[t, 1], tables.products[t, 2]
            moments[c] += tables.factors[t] * moments[a] * moments[b]
            tangent[c] += tables.factors[t] * (tangent[a] * moments[b] + moments[a] * tangent[b])
        adjoint[:] = 0.0
        dadjoint[:] = 0.0
        for alpha in range(tables.scalar[z, 0], tables.scalar[z, 1]):
            coefficient = coefficients[tables.columns[alpha]]
            adjoint[tables.scalars[alpha]] += weight * coefficient
            dadjoint[tables.scalars[alpha]] += coefficient
        for t in range(tables.product[z, 1] - 1, tables.product[z, 0] - 1, -1):
            a, b, c = tables.products[t, 0], tables.products[t, 1], tables.products[t, 2]
            by_moment, by_tangent = tables.factors[t] * adjoint[c], tables.factors[t] * dadjoint[c]
            adjoint[a] += by_moment * moments[b] + by_tangent * tangent[b]
            adjoint[b] += by_moment * moments[a] + by_tangent * tangent[a]
            dadjoint[a] += by_tangent * moments[b]
            dadjoint[b] += by_tangent * moments[a]
        for k in range(n_neighbours):
            by_value[:] = 0.0
            by_slope[:] = 0.0
            for b in range(n_basic):
                mu, m = tables.mu[first + b], tables.monomial[first + b]
                by_value[mu] += adjoint[b] * y[k, m] + dadjoint[b] * speed[k, m]
                by_slope[mu] += dadjoint[b] * y[k, m]
            for mu in range(tables.n_radial):
                for n in range(base.shape[1]):
                    gradient[z, kinds[k], mu, n] += (
                        by_value[mu] * base[k, n] + by_slope[mu] * toward[k] * dbase[k, n]
                    )
