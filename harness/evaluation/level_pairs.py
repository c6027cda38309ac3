"""How two levels of theory differ on the same structures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.units import GPa
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.frames import (
    beyond_composition,
    element_counts,
    elements_of,
    group_of,
)
from crossprune.harness.data.structures import first_copies
from crossprune.harness.errors import DataError
from crossprune.harness.evaluation.metrics import labels_of

ALIKE = 1e-3
"""Å; how far files that print few digits may be apart."""
ALL = "all"
"""Row of all structures together."""


@dataclass(frozen=True)
class LevelPair:
    """Two levels on the structures of a group; ``nan`` where there is too little to say."""

    group: str
    n_structures: int
    shift_ev_per_atom: float
    """Mean of target less source energies per atom."""
    shift_low: float
    """Smallest of them."""
    shift_high: float
    """Largest."""
    energy_correlation: float
    """Of energies per atom as they are."""
    referenced_correlation: float
    """After each level's energies per element, regressed on all structures, are subtracted."""
    referenced_mae_mev_per_atom: float
    """Mean absolute difference of energies after referencing."""
    force_mae_ev_per_angstrom: float
    """Mean absolute difference of force components."""
    force_largest_ev_per_angstrom: float
    force_slope: float
    """Of target on source forces, through 0: Σ F_T·F_S / Σ F_S²."""
    force_correlation: float
    stress_mae_gpa: float
    """Mean absolute difference of stress components."""


def level_pairs(source: Sequence[Atoms], target: Sequence[Atoms]) -> list[LevelPair]:
    """Compare two levels on the structures that both have, which may be ordered or turned otherwise.

    Parameters
    ----------
    source, target
        Labelled structures of either level.

    Returns
    -------
    list of LevelPair
        All structures together first, then group by group in the order of the target's.

    Raises
    ------
    DataError
        If they have no structure in common, or atoms of one stand in another order.
    """
    places = first_copies(target, source)
    both = [(source[place], atoms) for place, atoms in zip(places, target, strict=True) if place is not None]
    if not both:
        raise DataError("the two levels have no structure in common: nothing can be compared")
    for low, high in both:
        if not _stand_alike(low, high):
            raise DataError(
                f"a structure {high.get_chemical_formula()} is turned, or its atoms ordered, otherwise in "
                "the two levels, so that forces cannot be compared; write both in one way"
            )
    elements = elements_of(atoms for _, atoms in both)
    lows, highs = ([pair[side] for pair in both] for side in (0, 1))
    beyond = np.array(
        [
            beyond_composition(labels_of(frames).energies, element_counts(frames, elements))
            for frames in (lows, highs)
        ]
    )
    groups = np.array([group_of(atoms) for atoms in highs])
    names = [ALL, *dict.fromkeys(groups.tolist())]
    return [
        _pair(name, lows, highs, beyond, np.flatnonzero((groups == name) | (name == ALL))) for name in names
    ]


def _stand_alike(low: Atoms, high: Atoms) -> bool:
    """Say whether cells are one and atoms stand in one order, wherever the origin lies."""
    if not np.array_equal(low.numbers, high.numbers) or not np.allclose(low.cell, high.cell, atol=ALIKE):
        return False
    shifts = high.positions - low.positions
    apart, _ = find_mic(shifts - shifts[0], low.cell, low.pbc)
    return bool(np.abs(apart).max() < ALIKE)


def _pair(
    group: str, lows: Sequence[Atoms], highs: Sequence[Atoms], beyond: FloatArray, places: IntArray
) -> LevelPair:
    low, high = (labels_of([frames[place] for place in places]) for frames in (lows, highs))
    sizes = np.array([len(highs[place]) for place in places])
    energies = [one.energies / sizes for one in (low, high)]
    shift, forces = energies[1] - energies[0], [one.forces.ravel() for one in (low, high)]
    squares = float(forces[0] @ forces[0])
    stress = np.abs(high.stresses - low.stresses)[~np.isnan(high.stresses - low.stresses)] / GPa
    return LevelPair(
        group=group,
        n_structures=len(places),
        shift_ev_per_atom=float(shift.mean()),
        shift_low=float(shift.min()),
        shift_high=float(shift.max()),
        energy_correlation=_correlation(*energies),
        referenced_correlation=_correlation(*beyond[:, places]),
        referenced_mae_mev_per_atom=float(1e3 * np.abs(beyond[1, places] - beyond[0, places]).mean()),
        force_mae_ev_per_angstrom=float(np.abs(forces[1] - forces[0]).mean()),
        force_largest_ev_per_angstrom=float(np.abs(forces[1] - forces[0]).max()),
        force_slope=float(forces[0] @ forces[1]) / squares if squares else float("nan"),
        force_correlation=_correlation(*forces),
        stress_mae_gpa=float(stress.mean()) if stress.size else float("nan"),
    )


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Return Pearson's correlation; NaN where one does not vary."""
    if len(one) < 3 or min(np.ptp(one), np.ptp(other)) <= 1e-12 * max(np.abs(one).max(), np.abs(other).max()):
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])
