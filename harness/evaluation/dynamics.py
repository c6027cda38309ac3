"""Start molecular dynamics on a potential's fastest path: its own program, or ASE with its calculator."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kB
from crossprune.harness.contract import Dynamics, MotionState, Potential, Thermostat

LONGEST_STRIDE = 2.0
"""Å per step; an atom that moves farther, or nowhere, may make a neighbour list hang or crash."""


class AseDynamics(Dynamics):
    """Velocity Verlet, or ASE's Langevin integrator (Vanden-Eijnden 2006, doi:10.1016/j.cplett.2006.07.086).

    Parameters
    ----------
    atoms
        Start, with its momenta; a copy is moved.
    timestep
        fs.
    thermostat
        None keeps the energy.
    """

    def __init__(
        self, atoms: Atoms, calculator: Calculator, *, timestep: float, thermostat: Thermostat | None
    ) -> None:
        self._atoms = atoms.copy()
        self._atoms.calc = calculator
        self._thermostat, self._done = thermostat, 0
        if thermostat is None:
            self._engine: VelocityVerlet | Langevin = VelocityVerlet(self._atoms, timestep=timestep * fs)
        else:
            self._engine = Langevin(
                self._atoms,
                timestep=timestep * fs,
                temperature_K=thermostat.temperature,
                friction=1 / (thermostat.relaxation_time * fs),
                fixcm=False,  # ASE's way of fixing the centre of mass does not sample NVT
                rng=np.random.default_rng(thermostat.seed),
            )

    def advance(self, n_steps: int) -> MotionState:
        """Take ``n_steps`` steps, or fewer: a runaway is left for the caller to see, not computed on."""
        for _ in range(n_steps):
            self._done += 1
            if isinstance(self._engine, Langevin) and self._thermostat is not None:
                self._engine.set_temperature(temperature_K=self._thermostat.target(self._done))
            self._engine.run(1)
            stride = self._atoms.get_velocities() * self._engine.dt
            if not (np.abs(stride) < LONGEST_STRIDE).all():
                break
        return MotionState(
            positions=self._atoms.positions.copy(),
            velocities=self._atoms.get_velocities() * fs,
            forces=self._atoms.get_forces(),
            energy=float(self._atoms.get_potential_energy()),
        )


def start(potential: Potential, atoms: Atoms, *, timestep: float, thermostat: Thermostat | None) -> Dynamics:
    """Start dynamics from ``atoms`` with their momenta; arguments as in `AseDynamics`."""
    own = potential.dynamics(atoms, timestep=timestep, thermostat=thermostat)
    if own is not None:
        return own
    return AseDynamics(atoms, potential.calculator(), timestep=timestep, thermostat=thermostat)


def with_velocities(atoms: Atoms, temperature: float, rng: np.random.Generator) -> Atoms:
    """Return a copy with Maxwell-Boltzmann velocities of exactly ``temperature`` (K) and no net momentum."""
    masses = atoms.get_masses()[:, None]
    momenta = np.sqrt(masses) * rng.standard_normal((len(atoms), 3))
    momenta -= masses / masses.sum() * momenta.sum(axis=0)
    freedoms = 3 * len(atoms) - 3  # three momenta are zero
    present = (momenta**2 / masses).sum() / freedoms
    copy: Atoms = atoms.copy()
    copy.set_momenta(momenta * np.sqrt(kB * temperature / present))
    return copy
