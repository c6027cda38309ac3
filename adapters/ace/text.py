"""The older text format of C-tilde potentials, ``.ace``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
from crossprune.adapters.ace.model import AceModel, Centre, Embedding, Function
from crossprune.adapters.ace.radial import FAMILIES, Bond
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name


class _Tokens:
    """Words of a file with their line numbers; ``=``, ``:``, brackets and angles count as blanks."""

    def __init__(self, path: Path) -> None:
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from None
        blank = str.maketrans(dict.fromkeys("=:()<>", " "))
        self.path = path
        self.words = [
            (word, number)
            for number, line in enumerate(lines, 1)
            if not line.lstrip().startswith("#")
            for word in line.translate(blank).split()
        ]
        self.at = 0
        self.last_line = len(lines)

    @property
    def place(self) -> str:
        line = self.words[self.at][1] if self.at < len(self.words) else self.last_line
        return f"{self.path}, line {line}"

    def peek(self) -> str:
        return self.words[self.at][0] if self.at < len(self.words) else ""

    def expect(self, *words: str) -> None:
        for word in words:
            if self.peek() != word:
                found = f"found {self.peek()!r}" if self.peek() else "the file ends"
                raise DataError(f"{self.place}: expected {' '.join(words)!r}, {found}")
            self.at += 1

    def text(self) -> str:
        if self.at >= len(self.words):
            raise DataError(f"{self.place}: the file ends too early")
        self.at += 1
        return self.words[self.at - 1][0]

    def numbers(self, count: int) -> FloatArray:
        if not 0 <= count <= len(self.words) - self.at:
            raise DataError(f"{self.place}: the file ends before the {count} numbers that it announces")
        values = np.empty(count)
        for index in range(count):
            place = self.place
            word = self.text()
            try:
                values[index] = float(word)
            except ValueError:
                raise DataError(f"{place}: expected number {index + 1} of {count}, found {word!r}") from None
        if not np.isfinite(values).all():
            raise DataError(f"{self.place}: a number is not finite")
        return values

    def integers(self, count: int) -> tuple[int, ...]:
        place = self.place
        values = self.numbers(count)
        if (values != np.round(values)).any():
            raise DataError(f"{place}: expected whole numbers, found {values.tolist()}")
        return tuple(int(value) for value in values)

    def setting(self, *name: str) -> int:
        self.expect(*name)
        return self.integers(1)[0]


def read_text(path: Path) -> tuple[AceModel, dict[str, str]]:
    """Read an ``.ace`` file: the model and an empty mapping.

    Raises
    ------
    DataError
        With file and line, if the file is truncated or not in this format.
    """
    tokens = _Tokens(path)
    n_elements = tokens.setting("nelements")
    if n_elements < 1:
        raise DataError(f"{tokens.place}: {n_elements} elements")
    tokens.expect("elements")
    elements = tuple(tokens.text() for _ in range(n_elements))
    l_max = tokens.setting("lmax")
    kind = "FinnisSinclair"
    # Files of FitSNAP and of early versions do not name the embedding; theirs is linear.
    if tokens.peek() == "embedding-function":
        tokens.expect("embedding-function")
        kind = tokens.text()
    n_parameters = tokens.integers(1)[0]
    tokens.expect("FS", "parameters")
    if n_parameters < 2 or n_parameters % 2:
        raise DataError(f"{tokens.place}: {n_parameters} parameters; two per density are needed")
    parameters = tokens.numbers(n_parameters).reshape(-1, 2)
    cores, references = np.tile([100000.0, 250.0], (n_elements, 1)), np.zeros(n_elements)
    # Files from before 2020 have neither cores nor reference energies.
    if tokens.peek() == "core":
        tokens.expect("core", "energy-cutoff", "parameters")
        cores = tokens.numbers(2 * n_elements).reshape(n_elements, 2)
    if tokens.peek() == "E0":
        tokens.expect("E0")
        references = tokens.numbers(n_elements)
    bonds = _bonds(tokens, n_elements, l_max)
    for name in ("rankmax", "ndensitymax", "num_c_tilde_max", "num_ms_combinations_max"):
        tokens.setting(name)
    functions: dict[int, list[Function]] = defaultdict(list)
    for size in ("total_basis_size_rank1", "total_basis_size"):
        tokens.expect(size)
        for _ in range(sum(tokens.integers(n_elements))):
            centre, function = _function(tokens, len(parameters))
            functions[centre].append(function)
    centres = tuple(
        Centre(
            tuple(functions[index]),
            Embedding(kind, parameters, float(cores[index, 0]), float(cores[index, 1])),
            reference=float(references[index]),
        )
        for index in range(n_elements)
    )
    return AceModel(elements, bonds, centres), {}


def _bonds(tokens: _Tokens, n_elements: int, l_max: int) -> dict[tuple[int, int], Bond]:
    tokens.expect("radbasename")
    place, family = tokens.place, tokens.text()
    if family not in FAMILIES:
        raise DataError(f"{place}: {unknown_name('radial functions', family, FAMILIES)}")
    n_base, n_max = tokens.setting("nradbase"), tokens.setting("nradmax")
    tokens.expect("cutoffmax")
    tokens.numbers(1)
    tokens.expect("deltaSplineBins")
    tokens.numbers(1)
    pairs = n_elements**2
    cores = np.tile([0.0, 1.0], (pairs, 1))
    if tokens.peek() == "core":
        tokens.expect("core", "repulsion", "parameters")
        cores = tokens.numbers(2 * pairs).reshape(pairs, 2)
    tokens.expect("radparameter")
    shapes = tokens.numbers(pairs)
    tokens.expect("cutoff")
    cutoffs = tokens.numbers(pairs)
    tokens.expect("dcut")
    tapers = tokens.numbers(pairs)
    tokens.expect("crad")
    size = (pairs, n_base, n_max, l_max + 1)
    mixes = tokens.numbers(int(np.prod(size))).reshape(size)
    return {
        (pair // n_elements, pair % n_elements): Bond(
            np.ascontiguousarray(mixes[pair].transpose(1, 2, 0)),
            n_base,
            family=family,
            shape=float(shapes[pair]),
            cutoff=float(cutoffs[pair]),
            taper=float(tapers[pair]),
            core_height=float(cores[pair, 0]),
            core_decay=float(cores[pair, 1]),
        )
        for pair in range(pairs)
    }


def _function(tokens: _Tokens, n_densities: int) -> tuple[int, Function]:
    rank = tokens.setting("ctilde_basis_func", "rank")
    if not 1 <= rank <= 20:
        raise DataError(f"{tokens.place}: rank {rank}")
    if tokens.setting("ndens") != n_densities:
        raise DataError(f"{tokens.place}: expected {n_densities} densities")
    centre = tokens.setting("mu0")
    tokens.expect("mu")
    elements = tokens.integers(rank)
    tokens.expect("n")
    ns = tokens.integers(rank)
    tokens.expect("l")
    ls = tokens.integers(rank)
    combinations, weights = [], []
    for _ in range(tokens.setting("num_ms")):
        combinations.append(tokens.integers(rank))
        weights.append(tokens.numbers(n_densities))
    return centre, Function(elements, ns, ls, tuple(combinations), np.array(weights))
