"""Molecular dynamics that a family runs by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from crossprune.harness.contract.arrays import FloatArray


@dataclass(frozen=True)
class Thermostat:
    """Langevin's: temperature (K), relaxation time (fs) and the seed of its random forces.

    With ``ramp_steps`` it heats (or cools): evenly from ``temperature`` to ``final`` (K) in so many steps.
    """

    temperature: float
    relaxation_time: float
    seed: int
    final: float = 0.0
    ramp_steps: int = 0

    def target(self, step: int) -> float:
        """Return the temperature (K) of step number ``step``, the first being 1."""
        if not self.ramp_steps:
            return self.temperature
        return self.temperature + (self.final - self.temperature) * min(step / self.ramp_steps, 1.0)


@dataclass(frozen=True)
class MotionState:
    """A moment of molecular dynamics.

    ``positions`` Å (wrapped or not), ``velocities`` Å/fs, ``forces`` eV/Å, all (n_atoms, 3): those of the
    potential, without the thermostat's; ``energy`` eV; ``cell`` Å, rows are the vectors, None if fixed.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energy: float
    cell: FloatArray | None = None


class Dynamics(ABC):
    """Molecular dynamics of one structure, advanced step by step; a family's own keeps the cell."""

    @abstractmethod
    def advance(self, n_steps: int) -> MotionState:
        """Go on by ``n_steps``; raise `MotionLost` if the program that runs them gives up."""
