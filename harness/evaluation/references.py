"""What a data set says about the crystals of its models: their cells, and the reference values."""

from __future__ import annotations

import re
from collections.abc import Mapping

from crossprune.harness.data.cards import Card
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.data.frames import DataSet
from crossprune.harness.data.schema import Protocol
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.evaluation.properties import AT_CELL, AT_STRAIN, GROUPS, tasks
from crossprune.harness.evaluation.setting import Setting

TEMPERATURE = re.compile(r"at (\d+) K$")
NO_CRYSTAL = (
    "the data set names no crystal: give prototype and lattice_parameter_angstrom in [data.NAME.protocol] of "
    "the study, NAME being the file in quotes"
)


def in_crystal(label: str, structure: str) -> str:
    """Name a structure in tables and references: ``fcc``; of a further crystal with its name, ``Cu: fcc``."""
    return f"{label}: {structure}" if label else structure


def structure_of(name: str) -> str:
    """Return a structure's name without its crystal's, which has no colon and blank in it."""
    return name.rpartition(": ")[2]


def setting_of(card: Card, label: str = "") -> Setting:
    """Return a crystal of a card, and the cells of its reference calculations.

    Raises
    ------
    StudyError
        If the card names no such crystal.
    """
    if label not in card.every_crystal:
        raise StudyError(f"{card.name}: {NO_CRYSTAL}")
    protocol = card.every_crystal[label]
    crystal = crystal_of(card, protocol)

    def values(structure: str) -> Mapping[str, float]:
        known = card.reference.get(in_crystal(label, structure))
        return {} if known is None else known.values

    start, others = in_crystal(label, ""), [in_crystal(one, "") for one in card.crystals if one != label]
    own = [one for one in card.reference if one.startswith(start) and not one.startswith(tuple(others))]
    names = sorted(one.removeprefix(start) for one in own)
    volumes = [(name, values(name).get("volume_angstrom3_per_atom")) for name in names]
    return Setting(
        crystal,
        vacancy_cell=protocol.vacancy_cell,
        vacancy_repeat=protocol.vacancy_repeat,
        phonon_repeat=protocol.phonon_repeat,
        slabs=protocol.slabs,
        elastic_strain=protocol.elastic_strain,
        reference_lattice_parameter=values(protocol.prototype).get("lattice_parameter_angstrom", 0.0),
        reference_volumes=tuple((name, one) for name, one in volumes if one is not None),
        compared_faces=tuple(one.name for one in protocol.slabs if f"surface-{one.name}" in names),
    )


def crystal_of(card: Card, protocol: Protocol) -> Crystal:
    """Return a crystal of a card, on whose sites all its elements are unless the crystal names its own."""
    elements = tuple(sorted(protocol.elements or card.elements))
    return Crystal(protocol.prototype, elements, protocol.lattice_parameter_angstrom)


def fits_snapshots(protocol: Protocol, group: str) -> re.Match[str] | None:
    """Match a group of ab-initio snapshots of a crystal, and the temperature (K) that it is called after."""
    return TEMPERATURE.search(group) if group.startswith(protocol.snapshots) else None


def require_fitting(card: Card, dataset: DataSet, where: str) -> None:
    """Raise `StudyError` if a card names elements or groups that the data lack, or no property.

    Groups may be those of trajectories: ``Elastic`` stands for ``Elastic: mode 1``.
    """
    groups = set(dataset.groups) | {group.split(": ")[0] for group in dataset.groups}
    known: dict[str, set[str]] = {}
    for label, protocol in card.every_crystal.items():
        for element in protocol.elements or ():
            if element not in dataset.elements:
                raise StudyError(f"{where}: elements: {unknown_name('element', element, dataset.elements)}")
        for task in tasks(setting_of(card, label), tuple(GROUPS)):
            for structure, name in task.keys:
                known.setdefault(in_crystal(label, structure), set()).add(plain_name(name))
        if protocol.snapshots and not any(fits_snapshots(protocol, group) for group in dataset.groups):
            raise StudyError(
                f"{where}: snapshots = {protocol.snapshots!r}: no group begins so and ends in 'at 300 K' or "
                f"the like; groups: {', '.join(sorted(set(dataset.groups)))}"
            )
    for structure, one in card.reference.items():
        if structure not in known:
            raise StudyError(f"{where}: reference: {unknown_name('structure', structure, known)}")
        for name in one.values:
            if name not in known[structure]:
                value = unknown_name("value", name, known[structure])
                raise StudyError(f"{where}: reference.{structure}: {value}")
        for group in one.every_group():
            if group not in groups:
                raise StudyError(f"{where}: reference.{structure}: {unknown_name('group', group, groups)}")


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
