"""Options of GAP: kernels, sparse points, expected errors, limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from crossprune.harness.contract import FloatArray

FORCE_SHARE = 0.03
"""Expected error over the root mean square of forces; see docs/tuning.md."""
LEAST_FORCE_ERROR = 0.005
"""eV/Å; forces of plane-wave calculations are seldom converged any better."""


@dataclass(frozen=True)
class GapOptions:
    """Kernel, sparse points, expected errors and limits of a GAP fit."""

    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    transition_width: float = 0.5
    """Width over which neighbours fade out below the cutoff, Å."""
    n_max: int = 8
    """Number of radial functions."""
    l_max: int = 6
    """Highest angular momentum."""
    atom_sigma: float = 0.5
    """Width of the Gaussian that stands for a neighbour, Å."""
    zeta: float = 4.0
    """Power of the SOAP kernel."""
    delta: float = 1.0
    """Standard deviation of an atom's many-body energy, eV."""
    n_sparse: int = 1000
    """SOAP sparse points per element; fewer where the subset has fewer environments."""
    pair_n_sparse: int = 15
    """Sparse distances per pair of elements; at least 2, or 0 for no pair kernel."""
    pair_cutoff: float = 5.0
    """Largest distance of the pair kernel, Å."""
    pair_delta: float = 1.0
    """Standard deviation of a pair's energy, eV."""
    pair_theta: float = 1.0
    """Length scale of the pair kernel, Å."""
    sigma_energy_per_atom: float = 0.002
    """Expected error of energies, eV per atom."""
    sigma_force: float | None = None
    """Expected error of force components, eV/Å; None takes 3 % of the root mean square force of the chosen
    subset, and 0.005 at least."""
    sigma_virial_per_atom: float = 0.05
    """Expected error of virial components, eV per atom."""
    use_stress: bool = False
    """Fit to stress as well, where frames have it; doubles the cost for small cells."""
    jitter: float = 1e-8
    """Number added to the diagonal of the sparse points' covariance, against duplicates."""
    fitter: Literal["fast", "gap_fit"] = "fast"
    """Linear algebra on kernel rows computed once, or the program gap_fit for every fit."""
    pool_per_configuration: int = 64
    """``fast``: candidates for sparse points that a configuration offers, per element."""
    rows_gb: float = 16.0
    """``fast``: space allowed to the kernel rows, GB."""
    timeout_s: float = 3600.0
    """Wall time allowed to gap_fit, s."""
    memory_gb: float = 8.0
    """Resident memory allowed to gap_fit, GB."""

    def __post_init__(self) -> None:
        """Reject numbers that gap_fit answers with a crash."""
        counts = {"pair_n_sparse", "l_max", "use_stress"}
        for name, value in asdict(self).items():
            if value is None or isinstance(value, str):
                continue
            if value < 0 or (value == 0 and name not in counts):
                raise ValueError(
                    f"{name} must be {'at least 0' if name in counts else 'positive'}, got {value}"
                )
        if self.pair_n_sparse == 1:
            raise ValueError("pair_n_sparse must be 0 or at least 2, got 1")
        if self.transition_width > self.cutoff:
            raise ValueError(f"transition_width {self.transition_width} exceeds cutoff {self.cutoff}")

    def weighed(self, forces: FloatArray) -> GapOptions:
        """Return the options with the expected error of forces, from those that are fitted (eV/Å)."""
        if self.sigma_force is not None:
            return self
        size = float(np.sqrt(np.mean(np.square(forces)))) if forces.size else 0.0
        return replace(self, sigma_force=max(FORCE_SHARE * size, LEAST_FORCE_ERROR))

    @property
    def force_error(self) -> float:
        """Expected error of force components, eV/Å, of options that are `weighed`."""
        assert self.sigma_force is not None
        return self.sigma_force

    @property
    def reach(self) -> float:
        """Largest distance at which atoms interact, Å."""
        return max(self.cutoff, self.pair_cutoff)
