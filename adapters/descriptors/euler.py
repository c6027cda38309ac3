"""Euler characteristic curves: how a structure's topology changes as atoms are joined at growing radii."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from crossprune.adapters.programs.compiling import compiler
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, require_elements
from crossprune.harness.contract.neighbours import find_neighbours

compiled = compiler("euler")
TOLERANCE = 1e-6
"""Distances this much longer than a radius (Å) are within it: lattices of round lengths have distances that
equal a radius, and rounding, 1e-8 where a file gives eight digits, must not decide."""


@dataclass(frozen=True)
class EulerOptions:
    """Radii of the filtration."""

    cutoff: float = 6.0
    """Largest radius, Å; time grows with its sixth power."""
    n_radii: int = 64
    """Number of radii, evenly spaced up to the cutoff, which is the last one."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.cutoff <= 0:
            raise ValueError(f"cutoff must be positive, got {self.cutoff} Å")
        if self.n_radii < 1:
            raise ValueError(f"n_radii must be at least 1, got {self.n_radii}")


class Euler(Descriptor[EulerOptions]):
    """Euler characteristic curves of a structure, per atom; it has no model."""

    name = "euler"
    level: ClassVar[Literal["structure"]] = "structure"
    capabilities = Capabilities(fits=False, stress=False)
    options_type = EulerOptions
    distributions: ClassVar[tuple[str, ...]] = ("ase", "numba", "numpy")
    smoke: ClassVar[Mapping[str, Any]] = {"cutoff": 5.0, "n_radii": 5}

    def features(self, atoms: Atoms) -> FloatArray:
        """Return χ(r) / n_atoms of the structure and, in alloys, of each element's atoms alone.

        χ(r) = V − E(r) + T(r), the Euler characteristic of the Vietoris–Rips complex up to triangles (Smith &
        Zavala 2021, doi:10.1016/j.compchemeng.2021.107463): vertices are atoms; edges are pairs no farther
        apart than r, triangles triples of which all three pairs are edges; periodic images count as atoms of
        their own, and what belongs to several cells is counted once per cell. Tetrahedra are left out.

        Returns
        -------
        FloatArray
            Dimensionless, shape (1, n_radii), or (1, (1 + n_elements) · n_radii) for several elements.
        """
        require_elements(atoms, self.elements, "adapter 'euler'")
        curves = simplices(atoms, self.elements, self.options.cutoff, self.options.n_radii)
        chi: FloatArray = (curves[0] - curves[1] + curves[2]) / len(atoms)
        return (chi if len(self.elements) > 1 else chi[:1]).reshape(1, -1)


def simplices(atoms: Atoms, elements: tuple[str, ...], cutoff: float, n_radii: int) -> FloatArray:
    """Count vertices, edges and triangles per cell at radii up to ``cutoff`` (Å).

    Returns
    -------
    FloatArray
        Shape (3, 1 + n_elements, n_radii): of all atoms, then of those of each element alone.
    """
    kinds = np.searchsorted(elements, atoms.get_chemical_symbols()).astype(np.int64)
    found = find_neighbours(atoms, cutoff + TOLERANCE)
    counts = np.zeros((3, 1 + len(elements), n_radii))
    counts[0, 0, 0] = len(atoms)
    counts[0, 1:, 0] = np.bincount(kinds, minlength=len(elements))
    count(found.starts, kinds, kinds[found.index], found.vectors, found.distances, cutoff, counts)
    counts[1] /= 2.0  # an edge is found from both ends,
    counts[2] /= 3.0  # a triangle from three corners
    summed: FloatArray = counts.cumsum(axis=2)
    return summed


@compiled
def count(
    starts: Any, kinds: Any, others: Any, vectors: Any, lengths: Any, cutoff: float, counts: Any
) -> None:
    """Count edges and triangles at every corner by the first radius at which they are there.

    A triangle is a pair of neighbours of its corner; each pair is looked at once. ``others``: kinds of the
    neighbours, shape (n_pairs,). ``counts``: as `simplices` returns them, not yet summed over radii.
    """
    n_radii = counts.shape[2]
    step, limit = cutoff / n_radii, (cutoff + TOLERANCE) ** 2
    for i in range(len(kinds)):
        for a in range(starts[i], starts[i + 1]):
            same = others[a] == kinds[i]
            radius = first_radius(lengths[a], step, n_radii)
            counts[1, 0, radius] += 1
            if same:
                counts[1, 1 + kinds[i], radius] += 1
            for b in range(starts[i], a):
                x = vectors[a, 0] - vectors[b, 0]
                y = vectors[a, 1] - vectors[b, 1]
                z = vectors[a, 2] - vectors[b, 2]
                square = x * x + y * y + z * z
                if square > limit:
                    continue
                longest = max(lengths[a], lengths[b], math.sqrt(square))
                radius = first_radius(longest, step, n_radii)
                counts[2, 0, radius] += 1
                if same and others[b] == kinds[i]:
                    counts[2, 1 + kinds[i], radius] += 1


@compiled
def first_radius(distance: float, step: float, n_radii: int) -> int:
    """Return the number of the first radius, of ``step``, 2 ``step``, …, that a distance is within."""
    return min(max(math.ceil((distance - TOLERANCE) / step) - 1, 0), n_radii - 1)
