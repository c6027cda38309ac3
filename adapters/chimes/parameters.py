"""What a ChIMES force field consists of: atom types, cluster types with their terms, cutoffs, penalty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, combinations_with_replacement, permutations, product
from typing import Literal

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray

BODIES = (2, 3, 4)
"""Numbers of atoms in a cluster that ChIMES sums over."""
Smoothing = Literal["CUBIC", "TERSOFF"]


@dataclass(frozen=True)
class ClusterType:
    """All terms of the clusters of one set of atom types.

    Pairs are ordered 12 13 14 23 24 34 of ``atoms``. Unit of ``coefficients`` is kcal/mol, as in the
    files, so that writing and reading loses no bit.
    """

    atoms: tuple[int, ...]
    """Atom type of each member."""
    inner: tuple[float, ...]
    """Distance at which the transformed distance reaches 1, Å, per pair."""
    outer: tuple[float, ...]
    """Distance at which every term is zero, Å, per pair."""
    morse: tuple[float, ...]
    """Morse length λ of the transformation x = exp(−r/λ), Å, per pair."""
    degrees: IntArray
    """Degree of the Chebyshev polynomial in each pair, shape (n_terms, n_pairs)."""
    equivalent: IntArray
    """Index of the first term with the same coefficient, shape (n_terms,)."""
    parameter: IntArray
    """Number of each term's coefficient within the type, shape (n_terms,)."""
    coefficients: FloatArray
    """kcal/mol, shape (n_terms,)."""
    excluded: bool = False
    """The file leaves this type out on purpose."""


@dataclass(frozen=True)
class Parameters:
    """A complete force field, in the units of its files (kcal/mol, Å)."""

    elements: tuple[str, ...]
    """Chemical symbol of each atom type."""
    masses: tuple[float, ...]
    """Atomic mass units; they take no part in the energy."""
    orders: tuple[int, int, int]
    """2-, 3- and 4-body orders as the file states them; 0 for a body order that is left out."""
    clusters: Mapping[int, tuple[ClusterType, ...]]
    """Cluster types by number of atoms, in the order of their index in the file."""
    smoothing: Smoothing
    """Form of the cutoff function."""
    fraction: float
    """Fraction of the outer cutoff over which the Tersoff form goes from 1 to 0."""
    penalty_distance: float
    """Distance above the inner cutoff at which the repulsion sets in, Å."""
    penalty_scale: float
    """Strength of the repulsion, kcal/mol/Å³."""
    offsets: tuple[float, ...]
    """Energy of each atom type by itself, kcal/mol."""

    def with_coefficients(self, coefficients: FloatArray, offsets: Sequence[float]) -> Parameters:
        """Return a copy with other unique coefficients and offsets (kcal/mol), in `columns`' order."""
        clusters: dict[int, tuple[ClusterType, ...]] = {}
        start = 0
        for body in BODIES:
            types = []
            for cluster in self.clusters[body]:
                numbers, inverse = np.unique(cluster.parameter, return_inverse=True)
                values = coefficients[start : start + len(numbers)]
                types.append(replace(cluster, coefficients=np.asarray(values, dtype=np.float64)[inverse]))
                start += len(numbers)
            clusters[body] = tuple(types)
        return replace(self, clusters=clusters, offsets=tuple(float(value) for value in offsets))

    @property
    def unique_coefficients(self) -> FloatArray:
        """Coefficients that may differ from each other, kcal/mol: bodies, types, numbers in order."""
        pieces = [np.empty(0)]
        for body in BODIES:
            for cluster in self.clusters[body]:
                first = np.unique(cluster.parameter, return_index=True)[1]
                pieces.append(cluster.coefficients[first])
        return np.concatenate(pieces)


def pairs_of(body: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs of a cluster's members: 12 13 14 23 24 34, counted from 0."""
    return tuple(combinations(range(body), 2))


def type_sets(n_types: int, body: int) -> list[tuple[int, ...]]:
    """List the sets of ``body`` atom types, each sorted: the cluster types of a full basis."""
    return list(combinations_with_replacement(range(n_types), body))


def basis_of(atoms: Sequence[int], order: int) -> tuple[IntArray, IntArray, IntArray]:
    """List a cluster type's terms and which of them share a coefficient.

    Degrees run from 0 to ``order`` − 1 (for pairs from 1 to ``order``), and every atom takes part in at
    least one polynomial of non-zero degree: fewer would be a term of a smaller cluster (Lindsey 2017,
    doi:10.1021/acs.jctc.7b00867; Lindsey 2020, doi:10.1063/5.0012840). Terms that differ only by a
    permutation of like atoms share a coefficient.

    Returns
    -------
    tuple
        Degrees, shape (n_terms, n_pairs); index of the first equivalent term and number of the
        coefficient, shape (n_terms,) each.
    """
    pairs = pairs_of(len(atoms))
    degrees: list[tuple[int, ...]] = [(degree,) for degree in range(1, order + 1)]
    if len(atoms) > 2:
        degrees = [
            term
            for term in product(range(order), repeat=len(pairs))
            if {atom for pair, degree in zip(pairs, term, strict=True) if degree for atom in pair}
            == set(range(len(atoms)))
        ]
    slots = like_permutations(atoms)
    first: dict[tuple[int, ...], int] = {}
    equivalent = np.empty(len(degrees), dtype=np.int64)
    for index, term in enumerate(degrees):
        key = min(tuple(term[slot] for slot in row) for row in slots)
        equivalent[index] = first.setdefault(key, index)
    parameter = np.unique(equivalent, return_inverse=True)[1].astype(np.int64)
    return np.array(degrees, dtype=np.int64).reshape(-1, len(pairs)), equivalent, parameter


def like_permutations(atoms: Sequence[int]) -> list[tuple[int, ...]]:
    """List what permutations of like atoms do to the pairs: new pair p is the old pair row[p]."""
    pairs = pairs_of(len(atoms))
    number = {frozenset(pair): index for index, pair in enumerate(pairs)}
    return [
        tuple(number[frozenset((order[i], order[j]))] for i, j in pairs)
        for order in permutations(range(len(atoms)))
        if all(atoms[order[slot]] == atom for slot, atom in enumerate(atoms))
    ]
