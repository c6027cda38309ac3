"""What linear models predict by: rows of a structure, coefficients, and offsets per element."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from crossprune.adapters.linear.least_squares import Solution
from crossprune.harness.contract import FloatArray, Potential, Prediction
from crossprune.harness.data.frames import element_counts
from crossprune.harness.errors import DataError
from crossprune.harness.tables import from_table

if TYPE_CHECKING:
    from crossprune.adapters.linear.fitter import LinearFitter


@dataclass(frozen=True)
class Rows:
    """Derivatives of one structure's predictions by the coefficients.

    ``energy``: eV, shape (k,); ``forces``: eV/Å, shape (3·n_atoms, k), atom-major x y z;
    ``stress``: eV/Å³, shape (6, k), ASE's order and sign, or None without a periodic cell.
    """

    energy: FloatArray
    forces: FloatArray
    stress: FloatArray | None


def stress_rows(tensors: FloatArray) -> FloatArray:
    """Return rows in ASE's order, shape (6, k), from a tensor for each coefficient, shape (3, 3, k)."""
    rows: FloatArray = full_3x3_to_voigt_6_stress(np.moveaxis(tensors, -1, 0)).T
    return rows


class LinearPotential(Potential):
    """A potential that is linear in ``coefficients`` and has an energy offset per element."""

    coefficients: FloatArray
    offsets: FloatArray
    """eV, shape (n_elements,), in the order of ``elements``."""


class RowsPotential(LinearPotential):
    """Predicts by the design rows of its fitter: slow, but a new family needs no code for it.

    A subclass names ``adapter`` and, once the fitter is defined, ``fitter_type``.
    """

    fitter_type: ClassVar[type[LinearFitter[Any]]]

    def __init__(self, fitter: LinearFitter[Any], solution: Solution) -> None:
        super().__init__(fitter.elements)
        self.fitter = fitter
        self.coefficients, self.offsets = solution.coefficients, solution.offsets

    def predict(self, atoms: Atoms) -> Prediction:
        """Multiply the rows of ``atoms`` with the coefficients."""
        self.require_elements(atoms)
        rows = self.fitter.rows(atoms)
        energy = rows.energy @ self.coefficients + element_counts([atoms], self.elements)[0] @ self.offsets
        stress = None if rows.stress is None else rows.stress @ self.coefficients
        return Prediction(float(energy), (rows.forces @ self.coefficients).reshape(-1, 3), stress)

    def write(self, folder: Path) -> None:
        """Write coefficients as text with 17 digits, options as JSON."""
        np.savetxt(folder / "coefficients.txt", np.concatenate([self.offsets, self.coefficients]))
        settings = {"elements": self.elements, "options": asdict(self.fitter.options)}
        (folder / "options.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote; `DataError` if it is not there or not readable."""
        try:
            settings = json.loads((folder / "options.json").read_text())
            options = from_table(cls.fitter_type.options_type, settings["options"], "options.json")
            values = np.loadtxt(folder / "coefficients.txt", ndmin=1)
            n_elements = len(settings["elements"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder} holds no readable {cls.adapter} potential ({error}); "
                "give the folder that `export` wrote"
            ) from None
        fitter = cls.fitter_type(settings["elements"], options)
        n_bad = np.count_nonzero(~np.isfinite(values))
        if len(values) != n_elements + fitter.n_columns or n_bad:
            raise DataError(
                f"{folder / 'coefficients.txt'} has {len(values)} numbers, {n_bad} of them NaN or infinite; "
                f"this {cls.adapter} potential needs {n_elements + fitter.n_columns}, all finite: fit it "
                "again, or fetch a whole copy"
            )
        return cls(fitter, Solution(values[n_elements:], values[:n_elements], float("nan")))

    def export(self, folder: Path) -> list[Path]:
        """Write what `write` writes: there is no other native format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return [folder / "coefficients.txt", folder / "options.json"]
