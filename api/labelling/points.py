"""The latent space of a pool, to choose in: in memory, or on disk where it does not fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import varies_by_noise
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_first
from crossprune.harness.selection.methods import method_of
from crossprune.labelling.blocks import Described
from numpy.typing import NDArray

STREAMED = ("none", "standard", "standard_all")
"""Scalings that are known from means and deviations of columns, which blocks add up to."""
Views = Callable[[], Iterator[tuple[Described, ...]]]
"""Goes through the blocks of a pool: what each chooser says of each."""


class Points(Protocol):
    """Scaled points of frames that may be chosen or are given."""

    @property
    def n_columns(self) -> int:
        """Dimension of the space."""

    def take(self, frames: IntArray) -> FloatArray:
        """Return the points of some frames, shape (n, k)."""

    def choose(self, method: str, n_chosen: int, rng: np.random.Generator) -> IntArray:
        """Choose frames that are not given, in the order of picking."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """All of it in memory: any method, any scaling."""

    candidates: Candidates

    @property
    def n_columns(self) -> int:
        """Dimension of the space."""
        return int(self.candidates.points().shape[1])

    def take(self, frames: IntArray) -> FloatArray:
        """Return the points of some frames, shape (n, k)."""
        found: FloatArray = self.candidates.points()[frames]
        return found

    def choose(self, method: str, n_chosen: int, rng: np.random.Generator) -> IntArray:
        """Choose frames that are not given, in the order of picking."""
        return method_of(method).choose(self.candidates, n_chosen, rng)


def joint(several: Sequence[Candidates]) -> Candidates:
    """Put spaces side by side, each with a mean squared distance of 1 from its centre: none outweighs.

    Choosing in it is choosing for all at once: what is far in any of them is far.
    """
    parts = []
    for one in several:
        points = one.points()
        parts.append(points / (_size(np.square(points).sum(axis=1).mean()) if points.size else 1.0))
    first = several[0]
    return Candidates(
        features=np.hstack(parts),
        offsets=np.arange(first.n_configurations + 1),
        groups=first.groups,
        scaling="none",
        given=first.given,
    )


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Points in a file, in the order in which ties are broken; farthest points only."""

    file: Path
    order: IntArray
    """Frame of each row, shape (n,): drawn."""
    given: IntArray
    n_columns: int
    place: IntArray = field(init=False)
    """Row of each frame."""

    def __post_init__(self) -> None:
        """Find the frames in the order."""
        object.__setattr__(self, "place", np.argsort(self.order))

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return len(self.order), self.n_columns

    def __getitem__(self, part: slice, /) -> FloatArray:
        """Read some rows."""
        first, last, _ = part.indices(len(self.order))
        width = 8 * self.n_columns
        found = np.fromfile(self.file, np.float64, (last - first) * self.n_columns, offset=first * width)
        return found.reshape(last - first, self.n_columns)

    def take(self, frames: IntArray) -> FloatArray:
        """Return the points of some frames, shape (n, k)."""
        found = np.empty((len(frames), self.n_columns))
        width = 8 * self.n_columns
        with self.file.open("rb") as stream:
            for number, row in enumerate(self.place[frames].tolist()):
                found[number] = np.frombuffer(os.pread(stream.fileno(), width, row * width))
        return found

    def choose(self, method: str, n_chosen: int, rng: np.random.Generator) -> IntArray:
        """Choose farthest points; the order was drawn when the file was written."""
        if method != "fps":
            raise ValueError(f"points on disk are chosen from by fps, not by {method!r}")
        start = self.place[self.given] if len(self.given) else np.zeros(1, dtype=np.int64)
        picked, _ = farthest_first(self, start, len(self.given) + n_chosen)
        return self.order[picked[len(self.given) :]]


def on_disk(
    views: Views, scaling: str, n: int, given: IntArray, file: Path, rng: np.random.Generator
) -> OnDisk:
    """Scale points as `Candidates` would, block by block, and lay them in a file in an order that is drawn.

    Parameters
    ----------
    views
        Points of the frames that may be chosen or are given; of several choosers they become `joint`.
    scaling
        One of `STREAMED`.
    n
        Number of these frames.
    given
        Those among them that are labelled, shape (n_given,).
    file
        To write.
    rng
        Draws the order.
    """
    columns = _columns(views, scaling)
    order = rng.permutation(n)
    place = np.argsort(order)
    width = sum(int(one.kept.sum()) for one in columns)
    with file.open("wb") as stream:
        first = 0
        for block in views():
            rows = np.hstack([one.scaled(view.values) for one, view in zip(columns, block, strict=True)])
            for row, where in zip(rows, place[first : first + len(rows)].tolist(), strict=True):
                os.pwrite(stream.fileno(), row.tobytes(), 8 * width * where)
            first += len(rows)
    return OnDisk(file, order, given, width)


@dataclass(frozen=True)
class _Columns:
    """What a scaling does to the columns of one chooser."""

    kept: NDArray[np.bool_]
    mean: FloatArray
    divisor: FloatArray

    def scaled(self, values: FloatArray) -> FloatArray:
        scaled: FloatArray = (values - self.mean)[:, self.kept] / self.divisor[self.kept]
        return scaled


def _columns(views: Views, scaling: str) -> list[_Columns]:
    """Find means, deviations and sizes in one pass over the blocks."""
    from sklearn.preprocessing import StandardScaler  # here: it takes a second to import

    scalers: list[StandardScaler] = []
    sizes: list[FloatArray] = []
    for block in views():
        if not scalers:
            scalers = [StandardScaler() for _ in block]
            sizes = [np.zeros(view.values.shape[1]) for view in block]
        for scaler, size, view in zip(scalers, sizes, block, strict=True):
            scaler.partial_fit(view.values)  # means and variances as of Chan 1983, doi:10.2307/2683386
            np.maximum(size, np.abs(view.values).max(axis=0), out=size)
            np.maximum(size, view.largest, out=size)
    found = []
    for scaler, size in zip(scalers, sizes, strict=True):
        deviation = np.sqrt(scaler.var_)
        kept = deviation > 0 if scaling == "standard_all" else ~varies_by_noise(deviation, size)
        divisor = np.ones_like(deviation) if scaling == "none" else np.where(kept, deviation, 1.0)
        if len(scalers) > 1:
            divisor = divisor * _size(float(np.square(deviation / divisor)[kept].sum()))
        found.append(_Columns(kept, scaler.mean_, divisor))
    return found


def _size(mean_square: float) -> float:
    return float(np.sqrt(mean_square)) or 1.0
