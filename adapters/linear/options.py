"""Options that all linear models have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.harness.contract import check_weight


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
        """Refuse values outside their range."""
        check_label_weights(self.energy_weight, self.force_weight, self.stress_weight)
        if self.ridge < 0:
            raise ValueError(f"ridge must not be negative, got {self.ridge}")


def check_label_weights(energy_weight: float, force_weight: float, stress_weight: float) -> None:
    """Raise `ValueError` for weights of labels that are out of bounds, see `check_weight`, or fit nothing."""
    check_weight("energy_weight", energy_weight)
    check_weight("force_weight", force_weight)
    check_weight("stress_weight", stress_weight)
    if not (energy_weight or force_weight):
        raise ValueError("energy_weight and force_weight are both 0: nothing to fit")
