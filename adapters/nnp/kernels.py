"""Symmetry functions of atoms, their Jacobian and its products, compiled: arrays in, arrays out.

Shared arguments. Neighbours of centre ``i`` are rows ``neighbour_start[i]:neighbour_start[i + 1]`` of
``vectors`` (Å, from the centre), ``neighbour_kind`` (element numbers) and ``neighbour_slot`` (which
distinct atom of the centre's environment it is an image of). The functions come as `tables` of
`crossprune.adapters.nnp.functions`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from crossprune.adapters.programs.compiling import compiler
from crossprune.harness.contract import FloatArray

COSINE, POLYNOMIAL = 1, 6
"""Cutoff functions by the numbers of n2p2: (cos(πx) + 1)/2, and 1 − x³(10 − 15x + 6x²)."""
WIDE, NARROW = 0.0, 1.0
"""G5 leaves the third distance out, G4 has it."""
ETA, SHIFT, POWER, KIND, COLUMN = range(5)
"""Columns of the angular parameters: 1/Å², Å, row of the powers, `WIDE` or `NARROW`, column of the result."""
COINCIDENT = 1e-12
"""Å; no angle or distance is defined below; atoms as near as this are refused before."""

compiled = compiler("nnp", fastmath=("contract", "reassoc", "nsz"))
"""Products may be fused with sums and sums reordered: equal input still gives equal output."""


@compiled
def cutoff_function(r: float, cutoff: float, kind: int) -> tuple[float, float]:
    """Return the cutoff function and its derivative (1/Å) at ``r`` (Å)."""
    if r >= cutoff:
        return 0.0, 0.0
    x = r / cutoff
    if kind == COSINE:
        return 0.5 * (math.cos(math.pi * x) + 1), -0.5 * math.pi / cutoff * math.sin(math.pi * x)
    return 1 - x * x * x * (10 - x * (15 - 6 * x)), -30 * x * x * (1 - x) * (1 - x) / cutoff


@compiled
def fill_powers(cosine: float, powers: FloatArray, value: FloatArray, slope: FloatArray) -> None:
    """Fill 2^(1−ζ) (1 + λ cos θ)^ζ and its derivative by cos θ; ``powers`` has rows λ, ζ."""
    for row in range(len(powers)):
        sign, zeta = powers[row, 0], powers[row, 1]
        argument = max(0.0, 1 + sign * cosine)
        whole = int(zeta)
        if whole == zeta:
            lower, factor, left = 1.0, argument, whole - 1
            while left > 0:
                if left & 1:
                    lower *= factor
                factor *= factor
                left >>= 1
        else:
            lower = argument ** (zeta - 1)
        lower *= 2.0 ** (1 - zeta)
        value[row] = lower * argument
        slope[row] = lower * zeta * sign


@compiled
def radial(r: float, f: float, df: float, eta: float, shift: float) -> tuple[float, float]:
    """Return exp(−η (r − r_s)²) f_c(r) and its derivative (1/Å)."""
    d = r - shift
    gauss = math.exp(-eta * d * d)
    return gauss * f, gauss * (df - 2 * eta * d * f)


@compiled
def pair_product(r: Any, f: Any, df: Any, eta: float, shift: float, narrow: float) -> Any:
    """Return the radial part of an angular function, and its derivatives by each distance over it (1/Å²).

    ``r``, ``f``, ``df``: distances ij, ik, jk, their cutoff functions and slopes.
    """
    dj, dk = r[0] - shift, r[1] - shift
    if narrow == NARROW:
        djk = r[2] - shift
        gauss = math.exp(-eta * (dj * dj + dk * dk + djk * djk))
        ej = gauss * f[1] * f[2] * (df[0] - 2 * eta * dj * f[0]) / r[0]
        ek = gauss * f[0] * f[2] * (df[1] - 2 * eta * dk * f[1]) / r[1]
        ejk = gauss * f[0] * f[1] * (df[2] - 2 * eta * djk * f[2]) / r[2]
        return gauss * f[0] * f[1] * f[2], ej, ek, ejk
    gauss = math.exp(-eta * (dj * dj + dk * dk))
    ej = gauss * f[1] * (df[0] - 2 * eta * dj * f[0]) / r[0]
    ek = gauss * f[0] * (df[1] - 2 * eta * dk * f[1]) / r[1]
    return gauss * f[0] * f[1], ej, ek, 0.0


@compiled
def distances(vectors: Any, cutoff: float, kind: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return lengths (Å) of vectors, their cutoff functions and the slopes of these (1/Å)."""
    n = len(vectors)
    r, f, df = np.empty(n), np.empty(n), np.empty(n)
    for a in range(n):
        v = vectors[a]
        r[a] = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
        f[a], df[a] = cutoff_function(r[a], cutoff, kind)
    return r, f, df


@compiled
def triple(vj: Any, vk: Any, rj: float, rk: float) -> tuple[float, float]:
    """Return cos θ between two neighbours and their distance (Å)."""
    dot = vj[0] * vk[0] + vj[1] * vk[1] + vj[2] * vk[2]
    return dot / (rj * rk), math.sqrt(max(0.0, rj * rj + rk * rk - 2 * dot))


@compiled
def add_radial(
    vectors: Any, kinds: Any, centre: int, tables: Any, r: Any, f: Any, df: Any, values: Any, buffer: Any
) -> None:
    """Add one centre's radial functions, and their derivatives by each neighbour to a non-empty buffer."""
    n_kinds, start, parameters = tables[2], tables[3], tables[4]
    for a in range(len(r)):
        group = centre * n_kinds + kinds[a]
        for n in range(start[group], start[group + 1]):
            column = int(parameters[n, 2])
            g, dg = radial(r[a], f[a], df[a], parameters[n, 0], parameters[n, 1])
            values[column] += g
            if len(buffer):
                for x in range(3):
                    buffer[a, x, column] += dg * vectors[a, x] / r[a]


@compiled
def add_angular(
    vectors: Any, kinds: Any, centre: int, tables: Any, r: Any, f: Any, df: Any, values: Any, buffer: Any
) -> None:
    """Add one centre's angular functions, and their derivatives by each neighbour to a non-empty buffer."""
    cutoff, kind, n_kinds = tables[0], tables[1], tables[2]
    starts, angular, powers = tables[5], tables[6], tables[7]
    value, slope = np.empty(len(powers)), np.empty(len(powers))
    r3, f3, df3 = np.empty(3), np.empty(3), np.empty(3)
    for a in range(len(r)):
        for b in range(a + 1, len(r)):
            group = (centre * n_kinds + kinds[a]) * n_kinds + kinds[b]
            cosine, rjk = triple(vectors[a], vectors[b], r[a], r[b])
            apart = rjk >= cutoff or rjk < COINCIDENT
            if starts[group, 0] == starts[group, 1] or (apart and starts[group, 2] == 0):
                continue
            fill_powers(cosine, powers, value, slope)
            r3[0], r3[1], r3[2], f3[0], f3[1], df3[0], df3[1] = r[a], r[b], rjk, f[a], f[b], df[a], df[b]
            f3[2], df3[2] = cutoff_function(rjk, cutoff, kind)
            eta = shift = narrow = math.nan
            product = ej = ek = ejk = 0.0
            for n in range(starts[group, 0], starts[group, 1]):
                row = angular[n]
                if row[KIND] == NARROW and apart:
                    continue
                if row[ETA] != eta or row[SHIFT] != shift or row[KIND] != narrow:
                    eta, shift, narrow = row[ETA], row[SHIFT], row[KIND]
                    product, ej, ek, ejk = pair_product(r3, f3, df3, eta, shift, narrow)
                power, column = int(row[POWER]), int(row[COLUMN])
                values[column] += value[power] * product
                if len(buffer):
                    turn, third = slope[power] * product, value[power] * ejk
                    along_j = value[power] * ej - turn * cosine / (r[a] * r[a]) + third
                    along_k = value[power] * ek - turn * cosine / (r[b] * r[b]) + third
                    across = turn / (r[a] * r[b]) - third
                    for x in range(3):
                        buffer[a, x, column] += along_j * vectors[a, x] + across * vectors[b, x]
                        buffer[b, x, column] += along_k * vectors[b, x] + across * vectors[a, x]


@compiled
def add_to_slots(vectors: Any, slots: Any, buffer: Any, jacobian: Any, virial: Any) -> None:
    """Gather the derivatives by neighbours of one centre into its slots (its own first) and its virial."""
    for a in range(len(slots)):
        v, neighbour, d = vectors[a], jacobian[slots[a]], buffer[a]
        for column in range(virial.shape[1]):
            dx, dy, dz = d[0, column], d[1, column], d[2, column]
            neighbour[0, column] += dx
            neighbour[1, column] += dy
            neighbour[2, column] += dz
            jacobian[0, 0, column] -= dx
            jacobian[0, 1, column] -= dy
            jacobian[0, 2, column] -= dz
            virial[0, column] += v[0] * dx
            virial[1, column] += v[1] * dy
            virial[2, column] += v[2] * dz
            virial[3, column] += v[1] * dz
            virial[4, column] += v[0] * dz
            virial[5, column] += v[0] * dy


@compiled
def describe(
    vectors: Any,
    neighbour_kind: Any,
    neighbour_slot: Any,
    neighbour_start: Any,
    centre_kind: Any,
    tables: Any,
    values: Any,
    slot_start: Any,
    jacobian: Any,
    virial: Any,
) -> None:
    """Add the symmetry functions and, where ``virial`` is not empty, their derivatives to zeros.

    ``values``: shape (n_centres, n_functions); ``jacobian``: ∂G/∂r of the atoms in each centre's slots,
    1/Å, shape (n_slots, 3, n_functions), the centre's own slot first; ``virial``: Σ_j r_ij ⊗ ∂G/∂r_j,
    shape (n_centres, 6, n_functions), order xx yy zz yz xz xy.
    """
    for i in range(len(centre_kind)):
        near = slice(neighbour_start[i], neighbour_start[i + 1])
        v, kinds = vectors[near], neighbour_kind[near]
        r, f, df = distances(v, tables[0], tables[1])
        buffer = np.zeros((len(r) if len(virial) else 0, 3, values.shape[1]))
        add_radial(v, kinds, centre_kind[i], tables, r, f, df, values[i], buffer)
        add_angular(v, kinds, centre_kind[i], tables, r, f, df, values[i], buffer)
        if len(virial):
            add_to_slots(v, neighbour_slot[near], buffer, jacobian[slot_start[i] :], virial[i])


@compiled
def pull_radial(
    vectors: Any, kinds: Any, centre: int, tables: Any, r: Any, f: Any, df: Any, slopes: Any, buffer: Any
) -> None:
    """Add one centre's radial part of dE/dr by each neighbour to ``buffer``, eV/Å."""
    n_kinds, start, parameters = tables[2], tables[3], tables[4]
    for a in range(len(r)):
        group = centre * n_kinds + kinds[a]
        total = 0.0
        for n in range(start[group], start[group + 1]):
            dg = radial(r[a], f[a], df[a], parameters[n, 0], parameters[n, 1])[1]
            total += slopes[int(parameters[n, 2])] * dg
        for x in range(3):
            buffer[a, x] += total * vectors[a, x] / r[a]


@compiled
def pull_angular(
    vectors: Any, kinds: Any, centre: int, tables: Any, r: Any, f: Any, df: Any, slopes: Any, buffer: Any
) -> None:
    """Add one centre's angular part of dE/dr by each neighbour to ``buffer``, eV/Å."""
    cutoff, kind, n_kinds = tables[0], tables[1], tables[2]
    starts, angular, powers = tables[5], tables[6], tables[7]
    value, slope = np.empty(len(powers)), np.empty(len(powers))
    r3, f3, df3 = np.empty(3), np.empty(3), np.empty(3)
    for a in range(len(r)):
        for b in range(a + 1, len(r)):
            group = (centre * n_kinds + kinds[a]) * n_kinds + kinds[b]
            cosine, rjk = triple(vectors[a], vectors[b], r[a], r[b])
            apart = rjk >= cutoff or rjk < COINCIDENT
            if starts[group, 0] == starts[group, 1] or (apart and starts[group, 2] == 0):
                continue
            fill_powers(cosine, powers, value, slope)
            r3[0], r3[1], r3[2], f3[0], f3[1], df3[0], df3[1] = r[a], r[b], rjk, f[a], f[b], df[a], df[b]
            f3[2], df3[2] = cutoff_function(rjk, cutoff, kind)
            eta = shift = narrow = math.nan
            product = ej = ek = ejk = 0.0
            along_j = along_k = along_jk = turn = 0.0
            for n in range(starts[group, 0], starts[group, 1]):
                row = angular[n]
                if row[KIND] == NARROW and apart:
                    continue
                if row[ETA] != eta or row[SHIFT] != shift or row[KIND] != narrow:
                    eta, shift, narrow = row[ETA], row[SHIFT], row[KIND]
                    product, ej, ek, ejk = pair_product(r3, f3, df3, eta, shift, narrow)
                weight = slopes[int(row[COLUMN])]
                weighted = weight * value[int(row[POWER])]
                along_j += weighted * ej
                along_k += weighted * ek
                along_jk += weighted * ejk
                turn += weight * slope[int(row[POWER])] * product
            along_j += along_jk - turn * cosine / (r[a] * r[a])
            along_k += along_jk - turn * cosine / (r[b] * r[b])
            across = turn / (r[a] * r[b]) - along_jk
            for x in range(3):
                buffer[a, x] += along_j * vectors[a, x] + across * vectors[b, x]
                buffer[b, x] += along_k * vectors[b, x] + across * vectors[a, x]


@compiled
def pull_back(
    vectors: Any,
    neighbour_kind: Any,
    neighbour_start: Any,
    neighbour_atom: Any,
    centre_kind: Any,
    tables: Any,
    slopes: Any,
    gradient: Any,
    virial: Any,
) -> None:
    """Add dE/dr (eV/Å, shape (n_atoms, 3)) and the virial sum (eV, shape (6,)) of given dE/dG.

    The adjoint of `describe`: each pair and triple sums over the functions first, so that vectors are
    touched once. ``slopes``: eV, shape (n_centres, n_functions).
    """
    for i in range(len(centre_kind)):
        near = slice(neighbour_start[i], neighbour_start[i + 1])
        v, kinds = vectors[near], neighbour_kind[near]
        r, f, df = distances(v, tables[0], tables[1])
        buffer = np.zeros((len(r), 3))
        pull_radial(v, kinds, centre_kind[i], tables, r, f, df, slopes[i], buffer)
        pull_angular(v, kinds, centre_kind[i], tables, r, f, df, slopes[i], buffer)
        for a in range(len(r)):
            atom = neighbour_atom[neighbour_start[i] + a]
            for x in range(3):
                gradient[atom, x] += buffer[a, x]
                gradient[i, x] -= buffer[a, x]
                virial[x] += v[a, x] * buffer[a, x]
            virial[3] += v[a, 1] * buffer[a, 2]
            virial[4] += v[a, 0] * buffer[a, 2]
            virial[5] += v[a, 0] * buffer[a, 1]


@compiled
def contract(
    jacobian: Any, slot_start: Any, slot_atom: Any, slopes: Any, centres: Any, gradient: Any
) -> None:
    """Add Σ_i (∂G_i/∂r)ᵀ dE/dG_i of some centres to ``gradient``, eV/Å, shape (n_atoms, 3).

    ``centres`` numbers the centres in the Jacobian, ``slopes`` (eV) has one row for each; ``slot_atom``
    says which row of ``gradient`` a slot belongs to.
    """
    n_functions = slopes.shape[1]
    for row in range(len(centres)):
        for slot in range(slot_start[centres[row]], slot_start[centres[row] + 1]):
            for x in range(3):
                total = 0.0
                for column in range(n_functions):
                    total += jacobian[slot, x, column] * slopes[row, column]
                gradient[slot_atom[slot], x] += total
