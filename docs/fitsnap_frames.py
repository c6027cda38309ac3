"""Turn an example of FitSNAP into extended XYZ, and its input's weights and energies into tables of a study.

python docs/fitsnap_frames.py FOLDER/JSON Ta.extxyz.gz [FOLDER/Ta-example.in]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from configparser import ConfigParser, Error
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.cell import Cell
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

BAR = 1 / 1.602176565e6
"""A bar in eV/Å³, with the constants of LAMMPS's units metal."""
STRESSES = {"bar": BAR, "kB": 1000 * BAR}
"""Units of stress in eV/Å³."""
WEIGHTS = {"eweight": "energy", "fweight": "forces", "vweight": "stress"}
"""FitSNAP's weights and those of a study."""
OFF = ("0", "0.0", "False", "false")
"""How FitSNAP's switches are off."""
STYLES = {
    "PositionsStyle": "angstrom",
    "LatticeStyle": "angstrom",
    "EnergyStyle": "electronvolt",
    "ForcesStyle": "electronvoltperangstrom",
}
"""The units that are read; where a file is silent they are meant."""


def frames_of(text: str, where: str, group: str) -> Iterator[Atoms]:
    """Read the frames of one file: a line of comment, then JSON with positive stress where it is compressed.

    Cells come out lower triangular and what has a direction is turned with them, as FitSNAP does before it
    fits: its errors are per component, and mean absolute ones depend on the axes.

    Parameters
    ----------
    text
        Content of the file.
    where
        Its name, for messages.
    group
        Group of its frames.

    Yields
    ------
    Atoms
        With energy (eV), forces (eV/Å) and stress (eV/Å³, positive where it is under tension).

    Raises
    ------
    ValueError
        If a unit is another one, or something is missing.
    """
    try:
        content: dict[str, Any] = json.loads(text.partition("\n")[2] if text.startswith("#") else text)
        dataset = content["Dataset"]
        for style, unit in STYLES.items():
            if dataset.get(style, unit) != unit:
                raise ValueError(f"{style} {dataset[style]!r}, expected {unit!r}")
        unit = dataset.get("StressStyle", "bar")
        if unit not in STRESSES:
            raise ValueError(f"StressStyle {unit!r}, expected {' or '.join(map(repr, STRESSES))}")
        for one in dataset["Data"]:
            cell, turn = Cell(np.array(one["Lattice"], dtype=float)).standard_form()
            positions, forces = (np.array(one[key], dtype=float) @ turn.T for key in ("Positions", "Forces"))
            atoms = Atoms(one["AtomTypes"], positions, cell=cell, pbc=True)
            stress = -STRESSES[unit] * turn @ np.array(one["Stress"], dtype=float) @ turn.T
            labels = {"forces": forces, "stress": full_3x3_to_voigt_6_stress(stress)}
            atoms.calc = SinglePointCalculator(atoms, energy=float(one["Energy"]), **labels)
            atoms.info["group"] = group
            yield atoms
    except KeyError as error:
        raise ValueError(f"{where}: {error} is missing; is it a file of FitSNAP?") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def tables_of(text: str, data: str) -> Iterator[str]:
    """Turn FitSNAP's input into lines of a study: energies of isolated atoms, and weights of groups.

    Parameters
    ----------
    text
        Content of the input. ESHIFT is added to energies (eV per atom), and with ``bzeroflag = 1`` no offset
        is fitted: energies of isolated atoms are its negatives. Without, offsets are fitted and none is told.
    data
        Name of the data set in the study.

    Raises
    ------
    ValueError
        If weights are missing, or depend on sizes of groups or on energies.
    """
    parser = ConfigParser(inline_comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
        groups = dict(parser["GROUPS"])
        names = groups.pop("group_sections").split()[1:]
        places = [names.index(name) for name in WEIGHTS]
    except (Error, KeyError, ValueError) as error:
        raise ValueError(f"no weights of groups ({error}); is it an input of FitSNAP?") from None
    basis = parser["BISPECTRUM"] if parser.has_section("BISPECTRUM") else {}
    if groups.pop("smartweights", "0") not in OFF or basis.get("BOLTZ", "0") not in OFF:
        raise ValueError("smartweights or BOLTZ is on; a study has one weight per group")
    if basis.get("bzeroflag", "0") not in OFF:
        shifts = parser["ESHIFT"] if parser.has_section("ESHIFT") else {}
        energies = [f"{one} = {0.0 - float(shifts.get(one, '0'))!r}" for one in sorted(basis["type"].split())]
        yield f'[data."{data}"]\nisolated_atom_energies = {{ {", ".join(energies)} }}'
    for group, line in sorted(groups.items()):
        values = line.split()
        if len(values) == len(names) and group != "group_types":
            yield f"[weights.{group}]"
            pairs = zip(WEIGHTS.values(), places, strict=True)
            yield from (f"{kind} = {float(values[place])!r}" for kind, place in pairs)


def main() -> None:
    """Write the frames of all files of all groups, a folder each, in the order of names; print tables."""
    source, target, *inputs = map(Path, sys.argv[1:])
    frames = [
        atoms
        for path in sorted(source.glob("*/*.json"))
        for atoms in frames_of(path.read_text(), str(path), path.parent.name)
    ]
    if not frames:
        raise SystemExit(f"{source} has no folders of .json files; give the folder JSON of an example")
    write(target, frames, format="extxyz")
    print(f"{len(frames)} frames of {len({atoms.info['group'] for atoms in frames})} groups in {target}")
    for one in inputs:
        print("\n".join(tables_of(one.read_text(), target.name)))


if __name__ == "__main__":
    main()
