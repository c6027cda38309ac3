"""Intervals and tests for contrasts of log errors: arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from scipy import stats

CONFIDENCE = 0.95
"""Coverage of every interval."""
N_DRAWS = 20_000
"""Draws of the largest of several statistics: its 95 % quantile is known to 0.01."""
SMALLEST = 1e-12
"""Probability below which none is told from another; SciPy's Student's t is wrong far beyond."""
ROUNDING = 1e-8
"""Standard error of a logarithm of errors that says no more than how numbers were rounded."""
ALIKE = 2.0
"""Degrees of freedom of data sets that are pooled differ by less than this factor."""
MIN_DATA_SETS = 3
"""Fewer data sets say nothing on others: with 2, Student's factor is 12.7."""


def student_factor(freedom: float) -> float:
    """Return Student's factor of an interval with `CONFIDENCE`: standard errors to each side."""
    return float(stats.t.isf((1 - CONFIDENCE) / 2, freedom))


REPEATS, CONFIGURATIONS = "repeats", "configurations"
"""Kinds of sources: seeds or pools; frames of the test set."""


@dataclass(frozen=True, eq=False)
class Source:
    """One independent source of error of contrasts that share it, such as the seeds of one data set."""

    deviations: FloatArray
    """Shape (n_contrasts, n_directions): products of two rows add up to the covariance of two contrasts."""
    freedom: FloatArray
    """Degrees of freedom of the variances, shape (n_contrasts,); 0 where they cannot be known."""
    kind: str = REPEATS
    """Variances of one kind are pooled over data sets, see `Tails`."""
    labels: Sequence[Hashable] = ()
    """What the directions are of: contrasts of several tables share the direction of one seed."""


def from_seeds(values: FloatArray) -> Source:
    """Return what independent repeats, each of which says one number, do to means over them.

    Parameters
    ----------
    values
        Shape (n_contrasts, n_seeds), NaN where a seed says nothing.
    """
    there = np.isfinite(values)
    counts = there.sum(axis=1)
    means = np.where(there, values, 0.0).sum(axis=1) / np.maximum(counts, 1)
    centred = np.where(there, values - means[:, None], 0.0)
    scaled = centred / np.sqrt(np.maximum(counts * (counts - 1), 1))[:, None]
    return Source(scaled, np.maximum(counts - 1.0, 0.0))


def from_clusters(residuals: FloatArray, scatter: FloatArray, expected: float) -> tuple[FloatArray, float]:
    """Return one contrast's deviations by seed, and their degrees of freedom, where seeds have lost cells.

    The sum of squares of what seeds add to an estimate is too small where residuals are: of a setting with
    one seed there are none. It is enlarged by as much as it is too small on average if all cells scatter
    alike, and its freedom is Satterthwaite's (Bell and McCaffrey 2002, Survey Methodology 28, 169;
    Pustejovsky and Tipton 2018, doi:10.1080/07350015.2016.1247004). Where nothing is lost, these are s / √n
    and n - 1.

    Parameters
    ----------
    residuals
        What each seed adds to the estimate, less what the model of means expects, shape (n_seeds,).
    scatter
        Covariance of ``residuals`` if all cells scatter alike, shape (n_seeds, n_seeds).
    expected
        Variance of the estimate in the same units.
    """
    trace = float(np.trace(scatter))
    if trace <= 1e-12 * expected:
        return np.zeros_like(residuals), 0.0
    return residuals * math.sqrt(expected / trace), trace**2 / float(np.square(scatter).sum())


def from_configurations(influence: FloatArray, part: str = "") -> Source:
    """Return what the choice of test configurations does.

    Influences that are heavy in the tails know their variance badly: for κ their kurtosis, the variance of
    a variance is (κ − 1) σ⁴ / n, that of n' normal values 2 σ⁴ / n', so that n' = 2 n / (κ − 1).

    Parameters
    ----------
    influence
        What each configuration adds to a contrast (the infinitesimal jackknife of Jaeckel 1972; Efron 1982,
        doi:10.1137/1.9781611970319, chapter 6), shape (n_contrasts, n_configurations); rows add up to 0.
    part
        Of the data, which the configurations are of.
    """
    n = influence.shape[1]
    squares = np.square(influence).sum(axis=1)
    fourth = np.power(influence, 4).sum(axis=1)
    kurtosis = n * fourth / np.maximum(np.square(squares), 1e-300)
    effective = 2.0 * n / np.maximum(kurtosis - 1.0, 1e-9)
    return Source(
        influence * math.sqrt(n / max(n - 1, 1)),
        np.clip(effective, 1.0, n - 1.0) if n > 1 else np.zeros(len(influence)),
        CONFIGURATIONS,
        [(part, number) for number in range(n)],
    )


def from_pools(values: FloatArray, overlap: float, labels: Sequence[str] = ()) -> Source:
    """Return what the drawing of pools does to means over them: training sets, test sets and seeds at once.

    Pools of one data set overlap, so that their scatter is too small: its square over n pools is not divided
    by n but multiplied by 1/n + n_test/n_train (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366, eq. 9).
    That is right for test sets that overlap by chance. Luck that all training sets share, because the pools
    hold most of the same frames, is seen by no pool: only other data sets tell it.

    Parameters
    ----------
    values
        Shape (n_contrasts, n_pools), NaN where a pool says nothing.
    overlap
        Test over training configurations of a pool.
    labels
        Names of the pools.
    """
    found = from_seeds(values)
    counts = np.isfinite(values).sum(axis=1)
    deviations = found.deviations * np.sqrt(1.0 + counts * overlap)[:, None]
    return Source(deviations, found.freedom, labels=labels)


def stacked(tables: Sequence[Sequence[Source]], sizes: Sequence[int]) -> list[Source]:
    """Join the sources of one data set's contrasts in several tables, whose directions may be the same.

    Parameters
    ----------
    tables
        Sources of each table.
    sizes
        Contrasts of each table.
    """
    if len(tables) == 1:
        return list(tables[0])
    ends = np.cumsum(sizes)
    joined: list[Source] = []
    for kind in (REPEATS, CONFIGURATIONS):
        own = [
            (end - size, one)
            for end, size, several in zip(ends, sizes, tables, strict=True)
            for one in several
            if one.kind == kind
        ]
        labels = list(dict.fromkeys(label for _, one in own for label in one.labels))
        place = {label: number for number, label in enumerate(labels)}
        deviations = np.zeros((int(ends[-1]), len(labels)))
        freedom = np.full(int(ends[-1]), np.inf)  # of what is not there, nothing is unknown
        for start, one in own:
            rows = slice(start, start + len(one.deviations))
            deviations[rows, [place[label] for label in one.labels]] += one.deviations
            freedom[rows] = one.freedom
        if own:
            joined.append(Source(deviations, freedom, kind, labels))
    return joined


@dataclass(frozen=True, eq=False)
class Inference:
    """What is known of contrasts, each array of shape (n_contrasts,); natural logarithms."""

    estimate: FloatArray
    standard_error: FloatArray
    low: FloatArray
    """Interval of one contrast that was named before; NaN where nothing tells how much it scatters."""
    high: FloatArray
    p: FloatArray
    """Two-sided; below 0.05 where the interval excludes 0, and only there."""
    low_together: FloatArray
    """Intervals that hold for all contrasts at once."""
    high_together: FloatArray
    p_together: FloatArray
    low_anywhere: FloatArray
    """Interval for data sets like these, NaN for fewer than `MIN_DATA_SETS`."""
    high_anywhere: FloatArray

    def part(self, some: slice) -> Inference:
        """Return what is known of some of the contrasts."""
        return Inference(*(getattr(self, one.name)[some] for one in fields(self)))


@dataclass(frozen=True, eq=False)
class Tails:
    """How far standardised estimates stray, whose variance is a sum over kinds of sources.

    Critical values are means of Student's, each weighted by its kind's part of the variance (Cochran and
    Cox 1950, Experimental Designs, section 4.6). One Student's t with Satterthwaite's degrees of freedom
    misses too often where two or three seeds, which know their scatter badly, stand beside many test
    configurations: seeds that agree by chance look as if they said all.
    Data sets of one kind count as one by Satterthwaite (1946, doi:10.2307/3002019) where their degrees of
    freedom are alike, and as several where they are not: 2 seeds that agree by chance leave all to the 20 of
    another data set, and the interval misses in 0.12 of studies.
    """

    parts: FloatArray
    """Of each kind in the variance, shape (n_kinds, n_contrasts); columns add up to 1."""
    freedoms: FloatArray
    """Degrees of freedom, same shape."""

    def isf(self, q: FloatArray | float) -> FloatArray:
        """Return what is exceeded with probability ``q``, at most a half, shape (n_contrasts,)."""
        found: FloatArray = (self.parts * stats.t.isf(q, self.freedoms)).sum(axis=0)
        return found

    def sf(self, z: FloatArray) -> FloatArray:
        """Return with which probability ``z`` ≥ 0 is exceeded, `SMALLEST` or more, shape (n_contrasts,)."""
        low, high = np.full(z.shape, math.log(SMALLEST)), np.full(z.shape, math.log(0.5))
        for _ in range(60):
            middle = (low + high) / 2
            is_above = self.isf(np.exp(middle)) > z
            low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
        found: FloatArray = np.exp(high)
        return found


def infer(estimates: FloatArray, sources: Sequence[Sequence[Source]], rng: np.random.Generator) -> Inference:
    """Estimate means over data sets, with intervals that hold for one contrast and for all together.

    Each data set brings its sources of error, of which few seeds know their own size badly: `Tails`.
    Intervals for all contrasts together are those of max-t: the joint distribution of the estimates is drawn
    from the deviations that they share (Mammen 1993, doi:10.1214/aos/1176349025; Hothorn, Bretz, Westfall
    2008, doi:10.1002/bimj.200810425, section 3), with each contrast's own tails (Beran 1988,
    doi:10.2307/2289292: balanced).

    Parameters
    ----------
    estimates
        Shape (n_data_sets, n_contrasts), NaN where a data set says nothing.
    sources
        Sources of error of each data set.
    rng
        Source of the draws, which only intervals for all contrasts together need.
    """
    there = np.isfinite(estimates)
    counts = there.sum(axis=0)
    if not counts.any():
        return Inference(*np.full((10, estimates.shape[1]), np.nan))
    shares = there / np.maximum(counts, 1)
    estimate = np.where(counts, (np.where(there, estimates, 0.0) * shares).sum(axis=0), np.nan)
    flat = [(share, one) for share, own in zip(shares, sources, strict=True) for one in own]
    unknown = np.array([(share > 0) & (one.freedom == 0) for share, one in flat]).any(axis=0)
    variance, tails = _pooled(flat)
    known = (counts > 0) & (variance > ROUNDING**2) & ~unknown  # seeds that repeat each other tell nothing
    error = np.where(known, np.sqrt(variance), np.nan)
    p = np.full(len(estimate), np.nan)
    half = np.full(len(estimate), np.nan)
    tails = Tails(tails.parts[:, known], tails.freedoms[:, known])
    p[known] = 2.0 * tails.sf(np.abs(estimate[known]) / error[known])
    half[known] = tails.isf((1 - CONFIDENCE) / 2) * error[known]
    half_together, p_together = half.copy(), p.copy()
    if known.sum() > 1:
        largest = _largest(flat, known, error, rng)
        half_together[known], p_together[known] = _together(largest, p[known], tails, error[known])
    anywhere = np.full(len(estimate), np.nan)
    several = counts >= MIN_DATA_SETS
    scatter = np.where(there[:, several], estimates[:, several] - estimate[several], 0.0)
    spread = np.sqrt(np.square(scatter).sum(axis=0) / (counts[several] - 1) / counts[several])
    anywhere[several] = stats.t.isf((1 - CONFIDENCE) / 2, counts[several] - 1) * spread
    return Inference(
        estimate,
        error,
        estimate - half,
        estimate + half,
        p,
        estimate - half_together,
        estimate + half_together,
        p_together,
        estimate - anywhere,
        estimate + anywhere,
    )


def _pooled(flat: Sequence[tuple[FloatArray, Source]]) -> tuple[FloatArray, Tails]:
    """Return variances, shape (n_contrasts,), and how well they are known."""
    variances, freedoms = [], []
    for kind in (REPEATS, CONFIGURATIONS):
        own = [(share, one) for share, one in flat if one.kind == kind]
        if not own:
            continue
        terms = np.array([share**2 * np.square(one.deviations).sum(axis=1) for share, one in own])
        freedom = np.array([np.where(one.freedom > 0, one.freedom, 1.0) for _, one in own])
        groups = _alike(np.where(terms > 0, freedom, np.inf))
        for group in range(int(groups.max(initial=0)) + 1):
            mine = np.where(groups == group, terms, 0.0)
            spread = (np.square(mine) / freedom).sum(axis=0)
            variances.append(mine.sum(axis=0))
            freedoms.append(np.where(spread > 0, np.square(variances[-1]) / np.maximum(spread, 1e-300), 1.0))
    variance: FloatArray = np.sum(variances, axis=0)
    return variance, Tails(np.array(variances) / np.maximum(variance, 1e-300), np.array(freedoms))


def _alike(freedom: FloatArray) -> IntArray:
    """Group terms whose degrees of freedom are less than `ALIKE` times the least of their group.

    Parameters
    ----------
    freedom
        Shape (n_terms, n_contrasts); infinite for a term that is not there.

    Returns
    -------
    IntArray
        Number of each term's group, same shape.
    """
    order = np.argsort(freedom, axis=0, kind="stable")
    ascending = np.take_along_axis(freedom, order, axis=0)
    groups = np.zeros(freedom.shape, dtype=np.int64)
    least, number = ascending[0].copy(), np.zeros(freedom.shape[1], dtype=np.int64)
    for row, values in enumerate(ascending):
        is_new = np.isfinite(values) & (values >= ALIKE * least)
        least, number = np.where(is_new, values, least), number + is_new
        groups[row] = number
    found = np.empty_like(groups)
    np.put_along_axis(found, order, groups, axis=0)
    return found


def _largest(
    flat: Sequence[tuple[FloatArray, Source]], known: FloatArray, error: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw the largest of all contrasts' standardised errors, ascending, shape (`N_DRAWS`,).

    Correlations from few directions come out too strong (from three seeds, all lie in a plane), and too few
    contrasts would seem to be looked at: they are shrunk towards 0 by one over the degrees of freedom
    (Ledoit and Wolf 2004, doi:10.1016/S0047-259X(03)00096-4: the best shrinkage falls as 1/n).
    """
    n_known = int(known.sum())
    covariance = np.zeros((n_known, n_known))
    for share, one in flat:
        scaled = one.deviations[known] * (share[known] / error[known])[:, None]
        own = 1.0 / np.maximum(one.freedom[known], 1.0)
        shrunk = scaled * np.sqrt(1.0 - own)[:, None]
        covariance += shrunk @ shrunk.T + np.diag(own * np.square(scaled).sum(axis=1))
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn = rng.standard_normal((N_DRAWS, n_known)) @ root.T
    return np.sort(np.abs(drawn).max(axis=1))


def _together(
    largest: FloatArray, p: FloatArray, tails: Tails, error: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return half widths and p-values that hold for all contrasts at once and agree with each other."""
    alone = stats.norm.isf((1 - CONFIDENCE) / 2)
    limit = max(float(largest[math.ceil(CONFIDENCE * len(largest)) - 1]), alone)
    z = stats.norm.isf(p / 2)
    reached = (len(largest) - np.searchsorted(largest, z, side="left")) / (len(largest) + 1)
    return tails.isf(float(stats.norm.sf(limit))) * error, np.maximum(reached, p)
