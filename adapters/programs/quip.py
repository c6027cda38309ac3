"""QUIP and its conventions: cells around open structures, and the sign and order of virials."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.adapters.programs.libraries import load_own
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import MissingPackage

LOCK = threading.Lock()
"""QUIP keeps Fortran module variables, so only one thread of a process may be inside it."""

MARGIN = 1.5
"""Vacuum beyond the cutoff around a cluster, Å; QUIP's neighbour shell is 1 Å wider than the cutoff."""


def quippy(module: str) -> Any:
    """Import a module of quippy; `MissingPackage` says what to install."""
    try:
        if "quippy" not in sys.modules and (found := find_spec("quippy")) is not None:
            load_own(Path(str(found.origin)).parent, "_quippy*.so")
        return import_module(f"quippy.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("quippy", "f90wrap"):
            raise
        raise MissingPackage("adapter 'gap'", "quippy-ase", "crossprune[gap]") from None


def boxed(atoms: Atoms, cutoff: float) -> Atoms:
    """Copy a structure, with nothing but numbers and positions, into a cell that QUIP can use.

    QUIP needs three cell vectors even where nothing is periodic, and all atoms inside them. Directions that
    are not periodic get a vector perpendicular to the others, longer than the structure by twice the cutoff.
    """
    copy = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    free = np.flatnonzero(~atoms.pbc)
    if len(free) == 0:
        return copy
    cell = np.array(atoms.cell)
    kept = np.flatnonzero(atoms.pbc)
    normals = _complement(cell[kept])
    shift = np.zeros(3)
    for axis, normal in zip(free, normals, strict=True):
        heights = atoms.positions @ normal
        cell[axis] = normal * (np.ptp(heights) + 2 * (cutoff + MARGIN))
        shift += normal * (cutoff + MARGIN - heights.min())
    copy.set_cell(cell)
    copy.translate(shift)
    return copy


def _complement(vectors: FloatArray) -> FloatArray:
    """Return an orthonormal basis perpendicular to ``vectors``: shape (3 - n_vectors, 3)."""
    if len(vectors) == 0:
        return np.eye(3)
    basis: FloatArray = np.linalg.svd(vectors)[2][len(vectors) :]
    return basis


def virial_of(stress: FloatArray, volume: float) -> FloatArray:
    """Return −V·stress (eV, shape (3, 3)) from a stress in Voigt order xx yy zz yz xz xy."""
    xx, yy, zz, yz, xz, xy = -volume * stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def stress_from(virial: FloatArray, volume: float) -> FloatArray:
    """Return the stress (eV/Å³, Voigt order, shape (6,)) from a virial (eV, shape (3, 3))."""
    stress = -(virial + virial.T) / (2 * volume)
    return np.array([stress[0, 0], stress[1, 1], stress[2, 2], stress[1, 2], stress[0, 2], stress[0, 1]])
