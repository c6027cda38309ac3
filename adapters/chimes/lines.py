"""Take the lines of a ChIMES parameter file apart; every complaint names file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, cast

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.chimes.parameters import pairs_of
from crossprune.harness.errors import DataError

SWITCHES = {
    "USECOUL:": True,
    "USEPOVR:": True,
    "USEOVRP:": True,
    "FITCOUL:": False,
    "FITPOVR:": False,
    "FITOVRP:": False,
    "USE3BCH:": False,
    "USE4BCH:": False,
}
"""Yes-or-no lines, and whether a yes changes the energy in a way that is not supported here."""
FIT_NOTES = ("EXCL1B:", "EXCL2B:", "EXCL3B:", "EXCL4B:")
"""Lines that tell what a fit left to earlier fits; they do not enter the energy."""
HEADINGS = ("PAIR CHEBYSHEV PARAMS", "TRIPLET CHEBYSHEV PARAMS", "QUADRUPLET CHEBYSHEV PARAMS")
DECORATION = ("#", "index", "---")
"""Beginnings of lines that only dress up a table."""
BLOCKS = {"TRIPLETTYPE PARAMS:": 3, "QUADRUPLETYPE PARAMS:": 4}
COUNTS = {"ATOM PAIR TRIPLETS:": 3, "ATOM PAIR QUADRUPLETS:": 4}
MEMBERS = ("ATOMS:", "ATYMS:")
"""What stands before a cluster's atom types; older files have the second."""
LARGEST_POWER = 100
"""Far above published orders (25); a damaged number must not ask for all memory."""
DEFAULT_PENALTY = (0.01, 1.0e4)
"""Kick-in distance (Å) and strength (kcal/mol/Å³) where a file states none, as in the calculator."""


@dataclass(frozen=True)
class Line:
    """One line of a file that holds something."""

    number: int
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line without comments and superfluous spaces."""
        return " ".join(self.words)


@dataclass(frozen=True)
class Special:
    """Cutoffs of 3- or 4-body clusters that differ from those of their pairs."""

    line: Line
    body: int
    which: str
    """``inner`` or ``outer``."""
    everywhere: float | None
    """One cutoff for all pairs, Å; otherwise ``rows`` has one line per cluster type."""
    rows: tuple[Line, ...] = ()


@dataclass
class Content:
    """What the lines of a file said so far."""

    orders: tuple[int, int, int] | None = None
    types: list[tuple[str, float]] = field(default_factory=list)
    pairs: dict[int, Line] = field(default_factory=dict)
    smoothing: str = "CUBIC"
    fraction: float = 0.0
    penalty: list[float] = field(default_factory=lambda: list(DEFAULT_PENALTY))
    specials: list[Special] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    series: dict[int, tuple[Line, list[Line]]] = field(default_factory=dict)
    blocks: dict[int, dict[int, tuple[Line, Line, list[Line]]]] = field(
        default_factory=lambda: {3: {}, 4: {}}
    )
    offsets: dict[int, float] = field(default_factory=dict)


class Reader:
    """Walks through the lines of one file."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines = []
        for number, raw in enumerate(text.splitlines(), start=1):
            words = tuple(raw.split("!")[0].split("##")[0].split())
            if words and not words[0].startswith(DECORATION):
                self.lines.append(Line(number, words))
        self.last = len(text.splitlines())
        self.position = 0

    def fail(self, line: Line | None, message: str) -> NoReturn:
        """Raise a `DataError` that names file and line."""
        number, shown = (self.last, "") if line is None else (line.number, f": {line.text!r}")
        raise DataError(f"{self.name}, line {number}: {message}{shown}")

    def next(self, wanted: str) -> Line:
        """Return the next line that holds something."""
        if self.position >= len(self.lines):
            self.fail(None, f"the file ends where {wanted} should follow; is it truncated?")
        line = self.lines[self.position]
        self.position += 1
        return line

    def rows(self, count: int, wanted: str) -> list[Line]:
        """Return the ``count`` rows of a table."""
        return [self.next(f"{wanted} (row {index + 1} of {count})") for index in range(count)]

    def number(self, line: Line, position: int, wanted: str) -> float:
        """Return one word of a line as a finite number."""
        try:
            value = float(line.words[position])
        except (IndexError, ValueError):
            self.fail(line, f"expected {wanted} as word {position + 1}")
        if not np.isfinite(value):
            self.fail(line, f"{wanted} is not finite")
        return value

    def integer(self, line: Line, position: int, wanted: str) -> int:
        """Return one word of a line as an integer."""
        try:
            return int(line.words[position])
        except (IndexError, ValueError):
            self.fail(line, f"expected {wanted} (an integer) as word {position + 1}")

    def count(self, line: Line, position: int, wanted: str) -> int:
        """Return one word of a line as an integer that is not negative."""
        value = self.integer(line, position, wanted)
        if value < 0:
            self.fail(line, f"{wanted} is negative")
        return value

    def power(self, line: Line, position: int) -> int:
        """Return one word of a line as the power of a polynomial."""
        value = self.count(line, position, "a power")
        if value > LARGEST_POWER:
            self.fail(line, f"power {value}; at most {LARGEST_POWER} are read")
        return value

    def content(self) -> Content:
        """Read line after line up to ``ENDFILE``."""
        content = Content()
        while (line := self.next("ENDFILE")).words[0] != "ENDFILE":
            self.section(content, line)
        return content

    def section(self, content: Content, line: Line) -> None:
        """Read one section into ``content``."""
        if line.words[0] in SWITCHES:
            self.switch(line)
        elif line.text in HEADINGS or line.words[0] in FIT_NOTES:
            return
        elif not (self.value(content, line) or self.table(content, line)):
            self.fail(line, "unknown keyword")

    def switch(self, line: Line) -> None:
        """Check a yes-or-no line."""
        if len(line.words) != 2 or line.words[1].lower() not in ("true", "false"):
            self.fail(line, "expected true or false")
        if SWITCHES[line.words[0]] and line.words[1].lower() == "true":
            self.fail(line, "charges and over-coordination terms are not supported")

    def value(self, content: Content, line: Line) -> bool:
        """Read a keyword whose values stand behind it; return whether it is one."""
        words, text = line.words, line.text
        if text.startswith("PAIRTYP: CHEBYSHEV"):
            orders = [self.count(line, position, "an order") for position in range(2, min(5, len(words)))]
            if not orders:
                self.fail(line, "expected the 2-body order")
            content.orders = cast(tuple[int, int, int], tuple([*orders, 0, 0][:3]))
        elif text.startswith("FCUT TYPE:"):
            content.smoothing = words[2] if len(words) > 2 else ""
            if content.smoothing not in ("CUBIC", "TERSOFF"):
                self.fail(line, "unknown cutoff function; known: CUBIC, TERSOFF")
            if content.smoothing == "TERSOFF":
                content.fraction = self.number(line, 3, "the fraction of the Tersoff cutoff function")
        elif text.startswith("PAIR CHEBYSHEV PENALTY DIST:"):
            content.penalty[0] = self.number(line, 4, "a distance")
        elif text.startswith("PAIR CHEBYSHEV PENALTY SCALING:"):
            content.penalty[1] = self.number(line, 4, "a strength")
        elif text.startswith("PAIR CHEBYSHEV CUBIC SCALING:"):
            if self.number(line, 4, "a scale") != 1.0:
                self.fail(line, "a cubic scaling other than 1 is not supported")
        elif (key := " ".join(words[:3])) in COUNTS:
            content.counts[COUNTS[key]] = self.count(line, 3, "a number of cluster types")
        else:
            return False
        return True

    def table(self, content: Content, line: Line) -> bool:
        """Read a keyword with rows below it; return whether it is one."""
        words, text = line.words, line.text
        if text.startswith("ATOM TYPES:"):
            rows = self.rows(self.count(line, 2, "the number of atom types"), "atom types")
            content.types = [self.atom_type(row, index) for index, row in enumerate(rows)]
        elif text.startswith("ATOM PAIRS:"):
            for row in self.rows(self.count(line, 2, "the number of pairs"), "pairs"):
                content.pairs[self.count(row, 0, "a pair index")] = row
        elif len(words) > 3 and words[0] == "SPECIAL":
            content.specials.append(self.special(line))
        elif text.startswith("PAIRTYPE PARAMS:"):
            if content.orders is None:
                self.fail(line, "the line 'PAIRTYP: CHEBYSHEV' must come before the parameters")
            rows = self.rows(content.orders[0], "2-body parameters")
            content.series[self.count(line, 2, "a pair index")] = (line, rows)
        elif text in BLOCKS:
            self.block(content, BLOCKS[text])
        elif words[0] in ("PAIRMAPS:", "TRIPMAPS:", "QUADMAPS:"):
            for row in self.rows(self.count(line, 1, "the number of entries"), f"entries of {words[0]}"):
                if len(row.words) != 2:
                    self.fail(row, f"expected an index and a name below {words[0]}")
                self.integer(row, 0, "an index")
        elif text.startswith("NO ENERGY OFFSETS:"):
            for row in self.rows(self.count(line, 3, "the number of offsets"), "energy offsets"):
                if row.words[:2] != ("ENERGY", "OFFSET"):
                    self.fail(row, "expected 'ENERGY OFFSET'")
                content.offsets[self.count(row, 2, "an atom type") - 1] = self.number(row, 3, "an energy")
        else:
            return False
        return True

    def atom_type(self, row: Line, index: int) -> tuple[str, float]:
        """Read one atom type: symbol and mass."""
        if len(row.words) < 4 or self.integer(row, 0, "an index") != index:
            self.fail(row, f"expected atom type {index}: index, symbol, charge, mass")
        if row.words[1] not in atomic_numbers:
            self.fail(row, f"{row.words[1]!r} is no chemical symbol")
        return row.words[1], self.number(row, 3, "a mass")

    def special(self, line: Line) -> Special:
        """Read a section of special cutoffs."""
        _, body, which, kind = line.words[:4]
        if body not in ("3B", "4B") or which not in ("S_MINIM:", "S_MAXIM:"):
            self.fail(line, "unknown keyword")
        n, edge = int(body[0]), "inner" if which == "S_MINIM:" else "outer"
        if kind == "ALL":
            return Special(line, n, edge, self.number(line, 4, "a cutoff"))
        if kind != "SPECIFIC":
            self.fail(line, "expected ALL or SPECIFIC")
        rows = self.rows(self.count(line, 4, "the number of entries"), "special cutoffs")
        return Special(line, n, edge, None, tuple(rows))

    def block(self, content: Content, body: int) -> None:
        """Read the terms of one 3- or 4-body cluster type."""
        n_pairs = len(pairs_of(body))
        atoms, pairs = self.next("INDEX: … ATOMS: …"), self.next("PAIRS: …")
        if atoms.words[0] != "INDEX:" or len(atoms.words) != 3 + body or atoms.words[2] not in MEMBERS:
            self.fail(atoms, f"expected 'INDEX: <n> ATOMS:' and {body} atom types")
        if pairs.words[0] != "PAIRS:" or len(pairs.words) < 2 + n_pairs:
            self.fail(pairs, f"expected 'PAIRS:' and {n_pairs} pairs")
        rows: list[Line] = []
        if pairs.words[n_pairs + 1] != "EXCLUDED:":
            if len(pairs.words) < n_pairs + 5 or pairs.words[n_pairs + 3] != "TOTAL:":
                self.fail(pairs, "expected 'UNIQUE: <n> TOTAL: <n>' or 'EXCLUDED:' after the pairs")
            rows = self.rows(self.count(pairs, n_pairs + 4, "the number of terms"), f"{body}-body parameters")
        content.blocks[body][self.count(atoms, 1, "an index")] = (atoms, pairs, rows)
