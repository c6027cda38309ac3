"""Options of UF3: knots, core repulsion, penalties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.adapters.linear.fitter import LinearOptions
from crossprune.adapters.uf3.knots import KNOT_SPACINGS, KnotSpacing


@dataclass(frozen=True)
class Uf3Options(LinearOptions):
    """Knots, core and penalties (Xie 2023, doi:10.1038/s41524-023-01092-7)."""

    ridge: float = 0.0
    """Ridge relative to the squared norm of each weighted column, beside the penalties below."""
    regularisation: Literal["ridge", "evidence"] = "ridge"
    """Penalties as given; or times one factor, of greatest evidence on the labels of each subset."""
    cutoff: float = 5.5
    """Distance at which pairs end, Å."""
    resolution_2b: int = 20
    """Intervals between knots of pairs, from ``inner_fraction`` to the cutoff; more go on below."""
    cutoff_3b: float = 4.5
    """Distance at which the two neighbours of a centre stop to count in triples, Å; theirs from each other
    ends at twice this, as LAMMPS asks."""
    resolution_3b: int | None = None
    """Intervals of these two distances, twice as many for the third; 0 leaves triples out. None: 10, or as
    many as a fit can hold (8 for three elements, 6 for four and five)."""
    knot_spacing: KnotSpacing = "linear"
    """Knots even in r, in r² (``lammps``), ln r (``geometric``) or 1/r (``inverse``)."""
    inner_fraction: float = 0.45
    """Where data may begin, in sums of two covalent radii: triples start there, and knots are even above."""
    core_fraction: float = 0.6
    """Below this fraction of the sum of covalent radii pairs are drawn to the repulsion of bare nuclei, not
    to a straight line; 0 for none."""
    curvature_2b: float = 1e-8
    """Penalty on second differences of coefficients of pairs, relative to their mean squared column."""
    curvature_3b: float = 1e-8
    """The same for triples, along each of their three distances."""
    ridge_2b: float = 0.0
    """Penalty on squares of coefficients of pairs, relative to their mean squared column."""
    ridge_3b: float = 1e-10
    """The same for triples."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        for name in ("ridge_2b", "ridge_3b", "core_fraction"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("cutoff", "cutoff_3b", "inner_fraction", "curvature_2b", "curvature_3b"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.inner_fraction >= 1:
            raise ValueError(
                f"inner_fraction must be below 1, the sum of two covalent radii, where bonds lie; "
                f"got {self.inner_fraction}"
            )
        if not 4 <= self.resolution_2b <= 1000:
            raise ValueError(f"resolution_2b must be between 4 and 1000, got {self.resolution_2b}")
        if self.resolution_3b and not 4 <= self.resolution_3b <= 50:
            raise ValueError(f"resolution_3b must be 0 or between 4 and 50, got {self.resolution_3b}")
        if self.knot_spacing not in KNOT_SPACINGS:
            allowed = ", ".join(KNOT_SPACINGS)
            raise ValueError(f"knot_spacing must be one of {allowed}, got {self.knot_spacing!r}")
        if self.regularisation not in ("ridge", "evidence"):
            raise ValueError(
                "regularisation must be ridge or evidence: a strength for each coefficient alone (ard) has "
                f"no meaning where neighbours are tied, got {self.regularisation!r}"
            )
