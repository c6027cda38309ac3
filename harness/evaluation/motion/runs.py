"""Runs of molecular dynamics: what a study asks for, and all that one run depends on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray, IntArray, Thermostat
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.evaluation.motion.structure import Reference
from numpy.typing import NDArray

Ensemble = Literal["nve", "nvt", "npt", "ramp"]
FS_PER_PS = 1000.0
CRYSTAL = "crystal"
"""Start of a run that is no held-out frame."""


@dataclass(frozen=True)
class MdOptions:
    """The study's ``[md]`` table."""

    enabled: bool = False
    """Run molecular dynamics with every fitted model."""
    ensembles: tuple[Literal["nve", "nvt", "npt"], ...] = ("nve", "nvt")
    """Constant energy, or a Langevin thermostat, both at constant volume; or zero pressure."""
    melting_fractions: tuple[float, ...] = (0.25, 0.5, 0.9, 1.2)
    """Temperatures in units of the melting temperature on the data set's card."""
    reference_temperatures: bool = True
    """Also NVT in the cells and at the temperatures of the data set's ab-initio snapshots."""
    starts: tuple[str, ...] = (CRYSTAL,)
    """The perfect ``crystal``, and groups of the data set: a held-out frame of each, in NVT and ramps."""
    steps: int = 5000
    """Length of a run."""
    ramp: bool = False
    """Also heat the structure, evenly, until the model fails: the survival temperature."""
    ramp_from: float = 0.1
    """Where a ramp starts, in units of the melting temperature."""
    ramp_to: float = 3.0
    """Where it ends."""
    ramp_steps: int = 10_000
    """Length of a ramp."""
    timestep_fs: float = 2.0
    """Time step."""
    repeat: int = 0
    """Cubes along each edge; 0 takes 54 (bcc), 108 (fcc) or 64 (diamond) atoms."""
    n_velocities: int = 3
    """Runs from different initial velocities."""
    relaxation_time_fs: float = 100.0
    """Of the thermostat."""
    check_every: int = 10
    """Steps between checks: the resolution of survival time and temperature."""
    seeds: tuple[int, ...] = ()
    """Only for cells of these seeds; empty for all."""
    models: tuple[str, ...] = ()
    """Only of these models of the study; empty for all."""

    def __post_init__(self) -> None:
        """Refuse values that make no run."""
        positive = ("steps", "ramp_steps", "timestep_fs", "n_velocities", "check_every", "relaxation_time_fs")
        for name in positive:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.melting_fractions and min(self.melting_fractions) <= 0:
            raise ValueError(f"melting_fractions must be positive, got {self.melting_fractions}")
        if self.repeat < 0:
            raise ValueError(f"repeat must not be negative, got {self.repeat}")
        for name in ("ensembles", "melting_fractions", "starts", "models"):
            values = getattr(self, name)
            if len(set(values)) < len(values) or "" in values:
                raise ValueError(f"{name} has a value twice, or an empty one: {list(values)}")
        if not self.starts:
            raise ValueError(f"starts is empty; give {CRYSTAL!r} or groups")
        if self.enabled and not (self.ensembles or self.ramp or self.reference_temperatures):
            raise ValueError("nothing is run: give ensembles, ramp = true or reference_temperatures = true")
        if self.groups and not self.ramp and "nvt" not in self.ensembles:
            raise ValueError(
                f"starts has {self.groups[0]!r}: a frame starts NVT or ramps; ask for one of them"
            )
        if not 0 < self.ramp_from < self.ramp_to:
            raise ValueError(
                f"ramp_from is {self.ramp_from}; give a number between 0 and ramp_to, {self.ramp_to}"
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups whose held-out frames are starts."""
        return tuple(name for name in self.starts if name != CRYSTAL)


@dataclass(frozen=True, eq=False)
class Frame:
    """A held-out frame as a start, without its labels.

    ``positions`` (n_atoms, 3) and ``cell`` (3, 3) in Å.
    """

    name: str
    """Group and index in the data set."""
    numbers: IntArray
    positions: FloatArray
    cell: FloatArray
    pbc: NDArray[np.bool_]

    @classmethod
    def of(cls, atoms: Atoms, name: str) -> Self:
        """Take what a run starts from out of a labelled frame."""
        return cls(
            name, atoms.numbers.copy(), atoms.positions.copy(), atoms.cell.array.copy(), atoms.pbc.copy()
        )


@dataclass(frozen=True)
class MdRun:
    """One run: all that its result depends on besides the potential."""

    crystal: Crystal
    repeat: int
    ensemble: Ensemble
    temperature_k: float
    """Of a ramp: the highest."""
    velocity_seed: int
    shortest_distance: float
    """In the training set, Å."""
    steps: int
    timestep_fs: float
    relaxation_time_fs: float
    check_every: int
    coldest_k: float = 0.0
    """Of a ramp: where it starts."""
    reference: Reference | None = None
    """Ab-initio snapshots of the same cell and temperature."""
    frame: Frame | None = None
    """Start, if it is not the crystal."""
    missing: str = ""
    """Group of which no frame is held out, so that there is no run."""

    @property
    def start(self) -> str:
        """The start's name: ``crystal``, or the group with the frame's index."""
        return self.frame.name if self.frame is not None else self.missing or CRYSTAL

    def atoms(self) -> Atoms:
        """Return the structure at the start, at rest."""
        if (one := self.frame) is not None:
            return Atoms(numbers=one.numbers, positions=one.positions, cell=one.cell, pbc=one.pbc)
        return self.crystal.conventional(self.repeat)

    def target_k(self, step: int) -> float:
        """Return the temperature (K) that is aimed at after ``step`` steps."""
        if self.ensemble != "ramp":
            return self.temperature_k
        return self.coldest_k + (self.temperature_k - self.coldest_k) * min(step / self.steps, 1.0)

    def thermostat(self, seed: int) -> Thermostat | None:
        """Return the thermostat, with the seed of its random forces; None keeps the energy."""
        if self.ensemble == "nve":
            return None
        if self.ensemble == "ramp":
            return Thermostat(self.coldest_k, self.relaxation_time_fs, seed, self.temperature_k, self.steps)
        return Thermostat(self.temperature_k, self.relaxation_time_fs, seed)
