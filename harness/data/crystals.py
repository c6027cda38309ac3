"""Crystals of cubic prototype: cells, supercells, slabs, and competing phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.build import bulk

Prototype = Literal["bcc", "fcc", "diamond"]
ATOMS_PER_CUBE: Mapping[Prototype, int] = {"bcc": 2, "fcc": 4, "diamond": 8}
NEIGHBOUR: Mapping[Prototype, float] = {"bcc": 3**0.5 / 2, "fcc": 0.5**0.5, "diamond": 3**0.5 / 4}
"""Distance of nearest neighbours in units of the lattice parameter."""
ALLOY_SEED = 20260611
"""Seed of the occupation of an alloy's sites: the same crystal for every model."""
ALLOY_REPEAT = 2


@dataclass(frozen=True)
class Crystal:
    """A crystal of one element, or an equimolar random alloy, on the sites of a prototype.

    ``lattice_parameter`` is the edge of the cubic cell (Å). An alloy is a 2 × 2 × 2 supercell of the cube
    with a fixed random occupation.
    """

    prototype: Prototype
    elements: tuple[str, ...]
    lattice_parameter: float

    @property
    def is_alloy(self) -> bool:
        """Whether more than one element sits on the sites."""
        return len(self.elements) > 1

    @property
    def neighbour_distance(self) -> float:
        """Distance of nearest neighbours, Å."""
        return NEIGHBOUR[self.prototype] * self.lattice_parameter

    def smallest(self) -> Atoms:
        """Return the smallest cell: primitive for an element."""
        if self.is_alloy:
            return self.conventional(ALLOY_REPEAT)
        return bulk(self.elements[0], self.prototype, self.lattice_parameter)

    def conventional(self, repeat: int = 1) -> Atoms:
        """Return the cubic cell, repeated along each axis."""
        cube = bulk(self.elements[0], self.prototype, self.lattice_parameter, cubic=True)
        atoms: Atoms = cube.repeat(repeat)
        if self.is_alloy:
            symbols = np.resize(np.array(self.elements), len(atoms))
            atoms.set_chemical_symbols(np.random.default_rng(ALLOY_SEED).permutation(symbols).tolist())
        return atoms


@dataclass(frozen=True)
class Slab:
    """How a slab is cut."""

    face: tuple[int, int, int]
    """Miller indices in the cubic axes (for the primitive cell, (111) is the same plane)."""
    layers: int = 0
    """Repeats of the cell along the normal; 0 takes as many as make the slab 12 Å thick."""
    vacuum: float = 8.0
    """Å on either side; beyond the reach of any model here."""
    cell: Literal["conventional", "primitive"] = "conventional"
    """The cell that is cut."""

    @property
    def name(self) -> str:
        """The face as digits, such as ``110``."""
        return "".join(map(str, self.face))


FACES = (Slab((1, 0, 0)), Slab((1, 1, 0)), Slab((1, 1, 1)))


def competing_phases(crystal: Crystal) -> dict[str, Callable[[float], Atoms]]:
    """Return builders of other phases of an element: scale (1 near equilibrium) to cell.

    Shapes and internal coordinates are fixed. Those of silicon's phases are the shapes of
    ``datasets/si-pbe/reference.py``, in units of the lattice parameter; metals start at equal volume per
    atom, with the ideal ratio c/a = √(8/3) for hcp.
    """
    symbol, a = crystal.elements[0], crystal.lattice_parameter
    if crystal.prototype == "diamond":
        return _phases_of_silicon(symbol, a / 5.477)
    per_atom = a**3 / ATOMS_PER_CUBE[crystal.prototype]

    def cubic(name: str, n_atoms: int) -> Callable[[float], Atoms]:
        return lambda scale: bulk(symbol, name, scale * (n_atoms * per_atom) ** (1 / 3))

    ratio = (8 / 3) ** 0.5
    hcp_a = (2 * per_atom / (ratio * 3**0.5 / 2)) ** (1 / 3)
    phases: dict[str, Callable[[float], Atoms]] = {
        "bcc": cubic("bcc", 2),
        "fcc": cubic("fcc", 4),
        "hcp": lambda scale: bulk(symbol, "hcp", scale * hcp_a, c=scale * hcp_a * ratio),
        "sc": cubic("sc", 1),
    }
    del phases[crystal.prototype]
    return phases


def _phases_of_silicon(symbol: str, unit: float) -> dict[str, Callable[[float], Atoms]]:
    """Return builders of silicon-like phases; ``unit`` is the lattice parameter over silicon's 5.477 Å."""
    beta_tin = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 0.5, 0.25], [0.5, 0.0, 0.75]]
    third = 1 / 3
    lonsdaleite = [
        [third, 2 * third, 0.0625],
        [2 * third, third, 0.5625],
        [third, 2 * third, 0.4375],
        [2 * third, third, 0.9375],
    ]

    def of_four(sites: list[list[float]], cell: list[list[float]]) -> Callable[[float], Atoms]:
        vectors = unit * np.array(cell)
        return lambda scale: Atoms(f"{symbol}4", scaled_positions=sites, cell=scale * vectors, pbc=True)

    hexagonal = [[3.86, 0.0, 0.0], [-1.93, 3.86 * 0.75**0.5, 0.0], [0.0, 0.0, 6.33]]
    return {
        "beta-sn": of_four(beta_tin, [[4.81, 0.0, 0.0], [0.0, 4.81, 0.0], [0.0, 0.0, 2.65]]),
        "sc": lambda scale: bulk(symbol, "sc", 2.53 * unit * scale),
        "fcc": lambda scale: bulk(symbol, "fcc", 3.87 * unit * scale),
        "bcc": lambda scale: bulk(symbol, "bcc", 3.09 * unit * scale),
        "hcp": lambda scale: bulk(symbol, "hcp", 2.74 * unit * scale, c=4.63 * unit * scale),
        "hex-diamond": of_four(lonsdaleite, hexagonal),
    }
