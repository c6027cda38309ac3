"""Cells of four elements by a network's two modals: what references do to energies of different levels."""

from __future__ import annotations

import runpy
from collections import Counter

import numpy as np
import pytest
from crossprune.harness.data.cards import card_folder, load_card, load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, stress_of
from crossprune.harness.data.twins import copies_of
from crossprune.levels import compare_levels

FOLDER = card_folder("monbtaw-pair")


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("monbtaw-pair")


def test_every_composition_is_there_and_no_structure_twice(dataset):
    assert len(dataset.frames) == 600
    assert Counter(dataset.split) == {"train": 432, "test": 108, "ood": 60}
    kinds = Counter(frozenset(atoms.get_chemical_symbols()) for atoms in dataset.frames)
    assert Counter(map(len, kinds)) == {1: 4, 2: 6, 3: 4, 4: 1}
    assert copies_of(dataset.frames) == list(range(600))
    assert all(stress_of(atoms) is not None for atoms in dataset.frames)
    assert {part for part, group in zip(dataset.split, dataset.groups, strict=True) if group == "hot"} == {
        "ood"
    }


def test_referencing_makes_the_levels_agree():
    """Total energies hardly correlate; after energies per element of each level they do."""
    everything = compare_levels("monbtaw-pair").set_index("group").loc["all"]
    assert everything["energy_correlation"] == pytest.approx(0.792, abs=1e-3)
    assert everything["referenced_correlation"] == pytest.approx(0.993, abs=1e-3)
    assert everything["referenced_mae_mev_per_atom"] == pytest.approx(84, abs=1)
    assert everything["force_slope"] == pytest.approx(0.73, abs=5e-3)
    said = " ".join(load_card("monbtaw-pair").notes)
    assert "14.7 to 38.7 eV" in said
    assert (-everything["shift_high"], -everything["shift_low"]) == pytest.approx((14.7, 38.7), abs=0.05)


def test_the_script_draws_these_cells_and_labels(dataset, require_adapter):
    """Structures again to the digits that are printed; labels to single precision."""
    require_adapter("universal")
    from sevenn.calculator import SevenNetCalculator

    drawn = runpy.run_path(str(FOLDER / "cells.py"))
    again = drawn["draw"](np.random.default_rng(drawn["SEED"]))
    for atoms, other in zip(dataset.frames, again, strict=True):
        np.testing.assert_array_equal(atoms.numbers, other.numbers)
        np.testing.assert_allclose(atoms.positions, other.positions, atol=1e-7)
    calculator = SevenNetCalculator("7net-mf-0", modal="R2SCAN", device="cpu")
    for atoms in dataset.frames[:5]:
        other = atoms.copy()
        other.calc = calculator
        assert other.get_potential_energy() == pytest.approx(energy_of(atoms), rel=1e-5)
        np.testing.assert_allclose(other.get_forces(), forces_of(atoms), atol=1e-3)
