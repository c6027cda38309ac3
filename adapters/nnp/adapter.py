"""NNP: Behler-Parrinello networks on symmetry functions, fitted to energies, forces and stress."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.offsets import element_energies
from crossprune.adapters.nnp import data as gathered
from crossprune.adapters.nnp import training
from crossprune.adapters.nnp.functions import default_functions
from crossprune.adapters.nnp.model import Model
from crossprune.adapters.nnp.options import NnpOptions
from crossprune.adapters.nnp.potential import NnpPotential
from crossprune.adapters.nnp.whitening import Whitening
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Prepared,
    Weights,
    allocate,
    require_elements,
    require_weight,
)
from crossprune.harness.data.frames import group_of, offsets
from crossprune.harness.errors import StudyError, TooFewFrames

CUTOFF_FUNCTIONS = {"cosine": 1, "polynomial": 6}
"""Names of the cutoff functions and their numbers in the kernels and in n2p2's files."""

CUTOFF = 2.2
"""Cutoff over the spacing of atoms; see docs/tuning.md."""


class Nnp(Descriptor[NnpOptions], Fitter[NnpOptions]):
    """Symmetry functions as latent space and as inputs of a network per element."""

    name = "nnp"
    capabilities = Capabilities(seeded=True, metric=True)
    options_type = NnpOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "scipy")
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
        self.functions = default_functions(
            self.elements,
            cutoff=self.options.cutoff,
            cutoff_function=CUTOFF_FUNCTIONS[self.options.cutoff_function],
            n_radial=self.options.n_radial,
            angular_sharpness=self.options.angular_sharpness,
            zetas=self.options.zetas,
            narrow=self.options.angular == "narrow",
        )
        if self.options.n_functions > self.functions.n_functions:
            raise StudyError(
                f"n_functions {self.options.n_functions}: there are {self.functions.n_functions} functions "
                "per element; give fewer, 0 for all of them, or a larger set (n_radial, zetas)"
            )

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoff, and with it all functions, with the spacing of atoms, Å."""
        return {"cutoff": round(CUTOFF * spacing, 2)}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three cutoffs, two numbers of radial functions, two weights of energies."""
        return [
            {"cutoff": round(factor * spacing, 2), "n_radial": n_radial, "energy_weight": weight}
            for factor in (2.0, 2.2, 2.35)
            for n_radial in (12, 14)
            for weight in (10.0, 30.0)
        ]

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

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Whiten functions as for training, by all that can be chosen: what the networks see."""
        k, found = self.functions.n_functions, np.zeros(vectors.shape)
        for kind in range(len(self.elements)):
            mine, block = kinds == kind, slice(kind * k, (kind + 1) * k)
            values = np.asarray(vectors[mine, block])
            whitening = Whitening.of(values, self.options.whitening, self.options.n_functions)
            found[mine, block] = (values - whitening.centre) @ whitening.matrix
        return found

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

        Networks of equal generators start alike, whatever was chosen.

        Raises
        ------
        TooFewFrames
            If there are fewer than two frames: one to train on and one to stop by; or if their groups'
            weights of energies and forces are 0.
        RuntimeError
            If training diverges or ends no better than zero energies and forces.
        """
        if len(subset) < 2:
            raise TooFewFrames(f"adapter 'nnp' needs at least 2 frames, got {len(subset)}")
        # Starts have a stream of their own: they do not depend on how many frames were chosen.
        starts, rng = rng.spawn(2)
        frames, options = [prepared.frames[index] for index in subset], self.options
        require_weight(
            [group_of(atoms) for atoms in frames],
            weights,
            energy_weight=options.energy_weight,
            force_weight=options.force_weight,
        )
        base = element_energies(frames, self.elements, self.isolated_atom_energies)
        # The subset's own statistics whiten the inputs: nothing outside it is seen.
        data, whitenings = gathered.training_set(
            self.functions, self.options, prepared, subset, weights, base, rng
        )
        seen = [bool((data.kinds == kind).any()) for kind in range(len(self.elements))]
        settings = training.Settings(
            **{one.name: getattr(self.options, one.name) for one in dataclasses.fields(training.Settings)}
        )
        wanted = round(self.options.validation_fraction * len(frames))
        n_validation = min(max(1, wanted), len(frames) - 1)
        members, facts = [], []
        for _ in range(self.options.n_networks):
            validation = rng.permutation(len(frames))[:n_validation]
            model = Model(
                len(self.elements),
                data.inputs.shape[1],
                hidden=self.options.hidden,
                activation=self.options.activation,
                dtype=data.inputs.dtype,
                rng=starts,
            )
            facts.append(training.train(data, model, settings, validation, rng))
            members.append(model.networks(whitenings, seen))
        info = {key: float(np.mean([fact[key] for fact in facts])) for key in facts[0]}
        layers = [one for nets in members for net in nets for one in (*net.weights, *net.biases)]
        info["n_parameters"] = float(sum(layer.size for layer in layers))
        return NnpPotential(
            self.functions, members, dict(zip(self.elements, base.tolist(), strict=True)), info
        )
