"""Read JSON of compounds, each with frames calculated by VASP, as Deng 2025 publishes them.

Doi:10.1038/s41524-024-01500-6. It is ``{compound: {frame: {"structure": …, "vasp_e": …, "vasp_f": …}}}``; a
structure is as pymatgen writes it. Stress is left out, whose sign and unit the file does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.harness.data.files.mlearn import FAULTS, atoms_of
from crossprune.harness.data.frames import label
from crossprune.harness.errors import DataError

STRUCTURE, ENERGY, FORCES = "structure", "vasp_e", "vasp_f"
"""Energy of the cell, eV; forces, eV/Å."""


def is_compounds(document: Any) -> bool:
    """Say whether a JSON document looks like compounds with frames by VASP."""
    inner = next(iter(document.values()), None) if isinstance(document, dict) else None
    frame = next(iter(inner.values()), None) if isinstance(inner, dict) else None
    return isinstance(frame, dict) and {STRUCTURE, FORCES} <= frame.keys()


def read_compounds(path: Path, document: dict[str, dict[str, Any]]) -> Iterator[tuple[Atoms, str]]:
    """Yield the frames of all compounds with their places; the group is the compound.

    Raises
    ------
    DataError
        If a frame is broken.
    """
    for compound, frames in document.items():
        for name in frames if isinstance(frames, dict) else (None,):
            place = f"{path}, frame {name} of {compound}"
            try:
                entry = frames[name]
                energy, forces = float(entry[ENERGY]), np.array(entry[FORCES], dtype=np.float64)
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
