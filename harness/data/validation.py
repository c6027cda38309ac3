"""Refuse broken frames with one message that names file, frame and remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError
from scipy.spatial import cKDTree

MIN_DISTANCE = 0.3
"""Å; the H2 bond is 0.74 Å and no data set samples a core at less than half of that: wrong units."""
DUPLICATE_DECIMALS = 6
"""Structures equal to 1e-6 Å are one structure: extended XYZ prints eight digits, some codes six."""


def check_frame(atoms: Atoms, place: str) -> None:
    """Check one labelled frame.

    Parameters
    ----------
    atoms
        Structure with labels in a ``SinglePointCalculator``.
    place
        File and frame, for messages.

    Raises
    ------
    DataError
        For the first thing that is wrong, with the remedy.
    """
    if len(atoms) == 0:
        raise DataError(f"{place}: the structure has no atoms; remove the frame")
    if np.any(atoms.numbers < 1):
        raise DataError(f"{place}: an atom has no chemical element; write the element symbols")
    _require_finite(atoms.positions, "positions", place)
    _require_finite(atoms.cell.array, "cell", place)
    if np.any(atoms.pbc) and atoms.cell.rank < 3:
        raise DataError(f"{place}: periodic, but the cell has no volume; give the cell or set pbc to false")
    results: dict[str, Any] = getattr(atoms.calc, "results", {})
    _check_labels(results, len(atoms), place)
    if too_close(atoms):
        raise DataError(
            f"{place}: two atoms are closer than {MIN_DISTANCE} Å; give positions and cell in Å "
            "(fractional coordinates? nm? Bohr?) or remove the frame"
        )


def _check_labels(results: dict[str, Any], n_atoms: int, place: str) -> None:
    for key, shape in (("energy", ()), ("forces", (n_atoms, 3)), ("stress", (6,))):
        value = results.get(key)
        if value is None:
            if key == "stress":
                continue
            raise DataError(f"{place}: no {key}; label the frame, remove it, or name its key by {key}_key")
        if np.shape(value) != shape:
            raise DataError(
                f"{place}: {key} has shape {np.shape(value)}, expected {shape}; "
                "check that the labels belong to this structure"
            )
        _require_finite(np.asarray(value, dtype=np.float64), key, place)


def _require_finite(values: FloatArray, what: str, place: str) -> None:
    if not np.all(np.isfinite(values)):
        raise DataError(f"{place}: {what} has NaN or infinite values; recompute or remove the frame")


def too_close(atoms: Atoms) -> bool:
    """Say whether two atoms are closer than `MIN_DISTANCE`, periodic images included."""
    cell = atoms.cell.complete().array
    fractional = np.linalg.solve(cell.T, atoms.positions.T).T
    fractional[:, atoms.pbc] %= 1.0
    fractional[fractional == 1.0] = 0.0
    heights = 1.0 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    tree = cKDTree(fractional, boxsize=np.where(atoms.pbc, 1.0, 0.0))
    pairs = tree.query_pairs(np.sqrt(3) * MIN_DISTANCE / heights.min(), output_type="ndarray")
    delta = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    delta -= np.where(atoms.pbc, np.round(delta), 0.0)
    return bool(np.any(np.linalg.norm(delta @ cell, axis=1) < MIN_DISTANCE))


def structure_key(atoms: Atoms) -> bytes:
    """Return a key that identical structures share: species, cell, positions, periodicity."""
    coordinates = np.concatenate([atoms.cell.array, atoms.positions]).round(DUPLICATE_DECIMALS) + 0.0
    return b"".join(array.tobytes() for array in (atoms.numbers, coordinates, atoms.pbc))


def duplicates(frames: Sequence[Atoms]) -> list[tuple[int, int]]:
    """Find identical structures: pairs (first, copy) of indices."""
    first: dict[bytes, int] = {}
    pairs = []
    for index, atoms in enumerate(frames):
        known = first.setdefault(structure_key(atoms), index)
        if known != index:
            pairs.append((known, index))
    return pairs


def check_duplicates(frames: Sequence[Atoms], places: Sequence[str], split: Sequence[str]) -> None:
    """Raise `DataError` if a structure occurs twice; ``split`` says in which parts."""
    pairs = duplicates(frames)
    if not pairs:
        return
    one, two = next(((i, j) for i, j in pairs if split[i] != split[j]), pairs[0])
    parts = f" ({split[one]} and {split[two]})" if split[one] != split[two] else ""
    raise DataError(
        f"{places[one]} and {places[two]}{parts} are the same structure; {len(pairs)} duplicates in all; "
        "remove the copies, or set allow_duplicates = true if they are meant to be there"
    )
