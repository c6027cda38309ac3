"""The score to beat: mean energy per element, zero forces and stress; and the simplest latent space."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.offsets import regressed
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Potential,
    Prediction,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)
from crossprune.harness.data.frames import element_counts, energy_of
from crossprune.harness.errors import DataError

PARAMETERS = "mean.json"


@dataclass(frozen=True)
class MeanOptions:
    """The mean has no options."""


class MeanPotential(Potential):
    """Constant energy per element (eV), no forces, no stress."""

    adapter = "mean"

    def __init__(self, energies: dict[str, float]) -> None:
        super().__init__(sorted(energies))
        self.energies = energies

    def predict(self, atoms: Atoms) -> Prediction:
        """Sum the energies of the elements; forces and stress are zero."""
        self.require_elements(atoms)
        energy = sum(self.energies[symbol] for symbol in atoms.get_chemical_symbols())
        return Prediction(energy, np.zeros((len(atoms), 3)), np.zeros(6) if atoms.pbc.all() else None)

    def write(self, folder: Path) -> None:
        """Write the energies as JSON."""
        (folder / PARAMETERS).write_text(json.dumps(self.energies, sort_keys=True))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the energies."""
        energies = json.loads((folder / PARAMETERS).read_text())
        if not isinstance(energies, dict) or not all(
            isinstance(one, float) and math.isfinite(one) for one in energies.values()
        ):
            raise DataError(f"{folder / PARAMETERS} holds no finite energy per element")
        return cls(energies)

    def export(self, folder: Path) -> list[Path]:
        """Write the energies as JSON: there is no other native format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return [folder / PARAMETERS]


class Mean(Descriptor[MeanOptions], Fitter[MeanOptions]):
    """Energies per element by least squares; features are the element and the number density."""

    name = "mean"
    capabilities = Capabilities(exact_subset_refit=True)
    options_type = MeanOptions
    distributions: ClassVar[tuple[str, ...]] = ("numpy",)
    potential_type = MeanPotential

    def features(self, atoms: Atoms) -> FloatArray:
        """Return one-hot elements and the mean number density (1/Å³): shape (n_atoms, n_elements + 1)."""
        require_elements(atoms, self.elements, "adapter 'mean'")
        symbols = np.array(atoms.get_chemical_symbols())
        one_hot = (symbols[:, None] == np.array(self.elements)).astype(np.float64)
        density = len(atoms) / atoms.get_volume() if atoms.cell.rank == 3 else 0.0
        return np.column_stack([one_hot, np.full(len(atoms), density)])

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Count the elements."""
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'mean'")
        crystals = np.array([bool(atoms.pbc.all()) for atoms in frames], dtype=np.bool_)
        counts, energies = element_counts(frames, self.elements), np.array([energy_of(one) for one in frames])
        return Prepared(frames, {"counts": counts, "crystals": crystals, "energies": energies})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> MeanPotential:
        """Regress energies on element counts."""
        per_element = regressed(prepared.arrays["counts"][subset], prepared.arrays["energies"][subset])
        return MeanPotential(dict(zip(self.elements, per_element.tolist(), strict=True)))

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Multiply the counts of the elements by their energies."""
        assert isinstance(potential, MeanPotential)
        counts, crystals = prepared.arrays["counts"][indices], prepared.arrays["crystals"][indices]
        energies = counts @ np.array([potential.energies[one] for one in self.elements])
        stresses = np.where(crystals[:, None], 0.0, np.full((len(indices), 6), np.nan))
        return Predictions(energies, np.zeros((int(counts.sum()), 3)), stresses)
