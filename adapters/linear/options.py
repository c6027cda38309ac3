"""Options that all linear models have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LinearOptions:
    """Weights and regularisation of a linear model."""

    energy_weight: float = 300.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    force_weight: float = 1.0
    """Weight of a force component, 1/(eV/Å)."""
    stress_weight: float = 0.0
    """Weight of a stress component, 1/(eV/Å³); 0 leaves stress out of the fit."""
    ridge: float = 1e-8
    """Ridge strength, relative to the squared norm of each weighted column (dimensionless)."""
    regularisation: Literal["ridge", "evidence", "ard"] = "ridge"
    """Strength as in ``ridge``; or, on the labels of each chosen subset, one by the evidence (Bayesian ridge)
    or one per column (ARD)."""
    reweight: bool = False
    """Choose each group's weights of energies and of forces by cross-validation inside the chosen subset."""

    def __post_init__(self) -> None:
        """Refuse negative values."""
        for name in ("energy_weight", "force_weight", "stress_weight", "ridge"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not (self.energy_weight or self.force_weight):
            raise ValueError("energy_weight and force_weight are both 0: nothing to fit")
