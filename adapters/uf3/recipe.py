"""How the files of a UF3 are used."""

from __future__ import annotations

from crossprune.adapters.uf3.lammps_text import why_not_lammps
from crossprune.adapters.uf3.potential import PACKAGE, Uf3Potential, commands_of
from crossprune.harness.contract import Recipe


def recipe_of(potential: Uf3Potential) -> Recipe:
    """Return the lines for ``pair_style uf3`` (Xie 2023, doi:10.1038/s41524-023-01092-7)."""
    remark = (
        "pair_style uf3 leaves the energies of isolated atoms out: forces and stress are the same, energies "
        "differ by a number for each atom"
    )
    if reason := why_not_lammps(potential.parameters):
        remark = f"LAMMPS cannot run this one, so no file was written for it: {reason}"
    return Recipe(
        commands=commands_of(potential.parameters),
        elements=potential.elements,
        package="ML-UF3",
        python=f"calculator = crossprune.load_potential('uf3:{{folder}}/{PACKAGE}')",
        is_stock=True,
        remark=remark,
    )
