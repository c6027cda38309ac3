"""Networks on symmetry functions as a potential: predictions, uncertainty, saving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from ase import Atoms
from crossprune.adapters.nnp import files, n2p2
from crossprune.adapters.nnp.functions import SymmetryFunctions
from crossprune.adapters.nnp.network import Network
from crossprune.harness.contract import FloatArray, Potential, Prediction
from crossprune.harness.errors import DataError

PARAMETERS = "nnp.npz"


class NnpPotential(Potential):
    """Networks of all elements, several sets of them for an ensemble; numpy and numba only.

    Parameters
    ----------
    functions
        Symmetry functions of each element.
    members
        Sets of networks, one network per element of ``functions`` in each.
    offsets
        Energy that is added per element, eV.
    info
        Facts for the results table.
    """

    adapter: ClassVar[str] = "nnp"

    def __init__(
        self,
        functions: SymmetryFunctions,
        members: Sequence[Sequence[Network]],
        offsets: Mapping[str, float],
        info: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(functions.elements, info)
        self.functions = functions
        self.members = tuple(tuple(member) for member in members)
        self.offsets = dict(offsets)

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict one structure with the mean of the ensemble."""
        energies, forces, stresses = self.predict_members(atoms)
        stress = None if stresses is None else stresses.mean(axis=0)
        return Prediction(float(energies.mean()), forces.mean(axis=0), stress)

    def uncertainty(self, atoms: Atoms) -> tuple[float, FloatArray]:
        """Return the ensemble's standard deviation of energy (eV) and forces (eV/Å, shape (n_atoms, 3)).

        Raises
        ------
        DataError
            If there is one network only.
        """
        if len(self.members) < 2:
            raise DataError("one network has no spread; fit with n_networks of at least 2")
        energies, forces, _ = self.predict_members(atoms)
        return float(energies.std(ddof=1)), forces.std(axis=0, ddof=1)

    def predict_members(self, atoms: Atoms) -> tuple[FloatArray, FloatArray, FloatArray | None]:
        """Predict with each member: energies (eV), forces (eV/Å), stresses (eV/Å³), members first."""
        self.require_elements(atoms)
        environment = self.functions.environment(atoms)
        values = self.functions.values(environment)
        kinds = environment.centre_kind
        base = sum(self.offsets[symbol] for symbol in atoms.get_chemical_symbols())
        energies, forces, stresses = [], [], []
        for member in self.members:
            energy, slopes = base, np.zeros_like(values)
            for kind, network in enumerate(member):
                rows = np.flatnonzero(kinds == kind)
                atomic, slopes[rows] = network.evaluate(values[rows])
                energy += float(atomic.sum())
            gradient, virial = self.functions.pull_back(environment, slopes)
            energies.append(energy)
            forces.append(-gradient)
            stresses.append(virial)
        stress = np.array(stresses) / atoms.get_volume() if atoms.pbc.all() else None
        return np.array(energies), np.array(forces), stress

    def write(self, folder: Path) -> None:
        """Write symmetry functions and networks as arrays."""
        files.write(folder / PARAMETERS, self.functions, self.members, self.offsets)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        return cls(*files.read(folder / PARAMETERS))

    def export(self, folder: Path) -> list[Path]:
        """Write n2p2's files in eV and Å; an ensemble as one folder ``member0``, ``member1``, ... each."""
        return n2p2.export(folder, self.functions, self.members, self.offsets)


def read_potential(spec: str) -> NnpPotential:
    """Read a published n2p2 potential: ``folder``, or ``folder:units``; see `n2p2.read`."""
    return NnpPotential(*n2p2.read(spec), {"source": Path(spec.partition(":")[0]).name})
