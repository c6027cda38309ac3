"""Copies of a structure: found however they are written, and no two frames of a trajectory are one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from crossprune.harness.data.structures import duplicates, first_copies


def frame(seed: int, *, size: float = 0.1, repeat: int = 2, pbc: bool | tuple[bool, ...] = True) -> Atoms:
    atoms = bulk("Cu", cubic=True).repeat(repeat)
    atoms.numbers[::3] = 47
    atoms.positions += np.random.default_rng(seed).normal(0, size, (len(atoms), 3))
    atoms.pbc = pbc
    return atoms


def changed(atoms: Atoms, *ways: str) -> Atoms:
    atoms = atoms.copy()
    rng = np.random.default_rng(1)
    for way in ways:
        if way == "wrapped":
            atoms.wrap()
        if way == "shifted":
            atoms.positions += [0.3, 1.7, -0.4]
        if way == "other images":
            images = rng.integers(-3, 4, (len(atoms), 3)) * atoms.pbc
            atoms.positions += images @ atoms.cell.array
        if way == "reordered":
            atoms = atoms[rng.permutation(len(atoms))]
        if way == "turned":
            atoms.rotate(37.0, (1, 2, 3), rotate_cell=True)
        if way == "printed":
            atoms.positions = atoms.positions.round(6)
            atoms.set_cell(atoms.cell.array.round(6))
    return atoms


@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
@pytest.mark.parametrize(
    "ways",
    [("printed",), ("wrapped",), ("other images", "printed"), ("reordered",), ("shifted", "reordered")],
)
def test_copies_are_found_however_they_are_written(pbc, ways):
    frames = [frame(seed, pbc=pbc) for seed in range(5)]
    assert first_copies([changed(atoms, *ways) for atoms in frames[::-1]], frames) == [4, 3, 2, 1, 0]


def test_turned_crystals_are_copies():
    frames = [frame(seed) for seed in range(3)]
    turned = [changed(one, "turned", "shifted", "wrapped", "reordered", "printed") for one in frames]
    assert first_copies(turned, frames) == [0, 1, 2]


def test_molecules_are_copies_however_they_are_turned_or_mirrored():
    frames = [molecule(name) for name in ("CH3CH2OH", "C6H6", "CH3COF")]
    boxed = molecule("CH3CH2OH", vacuum=5.0)
    turned = [changed(one, "turned", "shifted", "reordered", "printed") for one in frames]
    mirrored = frames[0].copy()
    mirrored.positions *= [1, 1, -1]
    assert first_copies([*turned, mirrored, changed(boxed, "turned")], frames) == [0, 1, 2, 0, 0]
    bent = frames[0].copy()
    bent.positions[-1] += [0, 0, 1e-3]
    assert first_copies([bent], frames) == [None]


def test_the_same_places_with_other_elements_are_no_copies():
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    side, cross = (Atoms(names, square) for names in ("CuCuAuAu", "CuAuCuAu"))
    assert first_copies([side], [cross]) == [None]
    assert first_copies([Atoms("Cu"), Atoms("Au")], [Atoms("Cu")]) == [0, None]


def test_duplicates_are_in_the_order_of_their_atoms():
    frames = [frame(seed) for seed in range(3)]
    copies = [changed(frames[2], "other images"), changed(frames[1], "printed"), frames[1]]
    others = [changed(frames[0], "reordered"), changed(frames[0], "turned"), changed(frames[0], "shifted")]
    assert duplicates([*frames, *others, *copies]) == [(2, 6), (1, 7), (1, 8)]


def test_steps_of_a_trajectory_and_strains_and_swaps_are_no_copies():
    first = frame(0)
    step, strained, swapped = first.copy(), first.copy(), first.copy()
    step.positions += np.random.default_rng(2).normal(0, 1e-3, (len(step), 3))
    strained.set_cell(strained.cell.array * [1.0001, 1.0, 1.0], scale_atoms=True)
    swapped.numbers[[0, 1]] = swapped.numbers[[1, 0]]
    others = [step, strained, swapped, frame(0, pbc=(True, True, False))]
    assert first_copies(others, [first]) == [None] * 4
    assert duplicates([first, *others]) == []


def test_a_single_atom_moved_makes_another_structure_quickly():
    frames = []
    for index in range(400):
        atoms = bulk("Cu", cubic=True).repeat(4)
        atoms.positions[index % 256] += np.random.default_rng(index).normal(0, 0.01, 3)
        frames.append(atoms)
    began = time.monotonic()
    assert duplicates(frames) == []
    assert first_copies(frames[200:], frames[:200]) == [None] * 200
    assert time.monotonic() - began < 10.0
