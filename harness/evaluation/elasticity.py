"""Elastic constants of a cubic crystal from the curvature of its energy under strain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.calculators.calculator import Calculator
from ase.units import GPa
from crossprune.harness.contract import FloatArray
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.evaluation.relaxation import energy, relax

STRAIN = 0.004
"""Strain of the finite differences: the error of the second difference (∝ strain²) is below 0.1 %."""
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


def elastic_constants(crystal: Crystal, calculator: Calculator) -> ElasticConstants:
    """Compute C11, C12 and C44 of a crystal at zero pressure.

    The energy density is ½ C11 e² under a uniaxial strain e, (9/2) B e² under e in all directions, and
    ½ C44 (2e)² under a symmetric shear strain e; each curvature is a central second difference. The
    results of a random alloy are means over the three axes.

    Raises
    ------
    PropertyError
        If a relaxation fails.
    """
    axes = range(3) if crystal.is_alloy else range(1)
    c11 = np.mean([_curvature(crystal, calculator, _uniaxial(axis), clamped=False) for axis in axes])
    bulk = _curvature(crystal, calculator, np.eye(3), clamped=False) / 9
    shears = {
        clamped: np.mean([_curvature(crystal, calculator, _shear(axis), clamped=clamped) for axis in axes])
        / 4
        for clamped in (False, True)
    }
    return ElasticConstants(
        float(c11), float((3 * bulk - c11) / 2), float(shears[False]), float(shears[True])
    )


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


def _curvature(crystal: Crystal, calculator: Calculator, mode: FloatArray, *, clamped: bool) -> float:
    """Return the second derivative of the energy density along a strain mode, GPa."""
    energies = []
    for factor in (STRAIN, 0.0, -STRAIN):
        atoms = crystal.smallest()
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + factor * mode), scale_atoms=True)
        if not clamped and len(atoms) > 1:
            atoms = relax(atoms, calculator, fmax=FMAX, steps=STEPS)
        energies.append(energy(atoms, calculator))
    volume = crystal.smallest().get_volume()
    return float((energies[0] - 2 * energies[1] + energies[2]) / STRAIN**2 / volume / GPa)
