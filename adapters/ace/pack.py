"""An ACE model as flat arrays, the way the kernels read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from crossprune.adapters.ace.harmonics import norms
from crossprune.adapters.ace.model import EMBEDDINGS, AceModel, Centre, Function
from crossprune.adapters.ace.radial import FAMILIES, INNER, sbessel_constants
from crossprune.harness.contract import FloatArray, IntArray

Channel = tuple[int, int, int]
"""Element index, n and l of an A."""


class Packed(NamedTuple):
    """Bonds and channels; S elements, C channels (element, n, l) over all centres.

    The channels of centre z that see element s are ``channel_start[z, s]`` to ``channel_start[z, s + 1]``.
    A of channel c and m lies at ``full[c] + m``, and in arrays of m >= 0 only at ``half[c] + m``.
    """

    bonds: FloatArray
    """Shape (S, S, 9)."""
    families: IntArray
    """Family, inner cutoff and number of radial functions: shape (S, S, 3)."""
    sbessel: FloatArray
    norms: FloatArray
    l_max: IntArray
    """Shape (S,)."""
    channel_start: IntArray
    """Shape (S, S + 1)."""
    channel_l: IntArray
    channel_base: IntArray
    """Number of the radial function if R is one of them, otherwise -1: shape (C,)."""
    channel_mix: FloatArray
    """Coefficients of the radial functions: shape (C, n_base)."""
    full: IntArray
    half: IntArray
    n_full: IntArray
    n_half: IntArray
    to_half: IntArray
    """From a position in A to that in the half with m >= 0: shape (Σ n_full,)."""
    mirror: FloatArray
    """0 for m >= 0; (-1)^m for m < 0, where A is that times the conjugate of its half: as ``to_half``."""
    full_start: IntArray
    """Where a centre's part of ``to_half`` begins: shape (S + 1,)."""


class Terms(NamedTuple):
    """Products per centre: T of two or more factors, U of one, with their weights.

    ``owner`` is the function's number at its centre; products in several functions are listed once per
    function in design rows, and once in all for prediction.
    """

    start: IntArray
    """Shape (S + 1,)."""
    factor_start: IntArray
    """Shape (T + 1,)."""
    factors: IntArray
    """Positions in A."""
    owner: IntArray
    """Shape (T,)."""
    weight: FloatArray
    """Shape (T, n_densities)."""
    single_start: IntArray
    """Shape (S + 1,)."""
    single: IntArray
    """Element and radial function (from 0), and owner: shape (U, 3)."""
    single_weight: FloatArray
    """Shape (U, n_densities)."""


class Entries(NamedTuple):
    """The derivatives of functions by A that are not zero, function by function.

    Those of function f (counted over all centres) are ``start[f]`` to ``start[f + 1]``.
    """

    start: IntArray
    half: IntArray
    """Position in the half with m >= 0: shape (n_entries,)."""
    element: IntArray
    """Element of the neighbours that A sums over: shape (n_entries,)."""
    of_factor: IntArray
    """Entry of each factor of `Terms`: shape as ``Terms.factors``."""


class Embeddings(NamedTuple):
    """Embedding of each element."""

    kind: IntArray
    n_densities: IntArray
    parameters: FloatArray
    """Shape (S, n_densities, 2)."""
    core: FloatArray
    """Cutoff and width, eV: shape (S, 2)."""
    reference: FloatArray
    """eV, shape (S,)."""


def channels_of(model: AceModel, centre: Centre) -> list[Channel]:
    """Return the (element, n, l) that the products of a centre need, by element."""
    needed = {
        channel
        for function in centre.functions
        if function.rank > 1
        for channel in zip(function.elements, function.ns, function.ls, strict=True)
    }
    return sorted(needed)


def pack(model: AceModel) -> tuple[Packed, list[dict[Channel, int]]]:
    """Return the arrays, and per centre the position of m = 0 of each channel."""
    n_elements = len(model.elements)
    n_base = max((bond.n_base for bond in model.bonds.values()), default=1)
    bonds = np.zeros((n_elements, n_elements, 9))
    families = np.zeros((n_elements, n_elements, 3), dtype=np.int64)
    for (i, j), bond in model.bonds.items():
        bonds[i, j] = bond.parameters(model.elements[i], model.elements[j])
        families[i, j] = FAMILIES[bond.family], INNER[bond.inner_type], bond.n_base
    start = np.zeros((n_elements, n_elements + 1), dtype=np.int64)
    places: list[dict[Channel, int]] = []
    momenta: list[int] = []
    base, mixes, full, half = [], [], [], []
    n_full, n_half, to_half, mirror, l_max = [], [], [], [], []
    for z, centre in enumerate(model.centres):
        place: dict[Channel, int] = {}
        at_full = at_half = 0
        channels = channels_of(model, centre)
        for s in range(n_elements + 1):
            start[z, s] = len(momenta) + sum(channel[0] < s for channel in channels)
        for element, n, l in channels:  # noqa: E741
            row = model.bonds[z, element].coefficients[n - 1, l]
            single = np.flatnonzero(row)
            base.append(int(single[0]) if len(single) == 1 and row[single[0]] == 1.0 else -1)
            mixes.append(np.pad(row, (0, n_base - len(row))))
            momenta.append(l)
            place[element, n, l] = at_full + l
            full.append(at_full + l)
            half.append(at_half)
            to_half += [at_half + abs(m) for m in range(-l, l + 1)]
            mirror += [(-1.0) ** m if m < 0 else 0.0 for m in range(-l, l + 1)]
            at_full, at_half = at_full + 2 * l + 1, at_half + l + 1
        places.append(place)
        n_full.append(at_full)
        n_half.append(at_half)
        l_max.append(max((channel[2] for channel in channels), default=0))
    packed = Packed(
        bonds=bonds,
        families=families,
        sbessel=sbessel_constants(n_base),
        norms=norms(max(l_max, default=0)),
        l_max=_integers(l_max),
        channel_start=start,
        channel_l=_integers(momenta),
        channel_base=_integers(base),
        channel_mix=np.array(mixes, dtype=np.float64).reshape(len(mixes), n_base),
        full=_integers(full),
        half=_integers(half),
        n_full=_integers(n_full),
        n_half=_integers(n_half),
        to_half=_integers(to_half),
        mirror=np.array(mirror, dtype=np.float64),
        full_start=_integers(np.concatenate([[0], np.cumsum(n_full)])),
    )
    return packed, places


def pack_terms(model: AceModel, places: Sequence[dict[Channel, int]], *, merged: bool) -> Terms:
    """Return the products of all centres.

    ``merged``: with the coefficients in the weights, each product once; otherwise function by function
    with the bare weights of its invariant.
    """
    n_densities = max(len(c.embedding.parameters) for c in model.centres) if merged else 1
    starts, single_starts, factor_start = [0], [0], [0]
    factors: list[int] = []
    owners: list[int] = []
    weights: list[FloatArray] = []
    singles: list[tuple[int, int, int]] = []
    single_weights: list[FloatArray] = []
    for centre, place in zip(model.centres, places, strict=True):
        table: dict[tuple[int, tuple[int, ...]], FloatArray] = defaultdict(lambda: np.zeros(n_densities))
        for index, function in enumerate(centre.functions):
            values = centre.term_weights(index) if merged else function.weights
            owner = 0 if merged else index
            if function.rank == 1:
                singles.append((function.elements[0], function.ns[0] - 1, index))
                single_weights.append(_padded(values[0], n_densities))
                continue
            for key, value in zip(_products(function, place), values, strict=True):
                table[owner, key] += _padded(value, n_densities)
        for (owner, key), value in table.items():
            factors += key
            factor_start.append(len(factors))
            owners.append(owner)
            weights.append(value)
        starts.append(len(owners))
        single_starts.append(len(singles))
    return Terms(
        start=_integers(starts),
        factor_start=_integers(factor_start),
        factors=_integers(factors),
        owner=_integers(owners),
        weight=np.array(weights, dtype=np.float64).reshape(len(owners), n_densities),
        single_start=_integers(single_starts),
        single=_integers(singles).reshape(len(singles), 3),
        single_weight=np.array(single_weights, dtype=np.float64).reshape(len(singles), n_densities),
    )


def pack_entries(packed: Packed, terms: Terms, columns: IntArray) -> Entries:
    """Return where each factor of each product of `Terms` (not merged) adds to ∂B/∂A."""
    numbers: list[dict[tuple[int, int], int]] = [{} for _ in range(int(columns[-1]))]
    keys = []
    for z in range(len(columns) - 1):
        element_of = np.empty(packed.n_half[z], dtype=np.int64)
        for e in range(len(columns) - 1):
            for c in range(packed.channel_start[z, e], packed.channel_start[z, e + 1]):
                element_of[packed.half[c] : packed.half[c] + packed.channel_l[c] + 1] = e
        for t in range(terms.start[z], terms.start[z + 1]):
            function = int(columns[z] + terms.owner[t])
            for v in terms.factors[terms.factor_start[t] : terms.factor_start[t + 1]]:
                half = int(packed.to_half[packed.full_start[z] + v])
                numbers[function].setdefault((half, int(element_of[half])), len(numbers[function]))
                keys.append((function, half, int(element_of[half])))
    start = np.concatenate([[0], np.cumsum([len(table) for table in numbers])])
    flat = [key for table in numbers for key in table]
    return Entries(
        start=_integers(start),
        half=_integers([half for half, _ in flat]),
        element=_integers([element for _, element in flat]),
        of_factor=_integers([start[f] + numbers[f][half, e] for f, half, e in keys]),
    )


def pack_embeddings(model: AceModel) -> Embeddings:
    """Return the embeddings of all elements."""
    embeddings = [centre.embedding for centre in model.centres]
    n_densities = max(len(one.parameters) for one in embeddings)
    parameters = np.zeros((len(embeddings), n_densities, 2))
    for index, one in enumerate(embeddings):
        parameters[index, : len(one.parameters)] = one.parameters
    return Embeddings(
        kind=_integers([EMBEDDINGS[one.kind] for one in embeddings]),
        n_densities=_integers([len(one.parameters) for one in embeddings]),
        parameters=parameters,
        core=np.array([[one.core_cutoff, one.core_width] for one in embeddings]),
        reference=np.array([centre.reference for centre in model.centres]),
    )


def _products(function: Function, place: dict[Channel, int]) -> list[tuple[int, ...]]:
    """Return the sorted positions of each product's factors; of a product and its mirror, the lower."""
    zeros = [place[channel] for channel in zip(function.elements, function.ns, function.ls, strict=True)]
    found = []
    for ms in function.ms:
        one = tuple(sorted(zero + m for zero, m in zip(zeros, ms, strict=True)))
        other = tuple(sorted(zero - m for zero, m in zip(zeros, ms, strict=True)))
        found.append(min(one, other))
    return found


def _padded(values: FloatArray, length: int) -> FloatArray:
    padded = np.zeros(length)
    padded[: len(values)] = values
    return padded


def _integers(values: object) -> IntArray:
    return np.array(values, dtype=np.int64)
