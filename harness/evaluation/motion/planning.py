"""Runs of molecular dynamics that a study asks for: starts, temperatures, ab-initio snapshots."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.cards import Card, DataOptions, load_dataset
from crossprune.harness.data.crystals import ATOMS_PER_CUBE, Crystal, Prototype
from crossprune.harness.data.frames import DataSet, group_of
from crossprune.harness.data.schema import Protocol
from crossprune.harness.evaluation.motion.runs import CRYSTAL, Ensemble, Frame, MdOptions, MdRun
from crossprune.harness.evaluation.motion.structure import Reference
from crossprune.harness.evaluation.properties import VACANCY_REPEAT
from crossprune.harness.evaluation.references import NO_CRYSTAL, crystal_of, fits_snapshots, in_crystal
from crossprune.harness.fingerprint import seed_from

NEIGHBOURS = 4.0
"""Å within which the shortest distance of a data set is looked for first."""
NO_TEMPERATURE = (
    "no melting temperature is known: give melting_temperature_k, or {name} in kelvin, in the table that "
    "names the crystal, or {name} in [md]"
)
NO_SNAPSHOTS = "the data set names no ab-initio snapshots; ask for ensembles or ramp = true in [md]"
UNBUILT = Crystal("fcc", (), 0.0)
"""Stands in runs from frames of a data set that names no crystal."""
FIRST_SHELL: Mapping[Prototype, float] = {"bcc": 1.207, "fcc": 0.854, "diamond": 0.570}
"""Edges of the cube: half-way to the second shell; to the third one of bcc, whose first two are close."""


@dataclass(frozen=True)
class MdTable(MdOptions):
    """The study's ``[md]`` table with temperatures in kelvin.

    They are not in `MdOptions`, on whose code the keys of stored runs rest: what is planned has no part in
    how it is run.
    """

    temperatures_k: tuple[float, ...] = ()
    """Temperatures in kelvin, instead of melting_fractions; those of a data set's crystal go before."""
    ramp_k: tuple[float, float] | None = None
    """Where a ramp starts and ends in kelvin, instead of ramp_from and ramp_to."""

    def __post_init__(self) -> None:
        """Refuse values that make no run."""
        super().__post_init__()
        if min((*self.temperatures_k, *(self.ramp_k or ())), default=1.0) <= 0:
            raise ValueError("temperatures_k and ramp_k must be above 0")
        if len(set(self.temperatures_k)) < len(self.temperatures_k):
            raise ValueError(f"temperatures_k has a value twice: {list(self.temperatures_k)}")
        if self.ramp_k is not None and self.ramp_k[0] >= self.ramp_k[1]:
            raise ValueError(f"ramp_k is {list(self.ramp_k)}; give the lower temperature first")


@dataclass(frozen=True)
class Snapshots:
    """Ab-initio MD of the crystal at one temperature."""

    temperature_k: float
    crystal: Crystal
    repeat: int
    reference: Reference


@dataclass(frozen=True)
class Planned:
    """A run of molecular dynamics that a study asks for, or why there is none."""

    start: str
    """As tables have it: the crystal with its name, or a group with the frame's index."""
    ensemble: str
    run: MdRun | None
    reason: str = ""


def shortest_distance(frames: Sequence[Atoms]) -> float:
    """Return the shortest distance (Å) between two atoms in any of ``frames``."""
    shortest = np.inf
    for atoms in frames:
        distances = find_neighbours(atoms, min(shortest, NEIGHBOURS)).distances
        shortest = min(shortest, distances.min(initial=np.inf))
    return float(shortest)


def md_runs(card: Card, options: MdTable, dataset: DataSet, data: DataOptions) -> list[Planned]:
    """List the runs of a study for one data set, and what is asked for and cannot be run.

    From each crystal of the card at its lattice parameter, and from held-out frames, at the temperatures that
    the study asks for and heated; and in the cells of the ab-initio snapshots, to compare with them.

    Parameters
    ----------
    card
        Crystals, and their temperatures; those of frames are of the first one.
    options
        What is asked for.
    dataset
        Frames.
    data
        How the snapshots are read.
    """
    crystals = card.every_crystal
    plain = MdRun(
        crystal=UNBUILT,
        repeat=options.repeat,
        ensemble="nvt",
        temperature_k=0.0,
        velocity_seed=0,
        shortest_distance=shortest_distance([dataset.frames[index] for index in dataset.indices("train")]),
        steps=options.steps,
        timestep_fs=options.timestep_fs,
        relaxation_time_fs=options.relaxation_time_fs,
        check_every=options.check_every,
    )
    planned: list[Planned] = []
    of_crystal = {label: _of_crystal(plain, crystal_of(card, one)) for label, one in crystals.items()}
    if CRYSTAL in options.starts:
        planned += [] if crystals else [Planned(CRYSTAL, "", None, NO_CRYSTAL)]
        for label, protocol in crystals.items():
            start = in_crystal(label, CRYSTAL)
            planned += _heated(start, of_crystal[label], options, protocol, options.ensembles)
    first = next(iter(crystals), None)
    of_frames = plain if first is None else of_crystal[first]
    for group in options.groups:
        run = _from_group(of_frames, dataset, group)
        ensembles = [one for one in options.ensembles if one == "nvt"]
        planned += _heated(run.start, run, options, None if first is None else crystals[first], ensembles)
    for label in crystals if options.reference_temperatures else ():
        for one in snapshots(card, data, dataset, label):
            same_cell = dataclasses.replace(plain, crystal=one.crystal, repeat=one.repeat)
            run = dataclasses.replace(same_cell, temperature_k=one.temperature_k, reference=one.reference)
            planned.append(Planned(in_crystal(label, CRYSTAL), run.ensemble, run))
    planned = planned or [Planned(CRYSTAL, "nvt", None, NO_SNAPSHOTS)]
    return [one for many in planned for one in _with_velocities(many, options.n_velocities)]


def _of_crystal(plain: MdRun, crystal: Crystal) -> MdRun:
    repeat = plain.repeat or VACANCY_REPEAT[crystal.prototype]
    return dataclasses.replace(plain, crystal=crystal, repeat=repeat)


def _with_velocities(one: Planned, n_velocities: int) -> list[Planned]:
    if one.run is None:
        return [one]
    runs = [dataclasses.replace(one.run, velocity_seed=seed) for seed in range(n_velocities)]
    return [dataclasses.replace(one, run=run) for run in runs]


def _heated(
    start: str, plain: MdRun, options: MdTable, protocol: Protocol | None, ensembles: Sequence[Ensemble]
) -> list[Planned]:
    """List the runs from one start, in each ensemble at all temperatures, and heated."""
    temperatures, ramp = _temperatures(options, protocol), _ramp(options, protocol)
    none = NO_TEMPERATURE.format(name="temperatures_k")
    planned = []
    for ensemble in ensembles:
        if temperatures is None:
            planned.append(Planned(start, ensemble, None, none))
        for kelvin in temperatures or ():
            run = dataclasses.replace(plain, ensemble=ensemble, temperature_k=kelvin)
            planned.append(Planned(start, ensemble, run))
    if options.ramp and ramp is None:
        none = NO_TEMPERATURE.format(name="ramp_k")
        planned.append(Planned(start, "ramp", None, none))
    elif options.ramp and ramp is not None:
        run = dataclasses.replace(plain, ensemble="ramp", steps=options.ramp_steps)
        run = dataclasses.replace(run, coldest_k=ramp[0], temperature_k=ramp[1])
        planned.append(Planned(start, "ramp", run))
    return planned


def _temperatures(options: MdTable, protocol: Protocol | None) -> Sequence[float] | None:
    """Return the temperatures (K) of runs: the crystal's, the study's, or in units of the melting point."""
    if protocol is not None and protocol.temperatures_k is not None:
        return protocol.temperatures_k
    if options.temperatures_k:
        return options.temperatures_k
    if protocol is None or protocol.melting_temperature_k is None:
        return None
    return [fraction * protocol.melting_temperature_k for fraction in options.melting_fractions]


def _ramp(options: MdTable, protocol: Protocol | None) -> tuple[float, float] | None:
    """Return where a ramp starts and ends (K), as `_temperatures`."""
    if protocol is not None and protocol.ramp_k is not None:
        return protocol.ramp_k
    if options.ramp_k is not None:
        return options.ramp_k
    if protocol is None or protocol.melting_temperature_k is None:
        return None
    return (
        options.ramp_from * protocol.melting_temperature_k,
        options.ramp_to * protocol.melting_temperature_k,
    )


def _from_group(plain: MdRun, dataset: DataSet, group: str) -> MdRun:
    """Start from a held-out frame of a group, if there is one; its own distances are not too close."""
    index = held_out_frame(dataset, group)
    if index is None:
        return dataclasses.replace(plain, missing=group)
    atoms = dataset.frames[index]
    shortest = min(plain.shortest_distance, shortest_distance([atoms]))
    return dataclasses.replace(plain, frame=Frame.of(atoms, f"{group}:{index}"), shortest_distance=shortest)


def held_out_frame(dataset: DataSet, group: str) -> int | None:
    """Draw a frame of two atoms or more of a group's test part, else of its ood part; None if there is none.

    The draw depends on split and group only: it is the same for every chosen subset and every model.
    """
    for part in ("test", "ood"):
        of_group = [index for index in dataset.indices(part).tolist() if dataset.groups[index] == group]
        indices = [index for index in of_group if dataset.sizes[index] > 1]  # one atom alone is at rest
        if indices:
            return int(np.random.default_rng(seed_from("start", group)).choice(indices))
    return None


def snapshots(card: Card, data: DataOptions, dataset: DataSet, label: str = "") -> list[Snapshots]:
    """Gather the ab-initio snapshots of a perfect crystal, by temperature; none if a card names none.

    Groups of a published set name temperatures only where each trajectory is one; those of a file are as
    they are.
    """
    protocol = card.every_crystal[label]
    if not protocol.snapshots:
        return []
    if card.files:
        dataset = load_dataset(card.name, options=dataclasses.replace(data, group_by="trajectory"))
    return list(_snapshots(crystal_of(card, protocol), protocol, dataset))


def _snapshots(crystal: Crystal, protocol: Protocol, dataset: DataSet) -> Iterator[Snapshots]:
    prototype = crystal.prototype
    for group in sorted(set(dataset.groups)):
        if (match := fits_snapshots(protocol, group)) is None:
            continue
        frames = [atoms for atoms in dataset.frames if group_of(atoms) == group]
        repeat = round((len(frames[0]) / ATOMS_PER_CUBE[prototype]) ** (1 / 3))
        edge = frames[0].get_volume() ** (1 / 3)
        cubic = np.allclose(frames[0].cell.array, edge * np.eye(3), atol=1e-3)
        same = all(np.allclose(atoms.cell.array, frames[0].cell.array) for atoms in frames)
        if len(frames[0]) == ATOMS_PER_CUBE[prototype] * repeat**3 and cubic and same:
            found = dataclasses.replace(crystal, lattice_parameter=edge / repeat)
            temperature, shell = float(match[1]), FIRST_SHELL[prototype] * found.lattice_parameter
            yield Snapshots(temperature, found, repeat, Reference.of(frames, temperature, shell))
