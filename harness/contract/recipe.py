"""How a potential that was exported is used by other programs: lines of LAMMPS and of Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """What runs the files of an export; names of files are relative to their folder."""

    commands: tuple[str, ...]
    """``pair_style`` and ``pair_coeff`` lines of LAMMPS, for the atom types ``elements``."""
    elements: tuple[str, ...]
    """Element of each atom type, in order."""
    package: str
    """LAMMPS's package that has the pair style, such as ``ML-SNAP``, or whose interface it is."""
    python: str
    """A line of Python that makes an ASE calculator, ``{folder}`` standing for the folder."""
    is_stock: bool = False
    """Whether the LAMMPS of the package ``lammps`` has the pair style."""
    units: str = "metal"
    """LAMMPS's units that the files are in."""
    settings: tuple[str, ...] = ()
    """Commands that the pair style wants before there are atoms."""
    remark: str = ""
    """Where the numbers differ from those of the potential, if anywhere."""
    masses: Mapping[str, float] = field(default_factory=dict)
    """Where the style tells elements by them: mass of each, atomic mass units; else those of ASE."""
