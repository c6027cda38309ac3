"""Read labelled frames: extended XYZ, ASE databases, and the JSON schema of mlearn and MoNbTaW."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import ase.db
import ase.io
import numpy as np
from ase import Atoms, units
from ase.stress import full_3x3_to_voigt_6_stress
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.frames import label
from crossprune.harness.data.validation import check_frame
from crossprune.harness.errors import DataError

ASE_ORDER = ("xx", "yy", "zz", "yz", "xz", "xy")
XYZ_SUFFIXES = (".xyz", ".extxyz")
DATABASE_SUFFIXES = (".db", ".json")
COMPRESSION_SUFFIXES = (".gz", ".bz2", ".xz")
KBAR = 0.1 * units.GPa


@dataclass(frozen=True)
class Record:
    """One labelled frame and where it comes from."""

    atoms: Atoms
    """Structure with labels and group."""
    place: str
    """File and frame, for messages."""
    sequence: str
    """Trajectory or strain path the frame belongs to; its group if nothing finer is known."""
    order: float
    """Where the frame stands in its sequence."""
    part: str | None = None
    """``train``, ``test`` or ``ood`` if the file says so."""


@dataclass(frozen=True)
class Keys:
    """Names of labels in a file; None takes what ASE reads into the calculator."""

    energy: str | None = None
    """Key in ``info``; None takes the free energy where the file has it, otherwise the energy."""
    forces: str | None = None
    """Key in ``arrays``."""
    stress: str | None = None
    """Key in ``info``: 6 or 9 values in eV/Å³, positive = tension."""
    virial: str | None = None
    """Key in ``info``: 6 or 9 values in eV; stress = -virial / volume."""
    group: str | None = None
    """Key in ``info``; None looks for ``group``, then ``config_type``."""
    order: str | None = None
    """Key in ``info`` with the place in a trajectory; frames without it keep the order of the file."""
    split: str | None = None
    """Key in ``info`` that holds ``train``, ``test`` or ``ood``."""


GROUP_KEYS = ("group", "config_type")


def read_ase(path: Path, keys: Keys) -> list[Record]:
    """Read an extended-XYZ file (compressed or not) or an ASE database.

    Raises
    ------
    DataError
        If the file is missing, empty, truncated or of another kind, or a frame is broken.
    """
    records = []
    ordered = False
    for index, atoms in enumerate(_frames(path)):
        place = f"{path}, frame {index}"
        info = {**atoms.info, **atoms.info.get("key_value_pairs", {}), **atoms.info.get("data", {})}
        group = _group(info, keys, place)
        frame = _labelled(atoms, info, keys, group, place)
        check_frame(frame, place)
        ordered = ordered or keys.order in info
        records.append(
            Record(
                atoms=frame,
                place=place,
                sequence=group,
                order=_number(info.get(keys.order, index), "order_key", place) if keys.order else index,
                part=None if keys.split is None else str(_required(info, keys.split, "split_key", place)),
            )
        )
    if not records:
        raise DataError(f"{path} holds no frames; give a file with labelled structures")
    if keys.order is not None and not ordered:
        raise DataError(
            f"{path}: no frame has {keys.order!r} (order_key); leave it out to keep the file's order"
        )
    return records


def _frames(path: Path) -> Iterator[Atoms]:
    """Yield the frames of a file; every way to fail becomes one `DataError`."""
    suffix = path.suffixes[-1] if path.suffixes else ""
    if suffix in COMPRESSION_SUFFIXES and len(path.suffixes) > 1:
        suffix = path.suffixes[-2]
    if suffix not in XYZ_SUFFIXES + DATABASE_SUFFIXES:
        allowed = ", ".join(XYZ_SUFFIXES + DATABASE_SUFFIXES)
        raise DataError(f"{path}: unknown kind of file; allowed: {allowed} (.xyz also compressed)")
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; give a file with labelled structures")
    count = 0
    try:
        for atoms in (
            ase.io.iread(path, index=":", format="extxyz") if suffix in XYZ_SUFFIXES else _rows(path)
        ):
            yield atoms
            count += 1
    except (ValueError, KeyError, IndexError, TypeError, OSError, EOFError, sqlite3.Error) as error:
        if isinstance(error, DataError):
            raise
        reason = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path}, frame {count}: not readable ({reason}); the file is truncated or malformed: "
            "write it again, or cut it before this frame"
        ) from None


def _rows(path: Path) -> Iterator[Atoms]:
    """Yield the frames of an ASE database; only inside ``with`` does ASE close its connection."""
    with ase.db.connect(path) as database:
        for row in database.select():
            yield row.toatoms(add_additional_information=True)


def _group(info: dict[str, Any], keys: Keys, place: str) -> str:
    if keys.group is not None:
        return str(_required(info, keys.group, "group_key", place))
    return next((str(info[key]) for key in GROUP_KEYS if key in info), "none")


def _labelled(atoms: Atoms, info: dict[str, Any], keys: Keys, group: str, place: str) -> Atoms:
    results: dict[str, Any] = getattr(atoms.calc, "results", {})
    if keys.energy is not None:
        energy = _required({**results, **info}, keys.energy, "energy_key", place)
    else:
        energy = results.get("free_energy", results.get("energy"))
        if energy is None:
            hint = [key for key in info if "energy" in key.lower()]
            remedy = f"set energy_key = {hint[0]!r}" if hint else "label the frame, or set energy_key"
            raise DataError(f"{place}: no energy; {remedy}; keys of this frame: {_names(info)}")
    arrays: dict[str, Any] = {**results, **atoms.arrays}
    if keys.forces is not None:
        forces = _required(arrays, keys.forces, "forces_key", place)
    else:
        forces = results.get("forces")
        if forces is None:
            hint = [key for key in atoms.arrays if "force" in key.lower()]
            remedy = f"set forces_key = {hint[0]!r}" if hint else "label the frame, or set forces_key"
            raise DataError(f"{place}: no forces; {remedy}; columns of this frame: {_names(atoms.arrays)}")
    stress = results.get("stress")
    if keys.stress is not None:
        stress = _required({**results, **info}, keys.stress, "stress_key", place)
    elif keys.virial is not None:
        virial = np.asarray(_required({**results, **info}, keys.virial, "virial_key", place))
        stress = -virial / atoms.get_volume() if atoms.cell.rank == 3 else None
    return label(
        atoms,
        energy=_number(energy, "energy", place),
        forces=_array(forces, "forces", place),
        stress=None if stress is None else _voigt(_array(stress, "stress", place), place),
        group=group,
    )


def _required(values: dict[str, Any], key: str | None, option: str, place: str) -> Any:
    if key not in values:
        raise DataError(f"{place}: no {key!r} ({option}); keys of this frame: {_names(values)}")
    return values[key]


def _names(values: dict[str, Any]) -> str:
    return ", ".join(sorted(values)) or "none"


def _number(value: Any, what: str, place: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise DataError(
            f"{place}: {what} is {value!r}, not a number; recompute or remove the frame"
        ) from None


def _array(value: Any, what: str, place: str) -> FloatArray:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{place}: {what} are not numbers in rows; recompute or remove the frame") from None


def _voigt(stress: FloatArray, place: str) -> FloatArray:
    if stress.size == 9:
        voigt: FloatArray = full_3x3_to_voigt_6_stress(stress.reshape(3, 3))
        return voigt
    if stress.shape != (6,):
        raise DataError(f"{place}: stress has shape {stress.shape}; expected 6 values (Voigt) or 9 (3 × 3)")
    return stress


def read_mlearn(
    path: Path,
    *,
    stress_order: Sequence[str] | None,
    group_from: Literal["entry", "file"],
    stress_key: str = "virial_stress",
    stress_order_of: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[Record]:
    """Read a JSON file of mlearn (Zuo 2020) or MoNbTaW (Li 2020).

    Parameters
    ----------
    path
        The file: a list of entries with ``structure`` and ``outputs``.
    stress_order
        Components in the order of the file (kbar, positive = compression); None leaves stress out.
    group_from
        ``entry`` takes each entry's ``group``; ``file`` takes the file's name.
    stress_key
        Key of the stress in ``outputs``.
    stress_order_of
        Groups whose components stand in another order.

    Raises
    ------
    DataError
        If the file is truncated or an entry is broken.
    """
    try:
        entries = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is truncated or not JSON ({error}); fetch it again") from None
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} holds no list of structures; fetch it again")
    records = []
    for index, entry in enumerate(entries):
        place = f"{path}, frame {index}"
        try:
            group = str(entry["group"]) if group_from == "entry" else path.stem
            order = None if stress_order is None else stress_order_of.get(group, stress_order)
            frame = _entry_frame(entry, group, stress_key, order)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DataError(
                f"{place}: not an entry of the mlearn schema ({type(error).__name__}: {error}); "
                "fetch the file again"
            ) from None
        check_frame(frame, place)
        sequence, step = sequence_of(entry, group, index)
        records.append(Record(frame, place, sequence, step))
    return records


def _entry_frame(entry: dict[str, Any], group: str, stress_key: str, order: Sequence[str] | None) -> Atoms:
    sites = entry["structure"]["sites"]
    outputs = entry["outputs"]
    atoms = Atoms(
        symbols=[site["species"][0]["element"] for site in sites],
        positions=[site["xyz"] for site in sites],
        cell=entry["structure"]["lattice"]["matrix"],
        pbc=True,
    )
    stress = None
    if order is not None:
        components = [list(order).index(component) for component in ASE_ORDER]
        stress = -KBAR * np.array(outputs[stress_key], dtype=np.float64)[components]
    return label(
        atoms, energy=float(outputs["energy"]), forces=np.array(outputs["forces"]), stress=stress, group=group
    )


SNAPSHOT = re.compile(r"Snapshot (\d+) of \d+ of (.+)")
STRAIN = re.compile(r"(.+, mode \d+), strain (-?[\d.]+)")
NOTE = re.compile(r"(.+?)-(-?[\d.]+)$")


def sequence_of(entry: dict[str, Any], group: str, index: int) -> tuple[str, float]:
    """Return the trajectory or strain path of an entry, and its place there.

    mlearn describes an entry in words, MoNbTaW in a note such as ``{"Md": "300-37"}`` (temperature
    and snapshot) or ``{"Strain": "1---0.0100"}`` (mode and strain).
    """
    description = str(entry.get("description", ""))
    if match := SNAPSHOT.fullmatch(description):
        return f"{group}: {match[2]}", float(match[1])
    if match := STRAIN.fullmatch(description):
        return f"{group}: {match[1]}", float(match[2])
    for kind, note in (entry.get("notes") or {}).items():
        if match := NOTE.fullmatch(str(note).replace("--", "-", 1)):
            return f"{group}: {kind} {match[1]}", float(match[2])
    return group, float(index)
