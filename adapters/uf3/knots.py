"""Knot sequences of cubic B-splines, and the polynomials that the splines are between two knots."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from scipy.interpolate import BSpline

ORDER = 4
"""Functions that are not zero at a distance: one more than the degree, 3."""
MOST_FUNCTIONS = 10_000
"""Along one distance: 0.6 mÅ apart where it ends at 6 Å."""
CHUNK = 64
"""Intervals whose functions are evaluated together: of all of them at once, memory goes with the square."""
ORIGIN = 0.001
"""Where splines of pairs begin, Å: LAMMPS reads beyond its arrays for a pair nearer than the first knot."""
KnotSpacing = Literal["linear", "lammps", "geometric", "inverse"]
KNOT_SPACINGS: tuple[KnotSpacing, ...] = get_args(KnotSpacing)


def spaced(inner: float, outer: float, n_intervals: int, spacing: KnotSpacing) -> FloatArray:
    """Return points from ``inner`` to ``outer`` (Å), shape (n_intervals + 1,).

    They are even in r (``linear``), r² (``lammps``), ln r (``geometric``) or 1/r (``inverse``), the
    strategies of the package uf3; the ends are exact.
    """
    steps = np.linspace(0.0, 1.0, n_intervals + 1)
    if spacing == "linear":
        points = inner + (outer - inner) * steps
    elif spacing == "lammps":
        points = np.sqrt(inner**2 + (outer**2 - inner**2) * steps)
    elif spacing == "geometric":
        points = inner * (outer / inner) ** steps
    else:
        points = 1.0 / (1.0 / inner + (1.0 / outer - 1.0 / inner) * steps)
    points[0], points[-1] = inner, outer
    found: FloatArray = points
    return found


def clamped(points: FloatArray) -> FloatArray:
    """Repeat the first and the last point, so that four functions overlap everywhere between them."""
    repeats = ORDER - 1
    return np.concatenate([np.repeat(points[0], repeats), points, np.repeat(points[-1], repeats)])


def pair_knots(inner: float, outer: float, n_intervals: int, spacing: KnotSpacing) -> FloatArray:
    """Return the knots of a pair: spaced from ``inner`` to ``outer``, evenly from there down to `ORIGIN`.

    Below ``inner``, where no data are expected, intervals have about the width of the first one above it.
    """
    points = spaced(inner, outer, n_intervals, spacing)
    n_below = max(round((inner - ORIGIN) / (points[1] - points[0])), 1)
    return clamped(np.concatenate([np.linspace(ORIGIN, inner, n_below + 1)[:-1], points]))


def fault_of(knots: FloatArray) -> str:
    """Say what is wrong with a knot sequence; empty if nothing is."""
    if knots.ndim != 1 or len(knots) < 2 * ORDER:
        return f"a knot sequence has at least {2 * ORDER} numbers"
    if len(knots) - ORDER > MOST_FUNCTIONS:
        return f"{len(knots) - ORDER} functions along one distance are more than the {MOST_FUNCTIONS} allowed"
    if not np.isfinite(knots).all() or knots[0] < 0:
        return "knots must be finite and not negative"
    steps = np.diff(knots)
    if (steps[: ORDER - 1] != 0).any() or (steps[1 - ORDER :] != 0).any():
        return f"the first and the last knot must occur {ORDER} times"
    if (steps[ORDER - 1 : 1 - ORDER] <= 0).any():
        return "knots between the ends must increase"
    return ""


def pieces(knots: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the splines as polynomials of the distance from the left end of each interval.

    Interval q, of which function p is number q + p, is between the knots q + 3 and q + 4.

    Returns
    -------
    tuple
        Ends of the intervals, Å, shape (n_intervals + 1,), and coefficients of 1, x, x², x³ of the four
        functions in each, shape (n_intervals, 4, 4).
    """
    ends = np.array(knots[ORDER - 1 : len(knots) - ORDER + 1])
    powers = []
    for first in range(0, len(ends) - 1, CHUNK):
        lefts = ends[first : min(first + CHUNK, len(ends) - 1)]
        n_functions = len(lefts) + ORDER - 1  # only these, and their knots, matter here
        spline = BSpline(knots[first : first + n_functions + ORDER], np.eye(n_functions), ORDER - 1)
        own = np.arange(len(lefts))[:, None], np.arange(len(lefts))[:, None] + np.arange(ORDER)
        made = [spline(lefts, nu=power)[own] / math.factorial(power) for power in range(ORDER)]
        powers.append(np.stack(made, axis=2))
    return ends, np.concatenate(powers)


def averages(knots: FloatArray) -> FloatArray:
    """Return where each function stands: mean of its three inner knots (Greville), Å, shape (n_functions,).

    Coefficients a + b·averages give the straight line a + b·r exactly (de Boor 1978, A Practical Guide to
    Splines, chapter IX).
    """
    return (knots[1:-3] + knots[2:-2] + knots[3:-1]) / 3


def hints(ends: FloatArray, n_bins: int) -> IntArray:
    """Return for each of ``n_bins`` equal bins the interval that its left end lies in."""
    lefts = np.linspace(ends[0], ends[-1], n_bins + 1)[:-1]
    found: IntArray = np.clip(np.searchsorted(ends, lefts, side="right") - 1, 0, len(ends) - 2)
    # One less: a distance just below the end of a bin must not be put behind its own interval by rounding.
    return np.maximum(found - 1, 0)
