"""GAP's pair kernel: neighbour pairs of a structure, sparse distances, and kernel rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from crossprune.adapters.gap.environments import N_STRAINS, VOIGT
from crossprune.adapters.gap.gap_fit import DISTANCE_DIGITS
from crossprune.adapters.gap.options import GapOptions
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.neighbours import find_neighbours
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class Pairs:
    """Every pair within the cutoff once, images included.

    ``atoms``: the two atoms' indices, shape (n_pairs, 2); ``vectors``: from the first to the second, Å,
    shape (n_pairs, 3).
    """

    atoms: IntArray
    vectors: FloatArray


def find_pairs(atoms: Atoms, cutoff: float) -> Pairs:
    """Find the pairs closer than ``cutoff`` (Å): of each pair and its reverse, one."""
    found = find_neighbours(atoms, cutoff)
    once = found.once()
    return Pairs(np.stack([found.centres[once], found.index[once]], axis=1), found.vectors[once])


@dataclass(frozen=True)
class PairKernel:
    """Squared-exponential kernel of distances between two elements, faded out at the cutoff.

    k(r, r_s) = δ² exp(−(r − r_s)²/2θ²) f(r) f(r_s), summed over both directions of a pair, as QUIP's
    ``distance_2b`` does. Bartók and Csányi 2015, doi:10.1002/qua.24927, section IV.
    """

    elements: tuple[str, str]
    points: FloatArray
    """Sparse distances r_s, Å."""
    cutoff: float
    width: float
    """Width over which f falls from 1 to 0 below the cutoff, Å."""
    delta: float
    theta: float

    def fade(self, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return f and df/dr (1/Å): 1 up to ``cutoff`` − ``width``, then half a cosine."""
        phase = np.clip((distances - self.cutoff) / self.width + 1, 0, 1)
        return (np.cos(np.pi * phase) + 1) / 2, -np.pi / (2 * self.width) * np.sin(np.pi * phase)

    def covariance(self) -> FloatArray:
        """Return the sparse distances' covariance, eV², shape (n_points, n_points)."""
        fade = self.fade(self.points)[0]
        return self._gauss(self.points) * np.outer(fade, fade)

    def _gauss(self, distances: FloatArray) -> FloatArray:
        gauss: FloatArray = self.delta**2 * np.exp(
            -((distances[:, None] - self.points) ** 2) / (2 * self.theta**2)
        )
        return gauss

    def rows(self, pairs: Pairs, numbers: IntArray) -> FloatArray:
        """Return energy, force and strain rows as `Environments.kernel_rows` does."""
        kind = sorted(atomic_numbers[element] for element in self.elements)
        mine = (np.sort(numbers[pairs.atoms], axis=1) == kind).all(axis=1)
        ends, vectors = pairs.atoms[mine], pairs.vectors[mine]
        distances = np.linalg.norm(vectors, axis=1)
        fade, slope = self.fade(distances)
        gauss = 2 * self._gauss(distances) * self.fade(self.points)[0]
        derivative = gauss * (
            slope[:, None] - fade[:, None] * (distances[:, None] - self.points) / self.theta**2
        )
        unit = vectors / distances[:, None]
        arms = np.stack([unit[:, a] * vectors[:, b] for a, b in VOIGT], axis=1)
        result = np.empty((1 + 3 * len(numbers) + N_STRAINS, len(self.points)))
        result[0] = fade @ gauss
        result[1:-N_STRAINS] = _gather(ends, unit, len(numbers)) @ derivative
        result[-N_STRAINS:] = arms.T @ derivative
        return result


def _gather(ends: IntArray, unit: FloatArray, n_atoms: int) -> csr_array:
    """Return the matrix that turns dE/dr of pairs into forces, shape (3 n_atoms, n_pairs)."""
    rows = (3 * ends.T[:, :, None] + np.arange(3)).ravel()
    columns = np.tile(np.repeat(np.arange(len(ends)), 3), 2)
    return csr_array(
        (np.concatenate([unit.ravel(), -unit.ravel()]), (rows, columns)), (3 * n_atoms, len(ends))
    )


def pair_kernels(
    pairs: Sequence[Pairs], numbers: Sequence[IntArray], elements: Sequence[str], options: GapOptions
) -> list[PairKernel]:
    """Place sparse distances evenly between the shortest and the longest that the structures have.

    As `crossprune.adapters.gap.gap_fit.kernels`: one kernel per pair of elements that meets at two distances
    or more, never more points than there are different distances.
    """
    if options.pair_n_sparse == 0 or not pairs:
        return []
    kinds: NDArray[np.int64] = np.concatenate(
        [np.sort(number[pair.atoms], axis=1) for pair, number in zip(pairs, numbers, strict=True)]
    )
    distances = np.linalg.norm(np.concatenate([pair.vectors for pair in pairs]), axis=1)
    symbol = {atomic_numbers[element]: element for element in elements}
    result = []
    for kind in np.unique(kinds, axis=0):
        mine = distances[(kinds == kind).all(axis=1)]
        n_points = min(options.pair_n_sparse, len(np.unique(np.round(mine, DISTANCE_DIGITS))))
        if n_points > 1:
            points = np.linspace(mine.min(), mine.max(), n_points)
            result.append(pair_kernel((symbol[kind[0]], symbol[kind[1]]), points, options))
    return result


def pair_kernel(elements: tuple[str, str], points: FloatArray, options: GapOptions) -> PairKernel:
    """Make the kernel of two elements with given sparse distances (Å)."""
    return PairKernel(
        elements,
        points,
        options.pair_cutoff,
        options.transition_width,
        options.pair_delta,
        options.pair_theta,
    )


__all__ = ["PairKernel", "Pairs", "find_pairs", "pair_kernel", "pair_kernels"]
