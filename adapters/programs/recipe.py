"""How the files of a potential that LAMMPS computes are used."""

from __future__ import annotations

from crossprune.adapters.programs.lammps import LammpsPotential
from crossprune.adapters.programs.pair_commands import FOLDER
from crossprune.harness.contract import Recipe

PACKAGES = {"snap": "ML-SNAP", "pace": "ML-PACE", "pod": "ML-POD", "uf3": "ML-UF3"}
"""Pair style to the package that has it, where it is not one of the classical ones."""


def recipe_of(potential: LammpsPotential) -> Recipe:
    """Return the pair commands, which are the potential."""
    commands = tuple(command.replace(FOLDER, "") for command in potential.commands)
    style = commands[0].split()[1]
    return Recipe(
        commands=commands,
        elements=potential.elements,
        package=PACKAGES.get(style, "MANYBODY or another classical package"),
        python=f"calculator = crossprune.load_potential('lammps:{style}:{{folder}}/potential.lmp')",
        is_stock=style != "pace",
    )
