"""Start molecular dynamics on a potential's fastest path: its own program, or ASE with its calculator."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import IsotropicMTKNPT
from ase.md.verlet import VelocityVerlet
from ase.units import fs, kB
from crossprune.harness.contract import Dynamics, MotionState, Potential, Thermostat
from crossprune.harness.contract.neighbours import moving

LONGEST_STRIDE = 2.0
"""Å per step; an atom that moves farther, or nowhere, may make a neighbour list hang or crash."""


LOOSEST = 2.0
"""Times the volume at the start, or its inverse: beyond it, NPT may end in a point or a gas (ours)."""
SLOWER = 10.0
"""Relaxation time of the barostat over that of the thermostat, as ASE's documentation advises."""


class AseDynamics(Dynamics):
    """Molecular dynamics by ASE's integrators.

    Velocity Verlet; Langevin's (Vanden-Eijnden 2006, doi:10.1016/j.cplett.2006.07.086); or, at zero pressure,
    the isotropic barostat with chains of thermostats (Martyna 1994, doi:10.1063/1.467468).

    Parameters
    ----------
    atoms
        Start, with its momenta; a copy is moved.
    timestep
        fs.
    thermostat
        None keeps the energy.
    relaxed
        Let the volume change, at zero pressure and the thermostat's temperature.
    """

    def __init__(
        self,
        atoms: Atoms,
        calculator: Calculator,
        *,
        timestep: float,
        thermostat: Thermostat | None,
        relaxed: bool = False,
    ) -> None:
        self._atoms = atoms.copy()
        self._atoms.calc = calculator
        self._thermostat, self._done = thermostat, 0
        self._lists: dict[float, Any] = {}
        self._volume = atoms.get_volume() if relaxed else None
        self._engine: VelocityVerlet | Langevin | IsotropicMTKNPT
        if thermostat is None:
            self._engine = VelocityVerlet(self._atoms, timestep=timestep * fs)
        elif relaxed:
            self._engine = IsotropicMTKNPT(
                self._atoms,
                timestep=timestep * fs,
                temperature_K=thermostat.temperature,
                pressure_au=0.0,
                tdamp=thermostat.relaxation_time * fs,
                pdamp=SLOWER * thermostat.relaxation_time * fs,
            )
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
            if isinstance(self._engine, Langevin) and self._thermostat and self._thermostat.ramp_steps:
                self._engine.set_temperature(temperature_K=self._thermostat.target(self._done))
            with moving(self._lists):
                self._engine.run(1)
            stride = self._atoms.get_velocities() * self._engine.dt
            if not (np.abs(stride) < LONGEST_STRIDE).all() or self._left():
                break
        return MotionState(
            positions=self._atoms.positions.copy(),
            velocities=self._atoms.get_velocities() * fs,
            forces=self._atoms.get_forces(),
            energy=float(self._atoms.get_potential_energy()),
            cell=self._atoms.cell.array.copy() if self._volume else None,
        )

    def _left(self) -> bool:
        """Say whether the volume has left its bounds."""
        ratio = self._atoms.get_volume() / self._volume if self._volume else 1.0
        return not 1 / LOOSEST <= ratio <= LOOSEST


def start(
    potential: Potential,
    atoms: Atoms,
    *,
    timestep: float,
    thermostat: Thermostat | None,
    relaxed: bool = False,
) -> Dynamics:
    """Start dynamics from ``atoms`` with their momenta; arguments as in `AseDynamics`."""
    own = None if relaxed else potential.dynamics(atoms, timestep=timestep, thermostat=thermostat)
    if own is not None:
        return own
    calculator = potential.calculator()
    return AseDynamics(atoms, calculator, timestep=timestep, thermostat=thermostat, relaxed=relaxed)


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
