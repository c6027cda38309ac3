"""Choose configurations in a latent space: pure functions of features, budget and generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import StudyError

Method = Callable[[FloatArray, IntArray, int, np.random.Generator], IntArray]
"""``(features per atom (n_atoms, k), configuration offsets (n + 1,), n_chosen, rng) -> indices``."""

RANDOM = "random"
"""Name of the base line, as chooser and as method."""


def budget(fraction: float, n_configurations: int) -> int:
    """Return how many configurations a fraction means: rounded to nearest, at least one.

    Raises
    ------
    StudyError
        If the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise StudyError(f"fraction {fraction} is not in (0, 1]; 0.1 keeps 10 % of the training set")
    return min(n_configurations, max(1, int(fraction * n_configurations + 0.5)))


def pool_mean(features: FloatArray, offsets: IntArray) -> FloatArray:
    """Average the atoms of each configuration: shape (n_configurations, k)."""
    sums = np.add.reduceat(features, offsets[:-1], axis=0)
    mean: FloatArray = sums / np.diff(offsets)[:, None]
    return mean


def standardise(points: FloatArray) -> FloatArray:
    """Shift and scale each column to mean 0 and deviation 1; constant columns are dropped."""
    centred = points - points.mean(axis=0)
    deviation = centred.std(axis=0)
    varying = deviation > 1e-12 * np.abs(points).max(axis=0, initial=0.0)
    scaled: FloatArray = centred[:, varying] / deviation[varying]
    return scaled


def random_subset(
    features: FloatArray, offsets: IntArray, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Draw configurations uniformly without replacement; larger budgets contain smaller ones."""
    return rng.permutation(len(offsets) - 1)[:n_chosen]


def farthest_point(
    features: FloatArray, offsets: IntArray, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Pick, again and again, the configuration farthest from all picked ones.

    Distances are Euclidean between standardised means over atoms (Eldar 1997,
    doi:10.1109/83.623193; Imbalzano 2018, doi:10.1063/1.5024611; scikit-matter's implementation).
    The generator shuffles the configurations first: it decides the start and every tie. Larger
    budgets contain smaller ones.
    """
    from skmatter.sample_selection import FPS

    points = standardise(pool_mean(features, offsets))
    order = rng.permutation(len(points))
    if n_chosen >= len(points) or points.shape[1] == 0:
        return order[:n_chosen]
    points = np.pad(points, ((0, 0), (0, 1)))  # scikit-matter refuses a single column
    selector = FPS(n_to_select=n_chosen, initialize=0).fit(points[order])
    return order[np.asarray(selector.selected_idx_[:n_chosen], dtype=np.int64)]


METHODS: dict[str, Method] = {"fps": farthest_point, RANDOM: random_subset}
"""Selection methods by the name that a study uses."""
