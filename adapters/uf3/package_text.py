"""Potentials as text of the package uf3: JSON with knots and coefficients by the names of interactions."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.uf3.parameters import Pair, Parameters, Trims, Triple, pairs_of, triples_of
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name

TRIM = "leading_trim_3b"
"""Ours: the package's older versions know one leading trim for pairs and triples together."""
KEYS = (
    "coefficients",
    "knots",
    "knots_map",
    "data_coverage",
    "knot_strategy",
    "offset_1b",
    "leading_trim",
    "trailing_trim",
    "element_list",
    "degree",
    TRIM,
)
MOST_NUMBERS = 10_000_000
"""In one interaction: a grid of 200 functions along each distance."""


def to_package_text(parameters: Parameters) -> str:
    """Write a potential so that the package uf3 reads it; no digit is lost.

    Interactions are named in the order of atomic numbers, as the package sorts them without their grids.
    """
    order = [*parameters.elements]
    rank = {symbol: atomic_numbers[symbol] for symbol in order}
    knots: dict[str, Any] = {}
    coefficients: dict[str, Any] = dict(zip(order, parameters.offsets.tolist(), strict=True))
    for pair in parameters.pairs:
        name = "-".join(sorted((order[one] for one in pair.atoms), key=rank.__getitem__))
        knots[name], coefficients[name] = pair.knots.tolist(), pair.coefficients.tolist()
    for triple in parameters.triples:
        centre, one, two = (order[place] for place in triple.atoms)
        (first, second, across), grid = triple.knots, triple.coefficients
        if rank[one] > rank[two]:
            one, two, first, second, grid = two, one, second, first, grid.transpose(1, 0, 2)
        name = f"{centre}-{one}-{two}"
        knots[name] = [first.tolist(), second.tolist(), across.tolist()]
        coefficients[name] = grid.tolist()
    trims = parameters.trims
    content = {
        "coefficients": coefficients,
        "knots": knots,
        "knot_strategy": "linear",
        "offset_1b": True,
        "leading_trim": trims.pair_start,
        "trailing_trim": trims.pair_end,
        TRIM: trims.triple_start,
        "knots_map": knots,
        "element_list": sorted(order, key=rank.__getitem__),
        "degree": 3 if parameters.triples else 2,
    }
    return json.dumps(content, indent=1)


def from_package_text(text: str) -> Parameters:
    """Read what the package uf3 or `to_package_text` wrote.

    Raises
    ------
    DataError
        If it is no such JSON, lacks an interaction, or has one that does not fit its knots.
    """
    try:
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise DataError("expected a JSON object with knots and coefficients")
    for key in content:
        if key not in KEYS:
            raise DataError(unknown_name("key", str(key)[:50], KEYS))
    given, knots = (
        _table(content, "coefficients"),
        _table(content, "knots" if "knots" in content else "knots_map"),
    )
    symbols = [name for name in given if "-" not in name]
    listed = content.get("element_list", symbols)
    if not isinstance(listed, list) or not listed or set(map(str, listed)) != set(symbols):
        raise DataError(
            f"element_list {str(listed)[:80]} and the coefficients of {', '.join(symbols)} differ"
        )
    if unknown := [name for name in symbols if atomic_numbers.get(name, 0) < 1]:
        raise DataError(f"{unknown[0][:20]!r} is no chemical symbol")
    elements = tuple(sorted(symbols))
    interactions = {key: _interaction(key, elements) for key in given if "-" in key}
    by_atoms = {atoms: key for key, atoms in interactions.items()}
    if len(by_atoms) < len(interactions):
        raise DataError("an interaction has two names")
    pairs, triples = [], []
    for atoms in pairs_of(len(elements)):
        key = _named(by_atoms, atoms, elements)
        pairs.append(Pair(atoms, _array(knots.get(key), f"knots of {key}", 1), _array(given[key], key, 1)))
    for triple in triples_of(len(elements)) if content.get("degree", 3) != 2 else ():
        key = _named(by_atoms, triple, elements)
        triples.append(_triple(key, triple, elements, knots.get(key), given[key]))
    if extra := sorted(set(by_atoms) - {one.atoms for one in pairs} - {one.atoms for one in triples}):
        raise DataError(f"{by_atoms[extra[0]]} has no place in a model of degree {content.get('degree')!r}")
    offsets = np.array([_number(given[element], element) for element in elements])
    return Parameters(elements, offsets, tuple(pairs), tuple(triples), _trims(content))


def _triple(
    key: str, atoms: tuple[int, int, int], elements: tuple[str, ...], knots: Any, grid: Any
) -> Triple:
    """Make a triple; where the file names the neighbours the other way round, they are exchanged."""
    if not isinstance(knots, list) or len(knots) not in (2, 3) or not all(isinstance(k, list) for k in knots):
        raise DataError(f"knots of {key}: expected three sequences, or two where both neighbours are alike")
    sequences = [knots[0], *knots] if len(knots) == 2 else knots
    first, second, across = (_array(one, f"knots of {key}", 1) for one in sequences)
    coefficients = _array(grid, key, 3)
    if elements.index(key.split("-")[1]) > atoms[1]:
        first, second, coefficients = second, first, coefficients.transpose(1, 0, 2)
    return Triple(atoms, (first, second, across), np.ascontiguousarray(coefficients))


def _interaction(key: str, elements: tuple[str, ...]) -> tuple[int, ...]:
    """Return the places of the elements that a name such as ``Mo-W-W`` has: sorted, the centre first."""
    words = key.split("-")
    if len(words) not in (2, 3) or any(word not in elements for word in words):
        raise DataError(f"{key[:50]!r} is no pair or triple of {', '.join(elements)}")
    places = [elements.index(word) for word in words]
    return tuple(sorted(places)) if len(places) == 2 else (places[0], *sorted(places[1:]))


def _named(names: Mapping[tuple[int, ...], str], atoms: tuple[int, ...], elements: tuple[str, ...]) -> str:
    if atoms not in names:
        raise DataError(f"no coefficients of {'-'.join(elements[one] for one in atoms)}")
    return names[atoms]


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    table = content.get(key)
    if not isinstance(table, dict):
        raise DataError(f"{key} is missing, or no table of interactions")
    return table


def _trims(content: Mapping[str, Any]) -> Trims:
    start_2b, start_3b = _trim(content, "leading_trim", (0, 0))
    end_2b, end_3b = _trim(content, "trailing_trim", (3, 3))
    own = content.get(TRIM, start_3b)
    if not _is_trim(own):
        raise DataError(f"{TRIM} must be a number from 0 to 100, got {str(own)[:50]}")
    return Trims(start_2b, end_2b, own, end_3b)


def _trim(content: Mapping[str, Any], key: str, default: tuple[int, int]) -> tuple[int, int]:
    """Return a trim of pairs and of triples: one number, or a table by the number of bodies."""
    given = content.get(key, {"2": default[0], "3": default[1]})
    if not isinstance(given, dict):
        given = {"2": given, "3": given}
    found = given.get("2", default[0]), given.get("3", default[1])
    if not (set(given) <= {"2", "3"} and _is_trim(found[0]) and _is_trim(found[1])):
        raise DataError(f"{key} must be a number from 0 to 100, or one for 2 and 3 bodies, got {given}"[:200])
    return found


def _is_trim(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


def _array(given: Any, what: str, n_dimensions: int) -> FloatArray:
    """Return nested lists of numbers as an array."""
    flat, shape = given, []
    for _ in range(n_dimensions):
        if not isinstance(flat, list) or not flat:
            raise DataError(f"{what}: expected numbers in {n_dimensions} nested lists")
        shape.append(len(flat))
        flat = flat[0]
    if math.prod(shape) > MOST_NUMBERS:
        raise DataError(f"{what}: {math.prod(shape)} numbers are more than the {MOST_NUMBERS} allowed")
    level = [given]
    for size in shape:
        if any(not isinstance(one, list) or len(one) != size for one in level):
            raise DataError(f"{what}: lists of unequal length, or no list of numbers")
        level = [inner for one in level for inner in one]
    return np.array([_number(one, what) for one in level]).reshape(shape)


def _number(given: Any, what: str) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise DataError(f"{what}: {str(given)[:50]!r} is no number")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{what}: {str(given)[:50]} is too large")
    return number


def _no_constant(name: str) -> float:
    raise DataError(f"{name} is no finite number")


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a table, and refuse a key that it has twice: which one counts is not said."""
    table = dict(items)
    if len(table) < len(items):
        ((twice, _),) = Counter(name for name, _ in items).most_common(1)
        raise DataError(f"the key {twice[:50]!r} is there twice")
    return table
