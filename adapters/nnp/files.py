"""Save and load networks and symmetry functions as one archive of arrays, without pickles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from crossprune.adapters.nnp.functions import Angular, Radial, SymmetryFunctions
from crossprune.adapters.nnp.network import Network
from crossprune.harness.errors import DataError

LAYOUT = 1
"""Version of the archive's layout."""


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
    np.savez(path, header=np.array(json.dumps(header)), **arrays)


def read(path: Path) -> tuple[SymmetryFunctions, list[list[Network]], dict[str, float]]:
    """Read what `write` wrote: symmetry functions, networks of each member, offsets (eV).

    Raises
    ------
    DataError
        If the file is missing or is not such an archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            header = json.loads(str(archive["header"]))
            if header["layout"] != LAYOUT:
                raise DataError(f"{path} has layout {header['layout']}, this version reads {LAYOUT}")
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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no readable networks: {error}") from None
    return functions, members, header["offsets"]


def _function(table: dict[str, Any]) -> Radial | Angular:
    if "elements" in table:
        return Angular(**{**table, "elements": tuple(table["elements"])})
    return Radial(**table)


def _below(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
