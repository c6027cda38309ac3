"""Does a potential survive molecular dynamics, and how does it move atoms while it does?"""

from __future__ import annotations

import dataclasses
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
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.errors import MotionLost
from crossprune.harness.evaluation.motion import dynamics
from crossprune.harness.evaluation.motion.runs import FS_PER_PS, MdRun
from crossprune.harness.evaluation.motion.structure import (
    adf_error,
    angular_distribution,
    mean_and_scatter,
    pressures,
    radial_distribution,
    rdf_error,
    vibration,
)
from scipy import special

Failure = Literal["", "not_finite", "too_close", "too_hot", "energy_drift", "volume", "atom_lost"]
CLOSEST = 0.6
"""Share of the training set's shortest distance below which two atoms are too close (ours)."""
HOTTEST = 3.0
"""Instantaneous over target temperature (ours; stricter than MLIPAudit's target + 10,000 K)."""
BY_CHANCE = 1e-9
"""Share of the canonical ensemble that may be taken for too hot; matters below 16 atoms."""
HOTTER_K = 10_000.0
"""K above the target (MLIPAudit's criterion) while a frame settles, whose own energy becomes heat."""
SETTLING = 10.0
"""Relaxation times within which a start other than the crystal settles: exp(-10) of its heat is left."""
DRIFT_LIMIT = 0.010
"""eV/atom of energy gained or lost in NVE (ours): kT at 116 K, more than a melting point forgives."""
NAN = float("nan")
FRAMES_KEPT = 20
"""Frames of a trajectory that are kept, besides the last one."""
FRAMES_PRESSED = 50
"""Frames of the second half whose pressure is computed: 1 % more work for 5000 steps."""


@dataclass
class Trajectory:
    """What a run has seen: one entry per check, besides the frames."""

    frames: list[Atoms] = field(default_factory=list)
    times_ps: list[float] = field(default_factory=list)
    totals: list[float] = field(default_factory=list)
    temperatures: list[float] = field(default_factory=list)
    displacements: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Means over the second half of a run that survived, and what to compare them with; NaN if none.

    Noise is what a perfect model would show: the mean error of a distribution, a mean's standard deviation.
    """

    rdf_error: float = NAN
    """Mean absolute difference of g(r) from the reference (dimensionless)."""
    rdf_noise: float = NAN
    adf_error: float = NAN
    """Share of the bond angles that lie elsewhere than in the reference."""
    adf_noise: float = NAN
    pressure_gpa: float = NAN
    """Positive = compression."""
    reference_pressure_gpa: float = NAN
    pressure_noise_gpa: float = NAN
    vibration_thz: float = NAN
    """Root of the second moment of the vibrational density of states."""
    reference_vibration_thz: float = NAN
    vibration_noise_thz: float = NAN
    volume_angstrom3_per_atom: float = NAN
    """NPT."""


@dataclass(frozen=True, kw_only=True)
class MdResult(Measures):
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

    NVE and NPT start from the crystal at twice the target, half of which goes into potential energy
    (equipartition); NVT and ramps start at the target.

    Raises
    ------
    PropertyNotImplementedError
        ASE's, if NPT is asked of a family without stress.
    """
    rng = np.random.default_rng(run.velocity_seed)
    first = run.target_k(0)
    start = dynamics.with_velocities(run.atoms(), 2 * first if run.ensemble in ("nve", "npt") else first, rng)
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
        survival_temperature_k=run.target_k(done) if run.ensemble == "ramp" else NAN,
        drift_mev_per_atom_per_ps=_drift(seen, len(start)) if run.ensemble == "nve" else NAN,
        msd_angstrom2=_msd(seen.displacements),
        mean_temperature_k=float(np.mean(seen.temperatures[len(seen.temperatures) // 2 :])),
        ms_per_atom_step=1e3 * elapsed / max(done, 1) / len(start),
        **({} if failure else vars(measures(potential, run, seen))),
    )
    return result, _thin(seen.frames)


def _follow(
    potential: Potential, run: MdRun, start: Atoms, seed: int, seen: Trajectory
) -> tuple[Failure, str, int]:
    """Advance and check; return failure, reason, and the steps done."""
    done, frame = 0, start
    try:
        motion = dynamics.start(
            potential,
            start,
            timestep=run.timestep_fs,
            thermostat=run.thermostat(seed),
            relaxed=run.ensemble == "npt",
        )
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
    cell = last.cell if state.cell is None else state.cell
    frame = Atoms(last.numbers, positions=state.positions, cell=cell, pbc=last.pbc)
    frame.set_velocities(state.velocities / fs)
    frame.calc = SinglePointCalculator(frame, energy=state.energy, forces=state.forces)
    if np.isfinite(state.positions).all():
        before = last.positions
        if state.cell is not None:  # a change of the cell moves no atom past another
            before = before @ np.linalg.solve(last.cell.array, state.cell)
        moved = find_mic(state.positions - before, frame.cell, frame.pbc)[0]
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
        times = hottest(len(frame))
        limit, words = times * target_k, f"{times:.2g} times the target, {target_k:.0f} K"
    if seen.temperatures[-1] > limit:
        return "too_hot", f"{seen.temperatures[-1]:.0f} K exceeds {words}"
    if run.ensemble == "npt":
        ratio = frame.get_volume() / seen.frames[0].get_volume()
        if not 1 / dynamics.LOOSEST <= ratio <= dynamics.LOOSEST:
            return "volume", f"the volume is {ratio:.3g} times that at the start"
    distances = find_neighbours(frame, CLOSEST * run.shortest_distance, apart=False).distances
    if len(distances):
        return "too_close", (
            f"two atoms {distances.min():.2f} Å apart, below {CLOSEST:g} times the shortest distance in "
            f"the training set, {run.shortest_distance:.2f} Å"
        )
    change = (seen.totals[-1] - seen.totals[0]) / len(frame)
    if run.ensemble == "nve" and abs(change) > DRIFT_LIMIT:
        return "energy_drift", f"the total energy changed by {1e3 * change:.1f} meV/atom"
    return "", ""


def hottest(n_atoms: int) -> float:
    """Return the instantaneous over the target temperature above which a run is too hot.

    Twice the kinetic energy over k T is distributed as χ² of 3 N freedoms in the canonical ensemble
    (Allen & Tildesley 2017, doi:10.1093/oso/9780198803195.001.0001, section 2.5).
    """
    by_chance = float(special.chdtri(3 * n_atoms, BY_CHANCE)) / (3 * (n_atoms - 1))
    return max(HOTTEST, by_chance)


def _drift(seen: Trajectory, n_atoms: int) -> float:
    """Slope of the total energy, meV/atom/ps; NaN for fewer than three points."""
    totals = np.array(seen.totals)
    if len(totals) < 3 or not np.isfinite(totals).all():
        return NAN
    return float(1e3 * np.polyfit(seen.times_ps, totals / n_atoms, 1)[0])


def measures(potential: Potential, run: MdRun, seen: Trajectory) -> Measures:
    """Average over the second half of a run; the first half is for equilibration."""
    if run.ensemble == "ramp":
        return Measures()
    second = len(seen.frames) // 2
    frames, temperature = seen.frames[second:], run.temperature_k
    if run.ensemble == "nve":
        temperature = float(np.mean(seen.temperatures[second:]))
    volume = np.mean([atoms.get_volume() / len(atoms) for atoms in frames])
    pressed = frames[:: -(-len(frames) // FRAMES_PRESSED)]
    found = Measures(
        pressure_gpa=_pressure(potential, pressed, temperature),
        vibration_thz=vibration(frames, temperature)[0],
        volume_angstrom3_per_atom=float(volume) if run.ensemble == "npt" else NAN,
    )
    if (wanted := run.reference) is None:
        return found
    # energies of frames less than two relaxation times apart are correlated
    times = run.steps / 2 * run.timestep_fs / (2 * run.relaxation_time_fs)
    n_frames, n_pressed = (max(1.0, min(len(one), times)) for one in (frames, pressed))
    angles = angular_distribution(frames, wanted.shell)
    return dataclasses.replace(
        found,
        rdf_error=rdf_error(radial_distribution(frames), np.array(wanted.rdf)),
        rdf_noise=wanted.noise_of_halves(wanted.rdf_halves, n_frames),
        adf_error=adf_error(angles, np.array(wanted.adf)),
        adf_noise=wanted.noise_of_halves(wanted.adf_halves, n_frames),
        reference_pressure_gpa=wanted.pressure_gpa,
        pressure_noise_gpa=wanted.noise_of_mean(wanted.pressure_scatter_gpa, n_pressed),
        reference_vibration_thz=wanted.vibration_thz,
        vibration_noise_thz=wanted.noise_of_mean(wanted.vibration_scatter_thz, n_frames),
    )


def _pressure(potential: Potential, frames: Sequence[Atoms], temperature: float) -> float:
    """Return the mean pressure, GPa; NaN if the family has no stress, or a direction is open."""
    stresses = [stress for atoms in frames if (stress := potential.predict(atoms).stress) is not None]
    if len(stresses) < len(frames) or not frames[0].pbc.all():
        return NAN
    return mean_and_scatter(pressures(frames, stresses, temperature))[0]


def _msd(displacements: FloatArray) -> float:
    relative = displacements - displacements.mean(axis=0)
    return float((relative**2).sum(axis=1).mean())


def _thin(frames: list[Atoms]) -> list[Atoms]:
    """Keep evenly spaced frames, and always the last."""
    stride = max(1, len(frames) // FRAMES_KEPT)
    kept = frames[::stride]
    return kept if kept[-1] is frames[-1] else [*kept, frames[-1]]
