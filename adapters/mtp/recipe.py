"""How the file of a moment tensor potential is used."""

from __future__ import annotations

from crossprune.adapters.mtp.potential import PARAMETERS, SETTINGS, MtpPotential
from crossprune.harness.contract import Recipe


def recipe_of(potential: MtpPotential) -> Recipe:
    """Return the lines for ``pair_style mlip`` of MLIP-2's interface to LAMMPS.

    Atom types are the species of the file, in its order; the style takes the potential's name from a file
    of settings.
    """
    return Recipe(
        commands=(f"pair_style mlip {SETTINGS}", "pair_coeff * *"),
        elements=potential.elements,
        package="MLIP-2's interface (gitlab.com/ashapeev/interface-lammps-mlip-2)",
        python=f"calculator = crossprune.load_potential('mtp:{{folder}}/{PARAMETERS}')",
    )
