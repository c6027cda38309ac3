"""Labelled frames as pacemaker's data frame: a pickled pandas table with one row per structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.offsets import element_energies
from crossprune.harness.contract import FloatArray, GroupWeight, Weights
from crossprune.harness.data.frames import element_counts, elements_of, energy_of, forces_of, group_of
from crossprune.harness.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".pckl.gzip"
"""Ending that pacemaker expects of such a file."""
LOWEST, HIGHEST = -20.0, 250.0
"""Energies per atom after subtraction, eV, outside of which pacemaker shifts them by itself."""


def data_frame(frames: Sequence[Atoms], references: Mapping[str, float]) -> pd.DataFrame:
    """Return the columns that pacemaker documents, one row per structure.

    ``ase_atoms`` (bare), ``energy`` (total, eV), ``forces`` (eV/Å, shape (n_atoms, 3)),
    ``energy_corrected`` (total minus ``references``, eV: what pacemaker fits), and ``name``, the group.
    pacemaker.readthedocs.io, "Fitting dataset preparation".
    """
    import pandas as pd  # only here: models are fitted without it

    energies = np.array([energy_of(atoms) for atoms in frames])
    counts = element_counts(frames, tuple(references))
    bare = [Atoms(numbers=a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc) for a in frames]
    columns = {
        "ase_atoms": bare,
        "energy": energies,
        "forces": [forces_of(atoms) for atoms in frames],
        "energy_corrected": energies - counts @ np.array(list(references.values())),
        "name": [group_of(atoms) for atoms in frames],
    }
    return pd.DataFrame(columns)


def loss_weights(
    frames: Sequence[Atoms], weights: Weights, energy_weight: float, force_weight: float
) -> tuple[FloatArray, list[FloatArray], float]:
    """Return pacemaker's weights of energies and of each atom's forces, and its kappa (all dimensionless).

    pacemaker minimises (1 - κ) Σ w_E (ΔE/n)² + κ Σ w_F |ΔF|² with weights that sum to one each
    (Bochkarev 2022, doi:10.1103/PhysRevMaterials.6.013804). With these it is, up to a factor, the sum
    of squares of the linear fit: residuals times ``energy_weight`` or ``force_weight`` and the group's.

    Raises
    ------
    DataError
        If all weights are zero.
    """
    group = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
    energy = np.array([(energy_weight * one.energy) ** 2 for one in group])
    force = np.array([(force_weight * one.forces) ** 2 for one in group])
    sizes = np.array([len(atoms) for atoms in frames])
    all_energy, all_force = float(energy.sum()), float((force * sizes).sum())
    if all_energy + all_force == 0:
        raise DataError("all weights of energies and forces are zero: nothing to fit")
    energy /= all_energy or 1.0
    force /= all_force or 1.0
    per_atom = [np.full(size, weight) for size, weight in zip(sizes, force, strict=True)]
    return energy, per_atom, all_force / (all_energy + all_force)


def write_data_frame(path: Path, table: pd.DataFrame) -> None:
    """Pickle a table as pacemaker reads it, in an environment that may have pandas 2 and no pyarrow.

    Texts are pickled as objects: pandas 3 keeps them, names of columns included, in arrays of pyarrow where
    that is installed, and only pandas 3 reads those.
    """
    plain = table.astype({column: object for column in table.columns if table[column].dtype == "str"})
    plain.columns = plain.columns.astype(object)
    plain.to_pickle(path, compression="gzip", protocol=4)


def write_frames(path: Path, frames: Sequence[Atoms], known: Mapping[str, float] | None = None) -> None:
    """Write labelled frames as pacemaker's data frame; see `element_energies` for ``known``."""
    elements = elements_of(frames)
    energies = element_energies(frames, elements, known)
    write_data_frame(path, data_frame(frames, dict(zip(elements, energies.tolist(), strict=True))))
