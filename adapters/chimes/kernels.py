"""Energies, forces, design rows and features of lists of clusters (numba).

Every kernel adds to the arrays it is given. Energies are in the unit of the coefficients, lengths in Å.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from crossprune.adapters.chimes.compiled import compiled
from crossprune.harness.contract import FloatArray, IntArray

INNER_SMOOTHING = 0.01
"""Length over which the polynomials' slopes fade out below the inner cutoff, Å, as in the calculator."""
CUBIC, TERSOFF = 0, 1
VOIGT = np.array([[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1]])


class Tables(NamedTuple):
    """The cluster types of one body order as arrays; the code of a cluster is Σ species · n_types^…"""

    n_types: int
    smoothing: int
    fraction: float
    lookup: IntArray
    """Code to cluster type or −1, shape (n_types^body,)."""
    slots: IntArray
    """Code to the member that takes each place of the type, shape (n_types^body, body)."""
    geometry: FloatArray
    """Inner cutoff, outer cutoff, Morse length of each pair, Å, shape (n_kinds, n_pairs, 3)."""
    n_degrees: int
    """Number of Chebyshev polynomials, T_0 included."""
    dense: FloatArray
    """Coefficients by degree in each pair, shape (n_kinds, n_degrees^n_pairs)."""
    terms: IntArray
    """First term of each type, shape (n_kinds + 1,)."""
    degrees: IntArray
    """Shape (n_terms, n_pairs)."""
    columns: IntArray
    """Number of each term's coefficient within its type, shape (n_terms,)."""
    first: IntArray
    """First column of each type in the design, shape (n_kinds + 1,)."""


@compiled
def _radial(r, inner, outer, morse, smoothing, fraction, values, slopes):  # type: ignore[no-untyped-def]
    """Fill f_c(r) T_n(x(r)) and its derivative by r for n = 0, 1, …

    Below the inner cutoff T_n goes on smoothly to a constant:
    T_n(r) = T_n + δ (exp((r − r_in)/δ) − 1) T_n′, with T_n and T_n′ taken at r_in.
    """
    low, high = np.exp(-outer / morse), np.exp(-inner / morse)
    centre, width = 0.5 * (high + low), 0.5 * (high - low)
    decay = np.exp(-max(r, inner) / morse)
    x, dx = (decay - centre) / width, -decay / (morse * width)
    begin = outer * (1.0 - fraction)
    if smoothing == CUBIC:
        rest = 1.0 - r / outer
        cut, dcut = rest**3, -3.0 * rest * rest / outer
    elif r < begin:
        cut, dcut = 1.0, 0.0
    else:
        angle = np.pi * (r - begin) / (outer - begin)
        cut, dcut = 0.5 + 0.5 * np.cos(angle), -0.5 * np.pi * np.sin(angle) / (outer - begin)
    fade = np.exp((r - inner) / INNER_SMOOTHING) if r < inner else 1.0
    t_below, t = x, 1.0  # T_{-1} = T_1 = x, T_0
    u_below, u = -1.0, 0.0  # U_{-2}, U_{-1}: second kind, T_n' = n U_{n-1}
    for n in range(values.shape[0]):
        slope = n * u * dx
        value = t + INNER_SMOOTHING * (fade - 1.0) * slope
        slope *= fade
        values[n] = cut * value
        slopes[n] = dcut * value + cut * slope
        t_below, t = t, 2.0 * x * t - t_below
        u_below, u = u, 2.0 * x * u - u_below


@compiled
def _measure(member, atoms, vectors, species, tables, sites, places, arms, values, slopes):  # type: ignore[no-untyped-def]
    """Fill one cluster's atoms, pair vectors and radial functions, in the order of its type.

    ``arms`` holds unit vector and distance of each pair. Returns the type, or −1 if there is none or
    a pair is beyond its cutoff.
    """
    body = member.shape[0]
    code = 0
    for m in range(body):
        atom = member[0] if m == 0 else atoms[member[m]]
        code = code * tables.n_types + species[atom]
    kind = tables.lookup[code]
    if kind < 0:
        return -1
    for s in range(body):
        m = tables.slots[code, s]
        sites[s] = member[0] if m == 0 else atoms[member[m]]
        for axis in range(3):
            places[s, axis] = 0.0 if m == 0 else vectors[member[m], axis]
    p = 0
    for s in range(body):
        for t in range(s + 1, body):
            square = 0.0
            for axis in range(3):
                arms[p, axis] = places[t, axis] - places[s, axis]
                square += arms[p, axis] ** 2
            arms[p, 3] = np.sqrt(square)
            if arms[p, 3] >= tables.geometry[kind, p, 1]:
                return -1
            p += 1
    for q in range(p):
        r = arms[q, 3]
        inner, outer, morse = tables.geometry[kind, q]
        _radial(r, inner, outer, morse, tables.smoothing, tables.fraction, values[q], slopes[q])
        for axis in range(3):
            arms[q, axis] /= r
    return kind


@compiled
def _contract(dense, values, slopes, work, derivatives):  # type: ignore[no-untyped-def]
    """Return Σ c[n1, n2, …] Π values[p, n_p] and fill its derivatives by each pair's distance.

    The last index goes first: each step shortens the sum, and every derivative that is under way,
    by a factor n. ``work`` has room for the sum and all derivatives, shape (n_pairs + 1, size).
    """
    n_pairs, n = values.shape
    size = dense.shape[0]
    work[n_pairs, :size] = dense
    for p in range(n_pairs - 1, -1, -1):
        size //= n
        for a in range(size):
            total = 0.0
            for k in range(n):
                total += work[n_pairs, a * n + k] * slopes[p, k]
            work[p, a] = total
        for q in range(n_pairs, p, -1):
            for a in range(size):
                total = 0.0
                for k in range(n):
                    total += work[q, a * n + k] * values[p, k]
                work[q, a] = total
    for p in range(n_pairs):
        derivatives[p] = work[p, 0]
    return work[n_pairs, 0]


@compiled
def _visits(sites):  # type: ignore[no-untyped-def]
    """Count how often the calculator visits a cluster: Π m! over atoms that occur m times, as images."""
    visits = 1.0
    for s in range(sites.shape[0]):
        visits *= 1.0 + np.sum(sites[:s] == sites[s])
    return visits


@compiled
def evaluate(members, atoms, vectors, species, tables, again, forces, virial):  # type: ignore[no-untyped-def]
    """Add forces and dE/dε (shape (6,)) of all clusters; return their energy.

    With ``again`` clusters that hold several images of an atom count as often as the calculator does.
    """
    body, n_pairs = members.shape[1], tables.geometry.shape[1]
    sites, places, arms = np.empty(body, np.int64), np.empty((body, 3)), np.empty((n_pairs, 4))
    values, slopes = np.empty((n_pairs, tables.n_degrees)), np.empty((n_pairs, tables.n_degrees))
    work, derivatives = np.empty((n_pairs + 1, tables.dense.shape[1])), np.empty(n_pairs)
    energy = 0.0
    for c in range(members.shape[0]):
        kind = _measure(members[c], atoms, vectors, species, tables, sites, places, arms, values, slopes)
        if kind < 0:
            continue
        part = _contract(tables.dense[kind], values, slopes, work, derivatives)
        if again:
            visits = _visits(sites)
            part *= visits
            derivatives *= visits
        energy += part
        p = 0
        for s in range(body):
            for t in range(s + 1, body):
                for axis in range(3):
                    pull = derivatives[p] * arms[p, axis]
                    forces[sites[s], axis] += pull
                    forces[sites[t], axis] -= pull
                for v in range(6):
                    virial[v] += derivatives[p] * arms[p, 3] * arms[p, VOIGT[v, 0]] * arms[p, VOIGT[v, 1]]
                p += 1
    return energy


@compiled
def _terms(tables, kind, values, slopes, sums, derivatives):  # type: ignore[no-untyped-def]
    """Sum the terms of each unique coefficient of one cluster, and their derivatives by each distance."""
    n_pairs = values.shape[0]
    sums[:] = 0.0
    derivatives[:] = 0.0
    for term in range(tables.terms[kind], tables.terms[kind + 1]):
        column = tables.columns[term]
        before = 1.0
        for p in range(n_pairs):
            # d(abc…)/dr_p = (what is before p) · slope · (what is behind p)
            behind = slopes[p, tables.degrees[term, p]]
            for q in range(p + 1, n_pairs):
                behind *= values[q, tables.degrees[term, q]]
            derivatives[p, column] += before * behind
            before *= values[p, tables.degrees[term, p]]
        sums[column] += before


@compiled
def rows(members, atoms, vectors, species, tables, energy, forces, virial):  # type: ignore[no-untyped-def]
    """Add the derivatives of energy, forces and dE/dε by every unique coefficient.

    ``energy`` has shape (k,), ``forces`` (n_atoms, 3, k), ``virial`` (6, k).
    """
    body, n_pairs = members.shape[1], tables.geometry.shape[1]
    sites, places, arms = np.empty(body, np.int64), np.empty((body, 3)), np.empty((n_pairs, 4))
    values, slopes = np.empty((n_pairs, tables.n_degrees)), np.empty((n_pairs, tables.n_degrees))
    widest = np.max(np.diff(tables.first)) if tables.first.shape[0] > 1 else 0
    all_sums, all_derivatives = np.empty(widest), np.empty((n_pairs, widest))
    for c in range(members.shape[0]):
        kind = _measure(members[c], atoms, vectors, species, tables, sites, places, arms, values, slopes)
        if kind < 0:
            continue
        low, high = tables.first[kind], tables.first[kind + 1]
        sums, derivatives = all_sums[: high - low], all_derivatives[:, : high - low]
        _terms(tables, kind, values, slopes, sums, derivatives)
        for k in range(high - low):
            energy[low + k] += sums[k]
        p = 0
        for s in range(body):
            for t in range(s + 1, body):
                for axis in range(3):
                    for k in range(high - low):
                        pull = derivatives[p, k] * arms[p, axis]
                        forces[sites[s], axis, low + k] += pull
                        forces[sites[t], axis, low + k] -= pull
                for v in range(6):
                    arm = arms[p, 3] * arms[p, VOIGT[v, 0]] * arms[p, VOIGT[v, 1]]
                    for k in range(high - low):
                        virial[v, low + k] += derivatives[p, k] * arm
                p += 1


@compiled
def features(members, atoms, vectors, species, tables, start, features):  # type: ignore[no-untyped-def]
    """Share each cluster's terms equally among its atoms.

    ``start[kind, type]`` is the first column of a cluster type in the features of an atom type.
    """
    body, n_pairs = members.shape[1], tables.geometry.shape[1]
    sites, places, arms = np.empty(body, np.int64), np.empty((body, 3)), np.empty((n_pairs, 4))
    values, slopes = np.empty((n_pairs, tables.n_degrees)), np.empty((n_pairs, tables.n_degrees))
    for c in range(members.shape[0]):
        kind = _measure(members[c], atoms, vectors, species, tables, sites, places, arms, values, slopes)
        if kind < 0:
            continue
        for term in range(tables.terms[kind], tables.terms[kind + 1]):
            product = 1.0 / body
            for p in range(n_pairs):
                product *= values[p, tables.degrees[term, p]]
            for s in range(body):
                column = start[kind, species[sites[s]]] + tables.columns[term]
                features[sites[s], column] += product


@compiled
def repel(members, atoms, vectors, species, reach, scale, again, forces, virial):  # type: ignore[no-untyped-def]
    """Add the penalty ``scale`` (reach − r)³ of pairs closer than ``reach[type, type]``; return its energy.

    ``again`` as in `evaluate`.
    """
    energy = 0.0
    for c in range(members.shape[0]):
        i, entry = members[c, 0], members[c, 1]
        j = atoms[entry]
        arm = vectors[entry]
        r = np.sqrt(arm[0] ** 2 + arm[1] ** 2 + arm[2] ** 2)
        depth = reach[species[i], species[j]] - r
        if depth <= 0.0:
            continue
        strength = 2.0 * scale if again and i == j else scale
        energy += strength * depth**3
        slope = -3.0 * strength * depth**2 / r
        for axis in range(3):
            forces[i, axis] += slope * arm[axis]
            forces[j, axis] -= slope * arm[axis]
        for v in range(6):
            virial[v] += slope * arm[VOIGT[v, 0]] * arm[VOIGT[v, 1]]
    return energy
