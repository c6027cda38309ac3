"""What is wrong with a latent space before anything is chosen in it: arrays in, findings out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import scaling_of
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_point
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

Level = Literal["error", "warning", "note"]
"""An error is a space whose choice is not about its descriptor; a note is nothing that must be changed."""
LEAST_SHARE = 0.05
"""Share of the squared distances from which on columns are worth a finding."""
NO_SHARE = 0.01
"""Share below which nobody would look."""
LARGE_SHARE = 0.25
"""Share of the squared distances from which on a choice is theirs."""
ALIKE = 0.8
"""Correlation of a column with a power of the number of vectors from which on they are alike; in healthy
spaces of the published sets 19 of 20 columns stay below 0.6."""
LEFT = 0.7
"""Relative scatter that a column keeps when it is divided by that power; healthy ones gain."""
DETERMINED = 0.999
"""Share of a column's variance that volume and composition must explain."""
EQUAL = 1.0 - 1e-10
"""Correlation from which on two columns are one."""
FLAT = 0.1
"""Scatter of distances over their mean below which all of them agree."""
MOST = 2000
"""Configurations of which all pairs are looked at."""
FEW_AXES = 2.0
"""Effective dimension below which one or two directions decide."""
TENTH = 0.1
SAME = 1e-6
"""Distance over the median one below which two configurations are one point."""


@dataclass(frozen=True)
class Finding:
    """One thing to know of a space."""

    level: Level
    finding: str
    """A short name."""
    n_columns: int
    """Columns that it is about; 0 for what is about the space as a whole."""
    share: float
    """Of the squared distances between configurations that is theirs; NaN where that says nothing."""
    changed: float
    """Share of a tenth, chosen by farthest points, that is another without these columns; NaN likewise."""
    words: str
    """What it is, and what to set."""


def lint(
    candidates: Candidates, volumes: FloatArray, compositions: FloatArray, *, intensive: bool = False
) -> list[Finding]:
    """Look at a space as a chooser would see it.

    Parameters
    ----------
    candidates
        The configurations, with pooling and scaling.
    volumes
        Volume per atom of each configuration, Å³; NaN where there is none. Shape (n_configurations,).
    compositions
        Shares of the elements, shape (n_configurations, n_elements).
    intensive
        Whether a supercell is the same point, as with means over atoms: columns that follow the number of
        atoms then say that kinds of structures differ in it.

    Returns
    -------
    list
        Errors first.
    """
    found = [*_columns(candidates, volumes, compositions, intensive=intensive), *_whole(candidates)]
    return sorted(found, key=lambda one: ("error", "warning", "note").index(one.level))


def follows_size(raw: FloatArray, sizes: IntArray) -> NDArray[np.bool_]:
    """Mark columns that are a power of the number of vectors of a configuration, shape (k,).

    The mean over 3N + 1 rows of which one is the energy's is that row over 3N + 1, whatever the descriptor.
    """
    found = np.zeros(raw.shape[1], dtype=np.bool_)
    if (sizes == sizes[0]).all():
        return found
    for power in (-1.0, 1.0):
        like = sizes.astype(np.float64) ** power
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.abs(_standard(like) @ _standard(raw)) / len(raw)
            left = _relative_scatter(raw / like[:, None]) / _relative_scatter(raw)
        found |= (correlation >= ALIKE) & (left <= LEFT)
    return found


def _standard(values: FloatArray) -> FloatArray:
    found: FloatArray = (values - values.mean(axis=0)) / values.std(axis=0)
    return found


def _relative_scatter(values: FloatArray) -> FloatArray:
    found: FloatArray = values.std(axis=0) / np.abs(values.mean(axis=0))
    return found


def determined_by(raw: FloatArray, known: FloatArray) -> NDArray[np.bool_]:
    """Mark columns of which linear functions of ``known``, shape (n, m), explain `DETERMINED`, shape (k,)."""
    design = np.column_stack([np.ones(len(raw)), known])
    if np.linalg.matrix_rank(design) < 2 or len(raw) <= 2 * design.shape[1]:
        return np.zeros(raw.shape[1], dtype=np.bool_)
    rest = raw - design @ np.linalg.lstsq(design, raw, rcond=1e-10)[0]
    total = np.square(raw - raw.mean(axis=0)).sum(axis=0)
    found: NDArray[np.bool_] = np.square(rest).sum(axis=0) <= (1 - DETERMINED) * np.where(
        total > 0, total, -1.0
    )
    return found


def _columns(
    candidates: Candidates, volumes: FloatArray, compositions: FloatArray, *, intensive: bool
) -> Iterator[Finding]:
    """Find columns that say nothing, or something else than the descriptor."""
    raw = candidates.pooled
    constant = raw.std(axis=0) == 0.0
    noise = candidates.noise & ~constant
    if noise.any():
        counts = candidates.scaling == "standard_all"
        words = f"{noise.sum()} of {raw.shape[1]} columns are rounding noise"
        words += "; scaling = 'standard' leaves them out" if counts else ", and left out or small as they are"
        levels: tuple[Level, Level] = ("warning", "error") if counts else ("note", "note")
        yield from _finding(candidates, noise, words, "rounding noise", levels)
    size = follows_size(raw, candidates.sizes) & ~noise & ~constant
    if size.any():
        words = f"{size.sum()} columns follow the number of atoms"
        levels = ("note", "note") if intensive else ("note", "error")
        words += (
            ", in which kinds of structures differ here"
            if intensive
            else "; take std of rows, or the mean of atoms"
        )
        yield from _finding(candidates, size, words, "number of atoms", levels)
    known = {"volume per atom": _powers(volumes), "composition": compositions[:, :-1]}
    for name, values in known.items():
        if not np.isfinite(values).all() or not values.size:
            continue
        told = determined_by(raw, values) & ~noise & ~constant & ~size
        if told.any():
            words = f"{told.sum()} columns are a function of the {name} only"
            yield from _finding(candidates, told, words, name, ("note", "warning"))
    if constant.any():
        words = f"{constant.sum()} of {raw.shape[1]} columns are the same everywhere, and left out"
        yield Finding("note", "constant columns", int(constant.sum()), 0.0, 0.0, words)
    if copies := _copies(raw[:, ~noise & ~constant]):
        words = f"{copies} columns are others times a number; they count twice"
        yield Finding("note", "duplicate columns", copies, np.nan, np.nan, words)


def _powers(volumes: FloatArray) -> FloatArray:
    """Return the first three powers of scaled volumes, shape (n, 3); nothing if they do not differ."""
    spread = float(volumes.std())
    if not spread > 0:
        return np.empty((len(volumes), 0))
    scaled = (volumes - volumes.mean()) / spread
    return np.column_stack([scaled, scaled**2, scaled**3])


def _finding(
    candidates: Candidates, columns: NDArray[np.bool_], words: str, name: str, levels: tuple[Level, Level]
) -> Iterator[Finding]:
    """Measure what columns do: the second level counts where a large part of the distances is theirs."""
    share, changed = effect(candidates, columns)
    level = levels[1] if share >= LARGE_SHARE else levels[0] if share >= LEAST_SHARE else "note"
    if share >= NO_SHARE or name == "rounding noise":
        yield Finding(level, name, int(columns.sum()), share, changed, words)


def effect(candidates: Candidates, columns: NDArray[np.bool_]) -> tuple[float, float]:
    """Return which share of the squared distances is of some columns, and of a tenth that is chosen by them.

    Parameters
    ----------
    candidates
        The space.
    columns
        Which of the pooled columns, shape (k,).
    """
    whole, rest = candidates.points(), _scaled(candidates.scaling, candidates.counted[:, ~columns])
    total = float(np.square(whole).sum())
    share = 1.0 - float(np.square(rest).sum()) / total if total else 0.0
    n_chosen = max(1, round(TENTH * len(whole)))
    overlaps = []
    for seed in range(3):
        first, second = (
            farthest_point(_as_points(part), n_chosen, np.random.default_rng(seed)) for part in (whole, rest)
        )
        overlaps.append(len(np.intersect1d(first, second)) / n_chosen)
    return max(share, 0.0), 1.0 - float(np.mean(overlaps))


def _scaled(scaling: str, points: FloatArray) -> FloatArray:
    return scaling_of(scaling)(points) if points.shape[1] else points


def _as_points(points: FloatArray) -> Candidates:
    return Candidates(points, np.arange(len(points) + 1), scaling="none")


def _copies(raw: FloatArray) -> int:
    """Count columns that are a column before them times a number, up to an offset."""
    if raw.shape[1] < 2 or len(raw) < 3:
        return 0
    scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    return int((np.abs(np.triu(scaled.T @ scaled / len(raw), 1)) > EQUAL).any(axis=0).sum())


def _whole(candidates: Candidates) -> Iterator[Finding]:
    """Find what is wrong with the space as a whole."""
    points = candidates.points()
    n, k = points.shape
    if k == 0:
        yield Finding(
            "error", "nothing varies", 0, np.nan, np.nan, "all configurations are one point: chance chooses"
        )
        return
    if n <= k:
        words = f"{n} configurations, {k} columns: covariances are not known; whitened distances are shrunk"
        yield Finding("note", "fewer points than columns", 0, np.nan, np.nan, words)
    variances = _variances(points)
    effective = effective_dimension(points)
    if effective < FEW_AXES:
        top = 100 * float(variances[0] / variances.sum())
        words = f"{top:.0f} % of the scatter lies along one direction (effective dimension {effective:.1f})"
        level: Level = "warning" if candidates.scaling == "none" else "note"
        yield Finding(level, "one direction", 0, np.nan, np.nan, words)
    if n < 3:
        return
    distances = _distances(points)
    if distances.std() < FLAT * distances.mean():
        words = "all distances agree to a tenth: farthest points are hardly better than random"
        yield Finding("warning", "distances agree", 0, np.nan, np.nan, words)
    if twins := _n_alike(distances):
        yield Finding(
            "note", "near-duplicates", 0, np.nan, np.nan, f"{twins} pairs of configurations are one point"
        )


def effective_dimension(points: FloatArray) -> float:
    """Return (Σ λ)² / Σ λ² of the variances along principal axes: how many directions count; 0 if none."""
    variances = _variances(points)
    total = float(np.square(variances).sum())
    return float(variances.sum() ** 2 / total) if total else 0.0


def near_duplicates(points: FloatArray) -> int:
    """Count pairs of points that are one; of more than `MOST` points, among a sample."""
    return _n_alike(_distances(points)) if len(points) > 1 and points.shape[1] else 0


def _variances(points: FloatArray) -> FloatArray:
    found: FloatArray = np.square(np.linalg.svd(points - points.mean(axis=0), compute_uv=False))
    return found


def _distances(points: FloatArray) -> FloatArray:
    """Return the distances of all pairs, of at most `MOST` points."""
    found: FloatArray = pdist(points[np.random.default_rng(0).permutation(len(points))[:MOST]])
    return found


def _n_alike(distances: FloatArray) -> int:
    """Count distances that are nothing beside the median; none if that is 0."""
    return int((distances < SAME * float(np.median(distances))).sum())
