"""How the n2p2 files of a network, or of an ensemble of them, are used."""

from __future__ import annotations

from crossprune.adapters.nnp.potential import NnpPotential
from crossprune.harness.contract import Recipe

QUIET = "showew no showewsum 1000 resetew yes maxew 1000000 cflength 1.0 cfenergy 1.0"
"""Extrapolation is told now and then and never ends a run; the files are in LAMMPS's units ``metal``."""


def recipe_of(potential: NnpPotential) -> Recipe:
    """Return the lines for LAMMPS's ``pair_style hdnnp``; the mean of an ensemble is ``hybrid/scaled``."""
    cutoff, names = f"{potential.functions.cutoff:.12g}", " ".join(potential.elements)
    n_members = len(potential.members)
    remark = ""
    python = "calculator = crossprune.load_potential('nnp:{folder}')"
    if n_members == 1:
        commands = [f"pair_style hdnnp {cutoff} dir ./ {QUIET}", f"pair_coeff * * {names}"]
    else:
        python = python.replace("{folder}", "{folder}/member0")
        remark = f"the line of Python reads one of {n_members} networks; their mean is that of --format ase"
        each = [
            f"{1 / n_members:.17g} hdnnp {cutoff} dir member{number}/ {QUIET}" for number in range(n_members)
        ]
        commands = [f"pair_style hybrid/scaled {' '.join(each)}"]
        commands += [f"pair_coeff * * hdnnp {number} {names}" for number in range(1, n_members + 1)]
    return Recipe(
        commands=tuple(commands),
        elements=potential.elements,
        package="ML-HDNNP",
        python=python,
        remark=remark,
    )
