"""Equilibrium of a crystal under uniform scaling: lattice parameter, energy, bulk modulus."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.eos import EquationOfState
from ase.units import GPa
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.errors import PropertyError
from crossprune.harness.evaluation.relaxation import energy
from scipy.optimize import minimize_scalar

SCAN = np.linspace(0.88, 1.12, 13)
"""Scales at which a minimum is looked for; 12 % covers the error of any model worth a property."""
EOS_SCALES = np.linspace(0.975, 1.025, 7)
"""Scales of the equation of state, as in the reference calculations of si-pbe."""
SCALE_TOLERANCE = 1e-6
"""Accuracy of the scale: a thousandth of what the published lattice parameters are compared at."""


@dataclass(frozen=True)
class Equilibrium:
    """Scale (dimensionless), volume (Å³/atom) and energy (eV/atom) at the minimum, bulk modulus (GPa)."""

    scale: float
    volume: float
    energy: float
    bulk_modulus: float


def equilibrium(build: Callable[[float], Atoms], calculator: Calculator) -> Equilibrium:
    """Find the minimum of the energy over uniform scaling, and the curvature there.

    The lattice parameter is the minimum of the energy itself; the bulk modulus comes from a fit of
    Birch-Murnaghan's equation (Birch 1947, doi:10.1103/PhysRev.71.809) to seven points around it.

    Parameters
    ----------
    build
        Scale to cell; 1 is near equilibrium.

    Raises
    ------
    PropertyError
        If the energy has no minimum within 12 % of scale 1.
    """

    def per_atom(scale: float) -> float:
        atoms = build(scale)
        return energy(atoms, calculator) / len(atoms)

    scan = np.array([per_atom(float(scale)) for scale in SCAN])
    inner = np.flatnonzero((scan[1:-1] < scan[:-2]) & (scan[1:-1] <= scan[2:])) + 1
    if len(inner) == 0:
        raise PropertyError("the energy has no minimum within 12 % of the expected lattice parameter")
    nearest = int(inner[np.argmin(np.abs(SCAN[inner] - 1))])
    found = minimize_scalar(
        per_atom,
        bounds=(float(SCAN[nearest - 1]), float(SCAN[nearest + 1])),
        method="bounded",
        options={"xatol": SCALE_TOLERANCE},
    )
    scale = float(found.x)
    volumes = [float(build(scale * factor).get_volume()) / len(build(1.0)) for factor in EOS_SCALES]
    energies = [per_atom(float(scale * factor)) for factor in EOS_SCALES]
    return Equilibrium(scale, volumes[len(volumes) // 2], float(found.fun), _bulk_modulus(volumes, energies))


def relaxed_crystal(crystal: Crystal, calculator: Calculator) -> tuple[Crystal, Equilibrium]:
    """Return ``crystal`` at its own lattice parameter; an alloy's atoms stay on the ideal sites."""

    def build(scale: float) -> Atoms:
        return dataclasses.replace(crystal, lattice_parameter=scale * crystal.lattice_parameter).smallest()

    found = equilibrium(build, calculator)
    a = crystal.lattice_parameter * found.scale
    return dataclasses.replace(crystal, lattice_parameter=a), found


def at_volume(build: Callable[[float], Atoms], volume: float) -> Atoms:
    """Return the cell with a volume (Å³ per atom); ``build`` as for `equilibrium`."""
    near = build(1.0)
    return build(float((volume * len(near) / near.get_volume()) ** (1 / 3)))


def _bulk_modulus(volumes: list[float], energies: list[float]) -> float:
    """Fit the equation of state; GPa."""
    try:
        _, _, modulus = EquationOfState(volumes, energies, "birchmurnaghan").fit(warn=False)
    except (RuntimeError, ValueError) as error:
        raise PropertyError(f"the equation of state cannot be fitted: {error}") from None
    return float(modulus / GPa)
