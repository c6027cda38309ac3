"""Descriptors and their derivatives from LAMMPS's POD computes, the virial among them."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import Rows, stress_rows
from crossprune.adapters.pod.basis import Basis
from crossprune.adapters.pod.files import COEFFICIENTS, PARAMETERS, parameters_text
from crossprune.adapters.programs.lammps import Box, Session
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours, require_places
from crossprune.harness.errors import DataError
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

GLOBAL, ATOM, ARRAY, N_ROWS, N_COLUMNS = 0, 1, 2, 4, 5
"""LAMMPS's constants for what ``extract_compute`` returns."""
MARGIN = 0.01
"""Å by which the pair style that makes the neighbour list reaches further than the descriptors."""

GRAZING = 1e-5
"""Å from the inner cutoff within which LAMMPS's radial functions lose their digits: 0 is divided by 0."""
STEP = 1e-4
"""Å by which such pairs are moved to either side; errors: 3e-15 Å²/STEP² of rounding, STEP² of curvature."""


def grazes(basis: Basis, atoms: Atoms) -> bool:
    """Tell whether a pair is so near the inner cutoff that LAMMPS gives noise, or NaN at it.

    Functions are sin(n π x)/(r - r_in) times others, which is smooth. LAMMPS divides as it stands: measured
    forces are off by 1e-5 of their size at 1e-5 Å, 1e-2 at 1e-6 Å, and 1e4 times too large at 1e-9 Å.

    Raises
    ------
    DataError
        If the structure has no places for its atoms; see `require_places`.
    """
    require_places(atoms)
    if basis.inner_cutoff == 0:
        return False
    distances = find_neighbours(atoms, basis.inner_cutoff + GRAZING).distances
    return bool((distances > basis.inner_cutoff - GRAZING).any())


class Describer:
    """Runs the POD computes of LAMMPS with some hyper-parameters.

    ``compute pod/global`` adds forces on images of an atom up by the atom's number, so that no virial can be
    told from them. Here images get numbers, and rows, of their own once LAMMPS has made them: the virial is
    then the sum of position times force, to rounding, at no further pass over the neighbours.

    Parameters
    ----------
    basis
        Hyper-parameters; atom types are numbered as its elements.
    coefficients
        Coefficient file with the environment clusters; empty without them.
    """

    def __init__(self, basis: Basis, coefficients: str = "") -> None:
        self.basis = basis
        self._coefficients = coefficients
        self._session = Session()
        self._folder: Path | None = None
        self._checked = False

    def __getstate__(self) -> dict[str, Any]:
        """Pickle without the temporary folder: another process writes its own."""
        return {**self.__dict__, "_folder": None, "_checked": False}

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the descriptors of each atom, shape (n_atoms, n_descriptors), no unit.

        Raises
        ------
        DataError
            If LAMMPS does not take the structure, or has no finite descriptors of it.
        """
        found: FloatArray = np.mean([self._features(one) for one in self._beside(atoms)], axis=0)
        require_finite(atoms, found)
        return found

    def rows(self, atoms: Atoms) -> Rows:
        """Return the rows of all coefficients but those of the atoms themselves; see `Rows`.

        Raises
        ------
        DataError
            If LAMMPS does not take the structure, or has no finite rows of it.
        """
        found = [self._rows(one) for one in self._beside(atoms)]
        rows = found[0] if len(found) == 1 else _mean(found)
        require_finite(atoms, rows.energy, rows.forces)
        return rows

    def _beside(self, atoms: Atoms) -> list[Atoms]:
        """Return the structure, or one larger and one smaller where a pair is at the inner cutoff."""
        if not grazes(self.basis, atoms):
            return [atoms]
        strain, found = STEP / self.basis.inner_cutoff, []
        for factor in (1 + strain, 1 - strain):
            one = Atoms(
                atoms.numbers, atoms.positions * factor, cell=atoms.cell.array * factor, pbc=atoms.pbc
            )
            found.append(one)
        return found

    def _features(self, atoms: Atoms) -> FloatArray:
        lammps, _ = self._load(atoms)
        self._session.command(f"{self._compute('pod/atom')}\nrun 0 post no", atoms)
        n = len(atoms)
        pointer = lammps.extract_compute("descriptor", ATOM, ARRAY)
        order = np.argsort(lammps.numpy.extract_atom("id", nelem=n))
        return _array(pointer, n, self.basis.n_descriptors)[order]

    def _rows(self, atoms: Atoms) -> Rows:
        n, (lammps, box) = len(atoms), self._load(atoms)
        self._session.command("run 0 post no", atoms)  # makes the images, whose number is needed
        n_all = n + int(lammps.extract_global("nghost"))
        with _counted(lammps, n, n_all):
            self._session.command(self._compute("pod/global"), atoms)
        self._session.command("run 0 post no", atoms)
        n_elements, width = len(self.basis.elements), 1 + self.basis.n_per_element
        self._check(lammps, 1 + 3 * n_all, n_elements * width)
        tags = lammps.numpy.extract_atom("id", nelem=n_all)
        owners = np.array(tags, dtype=np.int64) - 1
        positions = np.array(lammps.numpy.extract_atom("x", nelem=n_all, dim=3))
        tags[n:] = np.arange(n + 1, n_all + 1)
        pointer = lammps.extract_compute("descriptor", GLOBAL, ARRAY)
        tags[n:] = owners[n:] + 1
        table = _array(pointer, 1 + 3 * n_all, n_elements * width)
        return self._folded(box, table, owners, positions)

    def _folded(self, box: Box, table: FloatArray, owners: NDArray[np.int64], positions: FloatArray) -> Rows:
        """Add the rows of images to those of their atoms, turn them back, and sum the virial."""
        n, n_all, n_elements = len(box.positions), len(owners), len(self.basis.elements)
        by_atom = table[1:].reshape(n_all, -1)
        fold = csr_matrix((np.ones(n_all), (owners, np.arange(n_all))), shape=(n, n_all))
        rotation = box.rotation
        folded: FloatArray = np.asarray(fold @ by_atom)
        forces = rotation @ self._without_atoms(folded.reshape(n, 3, -1))
        energy = self._without_atoms(table[0])
        stress = None
        if all(box.pbc):
            virial = (-positions.T @ by_atom).reshape(3, 3, n_elements, -1)[..., 1:].reshape(3, 3, -1)
            tensor = np.einsum("ax,xyk,by->abk", rotation, virial / np.linalg.det(box.cell), rotation)
            stress = stress_rows(tensor)
        return Rows(energy, forces.reshape(3 * n, -1), stress)

    def _without_atoms(self, columns: FloatArray) -> FloatArray:
        """Leave out the coefficients of the atoms themselves, the first of each element."""
        shape = columns.shape[:-1]
        kept = columns.reshape(*shape, len(self.basis.elements), -1)[..., 1:]
        return np.array(kept).reshape(*shape, -1)  # a copy: LAMMPS uses its memory again

    def _load(self, atoms: Atoms) -> tuple[Any, Box]:
        """Load ``atoms`` with a pair style that makes the neighbour list and nothing else."""
        box = self._session.load(atoms, self.basis.elements)
        style = f"pair_style zero {self.basis.cutoff + MARGIN:.17g} nocoeff"
        self._session.command(f"neighbor 0.0 bin\n{style}\npair_coeff * *", atoms)
        return self._session.lammps, box

    def _compute(self, style: str) -> str:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="crossprune-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            (self._folder / PARAMETERS).write_text(parameters_text(self.basis))
            (self._folder / COEFFICIENTS).write_text(self._coefficients)
        coefficients = self._folder / COEFFICIENTS if self._coefficients else ""
        elements = " ".join(self.basis.elements)
        return f'compute descriptor all {style} "{self._folder / PARAMETERS}" "{coefficients}" {elements}'

    def _check(self, lammps: Any, n_rows: int, n_columns: int) -> None:
        """Compare LAMMPS's table with what is expected, once: beyond it there is memory of others.

        Asked for a size, LAMMPS computes the table, so this costs as much as rows.
        """
        if self._checked:
            return
        found = tuple(lammps.extract_compute("descriptor", GLOBAL, which) for which in (N_ROWS, N_COLUMNS))
        if found != (n_rows, n_columns):
            raise RuntimeError(
                f"LAMMPS {lammps.version()} gives POD rows of shape {found}, expected {(n_rows, n_columns)}; "
                "install the version of the package lammps that crossprune was tested with"
            )
        self._checked = True


def _mean(found: list[Rows]) -> Rows:
    """Average rows of structures that differ by little."""
    stresses = [rows.stress for rows in found if rows.stress is not None]
    return Rows(
        np.mean([rows.energy for rows in found], axis=0),
        np.mean([rows.forces for rows in found], axis=0),
        np.mean(stresses, axis=0) if stresses else None,
    )


def require_finite(atoms: Atoms, *arrays: FloatArray) -> None:
    """Raise `DataError` if something that LAMMPS gave is not finite."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise DataError(
            f"LAMMPS's POD descriptors of {atoms.get_chemical_formula()} are not finite: are two atoms much "
            "nearer than the inner cutoff?"
        )


@contextmanager
def _counted(lammps: Any, n_atoms: int, n_rows: int) -> Iterator[None]:
    """Let LAMMPS count images as atoms while a compute sizes its table by their number."""
    extract = lammps.lib.lammps_extract_global
    extract.restype = ctypes.POINTER(ctypes.c_int64)
    pointer = extract(lammps.lmp, b"natoms")
    if pointer[0] != n_atoms:
        raise RuntimeError(f"LAMMPS {lammps.version()} does not keep its number of atoms in 64 bits")
    pointer[0] = n_rows
    try:
        yield
    finally:
        pointer[0] = n_atoms


def _array(pointer: Any, n_rows: int, n_columns: int) -> FloatArray:
    """View one of LAMMPS's arrays; it is the next structure's memory as well."""
    array: FloatArray = np.ctypeslib.as_array(pointer[0], shape=(n_rows, n_columns))
    return array
