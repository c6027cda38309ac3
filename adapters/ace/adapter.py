"""ACE: the atomic cluster expansion, linear, with the definitions of PACE potentials."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from crossprune.adapters.ace import pacemaker
from crossprune.adapters.ace.basis import DegreeRule, build_functions, degree
from crossprune.adapters.ace.model import AceModel, Centre, Embedding
from crossprune.adapters.ace.options import AceOptions
from crossprune.adapters.ace.pack import pack, pack_entries, pack_terms
from crossprune.adapters.ace.potential import AcePotential, PacePotential
from crossprune.adapters.ace.radial import Bond
from crossprune.adapters.ace.rows import derivatives, values
from crossprune.adapters.linear.fitter import LinearFitter, LinearPotential, Rows, stress_rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.linear.offsets import element_energies
from crossprune.adapters.programs.pacemaker_program import find_pacemaker
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
    require_weight,
)
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import (
    energy_of,
    forces_of,
    group_of,
    label,
    offsets,
    species_of,
    stress_of,
)
from crossprune.harness.errors import StudyError, TooFewFrames

CUTOFF = 2.0
"""Cutoff over the spacing of atoms; see docs/tuning.md."""


class Ace(Descriptor[AceOptions], LinearFitter[AceOptions]):
    """ACE invariants as latent space and as the basis of a linear model."""

    name = "ace"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True, prior=True)
    options_type = AceOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"cutoff": 4.5, "max_degrees": (6.0, 4.0, 3.0)}
    potential_type = AcePotential
    fit_options = LinearFitter.fit_options | {"smoothness"}
    blocks = False  # condition numbers are 1e8 to 1e12: products of rows would keep no digit

    def __init__(
        self,
        elements: Sequence[str],
        options: AceOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        if self.options.fitter == "pacemaker":
            find_pacemaker()
        limit = self.options.max_functions
        rule = DegreeRule(
            self.options.max_degrees,
            self.options.l_weight,
            max(limit // len(self.elements), 1) if limit else 0,
        )
        self._functions = build_functions(len(self.elements), rule)
        self._columns = len(self._functions) * np.arange(len(self.elements) + 1)
        model = self._model(Solution(np.zeros(self.n_columns), np.zeros(len(self.elements)), 1.0))
        self._packed, places = pack(model)
        self._terms = pack_terms(model, places, merged=False)
        self._entries = pack_entries(self._packed, self._terms, self._columns)
        self._core = PacePotential(model)

    @classmethod
    def is_seeded(cls, options: AceOptions) -> bool:
        """Pacemaker takes a seed; the linear fit here draws nothing."""
        return options.fitter == "pacemaker"

    @property
    def n_columns(self) -> int:
        """Number of coefficients of all elements."""
        return int(self._columns[-1])

    def column_kinds(self) -> IntArray:
        """Return how many neighbours' functions each function is a product of."""
        ranks = [function.rank for function in self._functions]
        return np.tile(np.array(ranks, dtype=np.int64), len(self.elements))

    def prior(self) -> FloatArray:
        """Return (1 + degree)^2p of each function, see ``smoothness``."""
        degrees = np.array([degree(one.ns, one.ls, self.options.l_weight) for one in self._functions])
        return np.tile((1.0 + degrees) ** (2 * self.options.smoothness), len(self.elements))

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoff with the spacing of atoms, Å."""
        return {"cutoff": round(CUTOFF * spacing, 2)}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three cutoffs with weak and strong energies; the strength of the prior is the evidence's."""
        return [
            {"cutoff": round(factor * spacing, 2), "energy_weight": weight}
            for factor in (1.85, 2.0, 2.15)
            for weight in (100.0, 300.0)
        ]

    def features(self, atoms: Atoms) -> FloatArray:
        """Return each atom's invariants, in the columns of its element; 0 elsewhere (dimensionless)."""
        table: FloatArray = values(self._packed, self._terms, self._columns, *self._pairs(atoms))
        return table

    def rows(self, atoms: Atoms) -> Rows:
        """Compute energy, force and stress rows in one pass; see `derivatives`."""
        table, forces, virial = derivatives(
            self._packed, self._terms, self._entries, self._columns, *self._pairs(atoms)
        )
        stress = None
        if atoms.pbc.all():
            stress = stress_rows(virial.T.reshape(3, 3, -1) / atoms.get_volume())
        return Rows(table.sum(axis=0), forces.T, stress)

    def potential(self, solution: Solution) -> AcePotential:
        """Make the potential from its coefficients."""
        return AcePotential(self._model(solution), {"n_functions": float(len(self._functions))})

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute rows, and the core repulsion of frames with atoms inside the core's range.

        pacemaker computes everything by itself; labels and elements are checked only.
        """
        if self.options.fitter == "pacemaker":
            for atoms in frames:
                require_elements(atoms, self.elements, f"adapter {self.name!r}")
                energy_of(atoms)
                forces_of(atoms)
            return Prepared(frames)
        prepared = super().prepare(frames, workspace=workspace)
        core = self._core.predict_many(frames)
        arrays = {"core_energy": core.energies, "core_forces": core.forces, "core_stress": core.stresses}
        return Prepared(frames, {**prepared.arrays, **arrays})

    def fit(  # type: ignore[override]  # what pacemaker fits need not be linear
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> PacePotential:
        """Fit what the core repulsion leaves; ``rng`` gives pacemaker's seed and is not used otherwise."""
        if self.options.fitter == "pacemaker":
            return self._fit_by_pacemaker([prepared.frames[index] for index in subset], weights, rng)
        fitted = super().fit(_without_core(prepared, subset), subset, weights=weights, rng=rng)
        assert isinstance(fitted, AcePotential)
        return fitted

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> AcePotential:
        """Fit what the core repulsion leaves of the rows that are kept.

        Raises
        ------
        StudyError
            If pacemaker fits, which weighs configurations as a whole here.
        """
        if not self.can_mask(self.options):
            raise StudyError("ACE fitted by pacemaker cannot be fitted to the forces of some atoms only")
        alone = _without_core(prepared, subset)
        fitted = super().fit_masked(alone, subset, kept, weights=weights, rng=rng)
        assert isinstance(fitted, AcePotential)
        return fitted

    def fit_from(
        self,
        prepared: Prepared,
        subset: IntArray,
        earlier: Potential,
        *,
        tuned: bool,
        weights: Weights,
        rng: np.random.Generator,
    ) -> LinearPotential:
        """Fit what the core repulsion leaves, which is the same in both models."""
        alone = _without_core(prepared, subset)
        return super().fit_from(alone, subset, earlier, tuned=tuned, weights=weights, rng=rng)

    @classmethod
    def can_start(cls, options: AceOptions) -> bool:
        """Least squares has coefficients to be held to; pacemaker begins as it does."""
        return options.fitter != "pacemaker"

    def group_weights(self, prepared: Prepared, subset: IntArray, folds: IntArray) -> Weights:
        """Choose weights of each group's energies and forces, for what the core repulsion leaves."""
        if self.options.fitter == "pacemaker":
            raise StudyError(
                "adapter 'ace': group weights of a fit by pacemaker would cost a fit for each trial"
            )
        return super().group_weights(_without_core(prepared, subset), subset, folds)

    @classmethod
    def can_mask(cls, options: AceOptions) -> bool:
        """Least squares keeps any rows; what pacemaker fits to are whole configurations."""
        return options.fitter != "pacemaker" and super().can_mask(options)

    @classmethod
    def tuned_inside(cls, options: Any) -> Any:
        """Take the strength of greatest evidence; pacemaker's fits stop where they stop."""
        if options.fitter == "pacemaker":
            raise StudyError("adapter 'ace': pacemaker regularises in its own way")
        return super().tuned_inside(options)

    def _fit_by_pacemaker(
        self, frames: Sequence[Atoms], weights: Weights, rng: np.random.Generator
    ) -> PacePotential:
        if not frames:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        require_weight(
            [group_of(atoms) for atoms in frames],
            weights,
            energy_weight=self.options.energy_weight,
            force_weight=self.options.force_weight,
        )
        energies = element_energies(frames, self.elements, self.isolated_atom_energies)
        task = pacemaker.Task(
            start=self._core.model,
            frames=frames,
            weights=weights,
            references=dict(zip(self.elements, energies.tolist(), strict=True)),
            energy_weight=self.options.energy_weight,
            force_weight=self.options.force_weight,
            seed=int(rng.integers(1, pacemaker.SEED_LIMIT)),
        )
        return pacemaker.fit(task, self.options.pacemaker)

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows and cores, where there are any."""
        if self.options.fitter == "pacemaker":
            return potential.predict_many([prepared.frames[index] for index in indices])
        found = super().predict(potential, prepared, indices)
        atom = offsets(prepared.frames)
        chosen = np.concatenate([np.arange(atom[one], atom[one + 1]) for one in indices])
        return Predictions(
            energies=found.energies + prepared.arrays["core_energy"][indices],
            forces=found.forces + prepared.arrays["core_forces"][chosen],
            stresses=found.stresses + prepared.arrays["core_stress"][indices],
        )

    def _pairs(self, atoms: Atoms) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        require_elements(atoms, self.elements, f"adapter {self.name!r}")
        found = find_neighbours(atoms, self.options.cutoff)
        return species_of(atoms, self.elements), found.starts, found.index, found.vectors

    def _model(self, solution: Solution) -> AceModel:
        size = len(self._functions)
        centres = tuple(
            Centre(
                self._functions,
                Embedding(core_cutoff=100000.0),
                solution.coefficients[size * index : size * (index + 1), None],
                float(solution.offsets[index]),
            )
            for index in range(len(self.elements))
        )
        bonds = {
            (i, j): self._bond(one, other)
            for i, one in enumerate(self.elements)
            for j, other in enumerate(self.elements)
        }
        return AceModel(self.elements, bonds, centres)

    def _bond(self, one: str, other: str) -> Bond:
        options = self.options
        n_base = max(n for function in self._functions for n in function.ns)
        products = [function for function in self._functions if function.rank > 1]
        n_max = max((n for function in products for n in function.ns), default=1)
        l_max = max((l for function in products for l in function.ls), default=0)  # noqa: E741
        radii = covalent_radii[[atomic_numbers[one], atomic_numbers[other]]].sum()
        return Bond(
            np.repeat(np.eye(n_max, n_base)[:, None], l_max + 1, axis=1),
            n_base,
            family=options.radial,
            shape=options.radial_shape,
            cutoff=options.cutoff,
            inner_type="zbl" if options.core_fraction else "density",
            inner_cutoff=options.core_fraction * float(radii),
            inner_width=options.core_width if options.core_fraction else 0.0,
            # The factor on ZBL.
            core_height=1.0 if options.core_fraction else 0.0,
        )


def _without_core(prepared: Prepared, subset: IntArray) -> Prepared:
    """Subtract the core repulsion from the labels of the chosen frames."""
    frames = list(prepared.frames)
    atom = offsets(frames)
    for index in subset:
        if prepared.arrays["core_energy"][index]:
            forces = prepared.arrays["core_forces"][atom[index] : atom[index + 1]]
            stress = stress_of(frames[index])
            frames[index] = label(
                frames[index],
                energy=energy_of(frames[index]) - prepared.arrays["core_energy"][index],
                forces=forces_of(frames[index]) - forces,
                stress=None if stress is None else stress - prepared.arrays["core_stress"][index],
                group=group_of(frames[index]),
            )
    return dataclasses.replace(prepared, frames=frames)
