"""Energies of low-index faces from slabs."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import surface
from ase.calculators.calculator import Calculator
from crossprune.harness.data.crystals import Crystal, Slab
from crossprune.harness.evaluation.relaxation import energy, relax

FMAX, STEPS = 0.02, 300


THICKNESS = 12.0
"""Å; twice the reach of the models, so that the two faces do not feel each other."""
TOUCHING = 0.01
"""Å; planes or gaps that differ by less count as one."""


def build_slab(crystal: Crystal, slab: Slab) -> Atoms:
    """Cut a slab; without a given number of layers, through the widest gap between planes."""
    unit = crystal.conventional() if slab.cell == "conventional" else crystal.smallest()
    if slab.layers:
        given: Atoms = surface(unit, slab.face, slab.layers, vacuum=slab.vacuum, periodic=True)
        return given
    spacing = crystal.lattice_parameter / float(np.linalg.norm(slab.face))
    layers = int(np.ceil(THICKNESS / spacing))
    atoms: Atoms = surface(unit, slab.face, layers + 1, periodic=True)
    heights = atoms.positions[:, 2] - atoms.positions[:, 2].min()
    planes = np.sort(heights)
    gaps = np.diff(planes[planes < atoms.cell[2, 2] / (layers + 1) + TOUCHING])
    cut = planes[int(np.argmax(gaps > gaps.max() - TOUCHING))] + gaps.max() / 2
    atoms = atoms[(heights > cut) & (heights < cut + atoms.cell[2, 2] * layers / (layers + 1))]
    atoms.center(vacuum=slab.vacuum, axis=2)
    return atoms


def surface_energy(
    crystal: Crystal, slab: Slab, calculator: Calculator, energy_per_atom: float, *, relaxed: bool
) -> float:
    """Return half the excess energy of a slab per area, eV/Å².

    Parameters
    ----------
    crystal
        At the model's own lattice parameter.
    energy_per_atom
        Of the bulk, eV.

    Raises
    ------
    PropertyError
        If the relaxation fails.
    """
    atoms = build_slab(crystal, slab)
    if relaxed:
        atoms = relax(atoms, calculator, fmax=FMAX, steps=STEPS)
    area = np.linalg.norm(np.cross(atoms.cell[0], atoms.cell[1]))
    excess = energy(atoms, calculator) - len(atoms) * energy_per_atom
    return float(excess / (2 * area))
