"""Formation and migration of a vacancy in a supercell of fixed volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.mep import NEB
from ase.optimize import FIRE
from crossprune.harness.errors import PropertyError
from crossprune.harness.evaluation.relaxation import energy, relax

FMAX, STEPS = 0.01, 200
"""eV/Å; formation energies then change by less than 1 meV."""
NEB_FMAX, NEB_STEPS, NEB_IMAGES = 0.05, 300, 5
COLLAPSE = 0.35
"""Displacement, in distances of nearest neighbours, from which an atom has left its site."""


@dataclass(frozen=True)
class Vacancy:
    """Formation energies (eV) before and after relaxation, and what is doubtful about it."""

    unrelaxed: float
    relaxed: float
    doubt: str
    atoms: Atoms
    """The relaxed cell with the vacancy."""


def vacancy(perfect: Atoms, calculator: Calculator, neighbour_distance: float) -> Vacancy:
    """Remove atom 0 of an element's supercell and relax the others in the fixed cell.

    E_f = E(N−1) − (N−1)/N · E(N), positive if the vacancy costs energy (Gillan 1989,
    doi:10.1088/0953-8984/1/4/005).

    Parameters
    ----------
    neighbour_distance
        Å; an atom that moves by more than 0.35 of it has left its site, and the doubt says so.

    Raises
    ------
    PropertyError
        If the relaxation fails.
    """
    share = (len(perfect) - 1) / len(perfect) * energy(perfect, calculator)
    start = perfect.copy()
    del start[0]
    unrelaxed = energy(start, calculator) - share
    end = relax(start, calculator, fmax=FMAX, steps=STEPS)
    relaxed = energy(end, calculator) - share
    moved = float(np.linalg.norm(end.positions - start.positions, axis=1).max())
    doubt = ""
    if moved > COLLAPSE * neighbour_distance:
        doubt = f"the vacancy collapsed: an atom moved by {moved:.2f} Å from its site"
    elif relaxed < 0:
        doubt = "the vacancy forms by itself: its formation energy is negative"
    return Vacancy(unrelaxed, relaxed, doubt, end)


def migration_energy(perfect: Atoms, relaxed: Vacancy, calculator: Calculator) -> float:
    """Return the barrier (eV) for the hop of a neighbour into the vacancy.

    Climbing-image nudged elastic band (Henkelman 2000, doi:10.1063/1.1329672) with five moving images.

    Raises
    ------
    PropertyError
        If the vacancy collapsed or the band does not converge.
    """
    if relaxed.doubt:
        raise PropertyError(relaxed.doubt)
    first = relaxed.atoms.copy()
    hopping = int(np.argmin(perfect.get_distances(0, range(1, len(perfect)), mic=True)))
    last = perfect.copy()
    del last[0]
    last.positions[hopping] = perfect.positions[0]
    last = relax(last, calculator, fmax=FMAX, steps=STEPS)
    images = [first, *(first.copy() for _ in range(NEB_IMAGES)), last.copy()]
    for image in images:
        image.calc = calculator
    band = NEB(images, climb=True, allow_shared_calculator=True, method="improvedtangent")
    band.interpolate(mic=True)
    if not FIRE(band, logfile=None, maxstep=0.1).run(fmax=NEB_FMAX, steps=NEB_STEPS):
        raise PropertyError(f"the band did not converge to {NEB_FMAX} eV/Å within {NEB_STEPS} steps")
    energies = [energy(image, calculator) for image in images]
    return float(max(energies) - energies[0])
