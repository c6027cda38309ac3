"""Potentials as text of LAMMPS's ``pair_style uf3``: a block per pair and triple of elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NoReturn

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.uf3.knots import MOST_FUNCTIONS, ORDER
from crossprune.adapters.uf3.parameters import Pair, Parameters, Trims, Triple, pairs_of, triples_of
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError

HEADER = "#UF3 POT UNITS: metal AUTHOR: crossprune CITATION: 10.1038/s41524-023-01092-7"
NEAREST = 0.1
"""Å; where splines of pairs begin farther out, LAMMPS reads beyond its arrays when atoms come nearer."""
EVEN = 1e-6
"""Relative difference of intervals that are said to be even: what rounding in a file may leave."""


def why_not_lammps(parameters: Parameters) -> str:
    """Say why LAMMPS cannot run a potential; empty if it can."""
    for pair in parameters.pairs:
        if pair.knots[0] > NEAREST:
            return (
                f"its pairs {parameters.name_of(pair.atoms)} begin at {pair.knots[0]:g} Å, and LAMMPS has no "
                "defined answer for atoms that come nearer"
            )
        reach = _leg_reach(parameters, pair.atoms)
        if reach > pair.knots[-1] and pair.coefficients[1 - ORDER :].any():
            return (
                f"its pairs {parameters.name_of(pair.atoms)} end at {pair.knots[-1]:g} Å, not smoothly at 0, "
                f"and its triples at {reach:g} Å; LAMMPS looks for neighbours no farther than pairs reach"
            )
    for triple in parameters.triples:
        first, second, across = (float(knots[-1]) for knots in triple.knots)
        if first != second or across != 2 * first:
            return (
                f"cutoffs {first:g}, {second:g} and {across:g} Å of {parameters.name_of(triple.atoms)}; it "
                "asks for equal ones from the centre, and twice that between the neighbours"
            )
    return ""


def _leg_reach(parameters: Parameters, atoms: tuple[int, int]) -> float:
    """Return how far a centre and a neighbour of two elements count in triples, Å; 0 without triples."""
    return max(
        (
            float(knots[-1])
            for triple in parameters.triples
            for neighbour, knots in zip(triple.atoms[1:], triple.knots[:2], strict=True)
            if {triple.atoms[0], neighbour} == set(atoms)
        ),
        default=0.0,
    )


def _continued(pair: Pair, reach: float) -> Pair:
    """Let a pair go on as 0 to ``reach``, Å, where it is shorter: LAMMPS finds no triples beyond pairs.

    Only functions whose coefficients are 0 change: the others have the last knot once.
    """
    if pair.knots[-1] >= reach:
        return pair
    knots = np.concatenate([pair.knots[: 1 - ORDER], np.full(ORDER, reach)])
    return replace(pair, knots=knots, coefficients=np.append(pair.coefficients, 0.0))


def to_lammps_text(parameters: Parameters) -> str:
    """Write a potential for ``pair_style uf3``, without the energies of isolated atoms; no digit is lost.

    Pairs that end before triples do get one more function, whose coefficient is 0.

    Raises
    ------
    DataError
        If LAMMPS cannot run it.
    """
    if reason := why_not_lammps(parameters):
        raise DataError(f"pair_style uf3 cannot run this potential: {reason}")
    lines = []
    for pair in (_continued(one, _leg_reach(parameters, one.atoms)) for one in parameters.pairs):
        lines += [
            HEADER,
            f"2B {' '.join(parameters.elements[one] for one in pair.atoms)} 0 3 nk",
            f"{float(pair.knots[-1])!r} {len(pair.knots)}",
            _line(pair.knots),
            str(len(pair.coefficients)),
            _line(pair.coefficients),
            "#",
        ]
    for triple in parameters.triples:
        backwards = triple.knots[::-1]  # jk, ik, ij
        lines += [
            HEADER,
            f"3B {' '.join(parameters.elements[one] for one in triple.atoms)} 0 3 nk",
            f"{_line([knots[-1] for knots in backwards])} {' '.join(str(len(one)) for one in backwards)}",
            *(_line(knots) for knots in backwards),
            " ".join(map(str, triple.coefficients.shape)),
            *(_line(row) for row in triple.coefficients.reshape(-1, triple.coefficients.shape[2])),
            "#",
        ]
    return "\n".join(lines) + "\n"


def _line(values: Sequence[float] | FloatArray) -> str:
    return " ".join(repr(float(value)) for value in values)


def from_lammps_text(text: str) -> Parameters:
    """Read a file of ``pair_style uf3``; energies of isolated atoms are 0, as in LAMMPS.

    Raises
    ------
    DataError
        With the line, for other units, an unknown block, numbers that are missing, or a pair or triple that
        is there twice.
    """
    reader = _Reader(list(_lines(text)))
    while reader.place < len(reader.lines):
        reader.block()
    elements = tuple(sorted({symbol for one in reader.pairs for symbol in one}))
    if not elements:
        raise DataError("no block '2B' of a pair; is it a file of pair_style uf3?")
    pairs = []
    for atoms in pairs_of(len(elements)):
        knots, values = reader.pair(*(elements[one] for one in atoms))
        pairs.append(Pair(atoms, knots, values))
    triples = [
        Triple(atoms, *reader.triple(*(elements[one] for one in atoms)))
        for atoms in (triples_of(len(elements)) if reader.triples else ())
    ]
    if extra := [one for one in reader.triples if set(one) - set(elements)]:
        raise DataError(f"a triple {'-'.join(extra[0])}, but no pair of each of its elements")
    return Parameters(elements, np.zeros(len(elements)), tuple(pairs), tuple(triples), Trims(triple_start=0))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is no comment, and the headers, with the numbers of their lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and (not line.startswith("#") or line.startswith("#UF3 POT")):
            yield number, line


@dataclass
class _Reader:
    """Reads block after block."""

    lines: list[tuple[int, str]]
    place: int = 0
    pairs: dict[tuple[str, ...], tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    triples: dict[tuple[str, ...], tuple[tuple[FloatArray, ...], FloatArray]] = field(default_factory=dict)

    def block(self) -> None:
        """Read a header and the block behind it."""
        words = self._words()
        if words[:2] != ["#UF3", "POT"] or ("UNITS:", "metal") not in pairwise(words):
            self._fail("expected a header '#UF3 POT UNITS: metal ...'")
        kind, *rest = self._words()
        size = {"2B": 2, "3B": 3}.get(kind, 0)
        if not size or len(rest) != size + 3 or rest[-1] not in ("uk", "nk"):
            self._fail("expected '2B El El 0 3 nk' or '3B El El El 0 3 nk'")
        symbols = tuple(rest[:size])
        for symbol in symbols:
            if atomic_numbers.get(symbol, 0) < 1:
                self._fail(f"{symbol[:20]!r} is no chemical symbol")
        if rest[size : size + 2] != ["0", "3"]:
            self._fail("LAMMPS takes the trims 0 and 3 only")
        if size == 2:
            self._pair(symbols, even=rest[-1] == "uk")
        else:
            self._triple(symbols, even=rest[-1] == "uk")

    def _pair(self, symbols: tuple[str, ...], *, even: bool) -> None:
        cutoff, count = self._numbers(2)
        knots = self._knots(count, cutoff, even=even)
        (size,) = self._numbers(1)
        if size != len(knots) - ORDER:
            self._fail(f"{size:g} coefficients for {len(knots)} knots")
        if symbols in self.pairs or symbols[::-1] in self.pairs:
            self._fail(f"the pair {'-'.join(symbols)} is there twice")
        self.pairs[symbols] = knots, self._numbers(int(size))

    def _triple(self, symbols: tuple[str, ...], *, even: bool) -> None:
        values = self._numbers(6)
        across, second, first = (
            self._knots(values[3 + one], values[one], even=even) for one in range(3)
        )  # jk, ik, ij
        shape = tuple(len(one) - ORDER for one in (first, second, across))
        if tuple(self._numbers(3)) != shape:
            self._fail(f"expected the shape {' '.join(map(str, shape))} that the knots ask for")
        if symbols in self.triples or (symbols[0], *symbols[:0:-1]) in self.triples:
            self._fail(f"the triple {'-'.join(symbols)} is there twice")
        rows = [self._numbers(shape[2]) for _ in range(shape[0] * shape[1])]
        self.triples[symbols] = (first, second, across), np.array(rows).reshape(shape)

    def pair(self, one: str, two: str) -> tuple[FloatArray, FloatArray]:
        """Return knots and coefficients of a pair, whichever element the file names first."""
        for names in ((one, two), (two, one)):
            if names in self.pairs:
                return self.pairs[names]
        raise DataError(f"no block of the pair {one}-{two}")

    def triple(
        self, centre: str, one: str, two: str
    ) -> tuple[tuple[FloatArray, FloatArray, FloatArray], FloatArray]:
        """Return knots and coefficients of a triple, whichever neighbour the file names first."""
        if (centre, one, two) in self.triples:
            (first, second, across), grid = self.triples[centre, one, two]
            return (first, second, across), grid
        if (centre, two, one) in self.triples:
            (first, second, across), grid = self.triples[centre, two, one]
            return (second, first, across), np.ascontiguousarray(grid.transpose(1, 0, 2))
        raise DataError(f"no block of the triple {centre}-{one}-{two}")

    def _knots(self, count: float, cutoff: float, *, even: bool) -> FloatArray:
        if not (count.is_integer() and 2 * ORDER <= count <= MOST_FUNCTIONS + ORDER):
            self._fail(f"expected {2 * ORDER} to {MOST_FUNCTIONS + ORDER} knots, got {count:g}")
        knots = self._numbers(int(count))
        if abs(knots[-1] - cutoff) > EVEN * max(cutoff, 0.0):
            self._fail(f"the last knot is {knots[-1]:g} Å, and the cutoff {cutoff:g} Å")
        steps = np.diff(knots)[ORDER - 1 : 1 - ORDER]
        if even and np.ptp(steps) > EVEN * max(float(steps.max()), 0.0):
            self._fail("knots are said to be even (uk) and are not; LAMMPS would take the wrong functions")
        return knots

    def _numbers(self, count: int) -> FloatArray:
        words = self._words()
        if len(words) != count:
            self._fail(f"expected {count} numbers, got {len(words)}")
        try:
            values = np.array([float(word) for word in words])
        except ValueError as error:
            self._fail(str(error)[:80])
        if not np.isfinite(values).all():
            self._fail("a number is NaN or infinite")
        return values

    def _words(self) -> list[str]:
        if self.place >= len(self.lines):
            raise DataError("it ends in the middle of a block; is it cut off?")
        self.place += 1
        return self.lines[self.place - 1][1].split()

    def _fail(self, what: str) -> NoReturn:
        raise DataError(f"line {self.lines[self.place - 1][0]}: {what}")
