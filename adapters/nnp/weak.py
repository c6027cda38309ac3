"""Displaced copies of structures for weakly supervised losses, projected to symmetry functions.

Takamoto, Zaverkin and Niepert 2024, arXiv 2408.05215: with displacements d, energies should agree with their
Taylor expansion, E(r + d) = E(r) − Σ F(r)·d, and with each other,
E(r + d1) = E(r + d2) − Σ F(r + d2)·(d1 − d2).
Since F·d = −Σ_i dE/dG_i · (∂G_i/∂r · d), each copy needs only its functions and one directional derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.adapters.nnp.functions import SymmetryFunctions
from crossprune.harness.contract import FloatArray, IntArray


@dataclass(frozen=True)
class Displaced:
    """Several draws of displaced copies of a set of frames, atoms concatenated.

    ``first``, ``second``: functions at r + d1 and r + d2; ``toward``: ∂G/∂r(r) · d1; ``between``:
    ∂G/∂r(r + d2) · (d1 − d2). No unit, shape (n_draws, n_atoms, n_functions).
    """

    first: FloatArray
    second: FloatArray
    toward: FloatArray
    between: FloatArray

    @property
    def n_draws(self) -> int:
        """Number of displacements per frame."""
        return len(self.first)

    def pick(self, draw: int, rows: IntArray) -> tuple[FloatArray, ...]:
        """Return the four arrays of some atoms of one draw."""
        return tuple(array[draw, rows] for array in (self.first, self.second, self.toward, self.between))


def displace(
    functions: SymmetryFunctions,
    frames: Sequence[Atoms],
    *,
    displacement: float,
    n_draws: int,
    rng: np.random.Generator,
) -> Displaced:
    """Draw displacements, each component uniform in ±``displacement`` (Å), and describe the copies."""
    draws = []
    for _ in range(n_draws):
        parts = [_one(functions, atoms, displacement, rng) for atoms in frames]
        draws.append([np.concatenate(arrays) for arrays in zip(*parts, strict=True)])
    return Displaced(*(np.stack(arrays) for arrays in zip(*draws, strict=True)))


def _one(
    functions: SymmetryFunctions, atoms: Atoms, displacement: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    d1, d2 = rng.uniform(-displacement, displacement, (2, len(atoms), 3))
    first, second = atoms.copy(), atoms.copy()
    first.positions += d1
    second.positions += d2
    toward = _directional(functions, atoms, d1)[1]
    there, between = _directional(functions, second, d1 - d2)
    return functions.values(functions.environment(first)), there, toward, between


def _directional(
    functions: SymmetryFunctions, atoms: Atoms, direction: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the functions and their derivative along ``direction`` (Å, shape (n_atoms, 3))."""
    environment = functions.environment(atoms)
    description = functions.description(environment)
    along = np.einsum("sxk,sx->sk", description.jacobian, direction[environment.slot_atom])
    return description.values, np.add.reduceat(along, environment.slot_start[:-1])
