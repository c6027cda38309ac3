"""A ChIMES force field in the form of arrays: energies, forces, stress, design rows and features."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from ase import Atoms, units
from crossprune.adapters.chimes import kernels
from crossprune.adapters.chimes.clusters import Int32Array, Neighbours, clusters, half_neighbours
from crossprune.adapters.chimes.parameters import BODIES, ClusterType, Parameters, pairs_of
from crossprune.adapters.linear.fitter import Rows
from crossprune.harness.contract import FloatArray, IntArray, Prediction

KCAL_PER_MOL = units.kcal / units.mol
"""One kcal/mol in eV."""


class Model:
    """Evaluates `Parameters`; everything outside is in eV and Å.

    The last design column is the penalty, whose coefficient is always 1 (in eV).

    Parameters
    ----------
    parameters
        The force field.
    images_again
        Predict as the reference calculator does, which counts a cluster that holds an atom and its own
        periodic image once per order of the images; otherwise every cluster counts once.
    """

    def __init__(self, parameters: Parameters, *, images_again: bool = False) -> None:
        self.parameters = parameters
        self.images_again = images_again
        n_types = len(parameters.elements)
        self.tables: dict[int, kernels.Tables] = {}
        self.reaches: dict[int, FloatArray] = {}
        column = 0
        for body in BODIES:
            if not parameters.clusters[body]:
                continue
            self.tables[body], self.reaches[body] = tables_of(parameters, body, column)
            column = int(self.tables[body].first[-1])
        self.n_columns = column + 1
        self.penalty_reach = np.zeros((n_types, n_types))
        for pair in parameters.clusters[2]:
            first, second = pair.atoms
            reach = pair.inner[0] + parameters.penalty_distance
            self.penalty_reach[first, second] = self.penalty_reach[second, first] = reach
        self.reaches[2] = np.maximum(self.reaches[2], self.penalty_reach)
        self.reach = max(float(reach.max()) for reach in self.reaches.values())
        self.feature_starts, self.n_features = feature_columns(parameters, self.tables)

    def predict(self, atoms: Atoms) -> Prediction:
        """Compute energy, forces and, in a periodic cell, stress."""
        species, neighbours = self._surroundings(atoms)
        forces, virial = np.zeros((len(atoms), 3)), np.zeros(6)
        energy = float(np.sum(np.array(self.parameters.offsets)[species]))
        for body, tables in self.tables.items():
            members = clusters(neighbours, species, self.reaches[body], body)
            common = members, neighbours.atoms, neighbours.vectors, species
            energy += kernels.evaluate(*common, tables, self.images_again, forces, virial)
            if body == 2:
                scale = self.parameters.penalty_scale
                again = self.images_again
                energy += kernels.repel(*common, self.penalty_reach, scale, again, forces, virial)
        stress = virial * KCAL_PER_MOL / atoms.get_volume() if all(atoms.pbc) else None
        return Prediction(energy * KCAL_PER_MOL, forces * KCAL_PER_MOL, stress)

    def rows(self, atoms: Atoms) -> Rows:
        """Compute the derivatives of energy, forces and stress by the coefficients in eV."""
        species, neighbours = self._surroundings(atoms)
        energy = np.zeros(self.n_columns)
        forces = np.zeros((len(atoms), 3, self.n_columns))
        virial = np.zeros((6, self.n_columns))
        for body, tables in self.tables.items():
            members = clusters(neighbours, species, self.reaches[body], body)
            common = members, neighbours.atoms, neighbours.vectors, species
            kernels.rows(*common, tables, energy, forces, virial)
            if body == 2:
                scale = self.parameters.penalty_scale * KCAL_PER_MOL
                push, strain = np.zeros((len(atoms), 3)), np.zeros(6)
                energy[-1] = kernels.repel(*common, self.penalty_reach, scale, False, push, strain)
                forces[:, :, -1], virial[:, -1] = push, strain
        stress = virial / atoms.get_volume() if all(atoms.pbc) else None
        return Rows(energy, forces.reshape(3 * len(atoms), -1), stress)

    def features(self, atoms: Atoms) -> FloatArray:
        """Share each cluster's terms among its atoms: shape (n_atoms, n_features), no unit."""
        species, neighbours = self._surroundings(atoms)
        features = np.zeros((len(atoms), self.n_features))
        for body, tables in self.tables.items():
            members = clusters(neighbours, species, self.reaches[body], body)
            common = members, neighbours.atoms, neighbours.vectors, species
            kernels.features(*common, tables, self.feature_starts[body], features)
        return features

    def terms(self, features: FloatArray) -> FloatArray:
        """Add up the features that are of one coefficient: shape (n_atoms, n_columns less the penalty)."""
        column = np.empty(self.n_features, dtype=np.int64)
        for body, tables in self.tables.items():
            for kind, starts in enumerate(self.feature_starts[body]):
                first, last = int(tables.first[kind]), int(tables.first[kind + 1])
                for atom in set(self.parameters.clusters[body][kind].atoms):
                    column[starts[atom] : starts[atom] + last - first] = np.arange(first, last)
        found = np.zeros((len(features), self.n_columns - 1))
        for place, target in enumerate(column.tolist()):
            found[:, target] += features[:, place]
        return found

    def _surroundings(self, atoms: Atoms) -> tuple[Int32Array, Neighbours]:
        number = {symbol: index for index, symbol in enumerate(self.parameters.elements)}
        species = np.array([number[symbol] for symbol in atoms.get_chemical_symbols()], dtype=np.int32)
        return species, half_neighbours(atoms, self.reach)


def tables_of(parameters: Parameters, body: int, column: int) -> tuple[kernels.Tables, FloatArray]:
    """Lay out the cluster types of one body order; their first design column is ``column``.

    Returns
    -------
    tuple
        The tables, and the largest cutoff of each pair of atom types, Å, shape (n_types, n_types).
    """
    types, n_types = parameters.clusters[body], len(parameters.elements)
    lookup, slots = codes_of(types, n_types, body)
    n_degrees = 1 + max((int(one.degrees.max(initial=0)) for one in types), default=0)
    dense = np.zeros((len(types), n_degrees ** len(pairs_of(body))))
    reach = np.zeros((n_types, n_types))
    columns, first = [np.empty(0, dtype=np.int64)], [column]
    for kind, one in enumerate(types):
        place = np.zeros(len(one.degrees), dtype=np.int64)
        for p in range(one.degrees.shape[1]):
            place = place * n_degrees + one.degrees[:, p]
        np.add.at(dense[kind], place, one.coefficients)
        numbers, inverse = np.unique(one.parameter, return_inverse=True)
        columns.append(inverse.astype(np.int64))
        first.append(first[-1] + len(numbers))
        for (i, j), outer in zip(pairs_of(body), one.outer, strict=True):
            a, b = one.atoms[i], one.atoms[j]
            reach[a, b] = reach[b, a] = max(reach[a, b], outer if len(one.degrees) else 0.0)
    geometry = [list(zip(one.inner, one.outer, one.morse, strict=True)) for one in types]
    tables = kernels.Tables(
        n_types=n_types,
        smoothing=kernels.CUBIC if parameters.smoothing == "CUBIC" else kernels.TERSOFF,
        fraction=float(parameters.fraction),
        lookup=lookup,
        slots=slots,
        geometry=np.array(geometry, dtype=np.float64).reshape(len(types), -1, 3),
        n_degrees=n_degrees,
        dense=dense,
        terms=np.cumsum([0] + [len(one.degrees) for one in types], dtype=np.int64),
        degrees=np.ascontiguousarray(np.concatenate([one.degrees for one in types])),
        columns=np.concatenate(columns),
        first=np.array(first, dtype=np.int64),
    )
    return tables, reach


def codes_of(types: tuple[ClusterType, ...], n_types: int, body: int) -> tuple[IntArray, IntArray]:
    """Tell for every sequence of atom types which cluster type it is and who takes which place."""
    lookup = np.full(n_types**body, -1, dtype=np.int64)
    slots = np.zeros((n_types**body, body), dtype=np.int64)
    for code, species in enumerate(product(range(n_types), repeat=body)):
        for kind, one in enumerate(types):
            if sorted(species) == sorted(one.atoms) and len(one.degrees):
                lookup[code] = kind
                slots[code] = next(
                    order
                    for order in permutations(range(body))
                    if all(species[m] == atom for m, atom in zip(order, one.atoms, strict=True))
                )
    return lookup, slots


def feature_columns(
    parameters: Parameters, tables: dict[int, kernels.Tables]
) -> tuple[dict[int, IntArray], int]:
    """Number the features: for each atom type all cluster types that contain it."""
    starts = {
        body: np.zeros((len(table.first) - 1, table.n_types), np.int64) for body, table in tables.items()
    }
    total = 0
    for atom in range(len(parameters.elements)):
        for body, table in tables.items():
            for kind, one in enumerate(parameters.clusters[body]):
                if atom in one.atoms:
                    starts[body][kind, atom] = total
                    total += int(table.first[kind + 1] - table.first[kind])
    return starts, total
