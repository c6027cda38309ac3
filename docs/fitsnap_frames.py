"""Turn frames of FitSNAP into extended XYZ: python docs/fitsnap_frames.py FOLDER/JSON Ta.extxyz.gz."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.stress import full_3x3_to_voigt_6_stress

BAR = 1 / 1.602176565e6
"""A bar in eV/Å³, with the constants of LAMMPS's units metal."""
STYLES = {
    "PositionsStyle": "angstrom",
    "LatticeStyle": "angstrom",
    "EnergyStyle": "electronvolt",
    "ForcesStyle": "electronvoltperangstrom",
    "StressStyle": "bar",
}
"""The units that are read; where a file is silent they are meant."""


def frames_of(text: str, where: str, group: str) -> Iterator[Atoms]:
    """Read the frames of one file: a line of comment, then JSON with positive stress where it is compressed.

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
        for one in dataset["Data"]:
            atoms = Atoms(one["AtomTypes"], one["Positions"], cell=one["Lattice"], pbc=True)
            stress = -BAR * np.array(one["Stress"], dtype=float)
            labels = {"energy": float(one["Energy"]), "forces": np.array(one["Forces"], dtype=float)}
            atoms.calc = SinglePointCalculator(atoms, stress=full_3x3_to_voigt_6_stress(stress), **labels)
            atoms.info["group"] = group
            yield atoms
    except KeyError as error:
        raise ValueError(f"{where}: {error} is missing; is it a file of FitSNAP?") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def main() -> None:
    """Write the frames of all files of all groups, a folder each, in the order of their names."""
    source, target = map(Path, sys.argv[1:])
    frames = [
        atoms
        for path in sorted(source.glob("*/*.json"))
        for atoms in frames_of(path.read_text(), str(path), path.parent.name)
    ]
    if not frames:
        raise SystemExit(f"{source} has no folders of .json files; give the folder JSON of an example")
    write(target, frames, format="extxyz")
    print(f"{len(frames)} frames of {len({atoms.info['group'] for atoms in frames})} groups in {target}")


if __name__ == "__main__":
    main()
