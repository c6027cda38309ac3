"""Compiled design rows: each function's value per atom and its derivatives, in BLAS-bound form."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters._ace_kernels import expand, nearness, scratch, unfold
from crossprune.adapters._ace_numba import compiled


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
    packed: Any, terms: Any, columns: Any, species: Any, starts: Any, index: Any, vectors: Any
) -> Any:
    """Return values, force rows and virial rows of every function.

    For each centre, J = ∂B/∂A is filled once; the derivatives by all neighbours are one matrix product
    (∂A/∂r)ᵀ J per neighbouring element.

    Returns
    -------
    tuple
        Values, times what ZBL leaves of them, shape (n_atoms, n_columns); -∂(Σ B)/∂r, shape
        (3·n_atoms, n_columns), 1/Å; ∂(Σ B)/∂ε, shape (9, n_columns).
    """
    n_atoms, n_columns = len(species), columns[-1]
    table, forces = np.zeros((n_atoms, n_columns)), np.zeros((3 * n_atoms, n_columns))
    virial = np.zeros((9, n_columns))
    most, n_half = _most(starts), packed.n_half.max()
    s = scratch(most, packed)
    a = np.zeros(packed.n_full.max(), dtype=np.complex128)
    kinds, members = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    widest = 0
    for z in range(len(columns) - 1):
        widest = max(widest, columns[z + 1] - columns[z])
    jacobian, outer = np.empty(2 * n_half * widest), np.empty(6 * most * n_half)
    product = np.empty(3 * most * widest)
    for i in range(n_atoms):
        these = _kinds(i, species, starts, index, kinds)
        z, begin = species[i], starts[i]
        first, n_functions = columns[z], columns[z + 1] - columns[z]
        expand(z, these, vectors[begin : starts[i + 1]], packed, s)
        unfold(z, packed, s[9], a)
        _values(z, these, a, terms, s[0], table[i, first : columns[z + 1]])
        j_block = jacobian[: 2 * packed.n_half[z] * n_functions].reshape(2 * packed.n_half[z], n_functions)
        _jacobian(z, a, packed, terms, j_block)
        near, dnear, closest = nearness(z, these, packed, s[7])
        for e in range(len(columns) - 1):
            count = 0
            for k in range(len(these)):
                if these[k] == e and s[7][k] < packed.bonds[z, e, 0]:
                    members[count] = k
                    count += 1
            if count == 0:
                continue
            result = product[: 3 * count * n_functions].reshape(3 * count, n_functions)
            _chain(z, e, members[:count], packed, s, j_block, outer, result)
            for u in range(terms.single_start[z], terms.single_start[z + 1]):
                if terms.single[u, 0] == e:
                    for q in range(count):
                        k = members[q]
                        slope = s[1][k, terms.single[u, 1]]
                        for axis in range(3):
                            result[3 * q + axis, terms.single[u, 2]] += slope * s[6][k, axis]
            if near > 0.0:
                result *= 1.0 - near
            for q in range(count):
                k = members[q]
                j = index[begin + k]
                if near > 0.0 and k == closest:
                    for axis in range(3):
                        result[3 * q + axis] -= dnear * s[6][k, axis] * table[i, first : columns[z + 1]]
                for axis in range(3):
                    row = result[3 * q + axis]
                    own = forces[3 * i + axis, first : columns[z + 1]]
                    other = forces[3 * j + axis, first : columns[z + 1]]
                    for f in range(n_functions):
                        own[f] += row[f]
                        other[f] -= row[f]
                    for b in range(3):
                        arm = vectors[begin + k, b]
                        strain = virial[3 * axis + b, first : columns[z + 1]]
                        for f in range(n_functions):
                            strain[f] += arm * row[f]
        if near > 0.0:
            table[i, first : columns[z + 1]] *= 1.0 - near
    return table, forces, virial


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


@compiled
def _jacobian(z: int, a: Any, packed: Any, terms: Any, jacobian: Any) -> None:
    """Fill ∂B/∂(Re A, Im A) of the half with m >= 0: shape (2 n_half, n_functions)."""
    jacobian[:] = 0.0
    offset = packed.full_start[z]
    for t in range(terms.start[z], terms.start[z + 1]):
        begin, end = terms.factor_start[t], terms.factor_start[t + 1]
        owner = terms.owner[t]
        for f in range(begin, end):
            rest = complex(terms.weight[t, 0], 0.0)
            for other in range(begin, end):
                if other != f:
                    rest *= a[terms.factors[other]]
            v = offset + terms.factors[f]
            h, sign = packed.to_half[v], packed.mirror[v]
            if sign == 0.0:
                jacobian[2 * h, owner] += rest.real
                jacobian[2 * h + 1, owner] -= rest.imag
            else:
                jacobian[2 * h, owner] += sign * rest.real
                jacobian[2 * h + 1, owner] += sign * rest.imag


@compiled
def _chain(z: int, e: int, members: Any, packed: Any, s: Any, jacobian: Any, outer: Any, result: Any) -> None:
    """Fill ∂B/∂r of the neighbours ``members``, all of element e: one matrix product."""
    _, _, radial, dradial, y, dy, unit, distance, _, _, _ = s
    low, high = packed.channel_start[z, e], packed.channel_start[z, e + 1]
    if low == high:
        result[:] = 0.0
        return
    zero = packed.channel_start[z, 0]
    begin = packed.half[low]
    width = packed.half[high - 1] + packed.channel_l[high - 1] + 1 - begin
    left = outer[: 6 * len(members) * width].reshape(3 * len(members), 2 * width)
    for q in range(len(members)):
        k = members[q]
        for c in range(low, high):
            l = packed.channel_l[c]  # noqa: E741
            lm, at = l * (l + 1) // 2, packed.half[c] - begin
            across, along = radial[k, c - zero] / distance[k], dradial[k, c - zero]
            for axis in range(3):
                direction = along * unit[k, axis]
                for m in range(l + 1):
                    for part in range(2):
                        left[3 * q + axis, 2 * (at + m) + part] = (
                            direction * y[k, part, lm + m] + across * dy[k, part, axis, lm + m]
                        )
    np.dot(left, jacobian[2 * begin : 2 * (begin + width)], result)
