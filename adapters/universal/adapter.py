"""Universal models: their features as latent space, and what can be fitted on top of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.blocks import WeightedRows
from crossprune.adapters.linear.fitter import LinearFitter, LinearPotential, Rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.universal.finetuning import parameters_for
from crossprune.adapters.universal.link import Link, link_to, require_known
from crossprune.adapters.universal.options import UniversalOptions
from crossprune.adapters.universal.places import backend_of, place_of, stated, versions_of
from crossprune.adapters.universal.potential import BATCH, UniversalPotential, has_stress, in_box
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    Potential,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)
from crossprune.harness.errors import StudyError, TooFewFrames

NOISE = 1e-3
"""eV/Å; root mean square of forces below which a model's forces are rounding, as in a perfect crystal."""
OF_LINEAR = ("ridge", "regularisation", "reweight")
OF_FINETUNE = ("layers", "epochs", "learning_rate", "batch_size", "validation")


class Universal(Descriptor[UniversalOptions], LinearFitter[UniversalOptions]):
    """A universal model's features as latent space; energies per element, a factor or more fitted on top."""

    name = "universal"
    capabilities = Capabilities(exact_subset_refit=True, masks=True, single=True)
    options_type = UniversalOptions
    distributions: ClassVar[tuple[str, ...]] = ("numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"model": "sevenn:7net-0", "head": "scale"}
    potential_type = UniversalPotential
    fit_options = LinearFitter.fit_options | frozenset(("head", *OF_FINETUNE))
    prepare_options = frozenset({"with_features"})
    blocks = False

    def __init__(
        self,
        elements: Sequence[str],
        options: UniversalOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        """Leave energies of isolated atoms alone: the models were not trained on any."""
        super().__init__(elements, options, None)
        self._place = place_of(self.options)
        self.n_known = 0 if self.options.head == "scale" else 1
        self._n_features: int | None = None

    @classmethod
    def rests_on(cls, options: UniversalOptions) -> dict[str, Any]:
        """Put the content of the weights in place of their name, and leave out where they are computed."""
        found = dataclasses.asdict(options) | dict(stated(options))
        found["with_features"] = options.head == "linear"  # whose rows cost a derivative for each feature
        left_out = ["model", "environment", "device"]
        left_out += [] if options.head == "finetune" else OF_FINETUNE
        left_out += [] if options.head == "linear" else OF_LINEAR
        return {name: one for name, one in found.items() if name not in left_out}

    @classmethod
    def versions(cls, options: UniversalOptions) -> Mapping[str, str] | None:
        """Return the versions in the environment that computes."""
        return versions_of(options)

    @classmethod
    def lineage(cls, options: UniversalOptions) -> str:
        """Tell networks of different authors apart: they are no kin."""
        name, backend, model = backend_of(options)
        return f"{cls.name}:{name}" if backend.one_kin else f"{cls.name}:{name}:{model}"

    @classmethod
    def is_seeded(cls, options: UniversalOptions) -> bool:
        """Fine-tuning draws the order of the structures, and those that stop it early."""
        return options.head == "finetune"

    @classmethod
    def can_mask(cls, options: UniversalOptions) -> bool:
        """Fine-tuning sees whole structures."""
        return options.head != "finetune" and super().can_mask(options)

    @classmethod
    def tuned_inside(cls, options: UniversalOptions) -> UniversalOptions:
        """Only the linear term has a strength that the evidence can choose."""
        if options.head != "linear":
            raise StudyError(f"head {options.head!r} has no regularisation")
        tuned: UniversalOptions = super().tuned_inside(options)
        return tuned

    @property
    def _link(self) -> Link:
        return link_to(self._place)

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the model's features of each atom, as numbers of single precision."""
        return self.features_many([atoms])

    def features_many(self, frames: Sequence[Atoms]) -> FloatArray:
        """Describe several structures, some at a time."""
        link = self._link
        for atoms in frames:
            self._require(atoms, link)
        cutoff = float(link.facts["cutoff"])
        parts = [
            link.compute(in_box(frames[start : start + BATCH], cutoff)).features
            for start in range(0, len(frames), BATCH)
        ]
        return np.concatenate(parts or [np.empty((0, self.n_features))])

    def _require(self, atoms: Atoms, link: Link) -> None:
        require_elements(atoms, self.elements, f"adapter {self.name!r}")
        require_known(atoms, link.facts["elements"], self.options.model)

    @property
    def n_features(self) -> int:
        """Number of features of an atom."""
        if self._n_features is None:
            pair = Atoms([self._link.facts["elements"][0]] * 2, positions=[[0, 0, 0], [0, 0, 2.0]])
            box = in_box([pair], float(self._link.facts["cutoff"]))
            self._n_features = self._link.compute(box).features.shape[1]
        return self._n_features

    @property
    def n_columns(self) -> int:
        """Number of coefficients: of the features if these are fitted, then the factor on the model."""
        return self.n_features + 1 if self.options.head == "linear" else 1

    def rows(self, atoms: Atoms) -> Rows:
        """Return the model's energy, forces and stress, after the derivatives of its summed features."""
        link, with_features = self._link, self.options.head == "linear"
        self._require(atoms, link)
        found = link.compute(in_box([atoms], float(link.facts["cutoff"])), slopes=with_features)
        energy, forces, stress = found.energies, found.forces.reshape(-1, 1), found.stresses.T
        if with_features:
            energy = np.append(found.features.sum(axis=0), energy)
            forces = np.hstack([found.slopes.reshape(len(found.slopes), -1).T, forces])
            stress = np.hstack([found.strained[0].T, stress])
        return Rows(energy, forces, stress if has_stress(atoms) else None)

    def solve(self, rows: WeightedRows) -> Solution:
        """Take the factor from forces alone, c = Σ f·F / Σ f², and then the energies per element."""
        if self.options.head != "linear" and rows.n_offsets == 0:
            raise TooFewFrames("energies per element are fitted, and no chosen frame's energy has a weight")
        if self.options.head != "scale":
            return super().solve(rows)
        predicted = np.concatenate([np.empty(0), *(one[:, 0] for one in rows.forces)])
        labels = np.concatenate([np.empty(0), *rows.force_labels])
        weights = np.repeat(np.square(rows.force_weights), [len(one) for one in rows.forces])
        below = float(np.sum(weights * predicted**2))
        if below <= NOISE**2 * float(weights.sum()):
            raise TooFewFrames(
                "a scale is fitted to forces, and the model's are zero in all chosen frames: choose frames "
                "that are no perfect crystals, with a weight of forces above 0"
            )
        factor = float(np.sum(weights * predicted * labels)) / below
        residual = rows.dense_target - factor * rows.dense[:, 0]
        offsets = np.linalg.lstsq(rows.dense[:, 1:], residual, rcond=None)[0].astype(np.float64)
        return Solution(np.array([factor]), offsets, 1.0)

    def potential(self, solution: Solution) -> UniversalPotential:
        """Make the potential; a factor that is known is 1."""
        coefficients = np.append(solution.coefficients, np.ones(self.n_known))
        made = UniversalPotential(self.elements, self.options, self._place, coefficients, solution.offsets)
        made.info["factor"] = factor = float(coefficients[-1])
        if factor <= 0:
            made.info["warning"] = f"the factor is {factor:.3g}: all forces of the model are turned around"
        return made

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> LinearPotential:
        """Fit the head; fine-tuning begins from the energies per element that fit best."""
        found = super().fit(prepared, subset, weights=weights, rng=rng)
        if self.options.head != "finetune":
            return found
        assert isinstance(found, UniversalPotential)
        parameters, info = parameters_for(self._link, found, prepared, np.sort(subset), weights, rng)
        tuned = UniversalPotential(
            self.elements, self.options, self._place, found.coefficients, found.offsets, parameters
        )
        tuned.info.update(info)
        return tuned

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows; those of a fine-tuned network afresh."""
        if isinstance(potential, UniversalPotential) and potential.parameters:
            return potential.predict_many([prepared.frames[index] for index in indices])
        return super().predict(potential, prepared, indices)


__all__ = ["Universal", "UniversalOptions", "UniversalPotential"]
