"""How well a choice covers a pool, beside random ones of its size."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.farthest import lower_to
from crossprune.labelling.points import Points

SAMPLE = 5000
"""Frames of the pool whose distances are looked at: the mean is known to a hundredth of the scatter then."""
N_DRAWS, FEW_DRAWS, MUCH = 20, 4, 2_000_000
"""Random choices: of 21 exchangeable ones the best is so by chance in one case of 21; fewer of choices that
have more than ``MUCH`` coordinates, each of which takes seconds."""
MOST_SCORED = 20_000
"""Picks of which distances to all earlier ones are computed; it takes the square of their number."""
PER_DECADE = 4
"""Sizes of a coverage curve."""


def scores(points: Points, given: IntArray, picked: IntArray) -> FloatArray:
    """Return how far each pick was from the nearest frame that was given or picked before, shape (n,).

    Infinite for the first without given ones; NaN for all if there are more than `MOST_SCORED`.
    """
    if len(picked) > MOST_SCORED:
        return np.full(len(picked), np.nan)
    values = points.take(picked)
    squares = np.einsum("ij,ij->i", values, values)
    nearest = np.full(len(picked), np.inf)
    if len(given):
        lower_to(nearest, values, squares, points.take(given))
    width = 512
    for first in range(0, len(values), width):
        block = values[first : first + width]
        if first:
            lower_to(nearest[first : first + width], block, squares[first : first + width], values[:first])
        among = squares[first : first + width, None] + squares[None, first : first + width]
        among -= 2.0 * block @ block.T
        among[np.triu_indices(len(block))] = np.inf
        inner = np.maximum(among.min(axis=1), 0.0)
        np.minimum(nearest[first : first + width], inner, out=nearest[first : first + width])
    found: FloatArray = np.sqrt(nearest)
    return found


def coverage(
    points: Points,
    free: IntArray,
    given: IntArray,
    picked: IntArray,
    rng: np.random.Generator,
    *,
    nested: bool,
) -> pd.DataFrame:
    """Measure distances from frames of the pool to the nearest that is chosen or given.

    Parameters
    ----------
    points
        The latent space.
    free, given
        Frames that could be chosen, and those that are labelled.
    picked
        What was chosen, in its order.
    rng
        Draws the frames that are looked at, and the random choices.
    nested
        Whether the first picks are what a smaller budget would have chosen.

    Returns
    -------
    DataFrame
        ``n``; ``mean``, ``p95`` and ``largest`` distance in the scaled space; ``random_mean`` and so on,
        medians over random choices of ``n`` with ``_low`` and ``_high``, the least and largest.
    """
    looked = free if len(free) <= SAMPLE else np.sort(rng.choice(free, SAMPLE, replace=False))
    seen = points.take(looked)
    squares = np.einsum("ij,ij->i", seen, seen)
    start = np.full(len(seen), np.inf)
    if len(given):
        lower_to(start, seen, squares, points.take(given))
    sizes = _sizes(len(picked)) if nested else [len(picked)]
    n_draws = N_DRAWS if len(picked) * points.n_columns <= MUCH else FEW_DRAWS
    draws = [rng.permutation(free)[: len(picked)] for _ in range(n_draws if len(picked) < len(free) else 0)]
    curves = [_curve(points, seen, squares, start, one, sizes) for one in (picked, *draws)]
    rows = []
    for number, n in enumerate(sizes):
        row: dict[str, float] = {"n": n, **_summary(curves[0][number])}
        several = [_summary(one[number]) for one in curves[1:]]
        for name in ("mean", "p95", "largest"):
            values = [one[name] for one in several] or [row[name]]
            row[f"random_{name}"] = float(np.median(values))
            row[f"random_{name}_low"], row[f"random_{name}_high"] = min(values), max(values)
        rows.append(row)
    return pd.DataFrame(rows)


def _sizes(n: int) -> list[int]:
    """Return sizes up to n, some per decade."""
    steps = np.unique(np.round(10 ** np.arange(0, np.log10(max(n, 1)) + 1e-9, 1 / PER_DECADE)).astype(int))
    return sorted({*steps.tolist(), n})


def _curve(
    points: Points,
    seen: FloatArray,
    squares: FloatArray,
    start: FloatArray,
    picked: IntArray,
    sizes: list[int],
) -> list[FloatArray]:
    """Return distances to the nearest of the first picks, for each number of them."""
    nearest, found, done = start.copy(), [], 0
    for n in sizes:
        for first in range(done, n, SAMPLE):
            lower_to(nearest, seen, squares, points.take(picked[first : min(n, first + SAMPLE)]))
        done = n
        found.append(np.sqrt(nearest))
    return found


def _summary(distances: FloatArray) -> dict[str, float]:
    return {
        "mean": float(distances.mean()),
        "p95": float(np.quantile(distances, 0.95)),
        "largest": float(distances.max()),
    }
