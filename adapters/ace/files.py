"""PACE's files: B-basis ``.yaml``, C-tilde ``.yace``; places of errors are named."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from crossprune.adapters.ace.coupling import couple
from crossprune.adapters.ace.model import AceModel, Centre, Embedding, Function
from crossprune.adapters.ace.radial import Bond
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, MissingPackage

try:
    import yaml
except ModuleNotFoundError:
    raise MissingPackage("adapter 'ace'", "pyyaml", "crossprune[ace]") from None

REFERENCE = "crossprune_reference_energies"
"""Metadata key of a B-basis file for energies per element: the format itself holds none."""
CORE_CUTOFF, CORE_WIDTH = 100000.0, 250.0
"""What a file without core parameters means: never switched off, eV."""
WITH_SHAPE = ("ChebExpCos", "ChebPow")
"""Radial families with a parameter."""
BASIS_BOND = {
    "family": "radbase",
    "n_base": "nradbaseij",
    "cutoff": "rcutij",
    "taper": "dcutij",
    "inner_cutoff": "r_in",
    "inner_width": "delta_in",
}
TILDE_BOND = {
    "family": "radbasename",
    "n_base": "nradbasemax",
    "n_max": "nradmax",
    "l_max": "lmax",
    "cutoff": "rcut",
    "taper": "dcut",
    "inner_cutoff": "rcut_in",
    "inner_width": "dcut_in",
}
"""Names of a bond's entries in B-basis and C-tilde files; both call the rest alike."""


def _parser() -> Any:
    """Choose YAML's parser: that in C is the faster, and until libyaml 0.2.5 dies of a deeply nested file."""
    with contextlib.suppress(AttributeError, ImportError):
        from yaml import _yaml

        if _yaml.get_version() >= (0, 2, 6):
            return yaml.CSafeLoader
    return yaml.SafeLoader


class _Loader(_parser()):  # type: ignore[misc]
    """YAML with lists as keys, as C-tilde files have them for bonds."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Turn keys that are lists into tuples."""
        self.flatten_mapping(node)
        found = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            found[tuple(key) if isinstance(key, list) else key] = self.construct_object(value_node, deep=True)
        return found


class Place:
    """A part of a file, with its name for error messages."""

    def __init__(self, value: Any, name: str) -> None:
        self.value = value
        self.name = name

    def __getitem__(self, key: Any) -> Place:
        """Return an entry; `DataError` if it is missing."""
        try:
            value = self.value[key]
        except (KeyError, IndexError, TypeError):
            raise DataError(f"{self.name}: {key!r} is missing; the file is truncated or not PACE's") from None
        return Place(value, f"{self.name}{_step(key)}")

    def __contains__(self, key: Any) -> bool:
        """Tell whether an entry is there."""
        return isinstance(self.value, Mapping) and key in self.value

    def get(self, key: Any, default: Any) -> Place:
        """Return an entry or a default."""
        if key in self and self.value[key] is not None:
            return self[key]
        return Place(default, f"{self.name}{_step(key)}")

    def entries(self) -> Iterator[tuple[Any, Place]]:
        """Yield the keys or numbers and the values of a list or mapping."""
        if not isinstance(self.value, (list, Mapping)):
            raise DataError(f"{self.name}: expected a list or mapping, got {self.value!r}")
        keys = range(len(self.value)) if isinstance(self.value, list) else list(self.value)
        for key in keys:
            yield key, self[key]

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Put this place in front of errors that do not know it."""
        try:
            yield
        except DataError as error:
            text = str(error)
            raise DataError(text if text.startswith(self.name) else f"{self.name}: {text}") from None

    def number(self) -> float:
        """Return a finite number."""
        return float(self.array(()))

    def integer(self) -> int:
        """Return a whole number."""
        number = self.number()
        if number != int(number):
            raise DataError(f"{self.name}: expected a whole number, got {self.value!r}")
        return int(number)

    def integers(self) -> tuple[int, ...]:
        """Return whole numbers."""
        values = self.array((-1,))
        if (values != np.round(values)).any():
            raise DataError(f"{self.name}: expected whole numbers, got {self.value!r}")
        return tuple(int(value) for value in values)

    def text(self) -> str:
        """Return a string."""
        if not isinstance(self.value, str):
            raise DataError(f"{self.name}: expected a name, got {self.value!r}")
        return self.value

    def array(self, shape: tuple[int, ...]) -> FloatArray:
        """Return finite numbers of a shape; -1 is any length."""
        try:
            values = np.array(self.value, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{self.name}: expected numbers, got {str(self.value)[:80]}") from None
        if not np.isfinite(values).all():
            raise DataError(f"{self.name}: a number is not finite")
        try:
            return values.reshape(shape)
        except ValueError:
            raise DataError(f"{self.name}: {values.size} numbers do not fit shape {shape}") from None


def _step(key: Any) -> str:
    return f".{key}" if isinstance(key, str) else f"[{key}]"


def load_yaml(path: Path) -> Place:
    """Parse a YAML file; `DataError` with the line if that fails."""
    try:
        with path.open() as stream:
            tree = yaml.load(stream, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is no YAML, or truncated: {' '.join(str(error).split())}") from None
    return Place(tree, str(path))


def read_yaml(path: Path) -> tuple[AceModel, dict[str, str]]:
    """Read a B-basis file: the model and its metadata."""
    file = load_yaml(path)
    blocks = _blocks(file)
    elements = tuple(sorted(names[0] for names in blocks if len(names) == 1))
    if not elements:
        raise DataError(f"{path}: no block of a single element in 'species'")
    for names, block in blocks.items():
        if unknown := set(names) - set(elements):
            raise DataError(f"{block.name}: no block for {', '.join(sorted(unknown))}")
    bonds = {}
    for i, one in enumerate(elements):
        for j, other in enumerate(elements):
            pair = (one,) if i == j else (one, other)
            # Bond and core may each stand in one of the two blocks of a pair only; they are symmetric then.
            found = [blocks[names] for names in (pair, pair[::-1]) if names in blocks]
            radial = next((block for block in found if "radbase" in block), None)
            if radial is None:
                raise DataError(f"{path}: no block '{' '.join(pair)}' with a 'radbase' in 'species'")
            bonds[i, j] = _yaml_bond(radial, next((one for one in found if "core-repulsion" in one), radial))
    functions: dict[int, list[tuple[Function, FloatArray]]] = defaultdict(list)
    for block in blocks.values():
        for _, entry in block.get("nbody", []).entries():
            if entry.get("skip", False).value is True:
                continue
            centre, function = _yaml_function(entry, elements)
            functions[centre].append((function, entry["c"].array((-1,))))
    metadata = {str(key): str(value.value) for key, value in file.get("metadata", {}).entries()}
    references = json.loads(metadata.get(REFERENCE, "{}"))
    centres = tuple(
        _yaml_centre(blocks[(element,)], element, functions[index], float(references.get(element, 0.0)))
        for index, element in enumerate(elements)
    )
    return AceModel(elements, bonds, centres), metadata


def _blocks(file: Place) -> dict[tuple[str, ...], Place]:
    """Return the blocks by their elements, the centre first; ``Al Al`` is ``Al``."""
    blocks: dict[tuple[str, ...], Place] = {}
    for _, block in file["species"].entries():
        names = tuple(dict.fromkeys(_species(block["speciesblock"])))
        if names in blocks:
            raise DataError(f"{block.name}: a second block of {' '.join(names)!r}")
        blocks[names] = block
    return blocks


def _yaml_centre(
    block: Place, element: str, functions: Sequence[tuple[Function, FloatArray]], reference: float
) -> Centre:
    if not functions:
        raise DataError(f"{block.name}: no function for {element}; the file is truncated")
    n_densities = block["ndensityi"].integer()
    # The order within a centre does not depend on how the file spreads functions over blocks.
    found = sorted(functions, key=lambda one: one[0].order)
    if any(len(coefficients) != n_densities for _, coefficients in found):
        raise DataError(f"{block.name}: coefficients do not match ndensityi = {n_densities}")
    with block.blamed():
        embedding = Embedding(
            kind=block["npoti"].text(),
            parameters=block["parameters"].array((n_densities, 2)),
            core_cutoff=block.get("rho_core_cut", CORE_CUTOFF).number(),
            core_width=block.get("drho_core_cut", CORE_WIDTH).number(),
        )
    coefficients = np.array([one for _, one in found])
    return Centre(tuple(function for function, _ in found), embedding, coefficients, reference)


def _species(place: Place) -> tuple[str, ...]:
    return tuple(re.findall(r"[A-Z][a-z]?", place.text()))


def _yaml_bond(block: Place, core: Place) -> Bond:
    """Read a bond, and its core from the same block or from that of the pair the other way round."""
    # The original has nradmaxi in blocks of pairs too; nradmaxij is a plausible name for it there.
    ending = "i" if "nradmaxi" in block else "ij"
    names = {**BASIS_BOND, "n_max": f"nradmax{ending}", "l_max": f"lmax{ending}"}
    return _bond(block, core, names, core.get("core-repulsion", [0.0, 1.0]).array((2,)))


def _bond(block: Place, inner: Place, names: Mapping[str, str], core: FloatArray) -> Bond:
    """Read a bond whose entries have the given names."""
    n_base = block[names["n_base"]].integer()
    shape = (block[names["n_max"]].integer(), block[names["l_max"]].integer() + 1, n_base)
    family = block[names["family"]].text()
    parameters = block.get("radparameters", []).array((-1,))
    if not len(parameters) and family in WITH_SHAPE:
        raise DataError(f"{block.name}: 'radparameters' is missing; {family} needs it")
    with block.blamed():
        return Bond(
            _radial(block["radcoefficients"], shape),
            n_base,
            family=family,
            shape=float(parameters[0]) if len(parameters) else 1.0,
            cutoff=block[names["cutoff"]].number(),
            taper=block[names["taper"]].number(),
            inner_type=inner.get("inner_cutoff_type", "density").text(),
            inner_cutoff=inner.get(names["inner_cutoff"], 0.0).number(),
            inner_width=inner.get(names["inner_width"], 0.0).number(),
            core_height=float(core[0]),
            core_decay=float(core[1]),
        )


def _radial(place: Place, shape: tuple[int, int, int]) -> FloatArray:
    """Read radial coefficients as (n, l, k); a flat list, the older form, runs over k, n, l."""
    values = place.value
    if isinstance(values, list) and values and not isinstance(values[0], list):
        n, l, k = shape  # noqa: E741
        return np.ascontiguousarray(place.array((k, n, l)).transpose(1, 2, 0))
    return place.array(shape)


def _yaml_function(entry: Place, elements: Sequence[str]) -> tuple[int, Function]:
    names = _species(entry["type"])
    if unknown := set(names) - set(elements):
        raise DataError(f"{entry.name}: unknown element {', '.join(sorted(unknown))}")
    indices = tuple(elements.index(name) for name in names)
    ns, ls = entry["nr"].integers(), entry["nl"].integers()
    if not len(ns) == len(ls) == len(indices) - 1:
        raise DataError(f"{entry.name}: type, nr and nl differ in length")
    inner = entry.get("lint", []).integers()
    if len(ns) == 6 and len(inner) == 3:
        inner = (*inner, inner[2])  # the third pair couples with the first two to 0: the same L
    with entry.blamed():
        ms, weights = couple(ls, inner)
    return indices[0], Function(indices[1:], ns, ls, ms, np.array(weights)[:, None], inner)


def read_yace(path: Path) -> tuple[AceModel, dict[str, str]]:
    """Read a C-tilde file in YAML: the model and an empty mapping."""
    file = load_yaml(path)
    elements = tuple(name.text() for _, name in file["elements"].entries())
    references = file.get("E0", [0.0] * len(elements)).array((len(elements),))
    bonds: dict[tuple[int, int], Bond] = {}
    for key, bond in file["bonds"].entries():
        if not (isinstance(key, tuple) and len(key) == 2):
            raise DataError(f"{bond.name}: expected a pair of indices")
        bonds[key] = _yace_bond(bond)
    for i, j in list(bonds):
        bonds.setdefault((j, i), bonds[i, j])
    centres = tuple(
        _yace_centre(file["embeddings"][index], file["functions"][index], float(reference))
        for index, reference in enumerate(references)
    )
    return AceModel(elements, bonds, centres), {}


def _yace_centre(embedding: Place, entries: Place, reference: float) -> Centre:
    n_densities = embedding["ndensity"].integer()
    functions = tuple(_yace_function(entry, n_densities) for _, entry in entries.entries())
    with embedding.blamed():
        found = Embedding(
            kind=embedding["npoti"].text(),
            parameters=embedding["FS_parameters"].array((n_densities, 2)),
            core_cutoff=embedding.get("rho_core_cutoff", CORE_CUTOFF).number(),
            core_width=embedding.get("drho_core_cutoff", CORE_WIDTH).number(),
        )
    return Centre(functions, found, reference=reference)


def _yace_bond(bond: Place) -> Bond:
    core = np.array([bond.get("prehc", 0.0).number(), bond.get("lambdahc", 1.0).number()])
    return _bond(bond, bond, TILDE_BOND, core)


def _yace_function(entry: Place, n_densities: int) -> Function:
    ns, ls, elements = entry["ns"].integers(), entry["ls"].integers(), entry["mus"].integers()
    rank, count = entry["rank"].integer(), entry["num_ms_combs"].integer()
    if not rank == len(ns) == len(ls) == len(elements):
        raise DataError(f"{entry.name}: mus, ns and ls differ from rank {rank} in length")
    ms = entry["ms_combs"].array((count, rank))
    return Function(
        elements,
        ns,
        ls,
        tuple(tuple(int(m) for m in row) for row in ms),
        entry["ctildes"].array((count, n_densities)),
    )
