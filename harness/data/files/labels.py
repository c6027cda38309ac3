"""Turn what a file says of its frames into labels: the same energy for all, stress where there is one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError, NoLabels, unknown_name

GROUP_KEYS = ("group", "config_type")
FREE, PLAIN = "free_energy", "energy"
STRESS_LIKE = re.compile(r"virial|stress", re.IGNORECASE)
FIRST = ", frame 0"
"""Where a file begins: one that has labels further on, or had some before, is not one without labels."""
SHOWN_KEYS = 20
OPEN_MARGIN = 20.0
"""Å beyond the atoms of the vector that an open direction gets: nothing rests on it but that it exists."""
ON_COMMAND_LINE = ("energy_key", "forces_key", "stress_key", "virial_key", "group_key")
"""Options that `crossprune run`, `evaluate` and `export` take as well."""


@dataclass(frozen=True)
class Keys:
    """Names of labels in a file; None takes what ASE reads into the calculator."""

    energy: str | None = None
    """Key in ``info``; None takes the free energy if all frames have it, otherwise the energy."""
    forces: str | None = None
    """Key in ``arrays``, or in the ``data`` of a database row."""
    stress: str | None = None
    """Key in ``info``: 6 or 9 values in eV/Å³, positive = tension; frames without it have no stress."""
    virial: str | None = None
    """Key in ``info``: 6 or 9 values in eV; stress = -virial / volume; frames without it have no stress."""
    group: str | None = None
    """Key in ``info``; None looks for ``group``, then ``config_type``."""
    order: str | None = None
    """Key in ``info`` with the place in a trajectory; frames without it keep the order of the file."""
    split: str | None = None
    """Key in ``info`` that holds ``train``, ``test`` or ``ood``."""
    level: str | None = None
    """Level of theory whose frames are kept, where frames name one; see `of_one_level`."""


@dataclass(frozen=True)
class RawFrame:
    """A frame as it was read, before its labels are chosen."""

    atoms: Atoms
    place: str
    """File and frame, for messages."""
    info: Mapping[str, Any]
    """Everything the file says of the frame as a whole, besides what ASE took for results."""

    @classmethod
    def of(cls, atoms: Atoms, place: str) -> RawFrame:
        """Gather ``info``, and of a database row its key-value pairs and ``data``."""
        inner = (atoms.info.get(name) for name in ("key_value_pairs", "data"))
        info = dict(atoms.info)
        for one in inner:
            if isinstance(one, Mapping):  # else a value of a file under the same name
                info |= one
        return cls(atoms, place, info)

    @property
    def results(self) -> dict[str, Any]:
        """What ASE read into the calculator."""
        found: dict[str, Any] = getattr(self.atoms.calc, "results", {})
        return found

    @property
    def values(self) -> dict[str, Any]:
        """All values of the frame by key."""
        return {**self.results, **self.info}

    @property
    def columns(self) -> dict[str, Any]:
        """All values that may be per atom, by key."""
        return {**self.info, **self.results, **self.atoms.arrays}


def labelled(raw: Sequence[RawFrame], keys: Keys, path: Path) -> tuple[list[Atoms], list[str]]:
    """Give every frame its labels and group; also return what a user must know about them.

    Raises
    ------
    DataError
        If a label is missing or no number, if only some frames have a free energy and the others cannot
        be made uniform, or if no frame has the stress or virial that is asked for.
    """
    energy_key, notes = _energy_key(raw, keys, path)
    stress_notes = _stress_notes(raw, keys, path)
    frames, n_completed = [], 0
    for one in raw:
        atoms, completed = _with_open_vectors(one.atoms)
        n_completed += completed
        frames.append(
            label(
                atoms,
                energy=number(_energy(one, energy_key, keys, path), "energy", one.place),
                forces=_array(_forces(one, keys, path), "forces", one.place),
                stress=_stress(one, keys),
                group=_group(one, keys),
            )
        )
    n_bare = sum(len(atoms) > 1 and not atoms.cell.any() for atoms in frames)
    if n_bare and any(atoms.pbc.any() for atoms in frames):
        notes.append(
            f"{n_bare} of {len(raw)} frames have no cell, others are periodic; crystals need a cell and pbc"
        )
    if n_completed:
        notes.append(f"{n_completed} frames without a cell vector along an open direction were given one")
    return frames, notes + stress_notes


def without_labels(one: RawFrame, keys: Keys) -> Atoms:
    """Return the structure of a frame with its group, and no labels.

    Raises
    ------
    DataError
        If a group is asked for and the frame has none.
    """
    zero = np.zeros((len(one.atoms), 3))
    atoms, _ = _with_open_vectors(one.atoms)
    return label(atoms, energy=0.0, forces=zero, stress=None, group=_group(one, keys))


def required(values: Mapping[str, Any], key: str, option: str, place: str) -> Any:
    """Return ``values[key]``, or say which keys there are."""
    if key not in values:
        raise DataError(f"{place}: no {key!r} ({option}); keys of this frame: {_names(values)}")
    return values[key]


def number(value: Any, what: str, place: str) -> float:
    """Return a number, or say that ``value`` is none."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        fortran = isinstance(value, str) and re.fullmatch(r"[-+]?[\d.]+[dD][-+]?\d+", value)
        remedy = (
            "that is Fortran's way to write it; replace D by E"
            if fortran
            else "recompute or remove the frame"
        )
        raise DataError(f"{place}: {what} is {str(value)[:60]!r}, not a number; {remedy}") from None


def how_to_set(option: str, key: str, path: Path) -> str:
    """Say where an option of a file is set, word by word."""
    table = f'{option} = "{key}" in the table [data."{path}"] of the study'
    if option not in ON_COMMAND_LINE:
        return f"set {table}"
    return f"give --{option.replace('_', '-')} {shlex.quote(key)}, or set {table}"


def _energy_key(raw: Sequence[RawFrame], keys: Keys, path: Path) -> tuple[str, list[str]]:
    """Choose one kind of energy for all frames: free energies and energies must not be mixed.

    The free energy comes first, because the forces are its derivative (Wentzcovitch, Martins, Allen,
    Phys. Rev. B 45, 11372 (1992), doi:10.1103/PhysRevB.45.11372).
    """
    if keys.energy is not None:
        return keys.energy, []
    n_free = sum(FREE in one.results for one in raw)
    if n_free == 0:
        return PLAIN, []
    if n_free == len(raw) and not _is_filled_in(raw):
        return FREE, []
    if n_free == len(raw):
        return PLAIN, ["the free energy of all frames is zero, so the energy is used"]
    without = next((one for one in raw if PLAIN not in one.results), None)
    if without is not None and FREE in without.results:
        raise DataError(
            f"{path}: only {n_free} of {len(raw)} frames have a free energy, and {without.place} has nothing "
            "else; the two must not be mixed: give all frames an energy, or all a free energy"
        )
    note = f"{n_free} of {len(raw)} frames have a free energy; the energy is used for all, so that they agree"
    return PLAIN, [note]


def _is_filled_in(raw: Sequence[RawFrame]) -> bool:
    """Say whether all free energies are zero beside energies that are not."""
    energies = [one.results.get(PLAIN) for one in raw]
    return all(one.results[FREE] == 0 for one in raw) and any(energies) and None not in energies


def _energy(one: RawFrame, key: str, keys: Keys, path: Path) -> Any:
    if keys.energy is not None:
        return required(one.values, key, "energy_key", one.place)
    if key in one.results:
        return one.results[key]
    hint = [name for name in one.info if "energy" in name.lower()]
    remedy = how_to_set("energy_key", hint[0], path) if hint else "label the frame, or set energy_key"
    kind = DataError if hint or not one.place.endswith(FIRST) else NoLabels
    raise kind(f"{one.place}: no energy; {remedy}; keys of this frame: {_names(one.info)}")


def _forces(one: RawFrame, keys: Keys, path: Path) -> Any:
    if keys.forces is not None:
        return required(one.columns, keys.forces, "forces_key", one.place)
    if "forces" in one.results:
        return one.results["forces"]
    if len(one.atoms) == 1 and not one.atoms.pbc.any():
        return np.zeros((1, 3))
    hint = [name for name in one.columns if "force" in name.lower()]
    remedy = how_to_set("forces_key", hint[0], path) if hint else "label the frame, or set forces_key"
    kind = DataError if hint or not one.place.endswith(FIRST) else NoLabels
    raise kind(f"{one.place}: no forces; {remedy}; columns of this frame: {_names(one.atoms.arrays)}")


def _stress(one: RawFrame, keys: Keys) -> FloatArray | None:
    """Return the stress (eV/Å³, Voigt, positive = tension); None if the frame has none, or is open."""
    value = _given_stress(one, keys)
    if value is None or not one.atoms.pbc.all():
        return None
    key = keys.stress or keys.virial or "stress"
    stress = _voigt(_array(value, key, one.place), key, one.place)
    if keys.virial is None:
        return stress
    return -stress / one.atoms.get_volume() if one.atoms.cell.rank == 3 else None


def _given_stress(one: RawFrame, keys: Keys) -> Any:
    key = keys.stress or keys.virial
    return one.values.get(key) if key else one.results.get("stress")


def _stress_notes(raw: Sequence[RawFrame], keys: Keys, path: Path) -> list[str]:
    """Say how many frames lack the stress asked for or are open, or that a file has one nobody asked for."""
    n_open = sum(not one.atoms.pbc.all() and _given_stress(one, keys) is not None for one in raw)
    notes = [
        f"stress labels of {n_open} of {len(raw)} frames left out: without periodicity in three directions "
        "(pbc) stress has no meaning"
    ]
    return (notes if n_open else []) + _notes_of_keys(raw, keys, path)


def _notes_of_keys(raw: Sequence[RawFrame], keys: Keys, path: Path) -> list[str]:
    key, option = keys.stress or keys.virial, "stress_key" if keys.stress else "virial_key"
    if key is not None:
        without = sum(one.values.get(key) is None for one in raw)
        if without == len(raw):
            known = sorted({name for one in raw for name in one.values})
            raise DataError(
                f"{path}: no frame has {key!r} ({option}); {unknown_name('key', key, known[:SHOWN_KEYS])}"
            )
        return [f"{without} of {len(raw)} frames have no {key!r} and so no stress label"] if without else []
    count: dict[str, int] = {}
    for one in raw:
        for name in one.info if one.results.get("stress") is None and one.atoms.pbc.all() else ():
            if STRESS_LIKE.search(name):
                count[name] = count.get(name, 0) + 1
    return [
        f"{name!r} of {n} of {len(raw)} frames is not used; to use it as stress label ({_meaning(name)}), "
        f"{how_to_set(_option(name), name, path)}"
        for name, n in sorted(count.items())
    ]


def _option(name: str) -> str:
    return "virial_key" if "virial" in name.lower() else "stress_key"


def _meaning(name: str) -> str:
    is_virial = _option(name) == "virial_key"
    return "eV, -volume × stress" if is_virial else "eV/Å³, positive = tension"


def _group(one: RawFrame, keys: Keys) -> str:
    if keys.group is not None:
        return str(required(one.info, keys.group, "group_key", one.place))
    return next((str(one.info[key]) for key in GROUP_KEYS if key in one.info), "") or "none"


def _with_open_vectors(atoms: Atoms) -> tuple[Atoms, bool]:
    """Give open directions of a partly periodic cell a vector where there is none, normal to the others."""
    missing = ~atoms.pbc & ~atoms.cell.array.any(axis=1)
    if not atoms.pbc.any() or not missing.any() or atoms.cell.rank < 3 - missing.sum():
        return atoms, False
    normals = atoms.cell.complete().array
    spread = np.ptp(atoms.positions, axis=0).max(initial=0.0)
    cell = atoms.cell.array.copy()
    cell[missing] = normals[missing] * (spread + OPEN_MARGIN)
    whole = atoms.copy()
    whole.set_cell(cell)
    return whole, True


def _names(values: Mapping[str, Any]) -> str:
    names = sorted(values)
    more = f", … ({len(names)} in all)" if len(names) > SHOWN_KEYS else ""
    return f"{', '.join(names[:SHOWN_KEYS])}{more}" if names else "none"


def _array(value: Any, what: str, place: str) -> FloatArray:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{place}: {what} are not numbers in rows; recompute or remove the frame") from None


def _voigt(stress: FloatArray, key: str, place: str) -> FloatArray:
    if stress.size == 9:
        voigt: FloatArray = full_3x3_to_voigt_6_stress(stress.reshape(3, 3))
        return voigt
    if stress.shape != (6,):
        raise DataError(f"{place}: {key} has shape {stress.shape}; expected 6 values (Voigt) or 9 (3 × 3)")
    return stress
