"""Physical properties that a potential implies: every one a row, with its reason where it has no value."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ase import Atoms
from ase.calculators.calculator import Calculator
from crossprune.harness.data.crystals import Crystal, Slab, competing_phases
from crossprune.harness.errors import MissingPackage, PropertyError, unknown_name
from crossprune.harness.evaluation.counting import CountingCalculator
from crossprune.harness.evaluation.dimers import dimer_curve
from crossprune.harness.evaluation.elasticity import elastic_constants, stressed_constants
from crossprune.harness.evaluation.lattice import Equilibrium, at_volume, equilibrium, relaxed_crystal
from crossprune.harness.evaluation.phonons import IMAGINARY, held_points, phonons
from crossprune.harness.evaluation.relaxation import energy
from crossprune.harness.evaluation.setting import Setting
from crossprune.harness.evaluation.surfaces import surface_energy
from crossprune.harness.evaluation.vacancies import Vacancy, migration_energy, vacancy

State = Literal["done", "suspect", "failed", "skipped"]
Key = tuple[str, str]
"""Structure and name with its unit; a card's ``[reference.STRUCTURE.values]`` uses the same names."""
VACANCY_REPEAT = {"bcc": 3, "fcc": 3, "diamond": 2}
"""Cubes along each edge: 54, 108 and 64 atoms, as in the published tables."""
AT_STRAIN, AT_CELL = "_at_reference_strain", "_at_reference_cell"
"""Within names: computed with the strain, or in the cells, of the reference calculation."""
NEGATIVE_SURFACE = "the surface forms by itself: its energy is negative"


@dataclass(frozen=True)
class PropertyOptions:
    """The study's ``[properties]`` table."""

    enabled: bool = False
    """Compute properties of every fitted model."""
    names: tuple[str, ...] = (
        *("lattice", "elastic", "vacancy", "surfaces", "phonons", "phases", "dimer"),
        "at_reference",
    )
    """Which: also ``migration`` and ``surfaces_relaxed``."""
    seeds: tuple[int, ...] = ()
    """Only for cells of these seeds; empty for all."""
    models: tuple[str, ...] = ()
    """Only of these models of the study; empty for all."""
    budget_evaluations: int = 5000
    """Structures computed per model; when they are used up, what is left is skipped and says so."""

    def __post_init__(self) -> None:
        """Refuse unknown names."""
        for name in self.names:
            if name not in GROUPS:
                raise ValueError(unknown_name("property", name, GROUPS))
        if self.budget_evaluations < 1:
            raise ValueError(f"budget_evaluations is {self.budget_evaluations}; give a number above 0")


@dataclass(frozen=True)
class Property:
    """One number that a potential implies, or the reason why there is none.

    ``status`` is ``done``; ``suspect`` if there is a value whose meaning is doubtful (imaginary modes, a
    collapsed vacancy), ``failed`` if it cannot be computed, ``skipped`` if it was not tried.
    """

    structure: str
    name: str
    value: float
    status: State
    reason: str
    wall_s: float


@dataclass(frozen=True)
class Task:
    """Values that are computed together."""

    group: str
    keys: tuple[Key, ...]
    compute: Callable[[Bench], tuple[Sequence[float], str]]
    """Returns the values in the order of the keys, and what is doubtful about them."""
    one_element: bool = True
    """Defined for a crystal of one element only."""


class Bench:
    """A potential with what several properties need, each computed once."""

    def __init__(self, calculator: Calculator, setting: Setting) -> None:
        self.calculator = calculator
        self.setting = setting

    @functools.cached_property
    def _relaxed(self) -> tuple[Crystal, Equilibrium]:
        return relaxed_crystal(self.setting.crystal, self.calculator)

    @property
    def crystal(self) -> Crystal:
        """The crystal at the potential's own lattice parameter."""
        return self._relaxed[0]

    @property
    def equilibrium(self) -> Equilibrium:
        """The crystal's equilibrium."""
        return self._relaxed[1]

    @functools.cached_property
    def vacancy(self) -> Vacancy:
        """The relaxed vacancy."""
        return vacancy(self.vacancy_cell, self.calculator, self.crystal.neighbour_distance)

    @functools.cached_property
    def vacancy_cell(self) -> Atoms:
        """The perfect supercell for the vacancy."""
        return self.supercell(self.crystal)

    @functools.cached_property
    def held(self) -> Crystal:
        """The crystal at the lattice parameter of the reference calculation."""
        return dataclasses.replace(
            self.setting.crystal, lattice_parameter=self.setting.reference_lattice_parameter
        )

    @functools.cached_property
    def held_energy(self) -> float:
        """Energy of the crystal there, eV/atom."""
        cell = self.held.smallest()
        return energy(cell, self.calculator) / len(cell)

    def supercell(self, crystal: Crystal) -> Atoms:
        """Return the perfect supercell of a crystal for the vacancy."""
        repeat = self.setting.vacancy_repeat or VACANCY_REPEAT[crystal.prototype]
        if self.setting.vacancy_cell == "primitive":
            cell: Atoms = crystal.smallest().repeat(repeat)
            return cell
        return crystal.conventional(repeat)


def compute_properties(calculator: Calculator, setting: Setting, options: PropertyOptions) -> list[Property]:
    """Compute the properties of a potential; a failure costs its own rows only.

    Parameters
    ----------
    calculator
        Energies in eV, forces in eV/Å.
    setting
        Crystal and cells.
    options
        Which properties, and how much they may take.

    Returns
    -------
    list
        A row for every expected value.
    """
    counted = CountingCalculator(calculator)
    bench = Bench(counted, setting)
    budget, rows = options.budget_evaluations, []
    for task in tasks(setting, options.names):
        if counted.n_evaluations >= budget:
            rows += without_value(task, "skipped", f"the budget of {budget} evaluations was used up before")
        elif task.one_element and setting.crystal.is_alloy:
            rows += without_value(task, "skipped", "defined for a crystal of one element")
        else:
            rows += _run(task, bench)
    return rows


def _run(task: Task, bench: Bench) -> list[Property]:
    """Compute one task; whatever a model raises becomes the reason of its rows."""
    start = time.perf_counter()
    try:
        values, doubt = task.compute(bench)
    except MissingPackage as error:
        return without_value(task, "skipped", str(error))
    except PropertyError as error:
        return without_value(task, "failed", str(error), time.perf_counter() - start)
    except Exception as error:
        return without_value(task, "failed", f"{type(error).__name__}: {error}", time.perf_counter() - start)
    share = (time.perf_counter() - start) / len(task.keys)
    status: State = "suspect" if doubt else "done"
    return [
        Property(*key, float(value), status, doubt, share)
        for key, value in zip(task.keys, values, strict=True)
    ]


def without_value(task: Task, status: State, reason: str, wall_s: float = 0.0) -> list[Property]:
    """Return a task's rows with the reason why they have no value."""
    return [Property(*key, float("nan"), status, reason, wall_s / len(task.keys)) for key in task.keys]


def tasks(setting: Setting, names: Sequence[str]) -> list[Task]:
    """List the tasks of the named groups, each once."""
    return list({task.keys: task for name in names for task in GROUPS[name](setting)}.values())


def _lattice(setting: Setting) -> list[Task]:
    names = ("lattice_parameter_angstrom", "energy_ev_per_atom", "bulk_modulus_gpa")

    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        found = bench.equilibrium
        return (bench.crystal.lattice_parameter, found.energy, found.bulk_modulus), ""

    return [Task("lattice", _keys(setting.crystal.prototype, names), compute, one_element=False)]


def _elastic(setting: Setting) -> list[Task]:
    names = ("c11_gpa", "c12_gpa", "c44_gpa", "c44_clamped_gpa", "bulk_modulus_hill_gpa", "shear_modulus_gpa")

    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        found = elastic_constants(bench.crystal, bench.calculator)
        constants = (found.c11, found.c12, found.c44, found.c44_clamped)
        return (*constants, found.bulk_modulus, found.shear_modulus), found.instability

    def at_strain(bench: Bench) -> tuple[Sequence[float], str]:
        found = elastic_constants(bench.crystal, bench.calculator, strain=setting.elastic_strain)
        return (found.c11, found.c12, found.c44, found.c44_clamped), found.instability

    structure = setting.crystal.prototype
    tasks = [Task("elastic", _keys(structure, names), compute, one_element=False)]
    if setting.elastic_strain:
        keys = _keys(structure, [f"{name}{AT_STRAIN}_gpa" for name in ("c11", "c12", "c44", "c44_clamped")])
        tasks.append(Task("elastic", keys, at_strain, one_element=False))
    return tasks


def _vacancy(setting: Setting) -> list[Task]:
    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        return (bench.vacancy.unrelaxed, bench.vacancy.relaxed), bench.vacancy.doubt

    names = ("formation_energy_unrelaxed_ev", "formation_energy_ev")
    return [Task("vacancy", _keys("vacancy", names), compute)]


def _migration(setting: Setting) -> list[Task]:
    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        return (migration_energy(bench.vacancy_cell, bench.vacancy, bench.calculator),), ""

    return [Task("migration", _keys("vacancy", ("migration_energy_ev",)), compute)]


def _surfaces(setting: Setting) -> list[Task]:
    """List unrelaxed slabs, and relaxed ones of the faces with a reference for either."""
    compared = [slab for slab in setting.slabs if slab.name in setting.compared_faces]
    return [*_slabs(setting.slabs, relaxed=False), *_slabs(compared, relaxed=True)]


def _slabs(slabs: Sequence[Slab], *, relaxed: bool) -> list[Task]:
    def task(slab: Slab) -> Task:
        def compute(bench: Bench) -> tuple[Sequence[float], str]:
            bulk = bench.equilibrium.energy
            value = surface_energy(bench.crystal, slab, bench.calculator, bulk, relaxed=relaxed)
            return (value,), NEGATIVE_SURFACE if value < 0 else ""

        name = "energy_ev_per_angstrom2" if relaxed else "energy_unrelaxed_ev_per_angstrom2"
        return Task("surfaces", _keys(f"surface-{slab.name}", (name,)), compute)

    return [task(slab) for slab in slabs]


def _phonons(setting: Setting) -> list[Task]:
    crystal, repeat = setting.crystal, setting.phonon_repeat
    points = held_points(crystal.prototype, repeat)
    branches = 6 if crystal.prototype == "diamond" else 3
    names = [f"{point}_{branch}_thz" for point in points for branch in range(1, branches + 1)]

    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        found = phonons(bench.crystal, bench.calculator, repeat)
        values = [float(value) for point in points for value in found.points[point]]
        lowest = float(found.mesh.min())
        imaginary = f"imaginary modes down to {lowest:.2f} THz: the crystal is not stable"
        return (*values, lowest), imaginary if lowest < IMAGINARY else ""

    return [Task("phonons", _keys("phonon", (*names, "lowest_thz")), compute)]


def _phases(setting: Setting) -> list[Task]:
    prototype = setting.crystal.prototype
    names = (f"energy_above_{prototype}_ev_per_atom", "volume_angstrom3_per_atom", "bulk_modulus_gpa")

    def task(phase: str) -> Task:
        def compute(bench: Bench) -> tuple[Sequence[float], str]:
            build = competing_phases(bench.setting.crystal)[phase]
            found = equilibrium(build, bench.calculator)
            above = found.energy - bench.equilibrium.energy
            lower = f"{phase} lies below {prototype}, the ground state" if above < 0 else ""
            return (above, found.volume, found.bulk_modulus), lower

        return Task("phases", _keys(phase, names), compute)

    return [task(phase) for phase in competing_phases(setting.crystal)]


def _dimer(setting: Setting) -> list[Task]:
    elements = setting.crystal.elements
    pairs = [(one, other) for index, one in enumerate(elements) for other in elements[index:]]

    def task(pair: tuple[str, str]) -> Task:
        def compute(bench: Bench) -> tuple[Sequence[float], str]:
            found = dimer_curve(pair, bench.setting.crystal.neighbour_distance, bench.calculator)
            spurious = f"{found.n_minima - 1} spurious minima" if found.n_minima > 1 else ""
            return (found.n_minima, found.core_start), spurious

        keys = _keys(f"dimer-{'-'.join(pair)}", ("n_minima", "core_start_angstrom"))
        return Task("dimer", keys, compute, one_element=False)

    return [task(pair) for pair in pairs]


def _at_reference(setting: Setting) -> list[Task]:
    """List what is computed at the lattice parameter and volumes of the reference, if the card has them."""
    if not setting.reference_lattice_parameter:
        return []
    return [
        _held_crystal(setting),
        _held_vacancy(),
        *map(_held_slab, setting.slabs),
        *_held_phases(setting),
    ]


def _held_crystal(setting: Setting) -> Task:
    names = ("energy", "pressure", "bulk_modulus", "c11", "c12", "c44", "c44_clamped")
    units = ("ev_per_atom", *["gpa"] * 6)

    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        found, pressure = stressed_constants(bench.held, bench.calculator)
        constants = (found.c11, found.c12, found.c44, found.c44_clamped)
        return (bench.held_energy, pressure, found.bulk_modulus, *constants), found.instability

    keys = [f"{name}{AT_CELL}_{unit}" for name, unit in zip(names, units, strict=True)]
    return Task("at_reference", _keys(setting.crystal.prototype, keys), compute, one_element=False)


def _held_vacancy() -> Task:
    names = (f"formation_energy_unrelaxed{AT_CELL}_ev", f"formation_energy{AT_CELL}_ev")

    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        cell = bench.supercell(bench.held)
        found = vacancy(cell, bench.calculator, bench.held.neighbour_distance)
        return (found.unrelaxed, found.relaxed), found.doubt

    return Task("at_reference", _keys("vacancy", names), compute)


def _held_slab(slab: Slab) -> Task:
    def compute(bench: Bench) -> tuple[Sequence[float], str]:
        value = surface_energy(bench.held, slab, bench.calculator, bench.held_energy, relaxed=False)
        return (value,), NEGATIVE_SURFACE if value < 0 else ""

    name = f"energy_unrelaxed{AT_CELL}_ev_per_angstrom2"
    return Task("at_reference", _keys(f"surface-{slab.name}", (name,)), compute)


def _held_phases(setting: Setting) -> list[Task]:
    prototype = setting.crystal.prototype

    def task(phase: str, volume: float) -> Task:
        def compute(bench: Bench) -> tuple[Sequence[float], str]:
            cell = at_volume(competing_phases(bench.setting.crystal)[phase], volume)
            above = energy(cell, bench.calculator) / len(cell) - bench.held_energy
            return (above,), f"{phase} lies below {prototype}, the ground state" if above < 0 else ""

        name = f"energy_above_{prototype}{AT_CELL}_ev_per_atom"
        return Task("at_reference", _keys(phase, (name,)), compute)

    known = dict(setting.reference_volumes)
    return [task(phase, known[phase]) for phase in competing_phases(setting.crystal) if phase in known]


def _keys(structure: str, names: Sequence[str]) -> tuple[Key, ...]:
    return tuple((structure, name) for name in names)


GROUPS: dict[str, Callable[[Setting], list[Task]]] = {
    "lattice": _lattice,
    "elastic": _elastic,
    "vacancy": _vacancy,
    "migration": _migration,
    "surfaces": _surfaces,
    "surfaces_relaxed": lambda setting: _slabs(setting.slabs, relaxed=True),
    "phonons": _phonons,
    "phases": _phases,
    "dimer": _dimer,
    "at_reference": _at_reference,
}
"""Name in a study to the tasks of a setting."""
