"""Elastic constants of a cubic crystal from the curvature of its energy under strain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import GPa
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.evaluation.relaxation import energy, relax

STRAIN = 0.004
"""Strain of the finite differences: the error of the second difference (∝ strain²) is below 0.1 %."""
PRESSURE_STRAIN = 0.001
"""Of the first difference: its error is below 0.02 GPa under 10 GPa, and digits do not matter yet."""
FMAX, STEPS = 1e-4, 100
"""The energy's error is quadratic in the force left (eV/Å): below 1e-8 eV for bonds of any stiffness."""


@dataclass(frozen=True)
class ElasticConstants:
    """The independent constants of a cubic crystal, GPa; ``c44_clamped`` without internal relaxation."""

    c11: float
    c12: float
    c44: float
    c44_clamped: float

    @property
    def bulk_modulus(self) -> float:
        """Return B = (C11 + 2 C12) / 3, GPa."""
        return (self.c11 + 2 * self.c12) / 3

    @property
    def shear_modulus(self) -> float:
        """Return the shear modulus, mean of Voigt's and Reuss's bounds, GPa.

        Hill 1952, doi:10.1088/0370-1298/65/5/307: G_V = (C11 − C12 + 3 C44)/5 and
        G_R = 5 (C11 − C12) C44 / (4 C44 + 3 (C11 − C12)).
        """
        difference = self.c11 - self.c12
        voigt = (difference + 3 * self.c44) / 5
        reuss = 5 * difference * self.c44 / (4 * self.c44 + 3 * difference)
        return (voigt + reuss) / 2

    @property
    def instability(self) -> str:
        """Say which of Born's conditions fails (doi:10.1017/S0305004100017138), or return nothing."""
        conditions = {
            "C11 - C12 > 0": self.c11 - self.c12,
            "C11 + 2 C12 > 0": self.c11 + 2 * self.c12,
            "C44 > 0": self.c44,
        }
        failing = [name for name, value in conditions.items() if value <= 0]
        return f"mechanically unstable: {', '.join(failing)} fails" if failing else ""


def elastic_constants(
    crystal: Crystal, calculator: Calculator, *, strain: float = STRAIN
) -> ElasticConstants:
    """Compute C11, C12 and C44 of a crystal at zero pressure.

    The energy density is ½ C11 e² under a uniaxial strain e, (9/2) B e² under e in all directions, and
    ½ C44 (2e)² under a symmetric shear strain e; each curvature is a central second difference. The
    results of a random alloy are means over the three axes.

    Parameters
    ----------
    strain
        The strain e of the differences.

    Raises
    ------
    PropertyError
        If a relaxation fails.
    """
    axes = range(3) if crystal.is_alloy else range(1)

    def mean(modes: Iterable[FloatArray], *, clamped: bool = False) -> float:
        found = [_curvature(crystal, calculator, mode, strain, clamped=clamped) for mode in modes]
        return float(np.mean(found))

    c11, bulk = mean(map(_uniaxial, axes)), mean([np.eye(3)]) / 9
    c44, clamped = (mean(map(_shear, axes), clamped=one) / 4 for one in (False, True))
    return ElasticConstants(c11, (3 * bulk - c11) / 2, c44, clamped)


def stressed_constants(crystal: Crystal, calculator: Calculator) -> tuple[ElasticConstants, float]:
    """Compute C11, C12 and C44 of a crystal that is held at a lattice parameter, and its pressure (GPa).

    Under a pressure P the curvatures of the energy are not how the stress responds to strain. By the
    curvatures E of `elastic_constants` the response is C11 = E11, C12 = E12 + P and C44 = E44 − P/2: that
    is B11 = C̃11 − P, B12 = C̃12 + P and B44 = C̃44 − P (Wallace 1967, doi:10.1103/PhysRev.162.776), where
    C̃ are curvatures in Lagrangian strain, of which E11 = C̃11 − P, E12 = C̃12 and E44 = C̃44 − P/2.

    Raises
    ------
    PropertyError
        If a relaxation fails.
    """
    curvatures = elastic_constants(crystal, calculator)
    strains = (PRESSURE_STRAIN * np.eye(3), -PRESSURE_STRAIN * np.eye(3))
    larger, smaller = (energy(_strained(crystal, strain), calculator) for strain in strains)
    pressure = float((smaller - larger) / (6 * PRESSURE_STRAIN) / crystal.smallest().get_volume() / GPa)
    response = ElasticConstants(
        curvatures.c11,
        curvatures.c12 + pressure,
        curvatures.c44 - pressure / 2,
        curvatures.c44_clamped - pressure / 2,
    )
    return response, pressure


def _uniaxial(axis: int) -> FloatArray:
    strain = np.zeros((3, 3))
    strain[axis, axis] = 1.0
    return strain


def _shear(axis: int) -> FloatArray:
    """Shear in the plane perpendicular to ``axis``."""
    strain = np.zeros((3, 3))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    strain[one, other] = strain[other, one] = 1.0
    return strain


def _strained(crystal: Crystal, strain: FloatArray) -> Atoms:
    atoms = crystal.smallest()
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return atoms


def _curvature(
    crystal: Crystal, calculator: Calculator, mode: FloatArray, strain: float, *, clamped: bool
) -> float:
    """Return the second derivative of the energy density along a strain mode, GPa."""
    energies = []
    for factor in (strain, 0.0, -strain):
        atoms = _strained(crystal, factor * mode)
        if not clamped and len(atoms) > 1:
            atoms = relax(atoms, calculator, fmax=FMAX, steps=STEPS)
        energies.append(energy(atoms, calculator))
    volume = crystal.smallest().get_volume()
    return float((energies[0] - 2 * energies[1] + energies[2]) / strain**2 / volume / GPa)
