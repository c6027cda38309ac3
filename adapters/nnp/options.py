"""Options of NNP: symmetry functions, networks and training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.adapters.linear.options import check_label_weights
from crossprune.adapters.nnp.functions import LARGEST_ZETA, LONGEST_CUTOFF
from crossprune.harness.contract import check_weight

MOST_RADIAL = 100
"""Per neighbour element; published sets have up to 16, and neighbours lie 2 Å and more apart."""
SHORTEST_CUTOFF, LARGEST_SHARPNESS = 0.1, 1e4
"""Å, and no unit: no η of the set is larger than files may have then."""


@dataclass(frozen=True)
class NnpOptions:
    """Symmetry functions, networks and training; docs/families/nnp.md gives equations and reasons."""

    cutoff: float = 5.0
    """Distance at which a neighbour's contribution ends, Å."""
    cutoff_function: Literal["cosine", "polynomial"] = "cosine"
    """How contributions fade: with one or with two continuous derivatives at the cutoff."""
    n_radial: int = 12
    """Radial functions per neighbour element."""
    angular_sharpness: tuple[float, ...] = (1.0, 2.0, 5.0)
    """η of the angular functions times cutoff² (dimensionless)."""
    zetas: tuple[float, ...] = (1.0, 2.0, 4.0, 16.0)
    """Angular resolutions ζ; each is used with λ = 1 and −1."""
    angular: Literal["narrow", "wide"] = "narrow"
    """G4 (three distances) or G5 (two distances)."""
    n_functions: int = 0
    """Functions per element that CUR picks on the chosen subset; 0 takes all of the set."""
    hidden: tuple[int, ...] = (24, 24)
    """Nodes of the hidden layers."""
    activation: Literal["tanh", "softplus"] = "tanh"
    """Activation of the hidden layers."""
    energy_weight: float = 10.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    force_weight: float = 1.0
    """Weight of a force component, 1/(eV/Å)."""
    stress_weight: float = 0.0
    """Weight of a stress component, 1/(eV/Å³); 0 leaves stress out of the fit."""
    steps: int = 100
    """Gauss-Newton steps for 10,000 atoms; a subset gets as many times the fourth root of its size over that,
    and 20 at least."""
    batch_size: int = 16
    """Configurations per step, with their energies."""
    batch_atoms: int = 256
    """Atoms of these whose forces count in the step; never more than an eighth of the subset's."""
    step: float = 0.3
    """First step's part of the Gauss-Newton step; it falls to 0.005 as a cosine."""
    damping: float = 1e-3
    """First step's damping over the mean curvature; it falls to a hundredth."""
    weight_decay: float = 0.3
    """Penalty on the square of all weights, over the number of force components; the loss of zero
    energies and forces is 1."""
    validation_fraction: float = 0.1
    """Part of the chosen subset on which the best weights are chosen; it is not trained on. One frame
    at least, and one is left to train on."""
    whitening: float = 1e-4
    """Relative variance below which a direction of the inputs is not scaled up further."""
    precision: Literal["float64", "float32"] = "float32"
    """Numbers in training; prediction is always in double precision."""
    n_networks: int = 1
    """Networks that are trained from different starts and averaged; their spread is the uncertainty."""
    taylor_weight: float = 0.0
    """Weight of the Taylor consistency relative to that of energies; 1.2 in arXiv 2408.05215."""
    spatial_weight: float = 0.0
    """Weight of the spatial consistency relative to that of energies; 0.01 in arXiv 2408.05215."""
    displacement: float = 0.05
    """Largest displacement component of the weakly supervised terms, Å."""
    n_displacements: int = 16
    """Displaced copies per configuration, drawn once per fit."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("cutoff", "step", "damping", "whitening", "displacement"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        check_label_weights(self.energy_weight, self.force_weight, self.stress_weight)
        check_weight("taylor_weight", self.taylor_weight)
        check_weight("spatial_weight", self.spatial_weight)
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must not be negative, got {self.weight_decay}")
        for name in ("n_radial", "steps", "batch_size", "batch_atoms", "n_networks", "n_displacements"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.n_functions < 0:
            raise ValueError(f"n_functions must not be negative, got {self.n_functions}")
        if not self.hidden or min(self.hidden) < 1:
            raise ValueError(f"hidden needs at least one layer of at least one node, got {self.hidden}")
        if not SHORTEST_CUTOFF <= self.cutoff <= LONGEST_CUTOFF:
            raise ValueError(
                f"cutoff must be from {SHORTEST_CUTOFF} to {LONGEST_CUTOFF} Å, got {self.cutoff}"
            )
        if max(self.angular_sharpness, default=0.0) > LARGEST_SHARPNESS:
            raise ValueError(
                f"angular_sharpness must be at most {LARGEST_SHARPNESS:g}, got {self.angular_sharpness}"
            )
        if self.n_radial > MOST_RADIAL:
            raise ValueError(f"n_radial must be at most {MOST_RADIAL}, got {self.n_radial}")
        if self.zetas and not 1 <= min(self.zetas) <= max(self.zetas) <= LARGEST_ZETA:
            raise ValueError(f"zetas must be at least 1 and at most {LARGEST_ZETA:g}, got {self.zetas}")
        if self.angular_sharpness and min(self.angular_sharpness) < 0:
            raise ValueError(f"angular_sharpness must not be negative, got {self.angular_sharpness}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must lie between 0 and 1, got {self.validation_fraction}")
