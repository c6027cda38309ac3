"""NNP: Behler-Parrinello networks on symmetry functions, fitted to energies, forces and stress."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from ase import Atoms
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Potential,
    Prediction,
    Prepared,
    Weights,
    allocate,
    require_elements,
)
from crossprune.harness.errors import DataError, TooFewFrames
from crossprune.harness.frames import element_counts, energy_of, offsets

if TYPE_CHECKING:
    from crossprune.adapters._nnp_functions import SymmetryFunctions
    from crossprune.adapters._nnp_network import Network
    from crossprune.adapters._nnp_training import Settings

PARAMETERS = "nnp.npz"
CUTOFF_FUNCTIONS = {"cosine": 1, "polynomial": 6}
"""Names of the cutoff functions and their numbers in the kernels and in n2p2's files."""


@dataclass(frozen=True)
class NnpOptions:
    """Symmetry functions, networks and training; docs/families/nnp.md gives equations and reasons."""

    cutoff: float = 5.0
    """Distance at which a neighbour's contribution ends, Å."""
    cutoff_function: Literal["cosine", "polynomial"] = "cosine"
    """How contributions fade: with one or with two continuous derivatives at the cutoff."""
    n_radial: int = 12
    """Radial functions per neighbour element."""
    angular_sharpness: tuple[float, ...] = (1.0, 2.0, 5.0)
    """η of the angular functions times cutoff² (dimensionless)."""
    zetas: tuple[float, ...] = (1.0, 2.0, 4.0, 16.0)
    """Angular resolutions ζ; each is used with λ = 1 and −1."""
    angular: Literal["narrow", "wide"] = "narrow"
    """G4 (three distances) or G5 (two distances)."""
    hidden: tuple[int, ...] = (24, 24)
    """Nodes of the hidden layers."""
    activation: Literal["tanh", "softplus"] = "tanh"
    """Activation of the hidden layers."""
    energy_weight: float = 10.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    force_weight: float = 1.0
    """Weight of a force component, 1/(eV/Å)."""
    stress_weight: float = 0.0
    """Weight of a stress component, 1/(eV/Å³); 0 leaves stress out of the fit."""
    steps: int = 25000
    """Optimiser steps at most, whatever the size of the subset."""
    batch_size: int = 4
    """Configurations per step."""
    learning_rate: float = 5e-3
    """Largest learning rate of Adam."""
    patience: int = 1500
    """Steps without a better validation loss after which the learning rate is halved."""
    validation_fraction: float = 0.1
    """Part of the chosen subset on which the best weights are chosen; it is not trained on."""
    clip: float = 1.0
    """Largest norm of a gradient."""
    whitening: float = 1e-4
    """Relative variance below which a direction of the inputs is not scaled up further."""
    precision: Literal["float64", "float32"] = "float64"
    """Numbers in training; prediction is always in double precision."""
    n_networks: int = 1
    """Networks that are trained from different starts and averaged; their spread is the uncertainty."""
    taylor_weight: float = 0.0
    """Weight of the Taylor consistency relative to that of energies; 1.2 in arXiv 2408.05215."""
    spatial_weight: float = 0.0
    """Weight of the spatial consistency relative to that of energies; 0.01 in arXiv 2408.05215."""
    displacement: float = 0.05
    """Largest displacement component of the weakly supervised terms, Å."""
    n_displacements: int = 16
    """Displaced copies per configuration, drawn once per fit."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("cutoff", "learning_rate", "clip", "whitening", "displacement"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("energy_weight", "force_weight", "stress_weight", "taylor_weight", "spatial_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("n_radial", "steps", "batch_size", "patience", "n_networks", "n_displacements"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden needs at least one layer of at least one node, got {self.hidden}")
        if self.zetas and min(self.zetas) < 1:
            raise ValueError(f"zetas must be at least 1, got {self.zetas}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")


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
        stress = np.array(stresses) / atoms.get_volume() if atoms.cell.rank == 3 and atoms.pbc.all() else None
        return np.array(energies), np.array(forces), stress

    def write(self, folder: Path) -> None:
        """Write symmetry functions and networks as arrays."""
        _module("files").write(self, folder / PARAMETERS)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        return cls(*_module("files").read(folder / PARAMETERS))

    def export(self, folder: Path) -> list[Path]:
        """Write n2p2's files in eV and Å; an ensemble as one folder ``member0``, ``member1``, ... each."""
        return list(_module("n2p2").export(self, folder))


class Nnp(Descriptor[NnpOptions], Fitter[NnpOptions]):
    """Symmetry functions as latent space and as inputs of a network per element."""

    name = "nnp"
    capabilities = Capabilities(seeded=True)
    options_type = NnpOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "torch")
    potential_type = NnpPotential
    smoke: ClassVar[Mapping[str, Any]] = {
        "cutoff": 4.5,
        "n_radial": 5,
        "angular_sharpness": (1.0,),
        "zetas": (1.0, 4.0),
        "hidden": (8, 8),
        "whitening": 1e-3,
        "steps": 100,
    }

    def __init__(
        self,
        elements: Sequence[str],
        options: NnpOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        self.functions: SymmetryFunctions = _module("functions").default_functions(
            self.elements,
            cutoff=self.options.cutoff,
            cutoff_function=CUTOFF_FUNCTIONS[self.options.cutoff_function],
            n_radial=self.options.n_radial,
            angular_sharpness=self.options.angular_sharpness,
            zetas=self.options.zetas,
            narrow=self.options.angular == "narrow",
        )

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the symmetry functions (dimensionless), in a block of columns of the atom's own element.

        Atoms of different elements are seen by different networks; zeros elsewhere keep them apart.
        """
        require_elements(atoms, self.elements, "adapter 'nnp'")
        environment = self.functions.environment(atoms)
        values = self.functions.values(environment)
        own = environment.centre_kind[:, None] == np.arange(len(self.elements))
        features: FloatArray = (own[:, :, None] * values[:, None, :]).reshape(len(atoms), -1)
        return features

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute symmetry functions, their Jacobian and their virials, each frame for itself."""
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'nnp'")
        environments = [self.functions.environment(atoms) for atoms in frames]
        starts, k = offsets(frames), self.functions.n_functions
        slots = np.concatenate([[0], np.cumsum([len(one.slot_atom) for one in environments])]).astype(
            np.int64
        )
        values = allocate(workspace, "values", (int(starts[-1]), k))
        jacobian = allocate(workspace, "jacobian", (int(slots[-1]), 3, k))
        virial = allocate(workspace, "virial", (int(starts[-1]), 6, k))
        slot_start = np.zeros(int(starts[-1]) + 1, dtype=np.int64)
        slot_atom = np.zeros(int(slots[-1]), dtype=np.int64)
        for index, environment in enumerate(environments):
            description = self.functions.description(environment)
            rows = slice(starts[index], starts[index + 1])
            part = slice(slots[index], slots[index + 1])
            values[rows], virial[rows] = description.values, description.virial
            jacobian[part] = description.jacobian
            slot_start[starts[index] : starts[index + 1] + 1] = environment.slot_start + slots[index]
            slot_atom[part] = environment.slot_atom
        arrays = {"values": values, "jacobian": jacobian, "virial": virial}
        return Prepared(frames, arrays | {"slot_start": slot_start, "slot_atom": slot_atom})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> NnpPotential:
        """Train on the chosen frames, a part of which decides when to stop.

        Raises
        ------
        TooFewFrames
            If there are fewer than two frames: one to train on and one to stop by.
        RuntimeError
            If training diverges or ends no better than zero energies and forces.
        """
        if len(subset) < 2:
            raise TooFewFrames(f"adapter 'nnp' needs at least 2 frames, got {len(subset)}")
        training = _module("training")
        frames = [prepared.frames[index] for index in subset]
        base = self._offsets(frames)
        # The subset's own statistics whiten the inputs: nothing outside it is seen.
        data, whitenings = _module("data").training_set(
            self.functions, self.options, prepared, subset, weights, base, rng
        )
        seen = [bool((data.kinds == kind).any()) for kind in range(len(self.elements))]
        settings: Settings = self._settings()
        n_validation = max(1, round(self.options.validation_fraction * len(frames)))
        members, facts = [], []
        for _ in range(self.options.n_networks):
            validation = rng.permutation(len(frames))[:n_validation]
            model = training.Model(
                len(self.elements),
                data.inputs.shape[1],
                hidden=self.options.hidden,
                activation=self.options.activation,
                dtype=data.inputs.dtype,
                rng=rng,
            )
            facts.append(training.train(data, model, settings, validation, rng))
            members.append(model.networks(whitenings, seen))
        info = {key: float(np.mean([fact[key] for fact in facts])) for key in facts[0]}
        return NnpPotential(
            self.functions, members, dict(zip(self.elements, base.tolist(), strict=True)), info
        )

    def _offsets(self, frames: Sequence[Atoms]) -> FloatArray:
        """Return the energy per element (eV): given, or regressed on ``frames``.

        An element that the subset lacks gets the mean of the others.
        """
        if self.isolated_atom_energies is not None:
            missing = sorted(set(self.elements) - set(self.isolated_atom_energies))
            if missing:
                raise DataError(f"no isolated-atom energy of {', '.join(missing)}; give all elements or none")
            return np.array([self.isolated_atom_energies[element] for element in self.elements])
        counts = element_counts(frames, self.elements)
        present = counts.sum(axis=0) > 0
        energies = np.array([energy_of(atoms) for atoms in frames])
        values = np.full(len(self.elements), energies.sum() / counts.sum())
        values[present] = np.linalg.lstsq(counts[:, present], energies, rcond=None)[0]
        return values

    def _settings(self) -> Settings:
        settings: type[Settings] = _module("training").Settings
        names = [field.name for field in dataclasses.fields(settings)]
        return settings(**{name: getattr(self.options, name) for name in names})


def _module(name: str) -> Any:
    """Import a part that needs an optional package; `MissingPackage` names the extra."""
    return import_module(f"crossprune.adapters._nnp_{name}")
