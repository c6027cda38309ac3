"""Is a pool worth pruning, and to what size? A verdict on a latent space before any label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre, principal_axes
from crossprune.harness.selection.farthest import greedy_farthest
from crossprune.harness.selection.linter import effective_dimension
from scipy import stats
from scipy.spatial.distance import cdist

MOST = 2000
"""Configurations that a verdict looks at; of larger pools a sample, which is said."""
FEWEST = 20
"""Configurations below which there is nothing to say."""
N_SURROGATES = 19
"""Of 20 exchangeable pools one is the least by chance: a test at 5 %."""
N_AGAIN = 3
"""Surrogates of each smaller pool that an interval rests on: its distance is a quantile over all of them."""
APART = 0.05
"""Share of unstructured configurations that lie nearer to another one than what counts as the same."""
MOST_BLOCKS, N_BLOCKS, FEWEST_GROUPS = 20, 10, 5
"""Blocks left out in turn: groups if there are five, merged beyond 20; else ten of configurations."""
WORTH = 0.9
"""Saving less than a tenth is not worth the doubt."""
ONE_AXIS = 1.1
"""Effective dimension below which one direction holds 95 % of the scatter: shuffling does nothing then."""


@dataclass(frozen=True)
class Verdict:
    """What pruning a pool in one latent space would save, before anybody knows a label."""

    n: int
    """Configurations looked at."""
    n_columns: int
    effective_dimension: float
    effective_size: float
    """Of `effective_size`: as many different configurations would be as various as these."""
    redundancy: float
    """1 − effective size over that of surrogates; 0 for an unstructured pool."""
    keep: float
    """Fraction at which coverage saturates: farthest points leave nothing farther away than what all but
    `APART` of unstructured configurations keep from each other."""
    low: float
    high: float
    """Ends of its 95 % interval."""
    unstructured: float
    """The same fraction of surrogates, median."""
    over: str
    """What the interval is over: groups or configurations."""
    pruning: str
    """``worth it``, ``not worth it``, ``not sure`` (the interval reaches surrogates) or ``not known``."""
    remark: str
    """The verdict in a sentence."""


def verdict_on(
    points: FloatArray, groups: Sequence[str], rng: np.random.Generator, n_all: int = 0
) -> Verdict:
    """Say whether a pool is worth pruning, and to what fraction.

    The yardstick are surrogates (Theiler 1992, doi:10.1016/0167-2789(92)90102-S): each column of the pool
    in its principal axes, permuted by itself, so that variances and marginals stay and all structure goes.
    Raw columns would not do: those of a descriptor are correlated, and permuting them makes a cloud of more
    dimensions, beside which every pool looks redundant. The distance that all but `APART` of the
    surrogates' configurations keep from their nearest neighbour is what two configurations must differ by
    to be two; ``keep`` is how many farthest points (Gonzalez 1985, doi:10.1016/0304-3975(85)90224-5) it
    takes until no configuration is that far from a chosen one. Pools without structure need 95 % and more
    of themselves.

    The interval is a delete-a-block jackknife of the logarithm (Shao & Wu 1989,
    doi:10.1214/aos/1176347263): over groups where there are `FEWEST_GROUPS`, for frames of a trajectory are
    not independent; a bootstrap would make copies.

    Parameters
    ----------
    points
        Scaled and pooled, shape (n, k).
    groups
        Of each configuration; empty where not known.
    rng
        Shuffles, and draws blocks.
    n_all
        Size of the pool, if ``points`` are a sample of it.
    """
    n, k = points.shape
    # In an order of their own, so that the verdict does not depend on that of a file.
    width = np.abs(points).max(initial=0.0) or 1.0
    order = np.lexsort(np.round(points / width, 9).T) if k else np.arange(n)
    points, groups = points[order], [groups[index] for index in order] if len(groups) else ()
    over = f"{len(set(groups))} groups" if _by_groups(groups) else "configurations"
    dimension = effective_dimension(points) if n > 1 and k else 0.0
    if n < FEWEST or dimension < ONE_AXIS:
        return _unknown(n, k, dimension, over)
    seen = in_principal_axes(points)
    unstructured = [shuffled(seen, rng) for _ in range(N_SURROGATES)]
    apart = distance_apart(unstructured)
    keep = covering_fraction(seen, apart)
    without = [covering_fraction(one, apart) for one in unstructured]
    sizes = [effective_size(one, apart) for one in (seen, *unstructured[:N_AGAIN])]
    low, high = _interval(seen, groups, keep, rng)
    found = Verdict(
        n=n,
        n_columns=k,
        effective_dimension=dimension,
        effective_size=sizes[0],
        redundancy=max(0.0, 1.0 - sizes[0] / float(np.mean(sizes[1:]))),
        keep=keep,
        low=low,
        high=high,
        unstructured=float(np.median(without)),
        over=over,
        pruning=_pruning(keep, high, min(without)),
        remark="",
    )
    return Verdict(**{**vars(found), "remark": _sentence(found, n_all or n)})


def in_principal_axes(points: FloatArray) -> FloatArray:
    """Rotate centred points to their principal axes, shape (n, rank): distances stay as they are."""
    centred = centre(points)
    return centred @ principal_axes(centred)[1]


def shuffled(points: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Permute each column by itself: the same marginals, and nothing else."""
    return rng.permuted(points, axis=0)


def distance_apart(unstructured: Sequence[FloatArray]) -> float:
    """Return the distance that all but `APART` of the points of surrogates keep from their nearest one."""
    from sklearn.neighbors import NearestNeighbors

    nearest = [NearestNeighbors(n_neighbors=1).fit(one).kneighbors()[0].ravel() for one in unstructured]
    return float(np.quantile(np.concatenate(nearest), APART))


def covering_fraction(points: FloatArray, distance: float) -> float:
    """Return which share of points, farthest first, leaves none farther than ``distance`` from a chosen one.

    The first is the one nearest to the mean. O(n² k); all distances are held, 32 MB of `MOST` points.
    """
    return float((radii(points) > distance).mean())


def effective_size(points: FloatArray, distance: float) -> float:
    """Return exp(−⟨log pᵢ⟩), pᵢ being the share of points within ``distance`` of point i, itself included.

    The exponential of the entropy, as Hill (1973, doi:10.2307/1934352) counts species: m points, each r
    times over, are m. A Gaussian kernel, as of `crossprune.harness.selection.entropy.entropy`, would sum its
    tails over all points where there are many dimensions, and call noise redundant.
    """
    within = (cdist(points, points) <= distance).mean(axis=1)
    return float(np.exp(-np.log(within).mean()))


def radii(points: FloatArray) -> FloatArray:
    """Return how far each farthest point was from those before it, shape (n,); the first is infinite.

    That is the largest distance of a point to the set before it was added, and never rises.
    """
    placed = points[
        greedy_farthest(points, np.argmin(np.square(points).sum(axis=1), keepdims=True), len(points))
    ]
    distances = cdist(placed, placed)
    distances[np.triu_indices(len(points))] = np.inf
    found: FloatArray = distances.min(axis=1)
    return found


def _interval(
    points: FloatArray, groups: Sequence[str], keep: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Leave out one block after the other, and look again with surrogates of what is left."""
    logs = []
    for block in _blocks(len(points), groups, rng):
        left = in_principal_axes(np.delete(points, block, axis=0))
        if len(left) < FEWEST // 2 or left.shape[1] == 0:
            return float("nan"), float("nan")
        apart = distance_apart([shuffled(left, rng) for _ in range(N_AGAIN)])
        logs.append(np.log(covering_fraction(left, apart)))
    n_blocks = len(logs)
    error = np.sqrt((n_blocks - 1) * np.var(logs))
    reach = float(stats.t.ppf(0.975, n_blocks - 1) * error)
    return max(keep * float(np.exp(-reach)), 1.0 / len(points)), min(keep * float(np.exp(reach)), 1.0)


def _pruning(keep: float, high: float, without: float) -> str:
    """Give the verdict; ``without`` is the least that surrogates keep. NaN as ``high`` is never below."""
    if keep > WORTH or keep >= without:
        return "not worth it"
    return "worth it" if high < without else "not sure"


def _by_groups(groups: Sequence[str]) -> bool:
    """Tell whether groups can be left out: there are enough, and none is most of the pool."""
    counts = Counter(groups)
    return len(counts) >= FEWEST_GROUPS and max(counts.values()) <= len(groups) / 2


def _blocks(n: int, groups: Sequence[str], rng: np.random.Generator) -> list[IntArray]:
    """Divide configurations into blocks: whole groups, or at random."""
    if not _by_groups(groups):
        return [one.astype(np.int64) for one in np.array_split(rng.permutation(n), N_BLOCKS)]
    numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(numbers.max()) + 1
    block_of = rng.permutation(n_groups) % min(n_groups, MOST_BLOCKS)
    return [np.flatnonzero(block_of[numbers] == block) for block in range(int(block_of.max()) + 1)]


def _unknown(n: int, k: int, dimension: float, over: str) -> Verdict:
    nothing = float("nan")
    why = f"{n} configurations are too few" if n < FEWEST else "nothing varies"
    if n >= FEWEST and k:
        why = "one direction holds nearly all of the scatter, which shuffling leaves as it is"
    remark = f"not known whether it is worth pruning: {why}"
    return Verdict(
        n=n,
        n_columns=k,
        effective_dimension=dimension,
        effective_size=nothing,
        redundancy=nothing,
        keep=nothing,
        low=nothing,
        high=nothing,
        unstructured=nothing,
        over=over,
        pruning="not known",
        remark=remark,
    )


def _sentence(found: Verdict, n_all: int) -> str:
    """Say it in a sentence."""
    ends = f"{100 * found.low:.0f} to {100 * found.high:.0f} %"
    if not np.isfinite(found.high):
        ends = "with no interval"
    size = f"the {found.n} are as various as {found.effective_size:.0f} that have nothing in common"
    if found.pruning == "worth it":
        words = f"worth pruning: to about {100 * found.keep:.0f} % ({ends}); {size}"
    elif found.pruning == "not sure":
        words = (
            f"not sure that it is worth pruning: coverage saturates at {100 * found.keep:.0f} %, which may "
            f"be {ends}, without structure at {100 * found.unstructured:.0f} %; {size}"
        )
    else:
        words = (
            f"not worth pruning: coverage saturates at {100 * found.keep:.0f} % ({ends}), without structure "
            f"at {100 * found.unstructured:.0f} %; {size}"
        )
    if n_all > found.n:
        words += f"; a sample of {n_all}, of which a smaller share may do"
    return words
