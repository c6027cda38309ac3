"""What a UF3 potential consists of: a spline per pair of elements, one of three distances per triple."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from crossprune.adapters.uf3.knots import ORDER, fault_of
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import DataError
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]

SAME = 1e-12
"""Relative difference of coefficients that a symmetry makes equal: what rounding in a file may leave."""


@dataclass(frozen=True)
class Pair:
    """V(r) = Σ_n c_n B_n(r) of two elements, counted once from either atom."""

    atoms: tuple[int, int]
    """Places of the elements, the smaller first."""
    knots: FloatArray
    """Å, shape (n + 4,), the first and the last four equal."""
    coefficients: FloatArray
    """eV, shape (n,)."""


@dataclass(frozen=True)
class Triple:
    """V = Σ_lmn c_lmn B_l(r_ij) B_m(r_ik) B_n(r_jk) of a centre i and two of its neighbours.

    Each distance has its own splines; V counts where all three are within the range of their knots.
    """

    atoms: tuple[int, int, int]
    """Places of the elements of the centre and of its neighbours, of these the smaller first."""
    knots: tuple[FloatArray, FloatArray, FloatArray]
    """Of the distances ij, ik and jk, Å."""
    coefficients: FloatArray
    """eV, shape (L, M, N); symmetric in l and m where both neighbours are of one element."""


@dataclass(frozen=True)
class Trims:
    """How many functions at the ends of the knots have the coefficient 0 and are not fitted.

    Three at an end make the energy, its slope and its curvature go to zero there.
    """

    pair_start: int = 0
    pair_end: int = 3
    triple_start: int = 3
    triple_end: int = 3


@dataclass(frozen=True)
class Parameters:
    """A UF3 potential: E = Σ_i [e0(z_i) + Σ_j V(r_ij) + Σ_{j<k} V(r_ij, r_ik, r_jk)].

    Raises
    ------
    DataError
        If a pair or triple is missing or double, knots are none, or shapes do not fit.
    """

    elements: tuple[str, ...]
    """Sorted."""
    offsets: FloatArray
    """e0, eV, shape (n_elements,)."""
    pairs: tuple[Pair, ...]
    """All pairs of elements, in the order of `pairs_of`."""
    triples: tuple[Triple, ...] = ()
    """All triples in the order of `triples_of`, or none."""
    trims: Trims = Trims()

    def __post_init__(self) -> None:
        """Check that all parts are there and fit together."""
        n = len(self.elements)
        if [one.atoms for one in self.pairs] != list(pairs_of(n)):
            raise DataError(f"a UF3 of {', '.join(self.elements)} needs each pair of elements once")
        if self.triples and [one.atoms for one in self.triples] != list(triples_of(n)):
            raise DataError(
                f"a UF3 of {', '.join(self.elements)} needs each triple of a centre and two neighbours "
                "once, or none"
            )
        for pair in self.pairs:
            self._check(pair.atoms, (pair.knots,), pair.coefficients)
        for triple in self.triples:
            self._check(triple.atoms, triple.knots, triple.coefficients)
            if triple.atoms[1] == triple.atoms[2]:
                self._check_symmetry(triple)

    def _check(self, atoms: tuple[int, ...], knots: Sequence[FloatArray], coefficients: FloatArray) -> None:
        name = self.name_of(atoms)
        for sequence in knots:
            if fault := fault_of(sequence):
                raise DataError(f"{name}: {fault}")
        wanted = tuple(len(sequence) - ORDER for sequence in knots)
        if coefficients.shape != wanted:
            raise DataError(f"{name}: coefficients of shape {coefficients.shape}, the knots ask for {wanted}")
        if not np.isfinite(coefficients).all():
            raise DataError(f"{name}: a coefficient is NaN or infinite")

    def _check_symmetry(self, triple: Triple) -> None:
        first, second, _ = triple.knots
        turned = triple.coefficients.transpose(1, 0, 2)
        if not np.array_equal(first, second):
            raise DataError(
                f"{self.name_of(triple.atoms)}: its two neighbours are alike, so both need the same knots"
            )
        if np.abs(triple.coefficients - turned).max() > SAME * np.abs(triple.coefficients).max():
            raise DataError(
                f"{self.name_of(triple.atoms)}: its two neighbours are alike, but exchanging them changes "
                "coefficients: the energy would depend on the order of atoms"
            )

    def name_of(self, atoms: Sequence[int]) -> str:
        """Return the name of a pair or triple in files, as ``Mo-W``."""
        return "-".join(self.elements[one] for one in atoms)

    def with_values(self, values: FloatArray, offsets: FloatArray) -> Parameters:
        """Return the potential with other fitted coefficients, see `columns_of`, and offsets (eV)."""
        columns, padded = columns_of(self), np.append(values, 0.0)  # -1 picks the 0
        pairs = zip(self.pairs, columns.pairs, strict=True)
        triples = zip(self.triples, columns.triples, strict=True)
        return replace(
            self,
            offsets=np.array(offsets, dtype=np.float64),
            pairs=tuple(replace(one, coefficients=padded[own]) for one, own in pairs),
            triples=tuple(replace(one, coefficients=padded[own]) for one, own in triples),
        )

    @property
    def values(self) -> FloatArray:
        """Fitted coefficients, one per column, eV, shape (n_columns,)."""
        columns = columns_of(self)
        found = np.zeros(columns.count)
        own = (*columns.pairs, *columns.triples)
        given = [*(one.coefficients for one in self.pairs), *(one.coefficients for one in self.triples)]
        for places, coefficients in zip(own, given, strict=True):
            found[places[places >= 0]] = coefficients[places >= 0]
        return found


def pairs_of(n_elements: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of elements, the smaller place first."""
    yield from combinations_with_replacement(range(n_elements), 2)


def triples_of(n_elements: int) -> Iterator[tuple[int, int, int]]:
    """Yield the triples, centre first, of the neighbours the smaller place first."""
    for centre in range(n_elements):
        for first, second in pairs_of(n_elements):
            yield centre, first, second


@dataclass(frozen=True)
class Columns:
    """Design column of each coefficient, or −1 where it is always 0: arrays in the shape of coefficients."""

    pairs: tuple[IntArray, ...]
    triples: tuple[IntArray, ...]
    count: int
    n_pair: int
    """How many columns are of pairs: the first ones."""


def columns_of(parameters: Parameters) -> Columns:
    """Number the coefficients that are fitted: pairs, then triples, each row by row.

    Left out are the trimmed ones, those that equal another by symmetry, and those of functions whose three
    ranges hold no triangle, as in the package uf3.
    """
    trims, count = parameters.trims, 0
    pairs, triples = [], []
    for pair in parameters.pairs:
        used = _kept(pair.coefficients.shape, trims.pair_start, trims.pair_end)
        pairs.append(_numbered(used, count))
        count += int(used.sum())
    n_pair = count
    for triple in parameters.triples:
        used = fitted_of(triple, trims)
        own = _numbered(used, count)
        count += int(used.sum())
        symmetric = triple.atoms[1] == triple.atoms[2]
        triples.append(np.maximum(own, own.transpose(1, 0, 2)) if symmetric else own)
    return Columns(tuple(pairs), tuple(triples), count, n_pair)


def fitted_of(triple: Triple, trims: Trims) -> BoolArray:
    """Tell which coefficients of a triple have a column of their own: boolean, in their shape."""
    used = _kept(triple.coefficients.shape, trims.triple_start, trims.triple_end) & has_triangle(triple)
    if triple.atoms[1] == triple.atoms[2]:
        place = np.arange(used.shape[0])
        used &= (place[:, None] <= place)[..., None]
    return used


def has_triangle(triple: Triple) -> BoolArray:
    """Tell which functions are not zero for some triangle: boolean, in the shape of the coefficients."""
    low = np.meshgrid(*(knots[:-ORDER] for knots in triple.knots), indexing="ij", sparse=True)
    high = np.meshgrid(*(knots[ORDER:] for knots in triple.knots), indexing="ij", sparse=True)
    possible: BoolArray = np.ones(triple.coefficients.shape, dtype=bool)
    for longest in range(3):
        others = [high[one] for one in range(3) if one != longest]
        possible &= others[0] + others[1] > low[longest]
    return possible


def _kept(shape: tuple[int, ...], start: int, end: int) -> BoolArray:
    used: BoolArray = np.ones(shape, dtype=bool)
    for axis, size in enumerate(shape):
        place = np.arange(size)
        inside = (place >= start) & (place < size - end)
        used &= inside.reshape([-1 if one == axis else 1 for one in range(len(shape))])
    return used


def _numbered(used: BoolArray, start: int) -> IntArray:
    found = np.full(used.shape, -1, dtype=np.int64)
    found[used] = start + np.arange(int(used.sum()))
    return found
