"""Read the parameter files of the ChIMES calculator; every complaint names file and line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import cast

import numpy as np
from crossprune.adapters.chimes.lines import Content, Line, Reader, Special
from crossprune.adapters.chimes.parameters import BODIES, ClusterType, Parameters, Smoothing, pairs_of
from crossprune.harness.errors import DataError


def read_file(path: Path) -> Parameters:
    """Read a ChIMES parameter file.

    Raises
    ------
    DataError
        If the file is absent, truncated, or has something unknown or inconsistent; with the line.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the ChIMES parameter file {path}: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Parameters:
    """Turn the text of a parameter file into `Parameters`; ``name`` stands in messages."""
    reader = Reader(name, text)
    content = reader.content()
    if content.orders is None:
        reader.fail(None, "no line 'PAIRTYP: CHEBYSHEV'; is this a ChIMES parameter file?")
    if not content.types:
        reader.fail(None, "no section 'ATOM TYPES:'")
    elements = tuple(symbol for symbol, _ in content.types)
    table = PairTable(reader, elements, content)
    clusters = {2: table.types}
    for body in BODIES[1:]:
        used = content.orders[body - 2] > 0
        blocks = content.blocks[body] if used else {}
        if used and sorted(blocks) != list(range(content.counts.get(body, 0))):
            reader.fail(
                None, f"{content.counts.get(body, 0)} {body}-body types announced, found {sorted(blocks)}"
            )
        types = [table.cluster(body, *blocks[index]) for index in sorted(blocks)]
        for special in content.specials:
            if special.body == body and used:
                types = table.specialised(types, special)
        clusters[body] = tuple(types)
    if unknown := set(content.offsets) - set(range(len(elements))):
        reader.fail(None, f"energy offsets of unknown atom types {sorted(number + 1 for number in unknown)}")
    return Parameters(
        elements=elements,
        masses=tuple(mass for _, mass in content.types),
        orders=content.orders,
        clusters=clusters,
        smoothing=cast(Smoothing, content.smoothing),
        fraction=content.fraction,
        penalty_distance=content.penalty[0],
        penalty_scale=content.penalty[1],
        offsets=tuple(content.offsets.get(index, 0.0) for index in range(len(elements))),
    )


class PairTable:
    """The pairs of a file, by which larger clusters name their distances."""

    def __init__(self, reader: Reader, elements: Sequence[str], content: Content) -> None:
        self.reader, self.elements = reader, elements
        self.by_types: dict[frozenset[int], ClusterType] = {}
        self.by_name: dict[str, frozenset[int]] = {}
        for index in sorted(content.pairs):
            pair = self.pair(content.pairs[index], content.series.get(index))
            self.by_types[frozenset(pair.atoms)] = pair
            first, second = (elements[atom] for atom in pair.atoms)
            self.by_name[first + second] = self.by_name[second + first] = frozenset(pair.atoms)
        self.types = tuple(self.by_types.values())
        needed = len(elements) * (len(elements) + 1) // 2
        if len(self.types) != needed:
            reader.fail(
                None, f"{len(self.types)} different pairs for {len(elements)} atom types, expected {needed}"
            )

    def pair(self, row: Line, series: tuple[Line, list[Line]] | None) -> ClusterType:
        """Make a pair's type; its terms are of degree 1 and up."""
        reader = self.reader
        if len(row.words) not in (7, 8):
            reader.fail(row, "expected index, two types, S_MINIM, S_MAXIM, (S_DELTA,) MORSE and its length")
        if row.words[-2] != "MORSE":
            reader.fail(row, "only the MORSE transformation of distances is supported")
        if series is None:
            reader.fail(row, "the file has no 'PAIRTYPE PARAMS:' for this pair")
        line, terms = series
        atoms = tuple(self.type_of(row, word) for word in row.words[1:3])
        if len(line.words) != 5 or {self.type_of(line, word) for word in line.words[3:]} != set(atoms):
            reader.fail(line, f"expected the parameters of {row.words[1]} {row.words[2]}")
        degrees = np.array([[reader.power(term, 0) + 1] for term in terms], dtype=np.int64)
        morse = reader.number(row, len(row.words) - 1, "the Morse length")
        if morse <= 0:
            reader.fail(row, "the Morse length must be positive")
        return ClusterType(
            atoms=atoms,
            inner=(reader.number(row, 3, "S_MINIM"),),
            outer=(reader.number(row, 4, "S_MAXIM"),),
            morse=(morse,),
            degrees=degrees.reshape(-1, 1),
            equivalent=np.arange(len(terms)),
            parameter=np.arange(len(terms)),
            coefficients=np.array([reader.number(term, 1, "a coefficient") for term in terms]),
        )

    def cluster(self, body: int, atoms_line: Line, pairs_line: Line, rows: Sequence[Line]) -> ClusterType:
        """Make a 3- or 4-body type from its lines."""
        reader, n_pairs = self.reader, len(pairs_of(body))
        atoms = self.ordered(atoms_line, pairs_line, body)
        pairs = [self.by_types[frozenset((atoms[i], atoms[j]))] for i, j in pairs_of(body)]
        for row in rows:
            if len(row.words) != n_pairs + 4:
                reader.fail(row, f"expected index, {n_pairs} powers, two indices and a coefficient")
        degrees = [[reader.power(row, 1 + p) for p in range(n_pairs)] for row in rows]
        return ClusterType(
            atoms=atoms,
            inner=tuple(pair.inner[0] for pair in pairs),
            outer=tuple(pair.outer[0] for pair in pairs),
            morse=tuple(pair.morse[0] for pair in pairs),
            degrees=np.array(degrees, dtype=np.int64).reshape(-1, n_pairs),
            equivalent=np.array(
                [reader.integer(row, n_pairs + 1, "an index") for row in rows], dtype=np.int64
            ),
            parameter=np.array(
                [reader.integer(row, n_pairs + 2, "an index") for row in rows], dtype=np.int64
            ),
            coefficients=np.array([reader.number(row, n_pairs + 3, "a coefficient") for row in rows]),
            excluded="EXCLUDED:" in pairs_line.words,
        )

    def ordered(self, atoms_line: Line, pairs_line: Line, body: int) -> tuple[int, ...]:
        """Order the members so that their pairs are those of the line ``PAIRS:``."""
        atoms = [self.type_of(atoms_line, word) for word in atoms_line.words[3:]]
        wanted = [self.pair_of(pairs_line, word) for word in pairs_line.words[1 : 1 + len(pairs_of(body))]]
        for order in permutations(atoms):
            if [frozenset((order[i], order[j])) for i, j in pairs_of(body)] == wanted:
                break
        else:
            self.reader.fail(pairs_line, f"these are not the pairs of {' '.join(atoms_line.words[3:])}")
        return tuple(order)

    def specialised(self, types: Sequence[ClusterType], special: Special) -> list[ClusterType]:
        """Return the types with a section of special cutoffs applied."""
        n_pairs = len(pairs_of(special.body))
        if special.everywhere is not None:
            cutoffs = (special.everywhere,) * n_pairs
            return [replaced(cluster, special.which, cutoffs) for cluster in types]
        changed = list(types)
        for row in special.rows:
            if len(row.words) != 1 + 2 * n_pairs:
                self.reader.fail(row, f"expected a name, {n_pairs} pairs and {n_pairs} cutoffs")
            names = [self.pair_of(row, word) for word in row.words[1 : 1 + n_pairs]]
            given = [self.reader.number(row, 1 + n_pairs + p, "a cutoff") for p in range(n_pairs)]
            for index, cluster in enumerate(changed):
                own = [frozenset((cluster.atoms[i], cluster.atoms[j])) for i, j in pairs_of(special.body)]
                if sorted(map(sorted, own)) == sorted(map(sorted, names)):
                    changed[index] = replaced(cluster, special.which, matched(own, names, given))
                    break
            else:
                self.reader.fail(row, "no cluster type of the file has these pairs")
        return changed

    def type_of(self, line: Line, word: str) -> int:
        """Return the atom type of a symbol."""
        if word not in self.elements:
            self.reader.fail(
                line, f"unknown atom type {word!r}; the file's types: {', '.join(self.elements)}"
            )
        return self.elements.index(word)

    def pair_of(self, line: Line, word: str) -> frozenset[int]:
        """Return the atom types of a pair's name, such as ``OTi``."""
        if word not in self.by_name:
            self.reader.fail(
                line, f"unknown pair {word!r}; the file's pairs: {', '.join(sorted(self.by_name))}"
            )
        return self.by_name[word]


def matched(
    own: Sequence[frozenset[int]], names: Sequence[frozenset[int]], given: Sequence[float]
) -> tuple[float, ...]:
    """Hand the cutoffs given for ``names`` to the pairs ``own``; of equal names, the first to the first."""
    left: dict[frozenset[int], list[float]] = {}
    for name, cutoff in zip(names, given, strict=True):
        left.setdefault(name, []).append(cutoff)
    return tuple(left[pair].pop(0) for pair in own)


def replaced(cluster: ClusterType, which: str, cutoffs: tuple[float, ...]) -> ClusterType:
    """Return the cluster type with other inner or outer cutoffs."""
    return replace(cluster, inner=cutoffs) if which == "inner" else replace(cluster, outer=cutoffs)
