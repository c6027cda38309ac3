"""Refuse broken frames with one message that names file, frame and remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import closed_cell, heights
from crossprune.harness.errors import DataError
from numpy.typing import NDArray
from scipy.spatial import cKDTree

BoolArray = NDArray[np.bool_]

MIN_DISTANCE = 0.3
"""Å; the H2 bond is 0.74 Å and no data set samples a core at less than half of that: wrong units."""
FAR = 1e6
"""Å, 0.1 mm: no atom of a calculation is farther from the origin."""
HERMITE = (0.0, 1.0, (4 / 3) ** 0.5, 2 ** (1 / 3))
"""Hermite's constants: a lattice of k dimensions has a vector with |v|² ≤ constant × volume^(2/k) (Cassels,
An Introduction to the Geometry of Numbers, 1959, doi:10.1007/978-3-642-62035-5, appendix)."""
IMPOSSIBLE = {
    "energy": (
        1e8,
        "eV per atom",
        "the heaviest atom with all its electrons has 2e6; energies in meV? Or no number?",
    ),
    "forces": (
        1e6,
        "eV/Å",
        "bare nuclei 0.3 Å apart have 1e6; forces in another unit? Or a failed calculation?",
    ),
    "stress": (5e3, "eV/Å³", "that is 800 TPa; in bar or kbar, or a virial (eV)? Convert it to eV/Å³"),
}
"""Label to the size beyond which it cannot be meant, the unit, and what it may be."""
RESERVED_GROUPS = ("all",)
"""Names that results use for something else: the rows over all groups."""
LEAST_VOLUME = 1e-12
"""Of three unit vectors: with more, the smallest singular value is far above rounding."""
LONGEST_GROUP = 200
"""Characters."""


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
    if max(np.abs(atoms.positions).max(), np.abs(atoms.cell.array).max()) > FAR:
        raise DataError(
            f"{place}: a position or cell vector is beyond {FAR:g} Å; give positions and cell in Å"
        )
    _check_cell(atoms, place)
    check_group(str(atoms.info.get("group", "none")), place)
    results: dict[str, Any] = getattr(atoms.calc, "results", {})
    _check_labels(results, len(atoms), place)
    if too_close(atoms):
        raise DataError(
            f"{place}: two atoms are closer than {MIN_DISTANCE} Å; give positions and cell in Å "
            "(fractional coordinates? nm? Bohr?) or remove the frame"
        )


def check_group(group: str, place: str) -> None:
    """Refuse a group's name that results could not tell from something else, or not show.

    Raises
    ------
    DataError
        If it is reserved, empty, too long, or has control characters.
    """
    remedy = "rename the group in the file, or name another key by group_key"
    if group.strip().lower() in RESERVED_GROUPS:
        raise DataError(f"{place}: the group's name {group!r} stands for all groups in results; {remedy}")
    if not group.strip() or len(group) > LONGEST_GROUP or not group.isprintable():
        raise DataError(
            f"{place}: {group[:40]!r} cannot be a group's name: 1 to {LONGEST_GROUP} characters that can be "
            f"printed are allowed; {remedy}"
        )


def _check_cell(atoms: Atoms, place: str) -> None:
    """Require independent cell vectors along the periodic directions."""
    vectors = atoms.cell.array[atoms.pbc]
    if len(vectors) == 0:
        return
    if not vectors.any(axis=1).all():
        raise DataError(
            f"{place}: periodic, but the cell has no volume: a vector along a periodic direction is zero; "
            'give it, or say by pbc which directions are open, such as pbc="T T F" for a slab'
        )
    if not _independent(vectors / np.linalg.norm(vectors, axis=1)[:, None]):
        raise DataError(
            f"{place}: periodic, but the cell has no volume: its vectors lie in one plane; correct the cell"
        )
    if not np.all(atoms.pbc) and atoms.cell.rank < 3:
        raise DataError(
            f"{place}: the vector of an open direction lies in the plane of the others; correct the cell"
        )


def _independent(vectors: FloatArray) -> bool:
    """Say whether unit vectors are independent; where three span a volume there is no need for more."""
    if len(vectors) == 3 and abs(np.linalg.det(vectors)) > LEAST_VOLUME:
        return True
    return bool(np.linalg.matrix_rank(vectors) == len(vectors))


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
        values = np.asarray(value, dtype=np.float64)
        _require_finite(values, key, place)
        limit, unit, guess = IMPOSSIBLE[key]
        largest = np.abs(values).max() / (n_atoms if key == "energy" else 1)
        if largest > limit:
            raise DataError(
                f"{place}: {key} of {largest:.2g} {unit} is impossible (above {limit:g}); {guess}"
            )


def _require_finite(values: FloatArray, what: str, place: str) -> None:
    if not np.all(np.isfinite(values)):
        raise DataError(f"{place}: {what} has NaN or infinite values; recompute or remove the frame")


def too_close(atoms: Atoms) -> bool:
    """Say whether two atoms, or an atom and its own image, are closer than `MIN_DISTANCE`."""
    cell = closed_cell(atoms)
    if np.any(heights(cell)[atoms.pbc] < 2 * MIN_DISTANCE):
        if _image_too_close(cell, atoms.pbc):
            return True
        return _pair_too_close(*_thick(cell, atoms.positions, atoms.pbc), atoms.pbc)
    return _pair_too_close(cell, atoms.positions, atoms.pbc)


def _image_too_close(cell: FloatArray, pbc: BoolArray) -> bool:
    """Say whether a lattice vector is shorter than `MIN_DISTANCE`; flat cells are not reduced in vain."""
    n_periodic = int(pbc.sum())
    volume = float(np.prod(np.linalg.svd(cell[pbc], compute_uv=False)))
    if HERMITE[n_periodic] * volume ** (2 / n_periodic) < MIN_DISTANCE**2:
        return True
    reduced = minkowski_reduce(cell, pbc=pbc)[0]
    return bool(np.linalg.norm(reduced[pbc], axis=1).min() < MIN_DISTANCE)


def _thick(cell: FloatArray, positions: FloatArray, pbc: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Repeat a thin cell until its heights are twice `MIN_DISTANCE`, so that one image of each pair counts.

    The heights of a reduced cell are at least 1/√2 of its vectors, so few repeats are enough.
    """
    cell = minkowski_reduce(cell, pbc=pbc)[0]
    repeats = np.where(pbc, np.ceil(2 * MIN_DISTANCE / heights(cell)), 1).astype(int)
    shifts = np.array(list(np.ndindex(*repeats.tolist()))) @ cell
    return cell * repeats[:, None], (positions[None] + shifts[:, None]).reshape(-1, 3)


def _pair_too_close(cell: FloatArray, positions: FloatArray, pbc: BoolArray) -> bool:
    fractional = np.linalg.solve(cell.T, positions.T).T
    fractional[:, pbc] %= 1.0
    fractional[fractional == 1.0] = 0.0
    tree = cKDTree(fractional, boxsize=np.where(pbc, 1.0, 0.0))
    radius = np.sqrt(3) * MIN_DISTANCE / heights(cell).min()
    pairs = tree.query_pairs(radius, output_type="ndarray")
    delta = fractional[pairs[:, 0]] - fractional[pairs[:, 1]]
    delta -= np.where(pbc, np.round(delta), 0.0)
    return bool(np.any(np.linalg.norm(delta @ cell, axis=1) < MIN_DISTANCE))
