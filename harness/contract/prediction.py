"""Energies, forces and stresses that a potential predicts, of one structure or of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from crossprune.harness.contract.arrays import FloatArray


@dataclass(frozen=True)
class Prediction:
    """One structure's energy (eV), forces (eV/Å, shape (n_atoms, 3)), stress (eV/Å³, shape (6,))."""

    energy: float
    forces: FloatArray
    stress: FloatArray | None = None


@dataclass(frozen=True)
class Predictions:
    """Predictions for several structures, concatenated in their order.

    ``energies``: eV, shape (n_frames,); ``forces``: eV/Å, shape (Σ n_atoms, 3);
    ``stresses``: eV/Å³, shape (n_frames, 6), NaN where a structure has none.
    """

    energies: FloatArray
    forces: FloatArray
    stresses: FloatArray

    @classmethod
    def from_list(cls, predictions: Sequence[Prediction]) -> Self:
        """Concatenate single predictions."""
        none = np.full(6, np.nan)
        return cls(
            energies=np.array([one.energy for one in predictions], dtype=np.float64),
            forces=np.concatenate([one.forces for one in predictions] or [np.empty((0, 3))]),
            stresses=np.array([none if one.stress is None else one.stress for one in predictions]).reshape(
                -1, 6
            ),
        )
