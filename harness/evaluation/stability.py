"""Does a potential survive molecular dynamics, and how does it move atoms while it does?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import find_mic
from ase.units import fs, kB
from crossprune.harness.contract import FloatArray, MotionState, Potential
from crossprune.harness.data.validation import neighbours
from crossprune.harness.errors import MotionLost
from crossprune.harness.evaluation import dynamics
from crossprune.harness.evaluation.rdf import radial_distribution, rdf_error
from crossprune.harness.evaluation.runs import FS_PER_PS, MdRun

Failure = Literal["", "not_finite", "too_close", "too_hot", "energy_drift", "atom_lost"]
CLOSEST = 0.6
"""Share of the training set's shortest distance below which two atoms are too close (ours)."""
HOTTEST = 3.0
"""Instantaneous over target temperature (ours; stricter than MLIPAudit's target + 10,000 K)."""
HOTTER_K = 10_000.0
"""K above the target (MLIPAudit's criterion) while a frame settles, whose own energy becomes heat."""
SETTLING = 10.0
"""Relaxation times within which a start other than the crystal settles: exp(-10) of its heat is left."""
DRIFT_LIMIT = 0.010
"""eV/atom of energy gained or lost in NVE (ours): kT at 116 K, more than a melting point forgives."""
FRAMES_KEPT = 20
"""Frames of a trajectory that are kept, besides the last one."""


@dataclass
class Trajectory:
    """What a run has seen: one entry per check, besides the frames."""

    frames: list[Atoms] = field(default_factory=list)
    times_ps: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    displacements: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))


@dataclass(frozen=True)
class MdResult:
    """How a run ended and what it measured; NaN where a measure does not apply."""

    failure: Failure
    """Which criterion ended it; empty if it survived."""
    reason: str
    survival_ps: float
    length_ps: float
    """Of the run as planned."""
    survival_temperature_k: float
    """Ramp: the target when it failed, or the highest if it did not."""
    drift_mev_per_atom_per_ps: float
    """Slope of the total energy (NVE)."""
    rdf_error: float
    """Mean absolute difference of g(r) from the reference (dimensionless)."""
    msd_angstrom2: float
    """Mean-square displacement at the end, relative to the centre of mass."""
    mean_temperature_k: float
    """Over the second half."""
    ms_per_atom_step: float

    @property
    def survived(self) -> bool:
        """Whether no criterion was met."""
        return not self.failure


def run_md(potential: Potential, run: MdRun) -> tuple[MdResult, list[Atoms]]:
    """Run molecular dynamics until it ends or fails; return the result and frames with labels.

    NVE starts from the crystal at twice the target, half of which goes into potential energy
    (equipartition); NVT and ramps start at the target.
    """
    rng = np.random.default_rng(run.velocity_seed)
    first = run.target_k(0)
    start = dynamics.with_velocities(run.atoms(), 2 * first if run.ensemble == "nve" else first, rng)
    seed = int(rng.integers(2**31))
    seen = Trajectory(displacements=np.zeros((len(start), 3)))
    began = time.perf_counter()
    failure, reason, done = _follow(potential, run, start, seed, seen)
    elapsed = time.perf_counter() - began
    step_ps = run.timestep_fs / FS_PER_PS
    result = MdResult(
        failure=failure,
        reason=reason,
        survival_ps=done * step_ps,
        length_ps=run.steps * step_ps,
        survival_temperature_k=run.target_k(done) if run.ensemble == "ramp" else float("nan"),
        drift_mev_per_atom_per_ps=_drift(seen, len(start)) if run.ensemble == "nve" else float("nan"),
        rdf_error=_rdf_error(seen.frames, run.reference) if not failure else float("nan"),
        msd_angstrom2=_msd(seen.displacements),
        mean_temperature_k=float(np.mean(seen.temperatures[len(seen.temperatures) // 2 :])),
        ms_per_atom_step=1e3 * elapsed / max(done, 1) / len(start),
    )
    return result, _thin(seen.frames)


def _follow(
    potential: Potential, run: MdRun, start: Atoms, seed: int, seen: Trajectory
) -> tuple[Failure, str, int]:
    """Advance and check; return failure, reason, and the steps done."""
    done, frame = 0, start
    try:
        motion = dynamics.start(potential, start, timestep=run.timestep_fs, thermostat=run.thermostat(seed))
        for stop in (*range(0, run.steps, run.check_every), run.steps):
            state = motion.advance(stop - done)
            done = stop
            frame = _record(frame, state, done * run.timestep_fs / FS_PER_PS, seen)
            failure, reason = violation(frame, seen, run, done)
            if failure:
                return failure, reason, done
    except MotionLost as error:
        return "atom_lost", str(error), done
    return "", "", done


def _record(last: Atoms, state: MotionState, time_ps: float, seen: Trajectory) -> Atoms:
    """Add a state to the trajectory; return it as a frame with labels."""
    frame = Atoms(last.numbers, positions=state.positions, cell=last.cell, pbc=last.pbc)
    frame.set_velocities(state.velocities / fs)
    frame.calc = SinglePointCalculator(frame, energy=state.energy, forces=state.forces)
    if np.isfinite(state.positions).all():
        moved = find_mic(state.positions - last.positions, last.cell, last.pbc)[0]
        seen.displacements = seen.displacements + moved
    seen.frames.append(frame)
    seen.times_ps.append(time_ps)
    kinetic = frame.get_kinetic_energy()
    seen.totals.append(state.energy + kinetic)
    seen.temperatures.append(2 * kinetic / (3 * (len(frame) - 1) * kB))
    return frame


def violation(frame: Atoms, seen: Trajectory, run: MdRun, done: int) -> tuple[Failure, str]:
    """Return the first criterion that the frame after ``done`` steps breaks, or two empty strings."""
    assert frame.calc is not None
    numbers = [frame.positions, frame.calc.results["forces"], seen.totals[-1:], seen.temperatures[-1:]]
    if not all(np.isfinite(one).all() for one in numbers):
        return "not_finite", "position, energy or force is not finite"
    target_k = run.target_k(done)
    if run.frame is not None and done * run.timestep_fs < SETTLING * run.relaxation_time_fs:
        limit, words = target_k + HOTTER_K, f"the target by {HOTTER_K:g} K"
    else:
        limit, words = HOTTEST * target_k, f"{HOTTEST:g} times the target, {target_k:.0f} K"
    if seen.temperatures[-1] > limit:
        return "too_hot", f"{seen.temperatures[-1]:.0f} K exceeds {words}"
    distances = neighbours(frame, CLOSEST * run.shortest_distance)[2]
    if len(distances):
        return "too_close", (
            f"two atoms {distances.min():.2f} Å apart, below {CLOSEST:g} times the shortest distance in "
            f"the training set, {run.shortest_distance:.2f} Å"
        )
    change = (seen.totals[-1] - seen.totals[0]) / len(frame)
    if run.ensemble == "nve" and abs(change) > DRIFT_LIMIT:
        return "energy_drift", f"the total energy changed by {1e3 * change:.1f} meV/atom"
    return "", ""


def _drift(seen: Trajectory, n_atoms: int) -> float:
    """Slope of the total energy, meV/atom/ps; NaN for fewer than three points."""
    totals = np.array(seen.totals)
    if len(totals) < 3 or not np.isfinite(totals).all():
        return float("nan")
    return float(1e3 * np.polyfit(seen.times_ps, totals / n_atoms, 1)[0])


def _rdf_error(frames: Sequence[Atoms], reference: tuple[float, ...]) -> float:
    """Compare the second half of a run with the reference; the first half is for equilibration."""
    if not reference:
        return float("nan")
    return rdf_error(radial_distribution(frames[len(frames) // 2 :]), np.array(reference))


def _msd(displacements: FloatArray) -> float:
    relative = displacements - displacements.mean(axis=0)
    return float((relative**2).sum(axis=1).mean())


def _thin(frames: list[Atoms]) -> list[Atoms]:
    """Keep evenly spaced frames, and always the last."""
    stride = max(1, len(frames) // FRAMES_KEPT)
    kept = frames[::stride]
    return kept if kept[-1] is frames[-1] else [*kept, frames[-1]]
