"""What a data set says about the crystal of its models: cells, temperatures, ab-initio snapshots."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.harness.data.cards import Card, DataOptions, load_dataset
from crossprune.harness.data.crystals import ATOMS_PER_CUBE, Crystal, Prototype
from crossprune.harness.data.frames import DataSet, group_of
from crossprune.harness.data.validation import neighbours
from crossprune.harness.evaluation.motion.runs import CRYSTAL, Ensemble, Frame, MdOptions, MdRun
from crossprune.harness.evaluation.motion.structure import Reference
from crossprune.harness.evaluation.properties import AT_CELL, AT_STRAIN, VACANCY_REPEAT
from crossprune.harness.evaluation.setting import Setting
from crossprune.harness.fingerprint import seed_from

NEIGHBOURS = 4.0
"""Å within which the shortest distance of a data set is looked for first."""
TEMPERATURE = re.compile(r"at (\d+) K$")
FIRST_SHELL: Mapping[Prototype, float] = {"bcc": 1.207, "fcc": 0.854, "diamond": 0.570}
"""Edges of the cube: half-way to the second shell; to the third one of bcc, whose first two are close."""


@dataclass(frozen=True)
class Snapshots:
    """Ab-initio MD of the crystal at one temperature."""

    temperature_k: float
    crystal: Crystal
    repeat: int
    reference: Reference


def setting_of(card: Card) -> Setting:
    """Return the crystal of a card, and the cells of its reference calculations."""
    protocol = card.protocol
    crystal = Crystal(protocol.prototype, tuple(sorted(card.elements)), protocol.lattice_parameter_angstrom)
    of_crystal = card.reference[protocol.prototype].values if protocol.prototype in card.reference else {}
    volumes = {name: one.values.get("volume_angstrom3_per_atom") for name, one in card.reference.items()}
    return Setting(
        crystal,
        vacancy_cell=protocol.vacancy_cell,
        vacancy_repeat=protocol.vacancy_repeat,
        phonon_repeat=protocol.phonon_repeat,
        slabs=protocol.slabs,
        elastic_strain=protocol.elastic_strain,
        reference_lattice_parameter=of_crystal.get("lattice_parameter_angstrom", 0.0),
        reference_volumes=tuple((name, one) for name, one in sorted(volumes.items()) if one is not None),
        compared_faces=tuple(one.name for one in protocol.slabs if f"surface-{one.name}" in card.reference),
    )


def reference_of(card: Card, structure: str, name: str) -> tuple[float, str]:
    """Return a property's reference value on a card and where it comes from; NaN if there is none."""
    name = plain_name(name)
    if structure not in card.reference or name not in card.reference[structure].values:
        return float("nan"), ""
    return card.reference[structure].values[name], card.reference[structure].source


def groups_behind(card: Card, structure: str, name: str) -> tuple[str, ...] | None:
    """Return the groups behind a property's reference; None if there is none or the card does not say."""
    name = plain_name(name)
    if structure not in card.reference or name not in card.reference[structure].values:
        return None
    return card.reference[structure].groups_behind(name)


def plain_name(name: str) -> str:
    """Return a property's name on cards, where a value is what it is, however a model's is computed."""
    return name.replace(AT_STRAIN, "").replace(AT_CELL, "")


def shortest_distance(frames: Sequence[Atoms]) -> float:
    """Return the shortest distance (Å) between two atoms in any of ``frames``."""
    shortest = np.inf
    for atoms in frames:
        distances = neighbours(atoms, min(shortest, NEIGHBOURS))[2]
        shortest = min(shortest, distances.min(initial=np.inf))
    return float(shortest)


def md_runs(card: Card, options: MdOptions, dataset: DataSet, data: DataOptions) -> list[MdRun]:
    """List the runs of a study for one data set.

    From the crystal at the card's lattice parameter, and from held-out frames, at the temperatures that the
    study asks for and heated; and in the cells of the ab-initio snapshots, to compare with them.
    """
    crystal = setting_of(card).crystal
    plain = MdRun(
        crystal=crystal,
        repeat=options.repeat or VACANCY_REPEAT[crystal.prototype],
        ensemble="nvt",
        temperature_k=card.protocol.melting_temperature_k,
        velocity_seed=0,
        shortest_distance=shortest_distance([dataset.frames[index] for index in dataset.indices("train")]),
        steps=options.steps,
        timestep_fs=options.timestep_fs,
        relaxation_time_fs=options.relaxation_time_fs,
        check_every=options.check_every,
    )
    runs = _heated(plain, options, options.ensembles) if CRYSTAL in options.starts else []
    for group in options.groups:
        from_frame = _from_group(plain, dataset, group)
        runs += _heated(from_frame, options, [one for one in options.ensembles if one == "nvt"])
    for one in snapshots(card, data) if options.reference_temperatures else []:
        same_cell = dataclasses.replace(plain, crystal=one.crystal, repeat=one.repeat)
        runs.append(dataclasses.replace(same_cell, temperature_k=one.temperature_k, reference=one.reference))
    return [
        dataclasses.replace(run, velocity_seed=seed) for run in runs for seed in range(options.n_velocities)
    ]


def _heated(plain: MdRun, options: MdOptions, ensembles: Sequence[Ensemble]) -> list[MdRun]:
    """List the runs from one start; the temperature of ``plain`` is the melting temperature."""
    melting = plain.temperature_k
    runs = [
        dataclasses.replace(plain, ensemble=ensemble, temperature_k=fraction * melting)
        for ensemble in ensembles
        for fraction in options.melting_fractions
    ]
    if options.ramp:
        heated = dataclasses.replace(plain, ensemble="ramp", steps=options.ramp_steps)
        coldest, hottest = (one * melting for one in (options.ramp_from, options.ramp_to))
        runs.append(dataclasses.replace(heated, coldest_k=coldest, temperature_k=hottest))
    return runs


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


def snapshots(card: Card, data: DataOptions) -> list[Snapshots]:
    """Gather the ab-initio snapshots of the perfect crystal, by temperature; none if a card names none."""
    if not card.protocol.snapshots:
        return []
    dataset = load_dataset(card.name, options=dataclasses.replace(data, group_by="trajectory"))
    return list(_snapshots(card, dataset))


def _snapshots(card: Card, dataset: DataSet) -> Iterator[Snapshots]:
    prototype: Prototype = card.protocol.prototype
    for group in sorted(set(dataset.groups)):
        match = TEMPERATURE.search(group)
        frames = [atoms for atoms in dataset.frames if group_of(atoms) == group]
        if match is None or not group.startswith(card.protocol.snapshots):
            continue
        repeat = round((len(frames[0]) / ATOMS_PER_CUBE[prototype]) ** (1 / 3))
        edge = frames[0].get_volume() ** (1 / 3)
        cubic = np.allclose(frames[0].cell.array, edge * np.eye(3), atol=1e-3)
        same = all(np.allclose(atoms.cell.array, frames[0].cell.array) for atoms in frames)
        if len(frames[0]) == ATOMS_PER_CUBE[prototype] * repeat**3 and cubic and same:
            crystal = Crystal(prototype, tuple(sorted(card.elements)), edge / repeat)
            temperature, shell = float(match[1]), FIRST_SHELL[prototype] * crystal.lattice_parameter
            yield Snapshots(temperature, crystal, repeat, Reference.of(frames, temperature, shell))
