"""How near what is tested lies to what is trained on, in a latent space: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray
from scipy import stats

TWIN = 0.01
"""Distance over the typical one of nearest training configurations below which two are twins; of published
sets, copies by symmetry lie at 1e-7 to 8e-3, and other pairs of silicon from 0.05 on."""
BLIND = 1e-6
"""The same, over the size of the space: what is nearer is one point."""
N_NEAREST = 64
"""Neighbours kept of each configuration: in a draw that trains on a half, one of them is in train."""
N_DRAWS = 199
"""Draws of a null; its ends move by a tenth of its width."""
BLOCK_MB = 64
"""Memory of the distances that are held at once."""


@dataclass(frozen=True)
class Nearness:
    """How a tested part lies beside training."""

    n_tested: int
    n_train: int
    twins: int
    """Tested configurations with a training one so near that they are the same for this space."""
    nearer: float
    """Of a tested and a training configuration drawn at random: how often the tested one is nearer to the
    others in training. A half if the part is a random draw."""
    redrawn_low: float
    redrawn_high: float
    """Where 95 % of random draws of the part put ``nearer``."""
    of_group_split: float
    """Median distance to training, over that with each one's own group held out; NaN without groups."""
    by_chance: float
    """What this is at least in 97.5 % of draws if groups mean nothing."""
    tells: bool
    """Whether most training configurations differ from all others in this space."""


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """What is nearest to each configuration."""

    order: IntArray
    """Nearest others, nearest first, shape (n, `N_NEAREST`)."""
    distances: FloatArray
    """To them."""

    def to(self, allowed: NDArray[np.bool_]) -> FloatArray:
        """Return the distance of each to its nearest allowed one; to the last neighbour if it is farther.

        Parameters
        ----------
        allowed
            Shape (n,), or (n, `N_NEAREST`) where it is another set for each.
        """
        marks = allowed[self.order] if allowed.ndim == 1 else allowed
        first = np.where(marks.any(axis=1), marks.argmax(axis=1), marks.shape[1] - 1)
        found: FloatArray = self.distances[np.arange(len(first)), first]
        return found


def nearness(
    points: FloatArray, is_tested: NDArray[np.bool_], groups: Sequence[str], rng: np.random.Generator
) -> Nearness:
    """Compare the distances of tested configurations to training with those within training.

    Distances alone say little: where frames are alike, all are small. So there are two yardsticks. Other
    draws of the part out of both, at random: a part that lies nearer than these holds copies of what is
    trained on, one that lies farther is of another kind. And the same configurations with their own group
    held out: where frames of a trajectory resemble each other, a random draw lies much nearer than that,
    and its errors are those of interpolation between neighbours (for maps: Meyer & Pebesma 2021,
    doi:10.1111/2041-210X.13650). What groups that mean nothing would do is found by permuting their names.

    Parameters
    ----------
    points
        Scaled and pooled, of training and the tested part, shape (n, k).
    is_tested
        Which of them are tested, shape (n,).
    groups
        Group of each; empty where not known.
    rng
        Draws and permutes.

    Raises
    ------
    ValueError
        If nothing is tested, or fewer than two are trained on.
    """
    n, n_tested = len(points), int(is_tested.sum())
    if not n_tested or n - n_tested < 2:
        raise ValueError(f"{n_tested} tested and {n - n_tested} training configurations; at least 1 and 2")
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1] if len(groups) else np.zeros(n, np.int64)
    known, in_train, elsewhere = _look(points, is_tested, numbers)
    tested, train = in_train[is_tested], in_train[~is_tested]
    apart = train[train > BLIND * _size(points)]
    typical = float(np.median(apart)) if len(apart) else 0.0
    redrawn = [_redrawn(known, is_tested, rng) for _ in range(N_DRAWS)]
    low, high = np.quantile(redrawn, [0.025, 0.975])
    ratio = chance = float("nan")
    if len(set(groups)) > 1 and np.isfinite(elsewhere).all() and typical:
        ratio = _ratio(tested, elsewhere)
        chance = float(
            np.quantile([_by_chance(known, is_tested, numbers, rng) for _ in range(N_DRAWS)], 0.025)
        )
    return Nearness(
        n_tested=n_tested,
        n_train=n - n_tested,
        twins=int((tested <= max(TWIN * typical, BLIND * _size(points))).sum()),
        nearer=_nearer(tested, train),
        redrawn_low=float(low),
        redrawn_high=float(high),
        of_group_split=ratio,
        by_chance=chance,
        tells=2 * len(apart) > len(train),
    )


def _size(points: FloatArray) -> float:
    """Return the root mean square distance to the mean."""
    return float(np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean()))


def _look(
    points: FloatArray, is_tested: NDArray[np.bool_], numbers: IntArray
) -> tuple[_Neighbours, FloatArray, FloatArray]:
    """Look at all pairs once, block by block.

    Returns
    -------
    tuple
        Neighbours; the distance of each to its nearest other one in training, shape (n,); and of each tested
        one to the nearest in training of another group, shape (n_tested,), infinite where there is none.
    """
    from sklearn.metrics import pairwise_distances_chunked

    n_kept = min(N_NEAREST, len(points) - 1)

    def nearest(block: FloatArray, start: int) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        rows = np.arange(len(block))
        block[rows, start + rows] = np.inf
        order = np.argpartition(block, n_kept - 1, axis=1)[:, :n_kept]
        order = np.take_along_axis(order, np.argsort(block[rows[:, None], order], axis=1), axis=1)
        distances = block[rows[:, None], order]
        block[:, is_tested] = np.inf
        in_train = block.min(axis=1)
        block[numbers[start + rows][:, None] == numbers[None, :]] = np.inf
        return order, distances, in_train, block.min(axis=1)

    parts = zip(
        *pairwise_distances_chunked(
            points - points.mean(axis=0), reduce_func=nearest, working_memory=BLOCK_MB
        ),
        strict=True,
    )
    order, distances, in_train, elsewhere = (np.concatenate(one) for one in parts)
    return _Neighbours(order, distances), in_train, elsewhere[is_tested]


def _nearer(tested: FloatArray, train: FloatArray) -> float:
    """Return P(tested < train) + P(equal) / 2 (Mann & Whitney 1947, doi:10.1214/aoms/1177730491)."""
    ranks = stats.rankdata(np.concatenate([tested, train]))[: len(tested)]
    above = ranks.sum() - len(tested) * (len(tested) + 1) / 2
    return float(1.0 - above / (len(tested) * len(train)))


def _redrawn(known: _Neighbours, is_tested: NDArray[np.bool_], rng: np.random.Generator) -> float:
    drawn = rng.permutation(is_tested)
    found = known.to(~drawn)
    return _nearer(found[drawn], found[~drawn])


def _by_chance(
    known: _Neighbours, is_tested: NDArray[np.bool_], numbers: IntArray, rng: np.random.Generator
) -> float:
    names = rng.permutation(numbers)
    allowed = ~is_tested[known.order] & (names[known.order] != names[:, None])
    return _ratio(known.to(~is_tested)[is_tested], known.to(allowed)[is_tested])


def _ratio(near: FloatArray, far: FloatArray) -> float:
    """Return the ratio of medians; 1 where both are 0."""
    below, above = float(np.median(near)), float(np.median(far))
    return below / above if above else 1.0
