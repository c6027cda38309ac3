"""The published sets load as published: sizes, parts, trajectories, no duplicates, and fast."""


import numpy as np
import pytest
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.data.frames import group_of, stress_of
from crossprune.harness.data.structures import duplicates

SIZES = {"mlearn-Mo": (194, 23), "mlearn-Si": (214, 25), "mlearn-Li": (241, 29)}


def load(name, **options):
    if not load_card(name).available:
        pytest.skip(f"data set {name} is not here; name its folder in CROSSPRUNE_DATA")
    return load_dataset(name, options=DataOptions(**options))


@pytest.mark.parametrize("name", SIZES)
def test_published_split(name):
    dataset = load(name)
    assert tuple(len(dataset.indices(part)) for part in ("train", "test", "ood")) == (*SIZES[name], 0)
    assert set(dataset.groups) == set(load_card(name).groups)
    assert duplicates(dataset.frames) == []
    assert dataset.elements == load_card(name).elements


@pytest.mark.parametrize("element", ["Mo", "Si", "Ge", "Li"])
def test_references_come_from_the_group_that_the_card_names(element):
    """The strained cells keep two edges of the reference crystal, and have its strain."""
    dataset, card = load(f"mlearn-{element}"), load_card(f"mlearn-{element}")
    a = card.protocol.lattice_parameter_angstrom
    (group,) = card.reference[card.protocol.prototype].groups
    edges = np.array(
        [
            np.sort(np.diag(atoms.cell.array))
            for atoms, name in zip(dataset.frames, dataset.groups, strict=True)
            if name == group and np.allclose(atoms.cell.array, np.diag(np.diag(atoms.cell.array)))
        ]
    )
    assert len(edges) > 10
    middle = edges[:, 1]  # one edge is strained
    assert middle / np.rint(middle / a) == pytest.approx(a, rel=1e-3)
    strains = np.concatenate([edges[:, 0], edges[:, 2]]) / np.tile(middle, 2) - 1
    smallest = np.abs(strains[np.abs(strains) > 1e-4]).min()
    assert smallest == pytest.approx(card.protocol.elastic_strain or 0.005, rel=0.02)


def test_stress_of_lithium_is_left_out_unless_asked_for():
    dataset = load("mlearn-Li")
    assert all(stress_of(atoms) is None for atoms in dataset.frames)
    assert "Li's shear virials change sign" in dataset.notes[0]
    asked = load("mlearn-Li", use_stress=True)
    assert all(stress_of(atoms) is not None for atoms in asked.frames)
    assert [note for note in asked.notes if "stress" in note] == []


def test_a_trajectory_can_be_held_out_whole():
    hot = "AIMD-NVT: AIMD NVT simulation at 6000 K"
    dataset = load("mlearn-Mo", group_by="trajectory", ood_groups=(hot,))
    ood = dataset.indices("ood")
    assert len(ood) == 40
    assert {group_of(dataset.frames[index]) for index in ood} == {hot}


def test_blocks_do_not_interleave_snapshots():
    dataset = load("mlearn-Mo", split="blocks", group_by="trajectory", test_fraction=0.1)
    for group in {group for group in dataset.groups if "AIMD" in group}:
        parts = [part for part, name in zip(dataset.split, dataset.groups, strict=True) if name == group]
        assert 0 < parts.count("test") <= 4
    assert len(dataset.frames) == sum(SIZES["mlearn-Mo"])


@pytest.mark.slow
def test_monbtaw_as_published():
    dataset = load("monbtaw")
    assert (len(dataset.indices("train")), len(dataset.indices("test"))) == (5282, 376)
    assert set(dataset.groups) == set(load_card("monbtaw").groups)
    assert dataset.elements == ("Mo", "Nb", "Ta", "W")
    assert all(np.isfinite(stress_of(atoms)).all() for atoms in dataset.frames)
