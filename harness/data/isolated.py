"""Isolated atoms in a file: their energies are the offsets, and they are no part of the data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from ase import Atoms
from crossprune.harness.data.frames import elements_of, energy_of, group_of
from crossprune.harness.data.records import Record
from crossprune.harness.errors import DataError, StudyError, unknown_name

USUAL_NAME = re.compile(r"(isolated|single|free|iso)[ _-]?atoms?|e0s?", re.IGNORECASE)
"""Groups that are taken for isolated atoms unless an option says otherwise: IsolatedAtom (MACE),
isolated_atom (gap_fit), and the like."""
ALONE = 6.0
"""Å to the next image; what lies within the cutoff of a potential is a crystal, not an atom alone."""
SAME = 1e-4
"""eV; energies of one element that differ by more are of two states."""


def take_out(
    records: Sequence[Record], group: str | None, given: Mapping[str, float] | None, name: str
) -> tuple[list[Record], dict[str, float] | None, list[str]]:
    """Part isolated atoms from the data.

    Parameters
    ----------
    records
        All frames.
    group
        The group that holds them; None looks for the usual names, an empty text takes none.
    given
        Energy of each isolated atom (eV) if the user gives them; they go before those of the file.
    name
        The data set, for messages.

    Returns
    -------
    tuple
        The other frames; energy of each isolated atom (eV), or None if they are not known for all elements;
        and what a user must know.

    Raises
    ------
    DataError
        If one element has two energies, or nothing but isolated atoms is there.
    StudyError
        If no frame is in the group that is asked for, one there has several atoms, or an element of
        the data has no energy in a group or table that was asked for.
    """
    groups = [group_of(one.atoms) for one in records]
    if group and group not in groups:
        raise StudyError(f"{name}: isolated_atom_group: {unknown_name('group', group, set(groups))}")
    alone: list[Record] = []
    rest: list[Record] = []
    for one, its in zip(records, groups, strict=True):
        chosen = its == group if group is not None else _looks_alone(one.atoms, its)
        if chosen and group and len(one.atoms) > 1:
            raise StudyError(
                f"{one.place}: {len(one.atoms)} atoms in isolated_atom_group = {group!r}; one is allowed"
            )
        (alone if chosen else rest).append(one)
    if not rest:
        raise DataError(f"{name}: holds isolated atoms only; give frames to learn from")
    return _with_energies(rest, alone, given, name, asked=bool(group))


def _with_energies(
    rest: list[Record], alone: Sequence[Record], given: Mapping[str, float] | None, name: str, *, asked: bool
) -> tuple[list[Record], dict[str, float] | None, list[str]]:
    energies = dict(given) if given is not None else _energies(alone)
    elements = elements_of(one.atoms for one in rest)
    out = [f"{len(alone)} isolated atoms kept out of train, test and ood"] if alone else []
    if not energies:
        return rest, None, out
    missing = [element for element in elements if element not in energies]
    if missing and (asked or given is not None):
        raise StudyError(
            f"{name}: no isolated-atom energy of {', '.join(missing)}; give all elements or none"
        )
    if missing:
        note = f"{out[0]}; their energies are not used as offsets, for there is none of {', '.join(missing)}"
        return rest, None, [note]
    used = {element: energies[element] for element in elements}
    listed = ", ".join(f"{element} {energy:.6g} eV" for element, energy in used.items())
    where = "given" if given is not None else "of the isolated atoms in the file"
    return rest, used, [*out, f"offsets are the energies {where}: {listed}"]


def _looks_alone(atoms: Atoms, group: str) -> bool:
    if len(atoms) != 1 or not USUAL_NAME.fullmatch(group.strip()):
        return False
    return not _lengths(atoms.cell.array[atoms.pbc]) or min(_lengths(atoms.cell.array[atoms.pbc])) > ALONE


def _lengths(vectors: Iterable[Sequence[float]]) -> list[float]:
    return [float(np.linalg.norm(vector)) for vector in vectors]


def _energies(alone: Sequence[Record]) -> dict[str, float]:
    first: dict[str, Record] = {}
    for one in alone:
        element = one.atoms.get_chemical_symbols()[0]
        other = first.setdefault(element, one)
        if abs(energy_of(other.atoms) - energy_of(one.atoms)) > SAME:
            raise DataError(
                f"{other.place} and {one.place} are isolated atoms of {element} with "
                f"{energy_of(other.atoms):.6g} and {energy_of(one.atoms):.6g} eV; keep one: the ground state"
            )
    return {element: energy_of(one.atoms) for element, one in first.items()}
