"""Options of moment tensor potentials: basis, radial functions, fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.adapters.linear.options import LinearOptions

HIGHEST_LEVEL = 16
MOST_INVARIANTS = 1200
"""Of all elements together: rows are dense."""

LONGEST_CUTOFF = 30.0
"""Å; published potentials end at 5, and a search farther out fills the memory."""


@dataclass(frozen=True)
class MtpOptions(LinearOptions):
    """Basis and fit of a moment tensor potential (Shapeev 2016, doi:10.1137/15M1054183)."""

    energy_weight: float = 300.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    regularisation: Literal["ridge", "evidence", "ard"] = "evidence"
    """One strength by the evidence (Bayesian ridge), one per invariant (ARD), or that of ``ridge``."""
    level: int = 16
    """Largest level Σ (2 + radial_step μ + ν) of a product of moments: even, 2 to 16."""
    radial_step: int | None = None
    """What a unit of μ counts in the level: 4 as published; less gives more radial functions. None: 4 with
    fitted radial functions; with fixed ones 2, or more where there are many elements."""
    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    min_distance: float = 1.8
    """Where the Chebyshev polynomials begin, Å; below it they extrapolate."""
    n_chebyshev: int = 8
    """Chebyshev polynomials in each radial function (more where the level has more radial functions)."""
    radial: Literal["fixed", "fitted"] = "fixed"
    """Radial functions that know no data, and exact linear refits; or fitted to each chosen subset."""
    iterations: int = 50
    """Most steps of L-BFGS for fitted radial functions; each solves the linear problem anew."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.level % 2 or not 2 <= self.level <= HIGHEST_LEVEL:
            raise ValueError(f"level must be even, from 2 to {HIGHEST_LEVEL}, got {self.level}")
        if self.radial_step is not None and not 1 <= self.radial_step <= 4:
            raise ValueError(f"radial_step must be from 1 to 4, got {self.radial_step}")
        if not 0 < self.min_distance < self.cutoff:
            raise ValueError(
                f"min_distance must be between 0 and cutoff, got {self.min_distance} and {self.cutoff} Å"
            )
        if self.cutoff > LONGEST_CUTOFF:
            raise ValueError(f"cutoff must be at most {LONGEST_CUTOFF:g} Å, got {self.cutoff}")
        if not 2 <= self.n_chebyshev <= 30:
            raise ValueError(f"n_chebyshev must be from 2 to 30, got {self.n_chebyshev}")
        if self.iterations < 1:
            raise ValueError(f"iterations must be positive, got {self.iterations}")
        if self.radial == "fitted" and self.reweight:
            raise ValueError(
                "reweight would cost a fit of the radial functions for each trial: set reweight = false, "
                "or radial = 'fixed'"
            )
