"""The energy of two atoms against their distance: spurious minima and the repulsive core."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from crossprune.harness.contract import FloatArray
from crossprune.harness.evaluation.relaxation import energy

NEAREST, FARTHEST, N_POINTS = 0.3, 2.0, 120
"""Range in units of the crystal's distance of neighbours, and points on it."""
NOISE = 1e-4
"""eV; a dip shallower than this is no minimum."""


@dataclass(frozen=True)
class Dimer:
    """What a dimer curve shows."""

    n_minima: int
    """Local minima between the ends; more than one is spurious for an element."""
    core_start: float
    """Å; below this distance the energy falls as the atoms approach, so that they can fuse."""


def dimer_curve(symbols: tuple[str, str], neighbour_distance: float, calculator: Calculator) -> Dimer:
    """Follow the energy of two atoms in the void from 2 down to 0.3 distances of neighbours."""
    distances = np.linspace(NEAREST, FARTHEST, N_POINTS) * neighbour_distance
    energies = []
    for distance in distances:
        atoms = Atoms("".join(symbols), positions=[[0, 0, 0], [distance, 0, 0]])
        energies.append(energy(atoms, calculator))
    return analyse(distances, np.array(energies))


def analyse(distances: FloatArray, energies: FloatArray) -> Dimer:
    """Count minima, and find where the core stops repelling.

    Parameters
    ----------
    distances
        Å, ascending, shape (n,).
    energies
        eV, shape (n,).
    """
    outward = np.diff(energies)
    lowest = _minima(energies)
    core = lowest[0] if len(lowest) else int(np.argmin(energies))
    attractive = np.flatnonzero(outward[:core] > NOISE)
    start = float(distances[attractive[-1] + 1]) if len(attractive) else float(distances[0])
    return Dimer(len(lowest), start)


def _minima(energies: FloatArray) -> list[int]:
    """Indices of local minima that lie deeper than the noise below both sides' maxima."""
    found = []
    for index in range(1, len(energies) - 1):
        if energies[index] < energies[index - 1] and energies[index] <= energies[index + 1]:
            left, right = energies[:index].max(), energies[index + 1 :].max()
            if min(left, right) - energies[index] > NOISE:
                found.append(index)
    return found
