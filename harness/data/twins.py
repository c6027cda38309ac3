"""Copies of a structure by symmetry: rotated, mirrored, shifted, re-ordered, or repeated as a supercell."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from ase import Atoms
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.harness.data.structures import duplicates

CUTOFF = 5.0
"""Å; at least two shells of neighbours, which tell crystals and their strains apart."""
ENERGY = 1e-4
"""eV per atom; copies are calculated with other k-points or orientations, which DFT feels so much."""
DISTANCE = 2e-3
"""Å; root mean square over all pairs of neighbours: files print fewer digits than cells have."""

VOLUME = 2e-3
"""Share; 3 × `DISTANCE` over a bond."""
FORCE = (0.05, 0.02)
"""Share, and eV/Å: forces of copies differ by a per cent or so in DFT; several times as much is let pass."""


def twins(
    frames: Sequence[Atoms], sides: Sequence[Hashable] | None = None, *, tolerance: float = DISTANCE
) -> list[int]:
    """Return for each frame the first one that it is a copy of by symmetry; its own index if of none.

    Two frames are copies if compositions and energies per atom agree, and the sorted distances of all
    pairs of elements within a cutoff, per atom. Distances do not change when a structure is rotated,
    mirrored, shifted or re-ordered, and per atom not when it is repeated. Only frames of like
    energy are compared; and if ``sides`` are given, only those on different ones. The distances' root mean
    square difference is at most ``tolerance`` (Å).
    """
    first = list(range(len(frames)))
    prints: dict[int, dict[tuple[int, int], FloatArray]] = {}
    for index, other in _candidates(frames):
        if sides is not None and sides[index] == sides[other]:
            continue
        for one in (index, other):
            if one not in prints:
                prints[one] = _distances(frames[one])
        if _agree(prints[index], prints[other], len(frames[index]), len(frames[other]), tolerance):
            _join(first, index, other)
    return [_root(first, index) for index in range(len(frames))]


def copies_of(frames: Sequence[Atoms]) -> list[int]:
    """Return for each frame the first one that it is a copy of, exactly or by symmetry."""
    first = twins(frames)
    for known, copy in duplicates(frames):
        low, high = sorted((first[known], first[copy]))
        first = [low if one == high else one for one in first]
    return first


def stand_among(frames: Sequence[Atoms], known: Sequence[Atoms]) -> list[bool]:
    """Say of each frame whether it is a copy of a known one, whatever either is labelled.

    As `twins`, by volumes and distances alone: labels of two levels of theory do not agree. What is nearer
    than `DISTANCE` is a copy, so that a structure is rather taken for one too often.
    """
    shapes = [[(_elements(atoms), _volume(atoms)) for atoms in side] for side in (frames, known)]
    by_elements: dict[str, list[int]] = {}
    for place, (elements, _) in enumerate(shapes[1]):
        by_elements.setdefault(elements, []).append(place)
    prints: dict[int, dict[tuple[int, int], FloatArray]] = {}
    found = []
    for atoms, (elements, volume) in zip(frames, shapes[0], strict=True):
        near = [
            place
            for place in by_elements.get(elements, ())
            if math.isclose(shapes[1][place][1], volume, rel_tol=VOLUME)
        ]
        own = _distances(atoms) if near else {}
        for place in near:
            if place not in prints:
                prints[place] = _distances(known[place])
        found.append(
            any(_agree(own, prints[place], len(atoms), len(known[place]), DISTANCE) for place in near)
        )
    return found


def _candidates(frames: Sequence[Atoms]) -> Iterator[tuple[int, int]]:
    """Yield pairs of frames that agree in what costs nothing: energy, forces, volume, composition."""
    energies = np.array([energy_of(atoms) / len(atoms) for atoms in frames])
    forces = np.array([np.sqrt(np.mean(forces_of(atoms) ** 2)) for atoms in frames])
    volumes = np.array([abs(atoms.cell.volume) / len(atoms) if atoms.pbc.all() else 0.0 for atoms in frames])
    kinds = np.unique([_kind(atoms) for atoms in frames], return_inverse=True)[1]
    order = np.argsort(energies, kind="stable")
    ends = np.searchsorted(energies[order], energies[order] + ENERGY, side="right")
    for place, index in enumerate(order.tolist()):
        others = order[place + 1 : ends[place]]
        alike = kinds[others] == kinds[index]
        alike &= np.isclose(volumes[others], volumes[index], rtol=VOLUME, atol=0.0)
        alike &= np.isclose(forces[others], forces[index], rtol=FORCE[0], atol=FORCE[1])
        for other in others[alike].tolist():
            yield index, other


def _kind(atoms: Atoms) -> str:
    """Return what copies share exactly: the reduced composition, and how many directions are periodic."""
    return f"{_elements(atoms)} {atoms.pbc.sum()}"


def _elements(atoms: Atoms) -> str:
    """Return the reduced composition."""
    numbers, counts = np.unique(atoms.numbers, return_counts=True)
    reduced = counts // np.gcd.reduce(counts)
    return f"{numbers.tolist()} {reduced.tolist()}"


def _volume(atoms: Atoms) -> float:
    """Return the volume of an atom in its cell, however it is periodic, Å³; 0 without one."""
    return abs(atoms.cell.volume) / len(atoms) if atoms.cell.rank == 3 else 0.0


def _distances(atoms: Atoms) -> dict[tuple[int, int], FloatArray]:
    """Return the sorted distances of neighbours per pair of elements."""
    near = find_neighbours(atoms, CUTOFF)
    low, high = np.sort([atoms.numbers[near.centres], atoms.numbers[near.index]], axis=0)
    distances = near.distances
    found = {}
    for one, other in set(zip(low.tolist(), high.tolist(), strict=True)):
        found[one, other] = np.sort(distances[(low == one) & (high == other)])
    return found


def _agree(
    one: dict[tuple[int, int], FloatArray],
    other: dict[tuple[int, int], FloatArray],
    n_one: int,
    n_other: int,
    tolerance: float,
) -> bool:
    """Compare sorted distances per atom; neighbours just inside and outside of the cutoff are forgiven."""
    common = math.gcd(n_one, n_other)
    for pair in one.keys() | other.keys():
        sides = ((one, n_other // common), (other, n_one // common))
        short = [np.repeat(side.get(pair, np.empty(0)), n) for side, n in sides]
        size = min(map(len, short))
        edge = min((values[size] for values in short if len(values) > size), default=CUTOFF)
        if edge < CUTOFF - 3 * DISTANCE:
            return False
        if size and np.sqrt(np.mean((short[0][:size] - short[1][:size]) ** 2)) > tolerance:
            return False
    return True


def _root(first: list[int], index: int) -> int:
    while first[index] != index:
        index = first[index]
    return index


def _join(first: list[int], one: int, other: int) -> None:
    low, high = sorted((_root(first, one), _root(first, other)))
    first[high] = low
