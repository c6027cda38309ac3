"""What a selection method may look at: the training part in one latent space, scaled and pooled."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import POOLINGS, is_noise, scaling_of
from numpy.typing import NDArray


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
    energies: FloatArray | None = None
    """Energy per atom less what the elements explain, eV/atom, shape (n_configurations,)."""
    scaling: str = "standard"
    """A scaling, see `scaling_of`."""
    pooling: str = "mean"
    """A key of `POOLINGS`."""
    given: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Configurations that are labelled already, distinct: a conditional method completes them."""
    largest: float = 0.0
    """Largest size of what the features were made of, if they are points that were pooled before."""

    def __post_init__(self) -> None:
        """Refuse what is not of these configurations."""
        n = self.n_configurations
        forces, energies = (
            n if values is None else len(values) for values in (self.mean_forces, self.energies)
        )
        given = np.unique(self.given)
        if len(self.groups) not in (0, n) or forces != n or energies != n:
            raise ValueError(
                f"{n} configurations, {len(self.groups)} groups, {forces} mean forces, {energies} energies"
            )
        if len(given) != len(self.given) or not np.isin(given, np.arange(n)).all():
            raise ValueError(f"given must be distinct numbers from 0 to {n - 1}, got {self.given.tolist()}")

    @property
    def n_configurations(self) -> int:
        """How many configurations there are."""
        return len(self.offsets) - 1

    @property
    def sizes(self) -> IntArray:
        """Vectors per configuration, shape (n_configurations,)."""
        return np.diff(self.offsets)

    def shuffled(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Draw an order of all configurations, by which ties are broken, and find the given ones in it."""
        order = rng.permutation(self.n_configurations)
        return order, np.argsort(order)[self.given]

    def apart(self) -> Candidates:
        """Make each vector a candidate of its own, in the same space; where vectors are of atoms.

        Forces and energies of configurations are none of theirs.
        """
        of_vectors = zip(self.groups, self.sizes.tolist(), strict=True) if self.groups else ()
        return replace(
            self,
            offsets=np.arange(len(self.features) + 1),
            groups=[group for group, size in of_vectors for _ in range(size)],
            mean_forces=None,
            energies=None,
            given=np.flatnonzero(np.isin(np.repeat(np.arange(len(self.sizes)), self.sizes), self.given)),
        )

    def points(self) -> FloatArray:
        """Return one scaled point per configuration: pooled first, then scaled; read-only."""
        return self._points

    @functools.cached_property
    def pooled(self) -> FloatArray:
        """One point per configuration as it was pooled, shape (n_configurations, k); read-only."""
        pooled = POOLINGS[self.pooling](self.features, self.offsets)
        pooled.flags.writeable = False
        return pooled

    @functools.cached_property
    def noise(self) -> NDArray[np.bool_]:
        """Which columns vary by the rounding of what they were pooled from, shape (k,)."""
        return is_noise(self.pooled, max(self.largest, float(np.abs(self.features).max(initial=0.0))))

    @property
    def counted(self) -> FloatArray:
        """Pooled points in which rounding noise is 0, unless the scaling lets all columns count."""
        return self.pooled if self.scaling == "standard_all" else np.where(self.noise, 0.0, self.pooled)

    @functools.cached_property
    def _points(self) -> FloatArray:
        points = scaling_of(self.scaling)(self.counted)
        points.flags.writeable = False
        return points

    def environments(self) -> FloatArray:
        """Return one scaled point per atom, or per row."""
        return scaling_of(self.scaling)(np.asarray(self.features, dtype=np.float64))
