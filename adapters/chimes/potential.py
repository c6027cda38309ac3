"""ChIMES force fields: prediction, saving, export, and files of the ChIMES calculator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from ase import Atoms
from crossprune.adapters.chimes.model import KCAL_PER_MOL, Model
from crossprune.adapters.chimes.parameters import Parameters
from crossprune.adapters.chimes.reader import read_file
from crossprune.adapters.chimes.writer import to_text
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.harness.contract import Prediction
from crossprune.harness.errors import DataError

PARAMETERS, SETTINGS = "params.txt", "chimes.json"
SelfImages = Literal["calculator", "once"]


class ChimesPotential(LinearPotential):
    """A ChIMES force field, fitted or read from a published file.

    Parameters
    ----------
    parameters
        The force field.
    self_images
        How clusters count that hold an atom and its own periodic image: ``once`` as all others, or as
        in the reference calculator. It matters only in cells with a lattice vector below the cutoff.
    """

    adapter: ClassVar[str] = "chimes"

    def __init__(
        self,
        parameters: Parameters,
        self_images: SelfImages = "once",
        info: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(sorted(parameters.elements), info)
        self.parameters, self.self_images = parameters, self_images
        self.model = Model(parameters, images_again=self_images == "calculator")
        # The last design column is the penalty: its coefficient is known.
        self.coefficients = np.append(parameters.unique_coefficients * KCAL_PER_MOL, 1.0)
        by_element = dict(zip(parameters.elements, parameters.offsets, strict=True))
        self.offsets = np.array([by_element[element] for element in self.elements]) * KCAL_PER_MOL

    def predict(self, atoms: Atoms) -> Prediction:
        """Evaluate all clusters."""
        self.require_elements(atoms)
        return self.model.predict(atoms)

    def write(self, folder: Path) -> None:
        """Write the parameter file of the ChIMES calculator."""
        (folder / PARAMETERS).write_text(to_text(self.parameters, ["written by crossprune"]))
        (folder / SETTINGS).write_text(json.dumps({"self_images": self.self_images}))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        settings = json.loads((folder / SETTINGS).read_text())
        known = get_args(SelfImages)
        if not isinstance(settings, dict) or settings.get("self_images") not in known:
            raise DataError(f"{folder / SETTINGS}: expected self_images, one of {', '.join(known)}")
        return cls(read_file(folder / PARAMETERS), settings["self_images"])

    def export(self, folder: Path) -> list[Path]:
        """Write the parameter file, ready for the ChIMES calculator and its LAMMPS interface."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PARAMETERS
        path.write_text(to_text(self.parameters, ["written by crossprune"]))
        return [path]


def read_parameters(path: str | Path, *, self_images: SelfImages = "calculator") -> ChimesPotential:
    """Read a parameter file of the ChIMES calculator: a potential in eV and Å.

    Parameters
    ----------
    path
        The file.
    self_images
        ``calculator``: as the reference calculator does, a cluster that holds m images of one atom
        counts m! times. ``once``: every cluster counts once, so that the energy is extensive in any
        cell. The two differ only if a lattice vector is shorter than the cutoff.

    Raises
    ------
    DataError
        If the file is truncated or has something unknown or inconsistent; with the line.
    """
    return ChimesPotential(read_file(Path(path)), self_images, {"self_images": self_images})
