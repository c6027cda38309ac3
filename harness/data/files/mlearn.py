"""Read the JSON schema of mlearn and MoNbTaW."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from ase import Atoms, units
from ase.data import atomic_numbers, chemical_symbols
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.files.extxyz import BROKEN, OPENERS
from crossprune.harness.data.frames import label
from crossprune.harness.data.records import Record
from crossprune.harness.data.validation import check_frame
from crossprune.harness.errors import DataError

FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError)
"""What a broken entry raises."""
ASE_ORDER = ("xx", "yy", "zz", "yz", "xz", "xy")
KBAR = 0.1 * units.GPa


def read_json(path: Path) -> Any:
    """Read a JSON file, compressed or not.

    Raises
    ------
    DataError
        If it is truncated, no JSON, or nested too deeply to be data.
    """
    try:
        with OPENERS.get(path.suffix, open)(path, "rb") as file:
            return json.loads(file.read())
    except RecursionError:
        raise DataError(
            f"{path}: nested too deeply to be a data set; give a file with labelled structures"
        ) from None
    except (ValueError, *BROKEN) as error:
        raise DataError(
            f"{path} is truncated or not JSON ({error}); fetch it again, or write it again"
        ) from None


def _stem(path: Path) -> str:
    """Return a file's name without its ending, and that of its compression."""
    return Path(path.stem).stem if path.suffix in OPENERS else path.stem


def is_mlearn(document: Any) -> bool:
    """Say whether a JSON document looks like mlearn's: a list of entries with structure and outputs."""
    if not isinstance(document, list) or not document:
        return False
    return isinstance(document[0], dict) and {"structure", "outputs"} <= document[0].keys()


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
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path} holds no list of structures; fetch it again")
    records = []
    for index, entry in enumerate(entries):
        place = f"{path}, frame {index}"
        try:
            group = str(entry["group"]) if group_from == "entry" else _stem(path)
            order = None if stress_order is None else stress_order_of.get(group, stress_order)
            frame = _entry_frame(entry, group, stress_key, order)
        except FAULTS as error:
            raise DataError(
                f"{place}: not an entry of the mlearn schema ({type(error).__name__}: {error}); "
                "fetch the file again"
            ) from None
        check_frame(frame, place)
        sequence, step = sequence_of(entry, group, index)
        records.append(Record(frame, place, sequence, step))
    return records


def atoms_of(structure: dict[str, Any]) -> Atoms:
    """Make a periodic structure of what pymatgen writes, without pymatgen; a broken one raises `FAULTS`."""
    sites, lattice = structure["sites"], structure["lattice"]
    return Atoms(
        symbols=[_element(index, site["species"]) for index, site in enumerate(sites)],
        positions=numbers([site["xyz"] for site in sites], "xyz"),
        cell=numbers(lattice["matrix"], "matrix"),
        pbc=lattice.get("pbc", True),
    )


def numbers(values: Any, name: str) -> FloatArray:
    """Return numbers as floats; anything else, true and false included, raises one of `FAULTS`."""
    found = np.asarray(values)
    if found.dtype.kind not in "iuf":
        what = "true or false" if found.dtype == bool else found.dtype
        raise TypeError(f"{name} must be numbers, not {what}")
    return found.astype(np.float64)


def _element(index: int, species: Any) -> str:
    if len(species) != 1 or species[0].get("occu", 1) != 1:
        raise ValueError(f"site {index} is disordered; give an ordered structure")
    symbol = species[0]["element"]
    if not isinstance(symbol, str) or not 0 < atomic_numbers.get(symbol, 0) < len(chemical_symbols):
        raise ValueError(f"site {index}: {symbol!r} is no element's symbol")
    return symbol


def _entry_frame(entry: dict[str, Any], group: str, stress_key: str, order: Sequence[str] | None) -> Atoms:
    outputs = entry["outputs"]
    atoms = atoms_of(entry["structure"])
    energy, forces = float(numbers(outputs["energy"], "energy")), numbers(outputs["forces"], "forces")
    stress = None
    if order is not None:
        components = [list(order).index(component) for component in ASE_ORDER]
        stress = -KBAR * np.array(outputs[stress_key], dtype=np.float64)[components]
    return label(atoms, energy=energy, forces=forces, stress=stress, group=group)


SNAPSHOT = re.compile(r"Snapshot (\d+) of \d+ of (.+)")
NUMERAL = r"-?(?:\d+\.?\d*|\.\d+)"
STRAIN = re.compile(rf"(.+, mode \d+), strain ({NUMERAL})")
NOTE = re.compile(rf"(.+?)-({NUMERAL})")


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
    notes = entry.get("notes")
    for kind, note in notes.items() if isinstance(notes, dict) else ():
        if match := NOTE.fullmatch(str(note).replace("--", "-", 1)):
            return f"{group}: {kind} {match[1]}", float(match[2])
    return group, float(index)
