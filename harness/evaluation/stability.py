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
from crossprune.harness.contract import FloatArray, MotionState, Potential, Thermostat
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.data.validation import neighbours
from crossprune.harness.errors import MotionLost
from crossprune.harness.evaluation import dynamics
from crossprune.harness.evaluation.rdf import radial_distribution, rdf_error

Ensemble = Literal["nve", "nvt"]
Failure = Literal["", "not_finite", "too_close", "too_hot", "energy_drift", "atom_lost"]
CLOSEST = 0.6
"""Share of the training set's shortest distance below which two atoms are too close (ours)."""
HOTTEST = 3.0
"""Instantaneous over target temperature (ours; stricter than MLIPAudit's target + 10,000 K)."""
DRIFT_LIMIT = 0.010
"""eV/atom of energy gained or lost in NVE (ours): kT at 116 K, more than a melting point forgives."""
FS_PER_PS = 1000.0
FRAMES_KEPT = 20
"""Frames of a trajectory that are kept, besides the last one."""


@dataclass(frozen=True)
class MdOptions:
    """The study's ``[md]`` table."""

    enabled: bool = False
    """Run molecular dynamics with every fitted model."""
    ensembles: tuple[Ensemble, ...] = ("nve", "nvt")
    """Constant energy, or a Langevin thermostat; both at constant volume."""
    melting_fractions: tuple[float, ...] = (0.25, 0.5, 0.9, 1.2)
    """Temperatures in units of the melting temperature on the data set's card."""
    reference_temperatures: bool = True
    """Also NVT in the cells and at the temperatures of the data set's ab-initio snapshots."""
    steps: int = 5000
    """Length of a run."""
    timestep_fs: float = 2.0
    """Time step."""
    repeat: int = 0
    """Cubes along each edge; 0 takes 54 (bcc), 108 (fcc) or 64 (diamond) atoms."""
    n_velocities: int = 3
    """Runs from different initial velocities."""
    relaxation_time_fs: float = 100.0
    """Of the thermostat."""
    check_every: int = 10
    """Steps between checks: the resolution of the survival time."""
    seeds: tuple[int, ...] = ()
    """Only for cells of these seeds; empty for all."""
    budget_s: float = 600.0
    """Wall time per run; a run that needs more is cut short and says so."""

    def __post_init__(self) -> None:
        """Refuse values that make no run."""
        for name in ("steps", "timestep_fs", "n_velocities", "check_every", "budget_s", "relaxation_time_fs"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.melting_fractions and min(self.melting_fractions) <= 0:
            raise ValueError(f"melting_fractions must be positive, got {self.melting_fractions}")
        if self.repeat < 0:
            raise ValueError(f"repeat must not be negative, got {self.repeat}")


@dataclass(frozen=True)
class MdRun:
    """One run: all that its result depends on besides the potential."""

    crystal: Crystal
    repeat: int
    ensemble: Ensemble
    temperature_k: float
    velocity_seed: int
    shortest_distance: float
    """In the training set, Å."""
    steps: int
    timestep_fs: float
    relaxation_time_fs: float
    check_every: int
    budget_s: float
    reference: tuple[float, ...] = ()
    """Radial distribution function of ab-initio snapshots of the same cell and temperature."""


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
    """Of the run as planned, or as far as the budget reached."""
    drift_mev_per_atom_per_ps: float
    """Slope of the total energy (NVE)."""
    rdf_error: float
    """Mean absolute difference of g(r) from the reference (dimensionless)."""
    msd_angstrom2: float
    """Mean-square displacement at the end, relative to the centre of mass."""
    mean_temperature_k: float
    """Over the second half."""
    ms_per_atom_step: float
    cut_short: bool

    @property
    def survived(self) -> bool:
        """Whether no criterion was met."""
        return not self.failure


def run_md(potential: Potential, run: MdRun) -> tuple[MdResult, list[Atoms]]:
    """Run molecular dynamics until it ends or fails; return the result and frames with labels.

    NVE starts from the perfect crystal at twice the target, half of which goes into potential energy
    (equipartition); NVT starts at the target.
    """
    rng = np.random.default_rng(run.velocity_seed)
    start = run.crystal.conventional(run.repeat)
    kinetic = 2 * run.temperature_k if run.ensemble == "nve" else run.temperature_k
    start = dynamics.with_velocities(start, kinetic, rng)
    seed = int(rng.integers(2**31))
    bath = Thermostat(run.temperature_k, run.relaxation_time_fs, seed) if run.ensemble == "nvt" else None
    seen = Trajectory(displacements=np.zeros((len(start), 3)))
    began = time.perf_counter()
    failure, reason, cut_short, done = _follow(potential, run, start, bath, seen)
    elapsed = time.perf_counter() - began
    step_ps = run.timestep_fs / FS_PER_PS
    result = MdResult(
        failure=failure,
        reason=reason,
        survival_ps=done * step_ps,
        length_ps=(done if cut_short else run.steps) * step_ps,
        drift_mev_per_atom_per_ps=_drift(seen, len(start)) if bath is None else float("nan"),
        rdf_error=_rdf_error(seen.frames, run.reference) if not failure else float("nan"),
        msd_angstrom2=_msd(seen.displacements),
        mean_temperature_k=float(np.mean(seen.temperatures[len(seen.temperatures) // 2 :])),
        ms_per_atom_step=1e3 * elapsed / max(done, 1) / len(start),
        cut_short=cut_short,
    )
    return result, _thin(seen.frames)


def _follow(
    potential: Potential, run: MdRun, start: Atoms, bath: Thermostat | None, seen: Trajectory
) -> tuple[Failure, str, bool, int]:
    """Advance and check; return failure, reason, whether the budget ended it, and the steps done."""
    began, done, frame = time.perf_counter(), 0, start
    try:
        motion = dynamics.start(potential, start, timestep=run.timestep_fs, thermostat=bath)
        for stop in (*range(0, run.steps, run.check_every), run.steps):
            if time.perf_counter() - began > run.budget_s:
                return "", f"cut short: the budget of {run.budget_s:g} s was used up", True, done
            state = motion.advance(stop - done)
            done = stop
            frame = _record(frame, state, done * run.timestep_fs / FS_PER_PS, seen)
            failure, reason = violation(frame, seen, run)
            if failure:
                return failure, reason, False, done
    except MotionLost as error:
        return "atom_lost", str(error), False, done
    return "", "", False, done


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


def violation(frame: Atoms, seen: Trajectory, run: MdRun) -> tuple[Failure, str]:
    """Return the first criterion of stability that the latest frame breaks, or two empty strings."""
    assert frame.calc is not None
    numbers = [frame.positions, frame.calc.results["forces"], seen.totals[-1:], seen.temperatures[-1:]]
    if not all(np.isfinite(one).all() for one in numbers):
        return "not_finite", "position, energy or force is not finite"
    limit = HOTTEST * run.temperature_k
    if seen.temperatures[-1] > limit:
        return "too_hot", f"{seen.temperatures[-1]:.0f} K exceeds {HOTTEST:g} times the target"
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
