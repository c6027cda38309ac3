"""What a selection method may look at: the training part in one latent space, scaled and pooled."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import POOLINGS, is_noise, scaling_of


@dataclass(frozen=True)
class Candidates:
    """Configurations to choose from, described by several vectors each: those of their atoms, or rows."""

    features: FloatArray
    """Raw features per atom, or design rows, shape (Σ n_vectors, k)."""
    offsets: IntArray
    """Configuration i holds the vectors offsets[i] to offsets[i + 1]; shape (n_configurations + 1,)."""
    groups: Sequence[str] = ()
    """Group of each configuration; empty where not known."""
    mean_forces: FloatArray | None = None
    """Mean length of the forces on a configuration's atoms, eV/Å, shape (n_configurations,)."""
    scaling: str = "standard"
    """A scaling, see `scaling_of`."""
    pooling: str = "mean"
    """A key of `POOLINGS`."""
    given: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Configurations that are labelled already, distinct: a conditional method completes them."""

    @property
    def n_configurations(self) -> int:
        """How many configurations there are."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> IntArray:
        """Vectors per configuration, shape (n_configurations,)."""
        return np.diff(self.offsets)

    @functools.cached_property
    def largest(self) -> float:
        """Largest absolute value of all features."""
        return float(np.abs(self.features).max(initial=0.0))

    def shuffled(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw an order of all configurations, by which ties are broken, and find the given ones in it."""
        order = rng.permutation(self.n_configurations)
        return order, np.argsort(order)[self.given]

    def points(self) -> FloatArray:
        """Return one scaled point per configuration: pooled first, then scaled; read-only."""
        return self._points

    @functools.cached_property
    def _points(self) -> FloatArray:
        pooled = POOLINGS[self.pooling](self.features, self.offsets)
        if self.scaling != "standard_all":
            pooled[:, is_noise(pooled, self.largest)] = 0.0
        points = scaling_of(self.scaling)(pooled)
        points.flags.writeable = False
        return points

    def environments(self) -> FloatArray:
        """Return one scaled point per atom, or per row."""
        return scaling_of(self.scaling)(np.asarray(self.features, dtype=np.float64))
