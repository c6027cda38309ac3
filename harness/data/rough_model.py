"""A rough model fitted to the forces alone: what energies and stresses they imply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import forces_of
from scipy.sparse import csc_matrix

CUTOFF = 6.0
"""Å; two shells of neighbours of most elements."""
CENTRES = np.linspace(0.8, 5.6, 13)
"""Å; of the Gaussians of the pair terms, and their width below: smooth on the scale of a bond."""
WIDTH = 0.45
DECAYS = (0.5, 1.0)
"""Å; of the densities whose roots and squares bind (Finnis and Sinclair, Phil. Mag. A 50, 45 (1984),
doi:10.1080/01418618408244210)."""
POWERS = (0.5, 2.0)
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
RIDGE = 1e-6


def implied(frames: Sequence[Atoms]) -> tuple[FloatArray, FloatArray, float]:
    """Fit pair and embedding terms to the forces; return implied energies, stresses, and the agreement.

    Returns
    -------
    tuple
        Energies up to offsets per element, shape (n_frames,); stresses per volume, shape (n_frames, 6),
        Voigt, positive = tension; and the share of the forces' variance that the model explains. Units
        follow the forces'.
    """
    kinds = sorted({int(number) for atoms in frames for number in atoms.numbers})
    blocks = [_rows(atoms, kinds) for atoms in frames]
    rows = np.concatenate([forces for _, forces, _ in blocks])
    labels = np.concatenate([forces_of(atoms).ravel() for atoms in frames])
    scale = np.linalg.norm(rows, axis=0)
    scale[scale < 1e-9 * scale.max()] = np.inf
    gram = (rows / scale).T @ (rows / scale) + RIDGE * np.eye(rows.shape[1])
    coefficients = np.linalg.solve(gram, (rows / scale).T @ labels) / scale
    rest = labels - rows @ coefficients
    agreement = 1.0 - float(rest @ rest) / float(labels @ labels)
    energies = np.array([energy @ coefficients for energy, _, _ in blocks])
    stresses = np.array([stress @ coefficients for _, _, stress in blocks])
    return energies, stresses, agreement


def _rows(atoms: Atoms, kinds: Sequence[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what each term gives: energy (n,), forces (3 n_atoms, n), stress (6, n)."""
    found = find_neighbours(atoms, CUTOFF)
    first, second, distances, vectors = found.centres, found.index, found.distances, found.vectors
    unit = vectors / distances[:, None]
    pairs = np.arange(len(first))
    places = [3 * atom[:, None] + np.arange(3) for atom in (first, second)]
    shape = (3 * len(atoms), len(first))
    columns = np.repeat(pairs, 3)
    pull = csc_matrix((unit.ravel(), (places[0].ravel(), columns)), shape)
    pull = pull - csc_matrix((unit.ravel(), (places[1].ravel(), columns)), shape)
    virial = unit[:, VOIGT[0]] * vectors[:, VOIGT[1]]
    energy, forces, stress = [], [], []
    for one in _terms(atoms, kinds, first, second, distances):
        energy.append(one.energy)
        forces.append(np.asarray(pull[:, one.pairs] @ one.slopes))
        stress.append(virial[one.pairs].T @ one.slopes)
    volume = atoms.get_volume() if atoms.pbc.all() else np.inf
    return np.concatenate(energy), np.hstack(forces), np.hstack(stress) / volume


@dataclass(frozen=True)
class _Term:
    """Terms that the same directed pairs carry."""

    pairs: IntArray
    energy: FloatArray
    """Energy of each term, shape (n,)."""
    slopes: FloatArray
    """Its change with each pair's distance, shape (n_pairs, n)."""


def _terms(
    atoms: Atoms, kinds: Sequence[int], first: IntArray, second: IntArray, distances: FloatArray
) -> Iterator[_Term]:
    """Yield pair terms per pair of elements, then embedding terms per element."""
    kind = np.searchsorted(kinds, atoms.numbers)
    low, high = np.sort([kind[first], kind[second]], axis=0)
    fade = 0.5 * (1 + np.cos(np.pi * distances / CUTOFF))
    fading = -0.5 * np.pi / CUTOFF * np.sin(np.pi * distances / CUTOFF)
    away = (distances[:, None] - CENTRES) / WIDTH
    bump = np.exp(-0.5 * away**2)
    values, slopes = bump * fade[:, None], bump * (fading[:, None] - fade[:, None] * away / WIDTH)
    for one, other in combinations_with_replacement(range(len(kinds)), 2):
        chosen = np.flatnonzero((low == one) & (high == other))
        yield _Term(chosen, 0.5 * values[chosen].sum(axis=0), 0.5 * slopes[chosen])
    for decay in DECAYS:
        share = np.exp(-distances / decay)
        density = np.bincount(first, share * fade, len(atoms))
        change = share * (fading - fade / decay)
        for power in POWERS:
            outer = power * np.where(density > 0, density, 1.0) ** (power - 1)
            for one in range(len(kinds)):
                chosen = np.flatnonzero(kind[first] == one)
                energy = np.array([(density[kind == one] ** power).sum()])
                yield _Term(chosen, energy, (outer[first[chosen]] * change[chosen])[:, None])
