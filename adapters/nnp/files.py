"""Save and load networks and symmetry functions as one archive of arrays, without pickles."""

from __future__ import annotations

import json
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.nnp import kernels
from crossprune.adapters.nnp.functions import (
    FARTHEST,
    LARGEST_ZETA,
    LONGEST_CUTOFF,
    SHARPEST,
    Angular,
    Radial,
    SymmetryFunctions,
)
from crossprune.adapters.nnp.network import ACTIVATIONS, Network
from crossprune.harness.contract import save_arrays
from crossprune.harness.errors import DataError, unknown_name

LAYOUT = 1
"""Version of the archive's layout."""
BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError, RecursionError, ArithmeticError)
"""What broken archives raise besides the usual."""


def write(
    path: Path,
    functions: SymmetryFunctions,
    members: Sequence[Sequence[Network]],
    offsets: Mapping[str, float],
) -> None:
    """Write symmetry functions, the networks of each member and offsets (eV) to one archive."""
    header = {
        "layout": LAYOUT,
        "cutoff": functions.cutoff,
        "cutoff_function": functions.cutoff_function,
        "functions": {
            element: [asdict(one) for one in listed] for element, listed in functions.of_element.items()
        },
        "offsets": dict(offsets),
        "activations": [[network.activations for network in member] for member in members],
    }
    arrays: dict[str, Any] = {
        f"{number}/{kind}/{name}": array
        for number, member in enumerate(members)
        for kind, network in enumerate(member)
        for name, array in network.to_arrays().items()
    }
    save_arrays(path, {"header": np.array(json.dumps(header)), **arrays})


def read(path: Path) -> tuple[SymmetryFunctions, list[list[Network]], dict[str, float]]:
    """Read what `write` wrote: symmetry functions, networks of each member, offsets (eV).

    Raises
    ------
    DataError
        If the file is missing or is not such an archive.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            if header["layout"] != LAYOUT:
                raise DataError(f"{path} has layout {header['layout']!r}, this version reads {LAYOUT}")
            arrays = {name: archive[name] for name in archive.files if name != "header"}
        functions = SymmetryFunctions(
            header["cutoff"],
            header["cutoff_function"],
            {element: tuple(map(_function, listed)) for element, listed in header["functions"].items()},
        )
        members = [
            [
                Network.from_arrays(_below(arrays, f"{number}/{kind}/"), tuple(activations))
                for kind, activations in enumerate(member)
            ]
            for number, member in enumerate(header["activations"])
        ]
        require_usable(functions, members, header["offsets"])
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, *BROKEN) as error:
        raise DataError(f"{path} holds no readable networks: {error}") from None
    return functions, members, header["offsets"]


def require_usable(
    functions: SymmetryFunctions, members: Sequence[Sequence[Network]], offsets: Mapping[str, float]
) -> None:
    """Check that numbers are finite and in range, and that networks fit their functions and themselves.

    Raises
    ------
    ValueError
        If they do not; the message says where.
    """
    elements = functions.elements
    if not elements or any(atomic_numbers.get(element, 0) < 1 for element in elements):
        raise ValueError(f"expected chemical symbols, got {', '.join(elements)[:60]!r}")
    if set(offsets) != set(elements) or not all(_is_finite(one) for one in offsets.values()):
        raise ValueError(f"expected one finite energy for each of {', '.join(elements)}")
    if not _is_finite(functions.cutoff) or not 0 < functions.cutoff <= LONGEST_CUTOFF:
        raise ValueError(f"the cutoff is no number above 0 and at most {LONGEST_CUTOFF:g} Å")
    if functions.cutoff_function not in (kernels.COSINE, kernels.POLYNOMIAL):
        raise ValueError(f"unknown cutoff function {str(functions.cutoff_function)[:40]!r}")
    for element, listed in functions.of_element.items():
        for one in listed:
            _require_in_range(one, elements, element)
    if not members or any(len(member) != len(functions.elements) for member in members):
        raise ValueError(f"expected one network for each of {', '.join(functions.elements)}")
    for member in members:
        for element, network in zip(functions.elements, member, strict=True):
            _require_whole(network, len(functions.of_element[element]), element)


def _require_in_range(function: Radial | Angular, elements: Sequence[str], centre: str) -> None:
    """Check one symmetry function: types, elements, η and r_s, ζ and λ."""
    fine = _is_finite(function.eta) and _is_finite(function.shift)
    fine = fine and 0 <= function.eta <= SHARPEST and abs(function.shift) <= FARTHEST
    if isinstance(function, Angular):
        named: Sequence[str] = function.elements
        fine = fine and len(named) == 2 and _is_finite(function.zeta) and 1 <= function.zeta <= LARGEST_ZETA
        fine = fine and _is_finite(function.sign) and abs(function.sign) == 1
        fine = fine and isinstance(function.narrow, bool)
    else:
        named = (function.element,)
    if not fine or any(one not in elements for one in named):
        raise ValueError(
            f"the symmetry function {str(function)[:200]} of {centre} is not of these elements, or out of "
            f"range: 0 <= eta <= {SHARPEST:g}, |shift| <= {FARTHEST:g}, 1 <= zeta <= {LARGEST_ZETA:g}, "
            "sign 1 or -1"
        )


def _is_finite(value: object) -> bool:
    """Tell whether something is a finite number; header texts may hold anything."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= sys.float_info.max


def _require_whole(network: Network, n_inputs: int, element: str) -> None:
    """Check one network: inputs, layers that follow each other, finite numbers."""
    if unknown := set(network.activations) - set(ACTIVATIONS):
        raise ValueError(unknown_name("activation", sorted(unknown)[0], ACTIVATIONS))
    if not len(network.weights) == len(network.biases) == len(network.activations) + 1:
        raise ValueError(
            f"the network of {element} has {len(network.weights)} layers after its inputs; expected an "
            f"activation for each but the last, got {len(network.activations)}"
        )
    width = n_inputs
    for weight, bias in zip(network.weights, network.biases, strict=True):
        if weight.ndim != 2 or weight.shape[0] != width or bias.shape != weight.shape[1:]:
            raise ValueError(f"the layers of the network of {element} do not follow each other")
        width = weight.shape[1]
    ranges = (network.centre, network.scale, network.lowest, network.highest)
    if width != 1 or any(one.shape != (n_inputs,) for one in ranges):
        raise ValueError(f"the network of {element} does not fit its {n_inputs} symmetry functions")
    arrays = (*network.weights, *network.biases, *ranges)
    if not all(one.dtype == np.float64 and np.isfinite(one).all() for one in arrays) or not all(
        network.scale
    ):
        raise ValueError(f"the network of {element} holds something else than finite numbers")


def _function(table: dict[str, Any]) -> Radial | Angular:
    if "elements" in table:
        return Angular(**{**table, "elements": tuple(table["elements"])})
    return Radial(**table)


def _below(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
