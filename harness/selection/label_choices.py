"""Choices by labels alone: they need no descriptor, and cannot say what to label."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_point


def label_spread(
    label: Literal["energies", "mean_forces"],
    candidates: Candidates,
    n_chosen: int,
    rng: np.random.Generator,
) -> IntArray:
    """Spread the choice evenly over one label: farthest points in a single column.

    Energies are those per atom less what the elements explain, so that composition is not chosen by; forces
    the mean lengths in a configuration. Start, ties, given ones and nesting as in `farthest_point`.

    Raises
    ------
    ValueError
        If the candidates carry no such labels.
    """
    values = _labels(label, candidates)
    line = Candidates(values[:, None], np.arange(len(values) + 1), scaling="none", given=candidates.given)
    return farthest_point(line, n_chosen, rng)


def by_force(
    sign: Literal[1, -1], candidates: Candidates, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Take the largest mean forces (sign 1), or the smallest (-1), first; ties are broken at random.

    Larger budgets contain smaller ones.

    Raises
    ------
    ValueError
        If the candidates carry no forces.
    """
    forces = _labels("mean_forces", candidates)
    order, given = candidates.shuffled(rng)
    free = np.delete(order, given)
    return free[np.argsort(-sign * forces[free], kind="stable")][:n_chosen]


def _labels(label: Literal["energies", "mean_forces"], candidates: Candidates) -> FloatArray:
    values: FloatArray | None = getattr(candidates, label)
    if values is None:
        raise ValueError(f"a choice by {label} needs them, and these candidates have none")
    return values


energy_spread = partial(label_spread, "energies")
force_spread = partial(label_spread, "mean_forces")
force_highest = partial(by_force, 1)
force_lowest = partial(by_force, -1)
