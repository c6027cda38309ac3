"""Moment tensor potentials: prediction, saving, export, and published ``.mtp`` files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from ase import Atoms
from ase.data import atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.adapters.mtp.files import read_file, to_text
from crossprune.adapters.mtp.kernels import evaluate
from crossprune.adapters.mtp.model import Model, tables_of
from crossprune.harness.contract import FloatArray, IntArray, Prediction, require_elements
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import species_of
from crossprune.harness.errors import DataError, StudyError

PARAMETERS, SETTINGS = "potential.mtp", "mlip.ini"


def pairs_of(
    atoms: Atoms, elements: Sequence[str], cutoff: float, owner: str
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Return what kernels read of a structure: elements, starts and neighbours, vectors (Å)."""
    require_elements(atoms, elements, owner)
    found = find_neighbours(atoms, cutoff)
    return species_of(atoms, elements), found.starts, found.index, found.vectors


class MtpPotential(LinearPotential):
    """A moment tensor potential, fitted or published.

    Parameters
    ----------
    elements
        Of the species 0, 1, ... of the model.
    model
        Its parameters.
    """

    adapter: ClassVar[str] = "mtp"

    def __init__(
        self, elements: Sequence[str], model: Model, info: Mapping[str, float | str] | None = None
    ) -> None:
        super().__init__(elements, info)
        self.model = model
        self.coefficients, self.offsets = model.coefficients, model.references
        self._tables = tables_of(model.plan, model.radial.coefficients)

    def energies(self, atoms: Atoms) -> FloatArray:
        """Return each atom's energy (eV), shape (n_atoms,)."""
        return self._evaluate(atoms)[0]

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict energy, forces and stress in one pass by the adjoint."""
        energies, forces, virial = self._evaluate(atoms)
        stress = None
        if atoms.pbc.all():
            stress = full_3x3_to_voigt_6_stress(virial / atoms.get_volume())
        return Prediction(float(energies.sum()), forces, stress)

    def _evaluate(self, atoms: Atoms) -> tuple[FloatArray, FloatArray, FloatArray]:
        radial = self.model.radial
        pairs = pairs_of(atoms, self.elements, radial.cutoff, "this mtp potential")
        found: tuple[FloatArray, FloatArray, FloatArray] = evaluate(
            self._tables,
            radial.coefficients,
            radial.min_distance,
            radial.cutoff,
            self.coefficients,
            self.offsets,
            *pairs,
        )
        return found

    def write(self, folder: Path) -> None:
        """Write the ``.mtp`` file."""
        (folder / PARAMETERS).write_text(to_text(self.model, self.elements))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        model, elements = read_file(folder / PARAMETERS)
        if not elements:
            raise DataError(f"{folder / PARAMETERS}: potential_tag does not list the elements")
        return cls(elements, model)

    def export(self, folder: Path) -> list[Path]:
        """Write the ``.mtp`` file, ready for MLIP, and the settings of its interface to LAMMPS."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        (folder / SETTINGS).write_text(f"mtp-filename {PARAMETERS}\nselect FALSE\n")
        return [folder / PARAMETERS, folder / SETTINGS]


def read_potential(spec: str | Path) -> MtpPotential:
    """Read a ``.mtp`` file of the program MLIP.

    Parameters
    ----------
    spec
        The file, or ``FILE:El,El`` with the elements of its species 0, 1, ... Without them they are those
        that ``potential_tag`` lists, as in files written here, or for one species the name of the file.

    Raises
    ------
    DataError
        If the file cannot be read; with the line.
    StudyError
        If the elements are not known, or are not as many as the file's species.
    """
    name, colon, symbols = str(spec).rpartition(":")
    if not colon or Path(str(spec)).is_file():
        name, symbols = str(spec), ""
    path = Path(name)
    model, elements = read_file(path)
    n_species = len(model.references)
    if symbols:
        elements = tuple(word.strip() for word in symbols.split(","))
    elif not elements and n_species == 1:
        elements = (path.stem,)
    bad = [one for one in elements if atomic_numbers.get(one, 0) < 1]
    if len(elements) != n_species or len(set(elements)) != n_species or bad:
        example = ",".join(("Mo", "W", "Ta", "Nb", "V")[:n_species])
        raise StudyError(
            f"'mtp:{spec}': the file has {n_species} species without names, the elements given or found are "
            f"{', '.join(elements) or 'none'}; append one symbol for each, as in mtp:{path.name}:{example}"
        )
    return MtpPotential(elements, model, {"source": path.name})
