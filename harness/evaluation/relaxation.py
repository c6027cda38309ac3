"""Energies of structures under a calculator, as they are or with the atoms relaxed in a fixed cell."""

from __future__ import annotations

import os

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.optimize import FIRE, LBFGS
from crossprune.harness.errors import PropertyError

MAX_FORCE = 100.0
"""eV/Å; a relaxation that meets larger forces has run away."""


def energy(atoms: Atoms, calculator: Calculator) -> float:
    """Return the energy (eV) of ``atoms``, which are left untouched.

    Raises
    ------
    PropertyError
        If it is not finite.
    """
    copy = atoms.copy()
    copy.calc = calculator
    value = float(copy.get_potential_energy())
    if not np.isfinite(value):
        raise PropertyError(f"energy of {atoms.get_chemical_formula()} is not finite")
    return value


def relax(atoms: Atoms, calculator: Calculator, *, fmax: float, steps: int) -> Atoms:
    """Return a copy of ``atoms`` with positions relaxed at fixed cell, carrying the calculator.

    LBFGS with small steps, then FIRE (Bitzek 2006, doi:10.1103/PhysRevLett.97.170201) if it does not
    arrive, as on surfaces with kinks that poor models have.

    Parameters
    ----------
    fmax
        Largest force that is left on an atom, eV/Å.
    steps
        Steps allowed to each of the two.

    Raises
    ------
    PropertyError
        If neither converges, or the model drives the atoms apart.
    """
    copy: Atoms = atoms.copy()
    copy.calc = calculator
    for optimiser in (LBFGS, FIRE):
        if _run(optimiser(copy, logfile=os.devnull, maxstep=0.1), copy, fmax, steps):
            return copy
    force = float(np.abs(copy.get_forces()).max())
    raise PropertyError(
        f"relaxation of {atoms.get_chemical_formula()} did not converge: {force:.3g} eV/Å left after "
        f"{2 * steps} steps, {fmax} asked for"
    )


def _run(optimiser: LBFGS | FIRE, atoms: Atoms, fmax: float, steps: int) -> bool:
    for converged in optimiser.irun(fmax=fmax, steps=steps):
        forces = atoms.get_forces()
        if not (np.abs(forces) < MAX_FORCE).all():
            raise PropertyError(
                f"relaxation of {atoms.get_chemical_formula()} ran away: force of "
                f"{np.abs(forces).max():.3g} eV/Å"
            )
        if converged:
            return True
    return False
