"""Compiled loops over pairs and triples: features, design rows, and energies with forces."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters.uf3.compiled import compiled
from crossprune.adapters.uf3.triangles import legs, pair, scratch, triangle

VOIGT = np.array([[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1]])


@compiled
def features(
    species: Any, starts: Any, index: Any, vectors: Any, splines: Any, tables: Any, table: Any
) -> None:
    """Add the functions of each atom's pairs and triples to its row of ``table``, (n_atoms, n_features)."""
    s = scratch(starts, len(tables.pair))
    across, side = np.empty((2, 4)), np.empty(3)
    values, slopes = np.empty(4), np.empty(4)
    for i in range(len(species)):
        z = species[i]
        for e in range(starts[i], starts[i + 1]):
            _, place = pair(e, z, species, index, vectors, splines, tables, values, slopes)
            if place < 0:
                continue
            for f in range(4):
                column = tables.pair_column[place + f]
                if column >= 0:
                    table[i, column + tables.shift[z, species[index[e]]]] += values[f]
        count = legs(i, species, starts, index, vectors, splines, tables, s)
        for j in range(count):
            for k in range(j + 1, count):
                a, b, t, place, _ = triangle(
                    j, k, z, species, index, vectors, splines, tables, s, across, side
                )
                if t < 0:
                    continue
                one = s[3][a, species[index[s[0][b]]]]
                two = s[3][b, species[index[s[0][a]]]]
                for l in range(4):  # noqa: E741
                    for m in range(4):
                        product = one[l] * two[m]
                        at = place + l * tables.stride[t, 0] + m * tables.stride[t, 1]
                        for n in range(4):
                            column = tables.triple_column[at + n]
                            if column >= 0:
                                table[i, column] += product * across[0, n]


@compiled
def rows(
    species: Any, starts: Any, index: Any, vectors: Any, splines: Any, tables: Any, n_columns: int
) -> Any:
    """Return the derivatives of energy, forces and dE/dε by the coefficients.

    Returns
    -------
    tuple
        Energy, shape (n_columns,); forces, 1/Å, shape (n_atoms, n_columns, 3); dE/dε in Voigt order, shape
        (n_columns, 6).
    """
    energy, virial = np.zeros(n_columns), np.zeros((n_columns, 6))
    forces = np.zeros((len(species), n_columns, 3))
    s = scratch(starts, len(tables.pair))
    across, side = np.empty((2, 4)), np.empty(3)
    values, slopes = np.empty(4), np.empty(4)
    one, two, strain = np.empty(3), np.empty(3), np.empty((3, 6))
    for i in range(len(species)):
        for e in range(starts[i], starts[i + 1]):
            _pair_rows(
                i, e, species, index, vectors, splines, tables, values, slopes, energy, forces[i], virial
            )
        count = legs(i, species, starts, index, vectors, splines, tables, s)
        for j in range(count):
            for k in range(j + 1, count):
                a, b, t, place, r = triangle(
                    j, k, species[i], species, index, vectors, splines, tables, s, across, side
                )
                if t < 0:
                    continue
                left, right = index[s[0][a]], index[s[0][b]]
                for axis in range(3):
                    one[axis] = vectors[s[0][a], axis] / s[1][a]
                    two[axis] = vectors[s[0][b], axis] / s[1][b]
                for v in range(6):
                    x, y = VOIGT[v, 0], VOIGT[v, 1]
                    strain[0, v] = s[1][a] * one[x] * one[y]
                    strain[1, v] = s[1][b] * two[x] * two[y]
                    strain[2, v] = r * side[x] * side[y]
                _triple_rows(
                    tables.triple_column,
                    place,
                    tables.stride[t, 0],
                    tables.stride[t, 1],
                    s[3][a, species[right]],
                    s[4][a, species[right]],
                    s[3][b, species[left]],
                    s[4][b, species[left]],
                    across,
                    one,
                    two,
                    side,
                    strain,
                    energy,
                    forces[i],
                    forces[left],
                    forces[right],
                    virial,
                )
    return energy, forces, virial


@compiled
def _pair_rows(
    i: int,
    e: int,
    species: Any,
    index: Any,
    vectors: Any,
    splines: Any,
    tables: Any,
    values: Any,
    slopes: Any,
    energy: Any,
    forces: Any,
    virial: Any,
) -> None:
    """Add one neighbour's pair functions; the pair comes again with the neighbour as the centre."""
    r, place = pair(e, species[i], species, index, vectors, splines, tables, values, slopes)
    if place < 0:
        return
    for f in range(4):
        column = tables.pair_column[place + f]
        if column < 0:
            continue
        energy[column] += values[f]
        pull = slopes[f] / r
        for axis in range(3):
            forces[column, axis] += 2.0 * pull * vectors[e, axis]
        for v in range(6):
            virial[column, v] += pull * vectors[e, VOIGT[v, 0]] * vectors[e, VOIGT[v, 1]]


@compiled
def _triple_rows(
    columns: Any,
    place: int,
    step_l: int,
    step_m: int,
    v1: Any,
    d1: Any,
    v2: Any,
    d2: Any,
    across: Any,
    one: Any,
    two: Any,
    side: Any,
    strain: Any,
    energy: Any,
    centre: Any,
    left: Any,
    right: Any,
    virial: Any,
) -> None:
    """Add one triple's functions: forces on the centre are what is left of those on its neighbours."""
    for l in range(4):  # noqa: E741
        for m in range(4):
            product, first, second = v1[l] * v2[m], d1[l] * v2[m], v1[l] * d2[m]
            at = place + l * step_l + m * step_m
            for n in range(4):
                column = columns[at + n]
                if column < 0:
                    continue
                energy[column] += product * across[0, n]
                g1, g2, g3 = first * across[0, n], second * across[0, n], product * across[1, n]
                for axis in range(3):
                    on_left = g3 * side[axis] - g1 * one[axis]
                    on_right = -g3 * side[axis] - g2 * two[axis]
                    left[column, axis] += on_left
                    right[column, axis] += on_right
                    centre[column, axis] -= on_left + on_right
                for v in range(6):
                    virial[column, v] += g1 * strain[0, v] + g2 * strain[1, v] + g3 * strain[2, v]


@compiled
def evaluate(species: Any, starts: Any, index: Any, vectors: Any, splines: Any, tables: Any) -> Any:
    """Return each atom's energy, eV, the forces, eV/Å, shape (n_atoms, 3), and dE/dε, eV, Voigt order."""
    energies, forces, virial = np.zeros(len(species)), np.zeros((len(species), 3)), np.zeros(6)
    s = scratch(starts, len(tables.pair))
    across, side = np.empty((2, 4)), np.empty(3)
    values, slopes = np.empty(4), np.empty(4)
    for i in range(len(species)):
        for e in range(starts[i], starts[i + 1]):
            r, place = pair(e, species[i], species, index, vectors, splines, tables, values, slopes)
            if place < 0:
                continue
            slope = 0.0
            for f in range(4):
                energies[i] += tables.pair_value[place + f] * values[f]
                slope += tables.pair_value[place + f] * slopes[f]
            for axis in range(3):
                forces[i, axis] += 2.0 * slope / r * vectors[e, axis]
            for v in range(6):
                virial[v] += slope / r * vectors[e, VOIGT[v, 0]] * vectors[e, VOIGT[v, 1]]
        count = legs(i, species, starts, index, vectors, splines, tables, s)
        for j in range(count):
            for k in range(j + 1, count):
                a, b, t, place, r = triangle(
                    j, k, species[i], species, index, vectors, splines, tables, s, across, side
                )
                if t < 0:
                    continue
                left, right = index[s[0][a]], index[s[0][b]]
                energy, g1, g2, g3 = _contracted(
                    tables.triple_value,
                    place,
                    tables.stride[t, 0],
                    tables.stride[t, 1],
                    s[3][a, species[right]],
                    s[4][a, species[right]],
                    s[3][b, species[left]],
                    s[4][b, species[left]],
                    across,
                )
                energies[i] += energy
                g1, g2 = g1 / s[1][a], g2 / s[1][b]
                for axis in range(3):
                    x, y = vectors[s[0][a], axis], vectors[s[0][b], axis]
                    on_left, on_right = g3 * side[axis] - g1 * x, -g3 * side[axis] - g2 * y
                    forces[left, axis] += on_left
                    forces[right, axis] += on_right
                    forces[i, axis] -= on_left + on_right
                for v in range(6):
                    x, y = VOIGT[v, 0], VOIGT[v, 1]
                    virial[v] += (
                        g1 * vectors[s[0][a], x] * vectors[s[0][a], y]
                        + g2 * vectors[s[0][b], x] * vectors[s[0][b], y]
                        + g3 * r * side[x] * side[y]
                    )
    return energies, forces, virial


@compiled
def _contracted(
    coefficients: Any, place: int, step_l: int, step_m: int, v1: Any, d1: Any, v2: Any, d2: Any, across: Any
) -> Any:
    """Return a triple's energy and its derivatives by the three distances."""
    energy = g1 = g2 = g3 = 0.0
    for l in range(4):  # noqa: E741
        for m in range(4):
            at = place + l * step_l + m * step_m
            value = slope = 0.0
            for n in range(4):
                value += coefficients[at + n] * across[0, n]
                slope += coefficients[at + n] * across[1, n]
            energy += v1[l] * v2[m] * value
            g1 += d1[l] * v2[m] * value
            g2 += v1[l] * d2[m] * value
            g3 += v1[l] * v2[m] * slope
    return energy, g1, g2, g3
