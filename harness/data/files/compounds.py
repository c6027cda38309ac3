"""Read JSON of compounds, each with frames calculated by VASP, as Deng 2025 publishes them.

Doi:10.1038/s41524-024-01500-6. It is ``{compound: {frame: {"structure": …, "vasp_e": …, "vasp_f": …}}}``; a
structure is as pymatgen writes it. Stress is left out, whose sign and unit the file does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from crossprune.harness.data.files.mlearn import FAULTS, atoms_of, numbers
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError

STRUCTURE, ENERGY, FORCES, STRESS = "structure", "vasp_e", "vasp_f", "vasp_s"
"""Energy of the cell, eV; forces, eV/Å; stress, of unknown sign and unit."""


def is_compounds(document: Any) -> bool:
    """Say whether a JSON document looks like compounds with frames by VASP."""
    return isinstance(document, dict) and _has(document, STRUCTURE, FORCES)


def has_stress(document: dict[str, Any]) -> bool:
    """Say whether a frame has a stress, which is left out."""
    return _has(document, STRESS)


def _has(document: dict[str, Any], *names: str) -> bool:
    inner = (frames for frames in document.values() if isinstance(frames, dict))
    return any(
        isinstance(frame, dict) and frame.keys() >= {*names} for frames in inner for frame in frames.values()
    )


def read_compounds(path: Path, document: dict[str, Any]) -> Iterator[tuple[Atoms, str]]:
    """Yield the frames of all compounds with their places; the group is the compound.

    Raises
    ------
    DataError
        If a frame is broken.
    """
    for compound, frames in document.items():
        if not isinstance(frames, dict):
            raise DataError(f"{path}, {compound!r}: no frames by name; write the file again")
        for name, entry in frames.items():
            place = f"{path}, frame {name!r} of {compound!r}"
            try:
                energy, forces = float(numbers(entry[ENERGY], ENERGY)), numbers(entry[FORCES], FORCES)
                atoms = atoms_of(entry[STRUCTURE])
                frame = label(atoms, energy=energy, forces=forces, stress=None, group=str(compound))
            except FAULTS as error:
                raise DataError(
                    f"{place}: not a frame with {STRUCTURE}, {ENERGY} and {FORCES} "
                    f"({type(error).__name__}: {error}); write the file again"
                ) from None
            yield frame, place
