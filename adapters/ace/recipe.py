"""How the files of an ACE are used."""

from __future__ import annotations

from crossprune.adapters.ace.potential import TILDE, PacePotential
from crossprune.harness.contract import Recipe


def recipe_of(potential: PacePotential) -> Recipe:
    """Return the lines for ``pair_style pace`` (Lysogorskiy 2021, doi:10.1038/s41524-021-00559-9)."""
    elements = potential.elements
    return Recipe(
        commands=("pair_style pace", f"pair_coeff * * {TILDE} {' '.join(elements)}"),
        elements=elements,
        package="ML-PACE",
        python=f"calculator = crossprune.load_potential('ace:{{folder}}/{TILDE}')",
    )
