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
    inner = document.values() if isinstance(document, dict) else ()
    frames = (frame for frames in inner if isinstance(frames, dict) for frame in frames.values())
    return any(isinstance(frame, dict) and {STRUCTURE, FORCES} <= frame.keys() for frame in frames)


def has_stress(document: dict[str, Any]) -> bool:
    """Say whether a frame has a stress, which is left out."""
    inner = (frames for frames in document.values() if isinstance(frames, dict))
    return any(isinstance(frame, dict) and STRESS in frame for frames in inner for frame in frames.values())


def read_compounds(path: Path, document: dict[str, dict[str, Any]]) -> Iterator[tuple[Atoms, str]]:
    """Yield the frames of all compounds with their places; the group is the compound.

    Raises
    ------
    DataError
        If a frame is broken.
    """
    for compound, frames in document.items():
        for name in frames if isinstance(frames, dict) else (None,):
            place = f"{path}, frame {name!r} of {compound!r}"
            try:
                entry = frames[name]
                energy, forces = float(numbers(entry[ENERGY], ENERGY)), numbers(entry[FORCES], FORCES)
                yield (
                    label(
                        atoms_of(entry[STRUCTURE]),
                        energy=energy,
                        forces=forces,
                        stress=None,
                        group=str(compound),
                    ),
                    place,
                )
            except FAULTS as error:
                raise DataError(
                    f"{place}: not a frame with {STRUCTURE}, {ENERGY} and {FORCES} "
                    f"({type(error).__name__}: {error}); write the file again"
                ) from None
