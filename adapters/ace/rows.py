"""Compiled design rows: each function's value per atom and its derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters.ace.compiled import compiled
from crossprune.adapters.ace.kernels import expand, nearness, scratch, unfold


@compiled
def values(packed: Any, terms: Any, columns: Any, species: Any, starts: Any, index: Any, vectors: Any) -> Any:
    """Return every function's value at every atom: shape (n_atoms, n_columns); 0 at other elements."""
    table = np.zeros((len(species), columns[-1]))
    most = _most(starts)
    s = scratch(most, packed)
    a = np.zeros(packed.n_full.max(), dtype=np.complex128)
    kinds = np.empty(most, dtype=np.int64)
    for i in range(len(species)):
        these = _kinds(i, species, starts, index, kinds)
        z = species[i]
        expand(z, these, vectors[starts[i] : starts[i + 1]], packed, s)
        unfold(z, packed, s[9], a)
        _values(z, these, a, terms, s[0], table[i, columns[z] : columns[z + 1]])
    return table


@compiled
def derivatives(
    packed: Any, terms: Any, entries: Any, columns: Any, species: Any, starts: Any, index: Any, vectors: Any
) -> Any:
    """Return values, force rows and virial rows of every function.

    For each centre, ∂A/∂r of all neighbours and the entries of ∂B/∂A that are not zero are filled once;
    a function's derivatives are the sum over its few entries of whole rows of ∂A/∂r.

    Returns
    -------
    tuple
        Values, times what ZBL leaves of them, shape (n_atoms, n_columns); -∂(Σ B)/∂r, shape
        (n_columns, 3·n_atoms), 1/Å; ∂(Σ B)/∂ε, shape (n_columns, 9).
    """
    n_atoms, n_columns, n_elements = len(species), columns[-1], len(columns) - 1
    table, forces = np.zeros((n_atoms, n_columns)), np.zeros((n_columns, 3 * n_atoms))
    virial = np.zeros((n_columns, 9))
    most = _most(starts)
    s = scratch(most, packed)
    a = np.zeros(packed.n_full.max(), dtype=np.complex128)
    kinds, members = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    groups = np.zeros(n_elements + 1, dtype=np.int64)
    outer = np.zeros((packed.n_half.max(), 2, 3 * most))
    jacobian, row = np.zeros((len(entries.half), 2)), np.zeros(3 * most)
    for i in range(n_atoms):
        z, begin = species[i], starts[i]
        first, n_functions = columns[z], columns[z + 1] - columns[z]
        these = _kinds(i, species, starts, index, kinds)
        expand(z, these, vectors[begin : starts[i + 1]], packed, s)
        unfold(z, packed, s[9], a)
        value = table[i, first : first + n_functions]
        _values(z, these, a, terms, s[0], value)
        _group(z, these, packed, s[7], groups, members)
        count = groups[n_elements]
        _outer(z, members, groups, packed, s, outer)
        own = (entries.start[first], entries.start[columns[z + 1]])
        _jacobian(z, a, packed, terms, entries, own, jacobian)
        near, dnear, closest = nearness(z, these, packed, s[7])
        single = terms.single_start[z]
        for f in range(n_functions):
            row[: 3 * count] = 0.0
            _sum_entries(first + f, entries, groups, outer, jacobian, row)
            while single < terms.single_start[z + 1] and terms.single[single, 2] == f:
                e, k = terms.single[single, 0], terms.single[single, 1]
                for q in range(groups[e], groups[e + 1]):
                    for axis in range(3):
                        row[3 * q + axis] += s[1][members[q], k] * s[6][members[q], axis]
                single += 1
            if near > 0.0:
                for q in range(count):
                    pull = dnear * value[f] if members[q] == closest else 0.0
                    for axis in range(3):
                        row[3 * q + axis] = row[3 * q + axis] * (1.0 - near) - pull * s[6][members[q], axis]
            _scatter(i, begin, members[:count], index, vectors, row, forces[first + f], virial[first + f])
        if near > 0.0:
            value *= 1.0 - near
    return table, forces, virial


@compiled
def _group(z: int, kinds: Any, packed: Any, distance: Any, groups: Any, members: Any) -> None:
    """Order the neighbours inside their bond's cutoff by element: those of e from groups[e] on."""
    count = 0
    for e in range(len(groups) - 1):
        groups[e] = count
        for k in range(len(kinds)):
            if kinds[k] == e and distance[k] < packed.bonds[z, e, 0]:
                members[count] = k
                count += 1
    groups[-1] = count


@compiled
def _outer(z: int, members: Any, groups: Any, packed: Any, s: Any, outer: Any) -> None:
    """Fill ∂(Re A, Im A)/∂r of the neighbours: shape (n_half, 2, 3·n_neighbours)."""
    _, _, radial, dradial, y, dy, unit, distance, _, _, _ = s
    zero = packed.channel_start[z, 0]
    for e in range(len(groups) - 1):
        for c in range(packed.channel_start[z, e], packed.channel_start[z, e + 1]):
            l = packed.channel_l[c]  # noqa: E741
            lm, at = l * (l + 1) // 2, packed.half[c]
            for q in range(groups[e], groups[e + 1]):
                k = members[q]
                across, along = radial[k, c - zero] / distance[k], dradial[k, c - zero]
                for axis in range(3):
                    direction = along * unit[k, axis]
                    for m in range(l + 1):
                        for part in range(2):
                            outer[at + m, part, 3 * q + axis] = (
                                direction * y[k, part, lm + m] + across * dy[k, part, axis, lm + m]
                            )


@compiled
def _jacobian(z: int, a: Any, packed: Any, terms: Any, entries: Any, own: Any, jacobian: Any) -> None:
    """Fill the entries ``own`` of ∂B/∂(Re A, Im A), those of the centre's functions: shape (n_entries, 2)."""
    jacobian[own[0] : own[1]] = 0.0
    offset = packed.full_start[z]
    for t in range(terms.start[z], terms.start[z + 1]):
        begin, end = terms.factor_start[t], terms.factor_start[t + 1]
        for f in range(begin, end):
            rest = complex(terms.weight[t, 0], 0.0)
            for other in range(begin, end):
                if other != f:
                    rest *= a[terms.factors[other]]
            sign = packed.mirror[offset + terms.factors[f]]
            entry = entries.of_factor[f]
            if sign == 0.0:
                jacobian[entry, 0] += rest.real
                jacobian[entry, 1] -= rest.imag
            else:
                jacobian[entry, 0] += sign * rest.real
                jacobian[entry, 1] += sign * rest.imag


@compiled
def _sum_entries(function: int, entries: Any, groups: Any, outer: Any, jacobian: Any, row: Any) -> None:
    """Add a function's entries of ∂B/∂A times ∂A/∂r."""
    for entry in range(entries.start[function], entries.start[function + 1]):
        real, imaginary = jacobian[entry, 0], jacobian[entry, 1]
        left, right = outer[entries.half[entry], 0], outer[entries.half[entry], 1]
        e = entries.element[entry]
        for x in range(3 * groups[e], 3 * groups[e + 1]):
            row[x] += real * left[x] + imaginary * right[x]


@compiled
def _scatter(
    i: int, begin: int, members: Any, index: Any, vectors: Any, row: Any, forces: Any, virial: Any
) -> None:
    """Add one function's derivatives to the rows of its centre and neighbours, and to the virial."""
    for q in range(len(members)):
        pair = begin + members[q]
        j = index[pair]
        for axis in range(3):
            pull = row[3 * q + axis]
            forces[3 * i + axis] += pull
            forces[3 * j + axis] -= pull
            for b in range(3):
                virial[3 * axis + b] += pull * vectors[pair, b]


@compiled
def _most(starts: Any) -> int:
    most = 1
    for i in range(len(starts) - 1):
        most = max(most, starts[i + 1] - starts[i])
    return most


@compiled
def _kinds(i: int, species: Any, starts: Any, index: Any, kinds: Any) -> Any:
    count = starts[i + 1] - starts[i]
    for k in range(count):
        kinds[k] = species[index[starts[i] + k]]
    return kinds[:count]


@compiled
def _values(z: int, kinds: Any, a: Any, terms: Any, base: Any, row: Any) -> None:
    """Add the values of a centre's functions to its row."""
    for t in range(terms.start[z], terms.start[z + 1]):
        product = complex(1.0, 0.0)
        for f in range(terms.factor_start[t], terms.factor_start[t + 1]):
            product *= a[terms.factors[f]]
        row[terms.owner[t]] += terms.weight[t, 0] * product.real
    for u in range(terms.single_start[z], terms.single_start[z + 1]):
        for k in range(len(kinds)):
            if kinds[k] == terms.single[u, 0]:
                row[terms.single[u, 2]] += terms.single_weight[u, 0] * base[k, terms.single[u, 1]]
