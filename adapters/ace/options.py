"""Options of ACE: basis, core repulsion, fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from crossprune.adapters.ace.pacemaker import PacemakerOptions
from crossprune.adapters.linear.fitter import LinearOptions


@dataclass(frozen=True)
class AceOptions(LinearOptions):
    """Basis, core and fit of a linear ACE (Drautz 2019, doi:10.1103/PhysRevB.99.014104)."""

    energy_weight: float = 100.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    ridge: float = 1e-9
    """Strength for a function of degree 0, relative to the squared norm of its weighted column."""
    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    radial: Literal["SBessel", "ChebExpCos", "ChebPow"] = "SBessel"
    """Family of radial functions (Lysogorskiy 2021, doi:10.1038/s41524-021-00559-9)."""
    radial_shape: float = 5.25
    """λ of the family; SBessel has none."""
    max_degrees: tuple[float, ...] = (15.0, 12.0, 10.0, 8.0)
    """Largest degree Σ (n - 1 + l_weight l) of products of one, two, ... neighbours; at most five."""
    l_weight: float = 1.0
    """What a unit of angular momentum counts in the degree (dimensionless)."""
    max_functions: int = 1200
    """Largest number of functions of all elements together: more scale all degrees down; 0 for no limit."""
    regularisation: Literal["ridge", "evidence", "ard"] = "evidence"
    """One strength by the evidence (Bayesian ridge), one per function (ARD), or that of ``ridge``."""
    smoothness: float = 1.0
    """Power p of the prior: a function's ridge is (1 + degree)^2p times ``ridge``; 0 for none."""
    core_fraction: float = 0.6
    """ZBL replaces the expansion below this fraction of the sum of covalent radii; 0 for no core."""
    core_width: float = 0.3
    """Width over which it does, Å."""
    fitter: Literal["own", "pacemaker"] = "own"
    """Fit here, or by the original program where the user has it; see ``pacemaker``."""
    pacemaker: PacemakerOptions = field(default_factory=PacemakerOptions)
    """Settings of the original program."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        for name in ("cutoff", "radial_shape", "l_weight", "core_width"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("max_functions", "smoothness", "core_fraction"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not 1 <= len(self.max_degrees) <= 5 or min(self.max_degrees) < 0:
            raise ValueError(f"max_degrees must be one to five degrees >= 0, got {self.max_degrees}")
        if self.fitter == "pacemaker" and self.stress_weight:
            raise ValueError("pacemaker fits no stress: set stress_weight = 0, or fitter = 'own'")
