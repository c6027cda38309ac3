"""What a PACE potential consists of: bonds, basis functions, embedding and reference energies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.ace.radial import Bond
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name

EMBEDDINGS = {"FinnisSinclair": 0, "FinnisSinclairShiftedScaled": 1}
"""Embedding functions by the name they have in PACE's files."""


@dataclass(frozen=True)
class Function:
    """One invariant: a sum over m combinations of products of one to six factors.

    Its value is Re Σ_t weights[t] Π_k A[elements[k], ns[k], ls[k], ms[t][k]]; a product of one factor is
    the bare radial function Σ_j g_n(r_j). n counts from 1, elements are indices.
    """

    elements: tuple[int, ...]
    ns: tuple[int, ...]
    ls: tuple[int, ...]
    ms: tuple[tuple[int, ...], ...]
    weights: FloatArray
    """Shape (n_combinations, n_densities) with the coefficients in them, or (n_combinations, 1) without."""
    inner: tuple[int, ...] | None = None
    """Intermediate L; None if only combinations and weights are known (C-tilde files)."""

    @property
    def rank(self) -> int:
        """Number of factors."""
        return len(self.ns)

    @property
    def order(self) -> tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Key of the order in which PACE's files list functions: rank, elements, n, l, L."""
        return self.rank, self.elements, self.ns, self.ls, self.inner or ()


@dataclass(frozen=True)
class Embedding:
    """How densities become an atom's energy (Lysogorskiy 2021, doi:10.1038/s41524-021-00559-9)."""

    kind: str = "FinnisSinclair"
    parameters: FloatArray = field(default_factory=lambda: np.array([[1.0, 1.0]]))
    """Weight and power of each density: shape (n_densities, 2)."""
    core_cutoff: float = 100000.0
    """Core energy above which the expansion is switched off, eV."""
    core_width: float = 250.0
    """eV."""

    def __post_init__(self) -> None:
        """Refuse what the kernels do not know."""
        if self.kind not in EMBEDDINGS:
            raise DataError(unknown_name("embedding", self.kind, EMBEDDINGS))
        if self.parameters.ndim != 2 or self.parameters.shape[1] != 2 or not len(self.parameters):
            raise DataError(f"{self.kind} needs two parameters per density")


@dataclass(frozen=True)
class Centre:
    """The energy of atoms of one element.

    ``coefficients`` of the functions: shape (n_functions, n_densities), or None where the functions'
    weights hold them; ``reference``: eV, added per atom.
    """

    functions: tuple[Function, ...]
    embedding: Embedding
    coefficients: FloatArray | None = None
    reference: float = 0.0

    def term_weights(self, index: int) -> FloatArray:
        """Return the weights of a function's combinations: shape (n_combinations, n_densities)."""
        weights = self.functions[index].weights
        return weights if self.coefficients is None else weights * self.coefficients[index]


@dataclass(frozen=True)
class AceModel:
    """A PACE potential: elements in the order of its indices, one bond per ordered pair."""

    elements: tuple[str, ...]
    bonds: Mapping[tuple[int, int], Bond]
    centres: tuple[Centre, ...]

    def __post_init__(self) -> None:
        """Check elements and bonds, and that every function finds its radial functions."""
        if unknown := [name for name in self.elements if atomic_numbers.get(name, 0) < 1]:
            raise DataError(f"unknown element {', '.join(unknown)}")
        indices = range(len(self.elements))
        for pair in self.bonds:
            if not all(index in indices for index in pair):
                raise DataError(f"bond {list(pair)} of a potential with {len(self.elements)} elements")
        kinds = {one.inner_type for one in self.bonds.values() if one.core_height or one.inner_cutoff}
        if len(kinds) > 1:
            raise DataError(
                f"bonds mix the inner cutoffs {' and '.join(sorted(kinds))}; PACE has one type per potential"
            )
        for index, centre in enumerate(self.centres):
            for function in centre.functions:
                self._check(index, function, len(centre.embedding.parameters), centre)

    def _check(self, centre: int, function: Function, n_densities: int, owner: Centre) -> None:
        name = f"function n = {list(function.ns)}, l = {list(function.ls)} of {self.elements[centre]}"
        for element, n, l in zip(function.elements, function.ns, function.ls, strict=True):  # noqa: E741
            if element not in range(len(self.elements)):
                raise DataError(f"{name}: there is no element of index {element}")
            bond = self.bonds.get((centre, element))
            if bond is None:
                raise DataError(f"{name}: no bond to {self.elements[element]}")
            n_max, l_max = bond.coefficients.shape[:2]
            if function.rank == 1 and (n > bond.n_base or l):
                raise DataError(f"{name}: only {bond.n_base} radial functions, with l = 0")
            if function.rank > 1 and (n > n_max or l >= l_max):
                raise DataError(f"{name}: the bond ends at n = {n_max}, l = {l_max - 1}")
            if n < 1:
                raise DataError(f"{name}: n counts from 1")
        for ms in function.ms:
            if len(ms) != function.rank or any(abs(m) > top for m, top in zip(ms, function.ls, strict=True)):
                raise DataError(f"{name}: the combination m = {list(ms)} does not fit its l")
        columns = function.weights.shape[1] if owner.coefficients is None else owner.coefficients.shape[1]
        if columns != n_densities:
            raise DataError(f"{name}: {columns} coefficients for {n_densities} densities")

    @property
    def cutoff(self) -> float:
        """Largest cutoff of a bond, Å."""
        return max(bond.cutoff for bond in self.bonds.values())
