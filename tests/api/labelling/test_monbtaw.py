"""The 5,658 frames of MoNbTaW without their labels, with molecules and slabs among them."""

from __future__ import annotations

import pytest
from ase.build import bcc110, molecule
from crossprune.harness.data.files.formats import frames_of


@pytest.fixture(scope="module")
def frames(data_folder, require_adapter):
    """Read all of them, training and test parts, and take their labels away."""
    require_adapter("snap")
    found = [atoms for path in sorted(data_folder("monbtaw").glob("*.json")) for atoms, _ in frames_of(path)]
    for atoms in found:
        atoms.calc = None
    assert len(found) == 5658
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keep blocks from one choice to the next."""
    return tmp_path_factory.mktemp("blocks")


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 17, 500, "all"])
def test_exactly_n_of_them(frames, folder, chosen, n):
    found = chosen(frames, n, folder=folder)
    assert len(set(found.indices)) == len(found.indices) == (5658 if n == "all" else n)
    assert all(atoms.calc is None for atoms in found.frames[:17])


@pytest.mark.slow
def test_given_frames_lack_two_elements_and_the_pool_has_molecules_and_slabs(frames, folder, chosen):
    two = [atoms for atoms in frames if set(atoms.symbols) <= {"Mo", "Nb"}]
    given = two[:: len(two) // 100][:100]
    odd = [molecule("H2O"), molecule("CO"), bcc110("W", (2, 2, 4), vacuum=8.0)]
    found = chosen([*frames, *odd], 500, given=given, folder=folder)
    assert len(set(found.indices)) == 500
    assert {5658, 5659} <= set(found.indices)  # nothing is as far from metals as molecules
    assert {"Ta", "W"} <= {symbol for atoms in found.frames[:60] for symbol in atoms.symbols}
    numbers = {id(atoms): number for number, atoms in enumerate(frames)}
    assert not {numbers[id(atoms)] for atoms in given} & set(found.indices)
    assert found.n_pool <= 5661 - 100
    assert len(given) == 100
