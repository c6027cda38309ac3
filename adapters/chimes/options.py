"""Options of ChIMES fits, and the rules that turn them into cutoffs and Morse lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers, covalent_radii
from crossprune.adapters.chimes.model import KCAL_PER_MOL
from crossprune.adapters.chimes.parameters import (
    BODIES,
    ClusterType,
    Parameters,
    Smoothing,
    basis_of,
    pairs_of,
    type_sets,
)
from crossprune.adapters.chimes.solvers import Solver
from crossprune.adapters.linear.fitter import LinearOptions
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.errors import StudyError

BELOW_SHORTEST = 0.98
"""Inner cutoff from a subset: this fraction of its shortest distance, so that no pair is penalised."""
PEAK_BIN = 0.05
"""Width of the bins in which the most frequent distance is looked for, Å."""


@dataclass(frozen=True)
class ChimesOptions(LinearOptions):
    """Basis, cutoffs, core and solver of a ChIMES model."""

    order_2b: int = 12
    """Highest degree of the polynomials of pairs."""
    order_3b: int = 7
    """Number of polynomials per distance of triplets, degree 0 included; 0 leaves triplets out."""
    order_4b: int = 0
    """The same for quadruplets; 0 leaves them out."""
    cutoff: float = 6.0
    """Outer cutoff of pairs, Å."""
    cutoff_3b: float = 5.5
    """Outer cutoff of every distance of triplets, Å."""
    cutoff_4b: float = 4.5
    """Outer cutoff of every distance of quadruplets, Å."""
    smoothing: Literal["cubic", "tersoff"] = "tersoff"
    """Form of the cutoff function."""
    tersoff_fraction: float = 0.5
    """Fraction of the outer cutoff over which the Tersoff form falls from 1 to 0."""
    inner_fraction: float = 0.6
    """Inner cutoff as a fraction of the sum of two covalent radii."""
    morse_fraction: float = 1.5
    """Morse length as a fraction of the sum of two covalent radii."""
    inner_cutoffs: Mapping[str, float] = field(default_factory=dict)
    """Inner cutoffs by pair, such as ``{"Mo-W" = 1.9}``, Å; they win over the rules."""
    morse_lengths: Mapping[str, float] = field(default_factory=dict)
    """Morse lengths by pair, Å; they win over the rules."""
    from_subset: bool = False
    """Take both from the subset's shortest distance and first peak; rows are then made anew each time."""
    penalty_distance: float = 0.1
    """Distance above the inner cutoff at which the repulsion sets in, Å."""
    penalty_scale: float = 400.0
    """Strength of the repulsion, eV/Å³."""
    solver: Solver = "ridge"
    """How the least-squares problem is solved: ridge, svd, lasso or lars."""
    svd_smallest: float = 1e-6
    """Solver svd: singular values below this fraction of the largest are left out."""
    path_end: float = 1e-5
    """Solvers lasso and lars: fraction of the first correlation at which the path ends."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.order_2b < 1 or self.order_3b < 0 or self.order_4b < 0:
            raise ValueError("order_2b must be at least 1, order_3b and order_4b at least 0")
        if not 0 < self.tersoff_fraction <= 1:
            raise ValueError(f"tersoff_fraction must be in (0, 1], got {self.tersoff_fraction}")
        for name in ("svd_smallest", "path_end"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in (
            "cutoff",
            "cutoff_3b",
            "cutoff_4b",
            "inner_fraction",
            "morse_fraction",
            "penalty_distance",
            "penalty_scale",
        ):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def strength(self) -> float:
        """The number that regulates the chosen solver."""
        if self.solver == "ridge":
            return self.ridge
        return self.svd_smallest if self.solver == "svd" else self.path_end


@dataclass(frozen=True)
class Distances:
    """Inner cutoffs and Morse lengths of all pairs of atom types, Å, shape (n_types, n_types)."""

    inner: FloatArray
    morse: FloatArray


def distances_by_radii(elements: Sequence[str], options: ChimesOptions) -> Distances:
    """Take the lengths from the options or from covalent radii: the same for every subset.

    Sums of covalent radii (Cordero 2008, doi:10.1039/b801115j) stand for the first peak of the radial
    distribution, to which the authors of ChIMES tie λ.

    Raises
    ------
    StudyError
        If a pair in the options is unknown.
    """
    radii = np.array([covalent_radii[atomic_numbers[element]] for element in elements])
    sums = radii[:, None] + radii[None, :]
    inner = _named(options.inner_cutoffs, elements, options.inner_fraction * sums, "inner_cutoffs")
    morse = _named(options.morse_lengths, elements, options.morse_fraction * sums, "morse_lengths")
    return Distances(inner, morse)


def with_lengths_of(
    frames: Sequence[Atoms], elements: Sequence[str], options: ChimesOptions
) -> ChimesOptions:
    """Return the options with lengths from the pair distances of ``frames``; named ones stay.

    Inner cutoff: 0.98 of the shortest distance. Morse length: ``morse_fraction`` times the first peak of
    the radial distribution, that is the bin of 0.05 Å with the most pairs per r² among distances up to
    1.5 times the shortest. Pairs that do not occur within the cutoff keep the lengths from their radii.
    """
    inner, morse = dict(options.inner_cutoffs), dict(options.morse_lengths)
    found: dict[tuple[int, int], list[FloatArray]] = {}
    for atoms in frames:
        kinds = np.array([elements.index(symbol) for symbol in atoms.get_chemical_symbols()])
        near = find_neighbours(atoms, options.cutoff)
        first, second, distance = near.centres, near.index, near.distances
        for a, b in type_sets(len(elements), 2):
            chosen = distance[(kinds[first] == a) & (kinds[second] == b)]
            if len(chosen):
                found.setdefault((a, b), []).append(chosen)
    for (a, b), pieces in found.items():
        every = np.concatenate(pieces)
        shortest = float(every.min())
        edges = np.arange(shortest, 1.5 * shortest + PEAK_BIN, PEAK_BIN)
        count, centre = np.histogram(every, edges)[0], (edges[1:] + edges[:-1]) / 2
        names = {f"{elements[a]}-{elements[b]}", f"{elements[b]}-{elements[a]}"}
        if not names & inner.keys():
            inner[min(names)] = BELOW_SHORTEST * shortest
        if not names & morse.keys():
            morse[min(names)] = options.morse_fraction * float(centre[np.argmax(count / centre**2)])
    return replace(options, inner_cutoffs=inner, morse_lengths=morse, from_subset=False)


def empty_model(elements: Sequence[str], options: ChimesOptions, distances: Distances) -> Parameters:
    """Build the force field with all terms of the options and all coefficients zero.

    Raises
    ------
    StudyError
        If an inner cutoff is not below the outer one.
    """
    orders = (options.order_2b, options.order_3b, options.order_4b)
    outers = (options.cutoff, options.cutoff_3b, options.cutoff_4b)
    clusters: dict[int, tuple[ClusterType, ...]] = {}
    for body, order, outer in zip(BODIES, orders, outers, strict=True):
        types = []
        for atoms in type_sets(len(elements), body) if order else []:
            pairs = [(atoms[i], atoms[j]) for i, j in pairs_of(body)]
            inner = tuple(float(distances.inner[pair]) for pair in pairs)
            if max(inner) >= outer:
                raise StudyError(
                    f"adapter 'chimes': the {body}-body cutoff {outer} Å is not above the inner cutoff "
                    f"{max(inner):.2f} Å"
                )
            degrees, equivalent, parameter = basis_of(atoms, order)
            morse = tuple(float(distances.morse[pair]) for pair in pairs)
            values = np.zeros(len(degrees))
            types.append(
                ClusterType(
                    atoms, inner, (outer,) * len(pairs), morse, degrees, equivalent, parameter, values
                )
            )
        clusters[body] = tuple(types)
    smoothing: Smoothing = "CUBIC" if options.smoothing == "cubic" else "TERSOFF"
    return Parameters(
        elements=tuple(elements),
        masses=tuple(float(atomic_masses[atomic_numbers[element]]) for element in elements),
        orders=orders,
        clusters=clusters,
        smoothing=smoothing,
        fraction=0.0 if smoothing == "CUBIC" else options.tersoff_fraction,
        penalty_distance=options.penalty_distance,
        penalty_scale=options.penalty_scale / KCAL_PER_MOL,
        offsets=(0.0,) * len(elements),
    )


def _named(
    given: Mapping[str, float], elements: Sequence[str], default: FloatArray, option: str
) -> FloatArray:
    """Overwrite lengths by those named in an option."""
    values = default.copy()
    for name, value in given.items():
        pair = name.split("-")
        if len(pair) != 2 or not set(pair) <= set(elements):
            raise StudyError(
                f"adapter 'chimes': {option}: {name!r} is no pair of {', '.join(elements)}; write it as "
                f"{elements[0]}-{elements[-1]}"
            )
        if value <= 0:
            raise StudyError(f"adapter 'chimes': {option}: {name} must be positive, got {value}")
        a, b = (elements.index(element) for element in pair)
        values[a, b] = values[b, a] = value
    return values
