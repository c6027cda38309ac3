"""How the parameter file of a ChIMES force field is used."""

from __future__ import annotations

from crossprune.adapters.chimes.potential import PARAMETERS, ChimesPotential
from crossprune.harness.contract import Recipe


def recipe_of(potential: ChimesPotential) -> Recipe:
    """Return the lines for ``pair_style chimesFF`` of the ChIMES calculator's interface to LAMMPS.

    Its files are in kcal/mol and Å, LAMMPS's units ``real``, and atom types are those of the file, in its
    order and told by its masses.
    """
    parameters = potential.parameters
    return Recipe(
        commands=("pair_style chimesFF", f"pair_coeff * * {PARAMETERS}"),
        elements=tuple(parameters.elements),
        package="the ChIMES calculator's interface (etc/lmp of github.com/rk-lindsey/chimes_calculator)",
        python=f"calculator = crossprune.load_potential('chimes:{{folder}}/{PARAMETERS}')",
        units="real",
        remark="in cells with a lattice vector below the cutoff, the ChIMES calculator and the line of "
        "Python count clusters with an atom and its own image several times; --format ase does not",
        settings=("newton on", "atom_modify sort 0 0.0"),
        masses=dict(zip(parameters.elements, parameters.masses, strict=True)),
    )
