"""Energies per element of labelled frames: known ones, or regressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.composition import determined, regressed
from crossprune.harness.data.frames import element_counts, energy_of
from crossprune.harness.errors import DataError


def element_energies(
    frames: Sequence[Atoms], elements: Sequence[str], known: Mapping[str, float] | None = None
) -> FloatArray:
    """Return the energy per element (eV, shape (n_elements,)): the known ones, or regressed on ``frames``.

    What the compositions of ``frames`` do not determine is filled in as in `determined`.

    Raises
    ------
    DataError
        If ``known`` lacks an element.
    """
    if known is not None:
        if missing := sorted(set(elements) - set(known)):
            raise DataError(f"no isolated-atom energy of {', '.join(missing)}; give all elements or none")
        return np.array([known[element] for element in elements])
    return regressed(element_counts(frames, elements), np.array([energy_of(atoms) for atoms in frames]))


__all__ = ["determined", "element_energies", "regressed"]
