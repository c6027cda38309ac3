"""Read and write ``.mtp`` files, the format of the program MLIP; every complaint names file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.mtp.model import Model, Radial
from crossprune.adapters.mtp.options import LONGEST_CUTOFF
from crossprune.adapters.mtp.plan import Plan
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import DataError, unknown_name

LARGEST_FILE = 64 * 2**20
"""Bytes; a potential of level 28 has 10 MB."""
MOST_SPECIES, MOST_CHEBYSHEV, MOST_RADIAL, HIGHEST_POWER = 118, 100, 100, 50
"""Bounds of what a file may ask for; published potentials stay below a third of each but the first."""
LARGEST = 1e30
"""Of any number; energies are sums of up to six factors, whose product must stay below 1e308."""
VERSIONS = ("1.1.0",)
RADIAL_TYPE = "RBChebyshev"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"\d{1,9}")
PAIR = re.compile(r"(\d{1,3})-(\d{1,3})")
TABLE = re.compile(r"\{(\{\d{1,9}(, ?\d{1,9}){3}\}(, ?\{\d{1,9}(, ?\d{1,9}){3}\})*)?\}")
SAME = {"min": "min_dist", "max": "max_dist", "size": "radial_basis_size"}
"""Keys of newer files by those of MLIP-2's."""
KEYS = (
    "version",
    "potential_name",
    "scaling",
    "species_count",
    "potential_tag",
    "radial_basis_type",
    "min_dist",
    "max_dist",
    "radial_basis_size",
    "radial_funcs_count",
    "alpha_moments_count",
    "alpha_index_basic_count",
    "alpha_index_basic",
    "alpha_index_times_count",
    "alpha_index_times",
    "alpha_scalar_moments",
    "alpha_moment_mapping",
    "species_coeffs",
    "moment_coeffs",
)
OPTIONAL = ("potential_name", "scaling", "potential_tag")


def read_file(path: Path) -> tuple[Model, tuple[str, ...]]:
    """Read a ``.mtp`` file: the model, and the elements if its ``potential_tag`` lists them, else none.

    Raises
    ------
    DataError
        With file and line, if the file is missing, truncated, of another version or radial basis, has no
        coefficients, or contradicts itself.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has more than {LARGEST_FILE // 2**20} MB, which no .mtp file has")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the .mtp file {path}: {error}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> tuple[Model, tuple[str, ...]]:
    """Turn the text of a ``.mtp`` file into a model and elements; ``name`` stands in messages."""
    reader = _Reader(name, text)
    reader.read()
    n_species, n_radial = (
        reader.integer("species_count", MOST_SPECIES),
        reader.integer("radial_funcs_count", MOST_RADIAL),
    )
    low, cutoff = reader.number("min_dist"), reader.number("max_dist")
    if not 0 <= low < cutoff <= LONGEST_CUTOFF:
        reader.fail(
            "max_dist",
            f"expected 0 <= min_dist < max_dist <= {LONGEST_CUTOFF:g} Å, got {low} and {cutoff}",
        )
    scaling = reader.number("scaling") if reader.has("scaling") else 1.0
    size = reader.integer("radial_basis_size", MOST_CHEBYSHEV)
    radial = reader.radial(n_species, n_radial, size) * scaling
    if np.abs(radial).max() > LARGEST:
        reader.fail("scaling", f"radial coefficients times {scaling:g} are beyond {LARGEST:g}")
    plan = _plan(reader, n_radial)
    references = reader.numbers("species_coeffs", n_species)
    coefficients = reader.numbers("moment_coeffs", len(plan.scalars))
    tag = re.split(r"[\s,]+", reader.text("potential_tag")) if reader.has("potential_tag") else []
    known = len(tag) == len(set(tag)) == n_species and all(atomic_numbers.get(one, 0) > 0 for one in tag)
    return Model(plan, Radial(radial, low, cutoff), coefficients, references), tuple(tag) if known else ()


def _plan(reader: _Reader, n_radial: int) -> Plan:
    """Read the tables of moments, and check that each is made before it is used."""
    basic, products = reader.table("alpha_index_basic"), reader.table("alpha_index_times")
    for key, found in (("alpha_index_basic", basic), ("alpha_index_times", products)):
        if len(found) != (count := reader.integer(f"{key}_count", 10**9, least=0)):
            reader.fail(key, f"{count} rows announced, found {len(found)}")
    if not len(basic):
        reader.fail("alpha_index_basic", "no basic moments")
    if basic[:, 0].max() >= n_radial or basic[:, 1:].max() > HIGHEST_POWER:
        reader.fail("alpha_index_basic", f"μ must be below {n_radial} and powers at most {HIGHEST_POWER}")
    n_moments, n_basic = reader.integer("alpha_moments_count", 10**9), len(basic)
    if n_basic > n_moments or n_moments > n_basic + len(products):
        reader.fail(
            "alpha_moments_count",
            f"{n_basic} basic moments and {len(products)} products cannot make {n_moments} moments",
        )
    left, right, _, target = products.T
    if len(products) and (products[:, [0, 1, 3]].max() >= n_moments or target.min() < n_basic):
        reader.fail("alpha_index_times", f"expected moments below {n_moments}, and basic ones not as sums")
    last = np.full(n_moments, -1)
    np.maximum.at(last, target, np.arange(len(products)))
    last[n_basic:][last[n_basic:] < 0] = len(products)  # made nowhere
    if np.any(np.maximum(last[left], last[right]) >= np.arange(len(products))):
        reader.fail("alpha_index_times", "a moment is used before all of its products are formed")
    scalars = reader.integers("alpha_moment_mapping", reader.integer("alpha_scalar_moments", n_moments))
    if scalars.max() >= n_moments or np.any(last[scalars] == len(products)):
        reader.fail("alpha_moment_mapping", f"expected moments below {n_moments} that are formed")
    return Plan(basic, products, scalars, n_moments)


class _Reader:
    """The lines of a file, by key; values are parsed when they are asked for."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._lines = text.splitlines()
        self._found: dict[str, tuple[int, str]] = {}
        self._blocks: dict[tuple[int, int], list[tuple[int, str]]] = {}

    def fail(self, key: str | int, reason: str) -> None:
        """Raise `DataError` with the line of a key."""
        if isinstance(key, str):
            line = self._found.get(key, (0, ""))[0]
            reason = f"{key}: {reason}"
        else:
            line = key
        raise DataError(f"{self.name}{f', line {line}' if line else ''}: {reason}")

    def read(self) -> None:
        """Sort lines into keys and blocks of radial coefficients; refuse what is neither."""
        if not self._lines or self._lines[0].strip() != "MTP":
            self.fail(1, "the first line is not 'MTP'; is this a .mtp file?")
        lines = enumerate((line.strip() for line in self._lines[1:]), start=2)
        block: list[tuple[int, str]] | None = None
        for number, line in lines:
            key, equals, value = (part.strip() for part in line.partition("="))
            if equals:
                self._keep(number, SAME.get(key, key), value)
                block = None
            elif line == "radial_coeffs":
                block = []
            elif block is not None and (pair := PAIR.fullmatch(line)):
                block = self._blocks.setdefault((int(pair[1]), int(pair[2])), [])
                if block:
                    self.fail(number, f"radial coefficients {line} come twice")
            elif block is not None and self._blocks and line.startswith("{"):
                block.append((number, line))
            elif line:
                self.fail(number, f"{line[:60]!r} is not read")
        for key in KEYS:
            if key not in self._found and key not in OPTIONAL:
                untrained = " an untrained potential, fit it first" if key.endswith("_coeffs") else ""
                self.fail(0, f"no line '{key} = ...': truncated, or{untrained or ' no .mtp file of MLIP-2'}")
        if self.text("version") not in VERSIONS:
            self.fail("version", f"read is {', '.join(VERSIONS)}, got {self.text('version')[:40]!r}")
        if self.text("radial_basis_type") != RADIAL_TYPE:
            self.fail(
                "radial_basis_type", f"read is {RADIAL_TYPE}, got {self.text('radial_basis_type')[:40]!r}"
            )

    def _keep(self, number: int, key: str, value: str) -> None:
        if key not in KEYS:
            self.fail(number, unknown_name("key", key[:60], KEYS))
        if key in self._found:
            self.fail(number, f"{key} comes twice")
        self._found[key] = (number, value)

    def has(self, key: str) -> bool:
        """Tell whether a key is there."""
        return key in self._found

    def text(self, key: str) -> str:
        """Return a value as it stands in the file."""
        return self._found[key][1]

    def number(self, key: str) -> float:
        """Return a finite number."""
        return float(self._numbers(key, [self.text(key)])[0])

    def integer(self, key: str, most: int, least: int = 1) -> int:
        """Return an integer in a range."""
        if not INTEGER.fullmatch(self.text(key)) or not least <= int(self.text(key)) <= most:
            self.fail(key, f"expected an integer from {least} to {most}, got {self.text(key)[:40]!r}")
        return int(self.text(key))

    def numbers(self, key: str, count: int) -> FloatArray:
        """Return a list of finite numbers in braces."""
        words = self._words(key, self.text(key))
        if len(words) != count:
            self.fail(key, f"expected {count} numbers, got {len(words)}")
        return self._numbers(key, words)

    def integers(self, key: str, count: int) -> IntArray:
        """Return a list of integers in braces."""
        words = self._words(key, self.text(key))
        if len(words) != count or not all(map(INTEGER.fullmatch, words)):
            self.fail(key, f"expected {count} integers, got {len(words)} words")
        return np.array(words, dtype=np.int64)

    def table(self, key: str) -> IntArray:
        """Return a list of rows of four integers."""
        value = self.text(key)
        if not TABLE.fullmatch(value):
            self.fail(key, "expected rows of four integers, as in {{0, 0, 0, 0}, {0, 1, 0, 0}}")
        return np.array(re.findall(r"\d+", value), dtype=np.int64).reshape(-1, 4)

    def radial(self, n_species: int, n_radial: int, size: int) -> FloatArray:
        """Return the radial coefficients, shape (n_species, n_species, n_radial, size)."""
        pairs = {(i, j) for i in range(n_species) for j in range(n_species)}
        if set(self._blocks) != pairs:
            names = ", ".join(f"{i}-{j}" for i, j in sorted(set(self._blocks) ^ pairs)[:5])
            self.fail(0, f"radial_coeffs of all pairs of {n_species} species are needed; look at {names}")
        found = np.empty((n_species, n_species, n_radial, size))
        for pair, rows in self._blocks.items():
            if len(rows) != n_radial:
                self.fail(0, f"radial_coeffs {pair[0]}-{pair[1]}: {len(rows)} rows, expected {n_radial}")
            for mu, (number, line) in enumerate(rows):
                words = self._words(number, line)
                if len(words) != size:
                    self.fail(number, f"expected {size} numbers, got {len(words)}")
                found[pair][mu] = self._numbers(number, words)
        return found

    def _words(self, key: str | int, value: str) -> list[str]:
        if not (value.startswith("{") and value.endswith("}")):
            self.fail(key, f"expected a list in braces, got {value[:40]!r}")
        inside = value[1:-1].strip()
        return [word.strip() for word in inside.split(",")] if inside else []

    def _numbers(self, key: str | int, words: Sequence[str]) -> FloatArray:
        for word in words:
            if not NUMBER.fullmatch(word):
                self.fail(key, f"{word[:40]!r} is no number")
        found = np.array(words, dtype=np.float64)
        if not np.isfinite(found).all():
            self.fail(key, "a number is infinite")
        if np.abs(found).max(initial=0.0) > LARGEST:
            self.fail(key, f"a number is beyond {LARGEST:g}")
        return found


def to_text(model: Model, elements: Sequence[str]) -> str:
    """Return the text of a ``.mtp`` file of MLIP-2; numbers lose no digit, the tag lists the elements."""
    return "\n".join(_lines(model, elements)) + "\n"


def _lines(model: Model, elements: Sequence[str]) -> Iterator[str]:
    plan, radial = model.plan, model.radial
    n_radial, size = radial.coefficients.shape[2:]
    yield "MTP"
    yield f"version = {VERSIONS[0]}"
    yield "potential_name = MTP1m"
    yield "scaling = 1.0"
    yield f"species_count = {len(elements)}"
    yield f"potential_tag = {' '.join(elements)}"
    yield f"radial_basis_type = {RADIAL_TYPE}"
    yield f"\tmin_dist = {float(radial.min_distance)!r}"
    yield f"\tmax_dist = {float(radial.cutoff)!r}"
    yield f"\tradial_basis_size = {size}"
    yield f"\tradial_funcs_count = {n_radial}"
    yield "\tradial_coeffs"
    for i in range(len(elements)):
        for j in range(len(elements)):
            yield f"\t\t{i}-{j}"
            for row in radial.coefficients[i, j]:
                yield f"\t\t\t{_list(row.tolist())}"
    yield f"alpha_moments_count = {plan.n_moments}"
    yield f"alpha_index_basic_count = {len(plan.basic)}"
    yield f"alpha_index_basic = {_list([_list(row) for row in plan.basic.tolist()])}"
    yield f"alpha_index_times_count = {len(plan.products)}"
    yield f"alpha_index_times = {_list([_list(row) for row in plan.products.tolist()])}"
    yield f"alpha_scalar_moments = {len(plan.scalars)}"
    yield f"alpha_moment_mapping = {_list(plan.scalars.tolist())}"
    yield f"species_coeffs = {_list(model.references.tolist())}"
    yield f"moment_coeffs = {_list(model.coefficients.tolist())}"


def _list(values: Sequence[float | str]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"
