"""Potentials of the PACE kind: prediction, saving, reading and export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from crossprune.adapters.ace.files import read_yace, read_yaml
from crossprune.adapters.ace.kernels import evaluate
from crossprune.adapters.ace.model import AceModel
from crossprune.adapters.ace.pack import pack, pack_embeddings, pack_terms
from crossprune.adapters.ace.text import read_text
from crossprune.adapters.ace.write import write_yace, write_yaml
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.harness.contract import FloatArray, Potential, Prediction
from crossprune.harness.contract.neighbours import Neighbours, find_neighbours
from crossprune.harness.data.frames import species_of
from crossprune.harness.errors import DataError, unknown_name

FORMATS: dict[str, Callable[[Path], tuple[AceModel, dict[str, str]]]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".yace": read_yace,
    ".ace": read_text,
}
"""Reader of each format by the file's ending."""
TILDE, BASIS = "potential.yace", "potential.yaml"


def read_model(path: Path) -> tuple[AceModel, dict[str, str]]:
    """Read a file of any of PACE's formats: the model and its metadata.

    Raises
    ------
    DataError
        With file and place, if the file is missing, truncated or of another format.
    """
    if path.suffix not in FORMATS:
        raise DataError(f"{path}: {unknown_name('format', path.suffix, FORMATS)}")
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    try:
        return FORMATS[path.suffix](path)
    except DataError as error:
        text = str(error)
        raise DataError(text if str(path) in text else f"{path}: {text}") from None
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, MemoryError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(f"{path} cannot be read as {path.suffix}, it is damaged: {reason}") from error


class PacePotential(Potential):
    """A published or fitted PACE potential."""

    adapter: ClassVar[str] = "pace"

    def __init__(self, model: AceModel, info: Mapping[str, float | str] | None = None) -> None:
        super().__init__(model.elements, info)
        self.model = model
        packed, places = pack(model)
        self._packed = packed
        self._terms = pack_terms(model, places, merged=True)
        self._embeddings = pack_embeddings(model)

    def energies(self, atoms: Atoms) -> FloatArray:
        """Return each atom's energy (eV): shape (n_atoms,)."""
        return self._evaluate(atoms)[0]

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict energy, forces and stress in one pass by the adjoint."""
        energies, forces, virial = self._evaluate(atoms)
        stress = full_3x3_to_voigt_6_stress(virial / atoms.get_volume()) if atoms.pbc.all() else None
        return Prediction(float(energies.sum()), forces, stress)

    def _evaluate(self, atoms: Atoms) -> tuple[FloatArray, FloatArray, FloatArray]:
        self.require_elements(atoms)
        found: Neighbours = find_neighbours(atoms, self.model.cutoff)
        result: tuple[FloatArray, FloatArray, FloatArray] = evaluate(
            self._packed,
            self._terms,
            self._embeddings,
            species_of(atoms, self.model.elements),
            found.starts,
            found.index,
            found.vectors,
        )
        return result

    @property
    def has_functions(self) -> bool:
        """Whether the B functions are known, so that a B-basis file can be written."""
        return all(centre.coefficients is not None for centre in self.model.centres)

    def write(self, folder: Path) -> None:
        """Write the B-basis file, or the C-tilde file where the B functions are not known."""
        if self.has_functions:
            write_yaml(self.model, folder / BASIS)
        else:
            write_yace(self.model, folder / TILDE)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        name = BASIS if (folder / BASIS).is_file() else TILDE
        return cls(read_model(folder / name)[0])

    def export(self, folder: Path) -> list[Path]:
        """Write the C-tilde file that LAMMPS's ``pair_style pace`` reads, and if known the B-basis."""
        folder.mkdir(parents=True, exist_ok=True)
        write_yace(self.model, folder / TILDE)
        if not self.has_functions:
            return [folder / TILDE]
        write_yaml(self.model, folder / BASIS)
        return [folder / TILDE, folder / BASIS]


class AcePotential(PacePotential, LinearPotential):
    """A linear ACE fitted here: one density, with its B functions known."""

    adapter: ClassVar[str] = "ace"

    def __init__(self, model: AceModel, info: Mapping[str, float | str] | None = None) -> None:
        super().__init__(model, info)
        blocks = [centre.coefficients for centre in model.centres if centre.coefficients is not None]
        self.coefficients = np.concatenate([block[:, 0] for block in blocks])
        self.offsets = np.array([centre.reference for centre in model.centres])


def read_potential(path: str | Path) -> PacePotential:
    """Read a PACE potential: B-basis ``.yaml``, C-tilde ``.yace`` or ``.ace``.

    Energies are those of the file: C-tilde files carry reference energies; B-basis files carry none
    but those that crossprune writes into its own.

    Raises
    ------
    DataError
        With file and place, if the file is missing, truncated or of another format.
    """
    model, _ = read_model(Path(path))
    return PacePotential(model, {"source": Path(path).name})
