"""How the files of a GAP are used."""

from __future__ import annotations

from xml.etree import ElementTree

from ase.data import atomic_numbers
from crossprune.adapters.gap.gap_fit import XML
from crossprune.adapters.gap.potential import GapPotential
from crossprune.harness.contract import Recipe


def recipe_of(potential: GapPotential) -> Recipe:
    """Return the lines for LAMMPS's ``pair_style quip``, which names elements by their numbers."""
    label = ElementTree.fromstring(potential.files[XML]).find("Potential")
    assert label is not None, "the files of a GAP were looked through when it was read"
    numbers = " ".join(str(atomic_numbers[element]) for element in potential.elements)
    return Recipe(
        commands=(
            "pair_style quip",
            f'pair_coeff * * {XML} "Potential xml_label={label.attrib["label"]}" {numbers}',
        ),
        elements=potential.elements,
        package="ML-QUIP",
        python=f"calculator = quippy.potential.Potential(param_filename='{{folder}}/{XML}')",
    )
