"""Choices by labels alone: they need no descriptor, and cannot say what to label."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from crossprune.harness.contract import IntArray
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
    values = getattr(candidates, label)
    if values is None:
        raise ValueError(f"a spread of {label} needs them, and these candidates have none")
    line = Candidates(values[:, None], np.arange(len(values) + 1), scaling="none", given=candidates.given)
    return farthest_point(line, n_chosen, rng)


energy_spread = partial(label_spread, "energies")
force_spread = partial(label_spread, "mean_forces")
