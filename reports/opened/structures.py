"""Frames behind the points of a page, as numbers that a browser can draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from crossprune.harness.analysis.details.gathered import Details
from crossprune.harness.analysis.details.structures import Structures
from crossprune.harness.contract import IntArray
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.reports.opened.nested import Tree, few_digits, key_of, put

PER_UNIT = 1000
"""Positions are whole thousandths of Å, forces of eV/Å."""


def frame_data(details: Details) -> dict[str, Tree]:
    """Lay out the frames of each data set: ``frames/SET``.

    Returns
    -------
    dict
        ``index`` in the data set, ``group`` (numbers of ``groups``), ``part``, ``energy`` (tenths of
        meV/atom) and ``force`` (largest, eV/Å) of every frame that is a point of a plot; ``files`` by part;
        ``chosen``: way → fraction → hexadecimal digits, a bit for each frame; and ``atoms``: for each frame
        its ``elements`` (places in ``symbols``), ``positions`` and ``forces`` in thousandths of Å and eV/Å,
        ``cell`` (Å) and ``periodic``; null where the page is too small for it.
    """
    return {f"frames/{one.source}": _frames(one, details.chosen) for one in details.structures}


def _frames(one: Structures, chosen: Mapping[tuple[str, str, float], IntArray]) -> Tree:
    dataset, frames = one.dataset, one.frames
    groups = sorted({dataset.groups[index] for index in frames})
    parts = sorted({dataset.split[index] for index in frames})
    labelled = [dataset.frames[index] for index in frames]
    ways: Tree = {}
    for (source, way, fraction), subset in chosen.items():
        if source == one.source:
            bits = np.packbits(np.isin(frames, subset))
            put(ways, [way, key_of(fraction)], bits.tobytes().hex())
    symbols = list(dataset.elements)
    return {
        "index": frames.tolist(),
        "groups": groups,
        "group": [groups.index(dataset.groups[index]) for index in frames],
        "parts": parts,
        "part": [parts.index(dataset.split[index]) for index in frames],
        "energy": [round(1e4 * energy_of(atoms) / len(atoms)) for atoms in labelled],
        "force": few_digits((float(np.linalg.norm(forces_of(atoms), axis=1).max()) for atoms in labelled), 4),
        "size": [len(atoms) for atoms in labelled],
        "files": {part: list(names) for part, names in one.files.items() if part in parts},
        "chosen": ways,
        "symbols": symbols,
        "atoms": [_atoms(atoms, symbols) if is_drawn else None for atoms, is_drawn in _pairs(one, labelled)],
    }


def _pairs(one: Structures, labelled: list[Any]) -> Iterable[tuple[Any, bool]]:
    return zip(labelled, one.drawn.tolist(), strict=True)


def _atoms(atoms: Any, symbols: list[str]) -> Tree:
    """Lay out one structure; atoms lie in the cell along its periodic directions."""
    elements = [symbols.index(symbol) for symbol in atoms.get_chemical_symbols()]
    is_alike = len(set(elements)) == 1
    return {
        "elements": elements[:1] if is_alike else elements,
        "positions": _thousandths(atoms.get_positions(wrap=True)),
        "forces": _thousandths(forces_of(atoms)),
        "cell": few_digits(atoms.cell.array.ravel(), 6) if atoms.cell.rank == 3 else [],
        "periodic": [int(one) for one in atoms.pbc],
    }


def _thousandths(values: Any) -> list[int]:
    whole: list[int] = np.rint(PER_UNIT * np.asarray(values)).astype(np.int64).ravel().tolist()
    return whole
