"""Choices by labels alone: they need no descriptor, and cannot say what to label."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_point


def energy_spread(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Spread the choice evenly over energies: farthest points in the energy per atom.

    Energies are referenced to the elements' (`referenced`), so that composition is not chosen by. Start,
    ties, given ones and nesting as in `farthest_point`.

    Raises
    ------
    ValueError
        If the candidates carry no energies.
    """
    if candidates.energies is None:
        raise ValueError("energy_spread needs energies, and these candidates have none")
    return _spread(candidates, candidates.energies, n_chosen, rng)


def force_spread(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Spread the choice evenly over forces: farthest points in the mean length of a configuration's forces.

    Start, ties, given ones and nesting as in `farthest_point`.

    Raises
    ------
    ValueError
        If the candidates carry no forces.
    """
    if candidates.mean_forces is None:
        raise ValueError("force_spread needs forces, and these candidates have none")
    return _spread(candidates, candidates.mean_forces, n_chosen, rng)


def referenced(energies: FloatArray, counts: FloatArray) -> FloatArray:
    """Return energies per atom less what the elements explain, eV/atom, shape (n_configurations,).

    Parameters
    ----------
    energies
        Of whole configurations, eV, shape (n_configurations,).
    counts
        Atoms of each element, shape (n_configurations, n_elements). The elements' energies are those of
        least squares on these configurations, of least norm where compositions do not tell them apart.
    """
    sizes = counts.sum(axis=1)
    per_atom, shares = energies / sizes, counts / sizes[:, None]
    explained = shares @ np.linalg.lstsq(shares, per_atom, rcond=1e-10)[0]
    left: FloatArray = per_atom - explained
    return left


def _spread(candidates: Candidates, values: FloatArray, n_chosen: int, rng: np.random.Generator) -> IntArray:
    line = Candidates(values[:, None], np.arange(len(values) + 1), scaling="none", given=candidates.given)
    return farthest_point(line, n_chosen, rng)
