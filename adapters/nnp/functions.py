"""Sets of symmetry functions: defaults from a cutoff and elements, neighbours, values and Jacobians."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.adapters.nnp import kernels
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.errors import DataError

TOO_CLOSE = 1e-6
"""Å; two atoms nearer than this are the same atom twice, and angles between them are undefined."""

LONGEST_CUTOFF = 30.0
"""Å; published potentials end below 10, and a search farther out fills the memory."""
SHARPEST, FARTHEST = 1e6, 1e3
"""Largest η (1/Å²) and |r_s| (Å); far beyond what tells distances apart, far below what overflows."""
LARGEST_ZETA = 500.0
"""Published sets end at 64; 2^(1−ζ) (1 + λ cos θ)^ζ leaves the range of a double at 1024."""


@dataclass(frozen=True, order=True)
class Radial:
    """G2 = Σ_j exp(−η (r_ij − r_s)²) f_c(r_ij) over neighbours j of one element."""

    eta: float
    """Sharpness η, 1/Å²."""
    shift: float
    """Centre r_s, Å."""
    element: str


@dataclass(frozen=True, order=True)
class Angular:
    """G4 (narrow) or G5 (wide): a sum over pairs j < k of neighbours of two elements.

    G4 = 2^(1−ζ) Σ (1 + λ cos θ_jik)^ζ exp(−η (r_ij² + r_ik² + r_jk²)) f_c(r_ij) f_c(r_ik) f_c(r_jk), with
    r − r_s for each r if ``shift`` is not 0; G5 has no r_jk. Behler 2011, doi:10.1063/1.3553717, eqs. 8, 9.
    """

    eta: float
    """Sharpness η, 1/Å²."""
    shift: float
    """Centre r_s of each distance, Å."""
    zeta: float
    """Angular sharpness ζ ≥ 1."""
    sign: int
    """λ: 1 or −1."""
    elements: tuple[str, str]
    narrow: bool = True
    """Whether the third distance counts: G4, otherwise G5."""


@dataclass(frozen=True)
class Environment:
    """Neighbours of every atom of one structure, in the layout of `crossprune.adapters.nnp.kernels`.

    A slot is a distinct atom in a centre's environment, the centre itself first; images share it.
    """

    vectors: FloatArray
    kind: IntArray
    slot: IntArray
    start: IntArray
    atom: IntArray
    centre_kind: IntArray
    slot_start: IntArray
    slot_atom: IntArray


@dataclass(frozen=True)
class Description:
    """Symmetry functions of a structure and their derivatives, see `kernels.describe`."""

    values: FloatArray
    jacobian: FloatArray
    virial: FloatArray


@dataclass(frozen=True)
class SymmetryFunctions:
    """The functions of each element's network, in the order of its inputs.

    Parameters
    ----------
    cutoff
        Å, the same for all functions.
    cutoff_function
        `kernels.COSINE` or `kernels.POLYNOMIAL`.
    of_element
        Central element to its functions; the order of elements is that of the networks.
    """

    cutoff: float
    cutoff_function: int
    of_element: Mapping[str, tuple[Radial | Angular, ...]]

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements in the order of the networks."""
        return tuple(self.of_element)

    @property
    def n_functions(self) -> int:
        """Largest number of functions of an element; shorter rows of values end in zeros."""
        return max(len(functions) for functions in self.of_element.values())

    @functools.cached_property
    def tables(self) -> tuple[Any, ...]:
        """The functions as arrays, grouped by centre and neighbour elements, for the kernels."""
        elements = self.elements
        powers = sorted({(float(f.sign), f.zeta) for f in self._all() if isinstance(f, Angular)})
        radial, radial_start = [], [0]
        angular: list[tuple[float, ...]] = []
        ranges = {}
        for centre, element in itertools.product(elements, repeat=2):
            for column, f in enumerate(self.of_element[centre]):
                if isinstance(f, Radial) and f.element == element:
                    radial.append((f.eta, f.shift, float(column)))
            radial_start.append(len(radial))
        for centre, (a, b) in itertools.product(
            elements, itertools.combinations_with_replacement(range(len(elements)), 2)
        ):
            pair = {elements[a], elements[b]}
            group = [
                (f.eta, f.shift, powers.index((float(f.sign), f.zeta)), float(f.narrow), column)
                for column, f in enumerate(self.of_element[centre])
                if isinstance(f, Angular) and set(f.elements) == pair
            ]
            # Equal radial parts next to each other: the kernels compute each of them once.
            group.sort(key=lambda row: (row[3], row[0], row[1], row[4]))
            wide = int(any(row[3] == kernels.WIDE for row in group))
            for i, j in {(a, b), (b, a)}:
                ranges[elements.index(centre), i, j] = (len(angular), len(angular) + len(group), wide)
            angular += group
        return (
            float(self.cutoff),
            int(self.cutoff_function),
            len(elements),
            np.array(radial_start, dtype=np.int64),
            np.array(radial, dtype=np.float64).reshape(-1, 3),
            np.array([ranges[key] for key in sorted(ranges)], dtype=np.int64).reshape(-1, 3),
            np.array(angular, dtype=np.float64).reshape(-1, 5),
            np.array(powers, dtype=np.float64).reshape(-1, 2),
        )

    def environment(self, atoms: Atoms) -> Environment:
        """Find all neighbours within the cutoff, periodic images included.

        Raises
        ------
        DataError
            If two atoms lie on top of each other.
        """
        order = {element: number for number, element in enumerate(self.elements)}
        kinds = np.array([order[symbol] for symbol in atoms.get_chemical_symbols()], dtype=np.int64)
        near = find_neighbours(atoms, self.cutoff)
        i, j, vectors = near.centres, near.index, near.vectors
        if near.distances.min(initial=np.inf) < TOO_CLOSE:
            raise DataError(f"structure {atoms.get_chemical_formula()} has two atoms at the same place")
        n = len(atoms)
        own = np.arange(n)
        # The key sorts a centre's own atom first, then its neighbours by number.
        pairs = np.concatenate([i * (n + 1), i * (n + 1) + np.where(i == j, 0, j + 1)]).astype(np.int64)
        keys, inverse = np.unique(np.concatenate([own * (n + 1), pairs[len(i) :]]), return_inverse=True)
        slot_start = np.searchsorted(keys, np.arange(n + 1) * (n + 1)).astype(np.int64)
        slot_atom = np.where(keys % (n + 1) == 0, keys // (n + 1), keys % (n + 1) - 1)
        return Environment(
            vectors=vectors,
            kind=kinds[j],
            slot=(inverse[n:] - slot_start[i]).astype(np.int64),
            start=near.starts,
            atom=j,
            centre_kind=kinds,
            slot_start=slot_start,
            slot_atom=slot_atom.astype(np.int64),
        )

    def values(self, environment: Environment) -> FloatArray:
        """Return the functions of every atom: shape (n_atoms, n_functions), no unit."""
        return self._describe(environment, derivatives=False).values

    def description(self, environment: Environment) -> Description:
        """Return the functions of every atom with their derivatives."""
        return self._describe(environment, derivatives=True)

    def _describe(self, e: Environment, *, derivatives: bool) -> Description:
        n, k = len(e.centre_kind), self.n_functions
        values = np.zeros((n, k))
        jacobian = np.zeros((len(e.slot_atom) if derivatives else 0, 3, k))
        virial = np.zeros((n if derivatives else 0, 6, k))
        kernels.describe(
            e.vectors,
            e.kind,
            e.slot,
            e.start,
            e.centre_kind,
            self.tables,
            values,
            e.slot_start,
            jacobian,
            virial,
        )
        return Description(values, jacobian, virial)

    def pull_back(self, e: Environment, slopes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Turn dE/dG (eV, shape (n_atoms, n_functions)) into dE/dr (eV/Å) and the virial sum (eV, Voigt)."""
        gradient, virial = np.zeros((len(e.centre_kind), 3)), np.zeros(6)
        kernels.pull_back(
            e.vectors, e.kind, e.start, e.atom, e.centre_kind, self.tables, slopes, gradient, virial
        )
        return gradient, virial

    def _all(self) -> list[Radial | Angular]:
        return [f for functions in self.of_element.values() for f in functions]


def default_functions(
    elements: Sequence[str],
    *,
    cutoff: float,
    cutoff_function: int,
    n_radial: int,
    angular_sharpness: Sequence[float],
    zetas: Sequence[float],
    narrow: bool,
) -> SymmetryFunctions:
    """Make the default set: the same functions around every element.

    Radial: ``n_radial`` Gaussians per neighbour element with centres evenly spaced up to the cutoff and a
    standard deviation of one spacing (Gastegger 2018, doi:10.1063/1.5019667, "shifted"). Angular: per
    pair of neighbour elements, all combinations of η = sharpness/cutoff², ζ and λ = ±1 (Behler 2011).
    """
    spacing = cutoff / (n_radial + 1)
    radial = [
        Radial(1 / (2 * spacing**2), spacing * (number + 1), element)
        for number in range(n_radial)
        for element in elements
    ]
    angular = [
        Angular(sharpness / cutoff**2, 0.0, float(zeta), sign, pair, narrow)
        for sharpness in angular_sharpness
        for zeta in zetas
        for sign in (-1, 1)
        for pair in itertools.combinations_with_replacement(elements, 2)
    ]
    return SymmetryFunctions(
        cutoff, cutoff_function, dict.fromkeys(elements, (*sorted(radial), *sorted(angular)))
    )
