"""How the files of a POD are used."""

from __future__ import annotations

from dataclasses import replace

from crossprune.adapters.pod.files import PARAMETERS
from crossprune.adapters.pod.potential import PodPotential
from crossprune.adapters.programs.recipe import recipe_of as pair_recipe
from crossprune.harness.contract import Recipe

REMARK = "LAMMPS up to 22 July 2025 (update 4) crashes if the first atom has no or few neighbours"


def recipe_of(potential: PodPotential) -> Recipe:
    """Return the pair commands, which are the potential."""
    line = f"calculator = crossprune.load_potential('pod:{{folder}}/{PARAMETERS}')"
    return replace(pair_recipe(potential), python=line, remark=REMARK)
