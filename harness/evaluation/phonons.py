"""Phonon frequencies at the wave vectors that a supercell holds exactly, by finite displacements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.crystals import Crystal, Prototype
from crossprune.harness.errors import MissingPackage, PropertyError

DISPLACEMENT = 0.01
"""Å; phonopy's default, harmonic for any crystal here."""
IMAGINARY = -0.05
"""THz; a frequency below it is imaginary, one above it is zero within the noise of the forces."""
CUBE: Mapping[Prototype, Sequence[Sequence[int]]] = {
    "bcc": [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
    "fcc": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    "diamond": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
}
"""The cubic cell in the vectors of ASE's primitive cell."""
POINTS: Mapping[Prototype, Mapping[str, tuple[float, float, float]]] = {
    "bcc": {"h": (0.5, -0.5, 0.5), "n": (0.0, 0.0, 0.5), "p": (0.25, 0.25, 0.25)},
    "fcc": {"x": (0.5, 0.0, 0.5), "l": (0.5, 0.5, 0.5)},
    "diamond": {"gamma": (0.0, 0.0, 0.0), "x": (0.5, 0.0, 0.5), "l": (0.5, 0.5, 0.5)},
}
"""High-symmetry points in the primitive cell's reciprocal vectors (Setyawan 2010,
doi:10.1016/j.commatsci.2010.05.010)."""


@dataclass(frozen=True)
class Phonons:
    """Frequencies (THz, ascending, imaginary ones negative) per point, and on the supercell's mesh."""

    points: Mapping[str, FloatArray]
    """Point to frequencies, shape (n_branches,)."""
    mesh: FloatArray
    """At all wave vectors that the supercell holds, shape (n_vectors, n_branches)."""


def phonons(crystal: Crystal, calculator: Calculator, repeat: int) -> Phonons:
    """Compute phonons of an element from the forces in a cubic supercell, ``repeat`` cubes along each edge.

    Only wave vectors are reported whose waves fit into the supercell: there, finite displacements give the
    model's frequencies without any assumption on the range of its forces.

    Raises
    ------
    MissingPackage
        If phonopy is not installed.
    PropertyError
        If forces are not finite.
    """
    matrix = repeat * np.array(CUBE[crystal.prototype])
    model = _phonopy(crystal.smallest(), matrix)
    model.generate_displacements(distance=DISPLACEMENT)
    forces = []
    for supercell in model.supercells_with_displacements:
        atoms = Atoms(supercell.symbols, cell=supercell.cell, positions=supercell.positions, pbc=True)
        atoms.calc = calculator
        forces.append(atoms.get_forces())
    if not np.isfinite(forces).all():
        raise PropertyError("forces in the displaced supercell are not finite")
    model.forces = forces
    model.produce_force_constants()
    held = held_points(crystal.prototype, repeat)
    return Phonons(
        {name: _frequencies(model, [point])[0] for name, point in held.items()},
        _frequencies(model, commensurate(matrix)),
    )


def held_points(prototype: Prototype, repeat: int) -> dict[str, tuple[float, float, float]]:
    """Return the high-symmetry points whose waves fit into ``repeat`` cubes along each edge."""
    matrix = repeat * np.array(CUBE[prototype])
    return {
        name: point
        for name, point in POINTS[prototype].items()
        if np.allclose(matrix @ point, np.rint(matrix @ point))
    }


def commensurate(matrix: FloatArray) -> FloatArray:
    """Return all wave vectors, in [0, 1), whose waves fit into the supercell ``matrix``: shape (n, 3)."""
    size = round(abs(np.linalg.det(matrix)))
    steps = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = (steps @ np.linalg.inv(matrix).T) % 1.0
    found: FloatArray = np.unique(np.round(vectors, 9) % 1.0, axis=0)
    return found


def _phonopy(unit: Atoms, matrix: FloatArray) -> Any:
    try:
        from phonopy import Phonopy
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError:
        raise MissingPackage("the phonon spectrum", "the package phonopy", "crossprune[phonons]") from None
    cell = PhonopyAtoms(symbols=unit.get_chemical_symbols(), cell=unit.cell.array, positions=unit.positions)
    return Phonopy(cell, supercell_matrix=matrix.T, primitive_matrix=np.eye(3))


def _frequencies(model: Any, points: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    """Return ascending frequencies at wave vectors, THz, shape (n_points, n_branches)."""
    model.run_qpoints(points)
    return np.sort(model.qpoints.frequencies, axis=1)
