"""How a family's own molecular dynamics must behave: as that of the harness would."""

from __future__ import annotations

import numpy as np
from ase.build import bulk
from ase.units import fs, kB
from crossprune.harness.checks.subject import SEED, NotClaimed, Subject, close
from crossprune.harness.contract import MotionState, Thermostat

HEATING = Thermostat(temperature=10.0, relaxation_time=10.0, seed=SEED, final=1000.0, ramp_steps=200)
"""5 K/fs: 50 to 100 K behind the target."""
PIECES = 10


def own_dynamics_follow_the_thermostat(subject: Subject) -> None:
    """A ramp goes over all calls together, and forces are the potential's, without the thermostat's."""
    atoms = bulk("Cu", "fcc", 3.6, cubic=True).repeat(2)
    atoms.symbols = [subject.elements[k % len(subject.elements)] for k in range(len(atoms))]
    motion = subject.potential.dynamics(atoms, timestep=1.0, thermostat=HEATING)
    if motion is None:
        raise NotClaimed("has no molecular dynamics of its own")
    masses, temperatures = atoms.get_masses()[:, None], []

    def temperature(state: MotionState) -> float:
        velocities = state.velocities / fs
        return float((masses * velocities**2).sum() / (3 * len(atoms) * kB))

    for _ in range(PIECES):
        state = motion.advance(HEATING.ramp_steps // PIECES)
        temperatures.append(temperature(state))
    there = atoms.copy()
    there.positions = state.positions
    close(state.forces, subject.potential.predict(there).forces, 1e-6, "forces in dynamics")
    # 32 atoms: one temperature is known to 14 %, the mean of five to 7 % or so
    assert temperatures[0] < 350, f"{temperatures[0]:.0f} K after a tenth of a ramp from 10 to 1000 K"
    mean = float(np.mean(temperatures[PIECES // 2 :]))
    assert 400 < mean < 1150, f"{mean:.0f} K in the second half of a ramp from 10 to 1000 K, not 800 K"
