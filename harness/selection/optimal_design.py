"""Selection for linear models: D-optimal designs, and draws by leverage (CUR)."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import centre, principal_axes
from crossprune.harness.selection.candidates import Candidates
from scipy import linalg

MOST_PASSES = 20
"""Passes of exchange over a design; a few are enough (Cook & Nachtsheim 1980)."""
LEAST_GAIN = 1e-4
"""Relative gain in determinant below which a swap may be rounding: with fewer rows than columns, 1 − xᵀA⁻¹x
is 10⁻¹⁰, and known to 10⁻¹⁵."""
RIDGE = 1e-6
"""Regularisation of the information matrix, relative to its mean diagonal; it starts the greedy design."""


def d_optimal(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration that most increases det(XᵀX + λ).

    Greedy D-optimal design (Fedorov 1972; as MaxVol it drives active learning of moment tensor
    potentials, Podryabinkin & Shapeev 2017, doi:10.1016/j.commatsci.2017.08.031), O(n k) a pick. Rows of
    given configurations are in X from the start. The generator breaks ties; larger budgets contain
    smaller ones.
    """
    order, begun = candidates.shuffled(rng)
    rows = with_offset(candidates.points())[order]
    return order[grow(rows, begun, n_chosen, ridge_of(rows))]


def d_optimal_exchange(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Improve the greedy D-optimal design by exchange until no swap raises det(XᵀX + λ).

    Each chosen configuration in turn is swapped for the best other one (Fedorov 1972, as modified by
    Cook & Nachtsheim 1980, doi:10.1080/00401706.1980.10486162), in at most `MOST_PASSES` passes. O(n m k) a
    pass for m chosen ones, O(n k²) a swap. Ties, λ and given ones as in `d_optimal`. The order is the
    greedy one within the final design. Not nested.
    """
    order, begun = candidates.shuffled(rng)
    rows = with_offset(candidates.points())[order]
    ridge = ridge_of(rows)
    chosen = grow(rows, begun, n_chosen, ridge)
    for _ in range(MOST_PASSES):
        if not exchange(rows, begun, chosen, ridge):
            break
    both = np.concatenate([begun, np.sort(chosen)])
    places = grow(rows[both], np.arange(len(begun)), n_chosen, ridge)
    picked: IntArray = order[both[places]]
    return picked


def exchange(rows: FloatArray, begun: IntArray, chosen: IntArray, ridge: float) -> bool:
    """Swap each chosen row, in place, for the one that raises the determinant most; tell if any was.

    Swapping x for y multiplies it by (1 − d(x, x)) (1 + d(y, y)) + d(x, y)², where d(x, y) = xᵀA⁻¹y
    (Fedorov 1972). With A = RᵀR from a QR decomposition, d is a product of rows of X R⁻¹.
    """
    root = np.sqrt(ridge) * np.eye(rows.shape[1])
    fixed = np.asarray(np.linalg.qr(np.vstack([root, rows[begun]]), mode="r"))
    spare = np.ones(len(rows), dtype=bool)
    spare[begun] = spare[chosen] = False
    scaled = _scaled(rows, fixed, chosen)
    gains = 1.0 + np.square(scaled).sum(axis=1)
    swapped = False
    for place in range(len(chosen)):
        old = scaled[chosen[place]]
        ratios = np.where(spare, (1.0 - old @ old) * gains + np.square(scaled @ old), 0.0)
        best = int(np.argmax(ratios))
        if ratios[best] > 1.0 + LEAST_GAIN:
            spare[chosen[place]], spare[best] = True, False
            chosen[place] = best
            scaled = _scaled(rows, fixed, chosen)
            gains = 1.0 + np.square(scaled).sum(axis=1)
            swapped = True
    return swapped


def _scaled(rows: FloatArray, fixed: FloatArray, chosen: IntArray) -> FloatArray:
    """Return X R⁻¹, where RᵀR is the information of the chosen rows and of ``fixed``."""
    factor = np.asarray(np.linalg.qr(np.vstack([fixed, rows[chosen]]), mode="r"))
    found: FloatArray = linalg.solve_triangular(factor, rows.T, trans="T").T
    return found


def grow(
    rows: FloatArray, begun: IntArray, n_chosen: int, ridge: float, owners: IntArray | None = None
) -> IntArray:
    """Pick rows of a D-optimal design one by one, after those in ``begun``; ties go to the first.

    The gain of row x is 1 + xᵀA⁻¹x (matrix determinant lemma); A⁻¹ follows by Sherman-Morrison.

    Parameters
    ----------
    rows
        Shape (n, k).
    begun
        Rows in the design from the start; not among the picked ones.
    n_chosen
        How many to pick, at most what is left.
    ridge
        The information matrix A begins with as much on its diagonal.
    owners
        What each row belongs to, shape (n,): at most one row of each is picked. None if each is its own.
    """
    inverse = np.eye(rows.shape[1]) / ridge
    gains = np.square(rows).sum(axis=1) / ridge
    picked = begun.tolist()
    for step in range(len(begun) + n_chosen):
        if step == len(picked):
            picked.append(int(np.argmax(gains)))
        row = rows[picked[step]]
        direction = inverse @ row
        scale = 1.0 + row @ direction
        inverse -= np.outer(direction, direction) / scale
        gains -= np.square(rows @ direction) / scale
        gains[picked[step] if owners is None else owners == owners[picked[step]]] = -np.inf
    return np.array(picked[len(begun) :], dtype=np.int64)


def ridge_of(rows: FloatArray) -> float:
    """Return λ: `RIDGE` of the mean diagonal of the rows' information matrix, per row."""
    return RIDGE * float(np.square(rows).sum()) / rows.size


def with_offset(points: FloatArray) -> FloatArray:
    """Add a column of ones."""
    return np.column_stack([np.ones(len(points)), points])


def leverage(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Draw configurations without replacement with probability ∝ leverage, as CUR does with rows.

    One exponential key per configuration gives the whole order (Efraimidis & Spirakis 2006,
    doi:10.1016/j.ipl.2005.11.003), so larger budgets contain smaller ones. Cost O(n k²).
    """
    scores = leverage_scores(candidates.points())
    keys = rng.exponential(size=len(scores)) / np.maximum(scores, np.finfo(np.float64).tiny)
    return np.argsort(keys, kind="stable")[:n_chosen].astype(np.int64)


def leverage_scores(points: FloatArray) -> FloatArray:
    """Return each row's squared length in the space of the leading left singular vectors, shape (n,).

    Mahoney & Drineas 2009, doi:10.1073/pnas.0803205106, eq. 3, times the rank: of the centred points, on the
    principal axes with more than the mean variance of all axes that vary. On every axis the scores of
    fewer points than columns are all 1, and say nothing. 1/n is that of the offset of a linear model;
    the scores add up to the number of axes and 1.
    """
    centred = centre(points)
    variances, axes = principal_axes(centred)
    kept = variances >= (1 - 1e-9) * variances.sum() / max(1, len(variances))  # equal ones all count
    left = centred @ (axes[:, kept] / np.sqrt(variances[kept] * len(points)))
    scores: FloatArray = np.square(left).sum(axis=1) + 1.0 / len(points)
    return scores
