"""A UF3 potential on structures: energies, forces, stress, design rows and features."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import Rows
from crossprune.adapters.uf3 import kernels
from crossprune.adapters.uf3.parameters import Parameters, columns_of
from crossprune.adapters.uf3.tables import tables_of
from crossprune.harness.contract import FloatArray, IntArray, Prediction
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import species_of


class Model:
    """Evaluates `Parameters`; everything is in eV and Å."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self._splines, self._tables, self.n_features = tables_of(parameters)
        columns = columns_of(parameters)
        self.n_columns, self.n_pair = columns.count, columns.n_pair

    def predict(self, atoms: Atoms) -> Prediction:
        """Compute energy, forces and, in a periodic cell, stress."""
        pairs = self._pairs(atoms)
        energies, forces, virial = kernels.evaluate(*pairs, self._splines, self._tables)
        energy = float(energies.sum() + self.parameters.offsets[pairs[0]].sum())
        return Prediction(energy, forces, virial / atoms.get_volume() if atoms.pbc.all() else None)

    def rows(self, atoms: Atoms) -> Rows:
        """Compute the derivatives of energy, forces and stress by the coefficients."""
        energy, forces, virial = kernels.rows(
            *self._pairs(atoms), self._splines, self._tables, self.n_columns
        )
        stress = virial.T / atoms.get_volume() if atoms.pbc.all() else None
        return Rows(energy, forces.transpose(0, 2, 1).reshape(3 * len(atoms), -1), stress)

    def features(self, atoms: Atoms) -> FloatArray:
        """Sum the functions of each atom's pairs and triples: shape (n_atoms, n_features), no unit."""
        found = np.zeros((len(atoms), self.n_features))
        kernels.features(*self._pairs(atoms), self._splines, self._tables, found)
        return found

    def terms(self, features: FloatArray) -> FloatArray:
        """Add up what is of one coefficient, a pair seen from either atom: shape (n_atoms, n_columns)."""
        found = features[:, : self.n_columns].copy()
        columns, start = columns_of(self.parameters), self.n_columns
        for pair, own in zip(self.parameters.pairs, columns.pairs, strict=True):
            used = own[own >= 0]
            if pair.atoms[0] != pair.atoms[1]:
                found[:, used] += features[:, start : start + len(used)]
                start += len(used)
        return found

    def _pairs(self, atoms: Atoms) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        found = find_neighbours(atoms, max(self._tables.reach, self._tables.leg_reach))
        return species_of(atoms, self.parameters.elements), found.starts, found.index, found.vectors
