"""Compiled loops over centres: A, products, densities, forces by the adjoint, design rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from crossprune.adapters.ace.compiled import compiled
from crossprune.adapters.ace.harmonics import harmonics
from crossprune.adapters.ace.radial import (
    INNER_CUTOFF,
    INNER_WIDTH,
    ZBL,
    base_functions,
    core_repulsion,
    switch,
)

SHIFTED_SCALED = 1
LINEAR_BELOW = 1e-6
"""Density below which FinnisSinclair is a straight line, so that its derivative stays finite."""


@compiled
def embed(density: float, power: float, kind: int) -> tuple[float, float]:
    """Return F(ρ) and dF/dρ (Lysogorskiy 2021, doi:10.1038/s41524-021-00559-9, methods)."""
    if power == 1.0:
        return density, 1.0
    sign, size = (1.0 if density >= 0 else -1.0), abs(density)
    if kind == SHIFTED_SCALED:
        n = 1.0 / power
        decay = math.exp(-size)
        x, y = n ** (n / (1.0 - n)) * decay, n ** (1.0 / (1.0 - n)) * decay
        lifted = (x + size) ** power
        return sign * (lifted - y), power * lifted / (x + size) * (1.0 - x) + y
    if size < LINEAR_BELOW:
        slope = LINEAR_BELOW ** (power - 1.0)
        return density * slope, slope
    return sign * size**power, power * size ** (power - 1.0)


@compiled
def expand(z: int, kinds: Any, vectors: Any, packed: Any, s: Any) -> None:
    """Fill the scratch ``s`` of a centre: radial functions, harmonics, cores and A, by neighbour."""
    base, dbase, radial, dradial, y, dy, unit, distance, core, a, work = s
    first_channel = packed.channel_start[z, 0]
    a[:] = 0.0
    for k in range(len(kinds)):
        e = kinds[k]
        r = math.sqrt(vectors[k, 0] ** 2 + vectors[k, 1] ** 2 + vectors[k, 2] ** 2)
        distance[k] = r
        for axis in range(3):
            unit[k, axis] = vectors[k, axis] / r
        family, inner, n_base = packed.families[z, e]
        bond = packed.bonds[z, e]
        base_functions(r, family, bond, packed.sbessel, inner, base[k, :n_base], dbase[k, :n_base])
        core[k, 0], core[k, 1] = core_repulsion(r, bond, inner)
        if r >= bond[0]:
            continue
        harmonics(unit[k], packed.l_max[z], packed.norms, y[k], dy[k], work)
        for c in range(packed.channel_start[z, e], packed.channel_start[z, e + 1]):
            single = packed.channel_base[c]
            if single >= 0:
                value, slope = base[k, single], dbase[k, single]
            else:
                value = slope = 0.0
                for n in range(n_base):
                    value += packed.channel_mix[c, n] * base[k, n]
                    slope += packed.channel_mix[c, n] * dbase[k, n]
            radial[k, c - first_channel], dradial[k, c - first_channel] = value, slope
            l = packed.channel_l[c]  # noqa: E741
            at, lm = packed.half[c], l * (l + 1) // 2
            for m in range(l + 1):
                a[0, at + m] += value * y[k, 0, lm + m]
                a[1, at + m] += value * y[k, 1, lm + m]


@compiled
def unfold(z: int, packed: Any, half: Any, full: Any) -> None:
    """Fill A for all m, as complex numbers, from its half with m >= 0: A_-m = (-1)^m conj(A_m)."""
    begin = packed.full_start[z]
    for v in range(packed.n_full[z]):
        h, sign = packed.to_half[begin + v], packed.mirror[begin + v]
        if sign == 0.0:
            full[v] = complex(half[0, h], half[1, h])
        else:
            full[v] = complex(sign * half[0, h], -sign * half[1, h])


@compiled
def fold(z: int, packed: Any, full: Any, half: Any) -> None:
    """Fill w with Re Σ_v full[v] dA[v] = Σ_h (w[0] dRe A + w[1] dIm A), h over m >= 0."""
    begin = packed.full_start[z]
    half[:] = 0.0
    for v in range(packed.n_full[z]):
        h, sign = packed.to_half[begin + v], packed.mirror[begin + v]
        if sign == 0.0:
            half[0, h] += full[v].real
            half[1, h] -= full[v].imag
        else:
            half[0, h] += sign * full[v].real
            half[1, h] += sign * full[v].imag


@compiled
def products(z: int, a: Any, terms: Any, density: Any) -> None:
    """Add Re(w Π A) of all products of two or more factors to the densities."""
    for t in range(terms.start[z], terms.start[z + 1]):
        product = complex(1.0, 0.0)
        for f in range(terms.factor_start[t], terms.factor_start[t + 1]):
            product *= a[terms.factors[f]]
        for d in range(len(density)):
            density[d] += terms.weight[t, d] * product.real


@compiled
def adjoint(z: int, a: Any, terms: Any, slope: Any, gradient: Any) -> None:
    """Fill dE/dA of all A: shape (n_full,), complex, dE = Re Σ gradient dA; slopes are dE/dρ."""
    gradient[:] = 0.0
    for t in range(terms.start[z], terms.start[z + 1]):
        weight = 0.0
        for d in range(len(slope)):
            weight += terms.weight[t, d] * slope[d]
        begin, end = terms.factor_start[t], terms.factor_start[t + 1]
        for f in range(begin, end):
            product = complex(weight, 0.0)
            for other in range(begin, end):
                if other != f:
                    product *= a[terms.factors[other]]
            gradient[terms.factors[f]] += product


@compiled
def scratch(n_neighbours: int, packed: Any) -> Any:
    """Allocate what `expand` fills."""
    n_base = packed.sbessel.shape[1]
    n_channels = 0
    for z in range(len(packed.l_max)):
        n_channels = max(n_channels, packed.channel_start[z, -1] - packed.channel_start[z, 0])
    n_lm = len(packed.norms)
    return (
        np.zeros((n_neighbours, n_base)),
        np.zeros((n_neighbours, n_base)),
        np.zeros((n_neighbours, n_channels)),
        np.zeros((n_neighbours, n_channels)),
        np.zeros((n_neighbours, 2, n_lm)),
        np.zeros((n_neighbours, 2, 3, n_lm)),
        np.zeros((n_neighbours, 3)),
        np.zeros(n_neighbours),
        np.zeros((n_neighbours, 2)),
        np.zeros((2, packed.n_half.max())),
        np.zeros((2, n_lm)),
    )


@compiled
def nearness(z: int, kinds: Any, packed: Any, distance: Any) -> tuple[float, float, int]:
    """Return how far ZBL replaces the expansion (0 to 1), by the nearest neighbour; -1 if no ZBL is there."""
    closest, least = -1, np.inf
    for k in range(len(kinds)):
        bond = packed.bonds[z, kinds[k]]
        if packed.families[z, kinds[k], 1] == ZBL and distance[k] < bond[0]:
            margin = distance[k] - (bond[INNER_CUTOFF] - bond[INNER_WIDTH])
            if margin < least:
                closest, least = k, margin
    if closest < 0:
        return 0.0, 0.0, -1
    bond = packed.bonds[z, kinds[closest]]
    near, dnear = switch(distance[closest], bond[INNER_CUTOFF], bond[INNER_WIDTH])
    return near, dnear, closest


@compiled
def combine(z: int, density: Any, kinds: Any, packed: Any, embeddings: Any, s: Any, slope: Any) -> Any:
    """Turn densities and cores into an atom's energy.

    Returns the energy, its derivatives by each neighbour's core energy and, for ZBL, the closest
    neighbour with the derivative by its distance; fills ``slope`` with dE/dρ.
    """
    core, distance = s[8], s[7]
    energy = 0.0
    for d in range(embeddings.n_densities[z]):
        weight, power = embeddings.parameters[z, d]
        value, derivative = embed(density[d], power, embeddings.kind[z])
        energy += weight * value
        slope[d] = weight * derivative
    repulsion = 0.0
    for k in range(len(kinds)):
        repulsion += core[k, 0]
    near, dnear, closest = nearness(z, kinds, packed, distance)
    if closest >= 0:
        slope *= 1.0 - near
        total = energy * (1.0 - near) + repulsion * near
        return total, near, closest, dnear * (repulsion - energy)
    keep, dkeep = switch(repulsion, embeddings.core[z, 0], embeddings.core[z, 1])
    slope *= keep
    return energy * keep + repulsion, 1.0 + energy * dkeep, -1, 0.0


@compiled
def evaluate(
    packed: Any, terms: Any, embeddings: Any, species: Any, starts: Any, index: Any, vectors: Any
) -> Any:
    """Return energies per atom (eV), forces (eV/Å) and the virial dE/dε (eV, shape (3, 3))."""
    n_atoms = len(species)
    energies, forces, virial = np.zeros(n_atoms), np.zeros((n_atoms, 3)), np.zeros((3, 3))
    most = 1
    for i in range(n_atoms):
        most = max(most, starts[i + 1] - starts[i])
    s = scratch(most, packed)
    base, dbase, radial, dradial, y, dy, unit, distance, core, half, _ = s
    n_full, n_lm = packed.n_full.max(), len(packed.norms)
    a, gradient = np.zeros(n_full, dtype=np.complex128), np.zeros(n_full, dtype=np.complex128)
    w, sums, dsums = np.zeros_like(half), np.zeros((2, n_lm)), np.zeros((2, n_lm))
    density, slope, force = np.zeros(terms.weight.shape[1]), np.zeros(terms.weight.shape[1]), np.zeros(3)
    kinds = np.empty(most, dtype=np.int64)
    for i in range(n_atoms):
        z, begin = species[i], starts[i]
        n_neighbours = starts[i + 1] - begin
        for k in range(n_neighbours):
            kinds[k] = species[index[begin + k]]
        these = kinds[:n_neighbours]
        expand(z, these, vectors[begin : begin + n_neighbours], packed, s)
        unfold(z, packed, half, a)
        density[:] = 0.0
        products(z, a, terms, density)
        for u in range(terms.single_start[z], terms.single_start[z + 1]):
            total = 0.0
            for k in range(n_neighbours):
                if these[k] == terms.single[u, 0]:
                    total += base[k, terms.single[u, 1]]
            density += terms.single_weight[u] * total
        slope[:] = 0.0
        energy, by_core, closest, by_distance = combine(z, density, these, packed, embeddings, s, slope)
        energies[i] = energy + embeddings.reference[z]
        adjoint(z, a, terms, slope, gradient)
        fold(z, packed, gradient, w)
        first_channel = packed.channel_start[z, 0]
        for k in range(n_neighbours):
            e = these[k]
            if distance[k] >= packed.bonds[z, e, 0]:
                continue
            sums[:] = 0.0
            dsums[:] = 0.0
            for c in range(packed.channel_start[z, e], packed.channel_start[z, e + 1]):
                value, derivative = radial[k, c - first_channel], dradial[k, c - first_channel]
                l = packed.channel_l[c]  # noqa: E741
                at, lm = packed.half[c], l * (l + 1) // 2
                for m in range(l + 1):
                    sums[0, lm + m] += w[0, at + m] * value
                    sums[1, lm + m] += w[1, at + m] * value
                    dsums[0, lm + m] += w[0, at + m] * derivative
                    dsums[1, lm + m] += w[1, at + m] * derivative
            along = by_core * core[k, 1]
            if k == closest:
                along += by_distance
            for part in range(2):
                for lm in range(n_lm):
                    along += dsums[part, lm] * y[k, part, lm]
            for axis in range(3):
                across = 0.0
                for part in range(2):
                    for lm in range(n_lm):
                        across += sums[part, lm] * dy[k, part, axis, lm]
                force[axis] = across / distance[k]
            for u in range(terms.single_start[z], terms.single_start[z + 1]):
                if terms.single[u, 0] == e:
                    derivative = dbase[k, terms.single[u, 1]]
                    for d in range(len(slope)):
                        along += slope[d] * terms.single_weight[u, d] * derivative
            for axis in range(3):
                force[axis] += along * unit[k, axis]
            j = index[begin + k]
            for axis in range(3):
                forces[i, axis] += force[axis]
                forces[j, axis] -= force[axis]
                for other in range(3):
                    virial[axis, other] += force[axis] * vectors[begin + k, other]
    return energies, forces, virial
