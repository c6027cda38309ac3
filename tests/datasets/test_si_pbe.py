"""The embedded set: its split is the one split.py draws, and its labels agree with its reference properties."""

import gzip
import json
import runpy
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.units import GPa
from crossprune.harness.data.cards import DataOptions, card_folder, load_card, load_dataset
from crossprune.harness.data.crystals import competing_phases
from crossprune.harness.data.files.formats import read_file
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import energy_of, forces_of, stress_of
from crossprune.harness.data.structures import first_copies
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.evaluation.phonons import CUBE, POINTS
from crossprune.harness.evaluation.references import setting_of
from crossprune.harness.evaluation.surfaces import build_slab

FOLDER = card_folder("si-pbe")


@pytest.fixture(scope="module")
def dataset():
    return load_dataset("si-pbe")


@pytest.fixture(scope="module")
def records():
    return read_file(FOLDER / "frames.extxyz.gz", Keys(order="step")).records


def members(dataset, group):
    return [atoms for atoms, name in zip(dataset.frames, dataset.groups, strict=True) if name == group]


def test_contents(dataset):
    assert len(dataset.frames) == 352
    assert sum(len(atoms) for atoms in dataset.frames) == 2864
    assert set(dataset.groups) == set(load_card("si-pbe").groups)
    assert max(np.abs(forces_of(atoms)).max() for atoms in dataset.frames) == pytest.approx(51.5, abs=0.05)


def test_split_is_the_one_that_split_py_draws(records):
    lists = runpy.run_path(str(FOLDER / "split.py"))["draw"](records)
    assert lists == json.loads((FOLDER / "split.json").read_text())


def test_split_is_stratified_and_holds_whole_groups_out(dataset):
    counts = Counter(zip(dataset.groups, dataset.split, strict=True))
    for group in set(dataset.groups):
        shares = {part: counts[group, part] for part in ("train", "test", "ood")}
        if group in ("interstitial", "bcc"):
            assert shares["train"] == shares["test"] == 0
        else:
            assert shares["ood"] == 0
            assert 0.1 < shares["test"] / (shares["train"] + shares["test"]) < 0.26


def test_md_groups_are_split_in_contiguous_stretches(records):
    test = set(json.loads((FOLDER / "split.json").read_text())["test"])
    for temperature in (600, 1200, 2000, 3000, 4500):
        hot = [i for i, record in enumerate(records) if record.sequence == f"md-{temperature}K"]
        assert sorted(records[i].order for i in hot) == list(range(22))
        steps = sorted(records[i].order for i in hot if i in test)
        assert steps == list(np.arange(4) + steps[0])


def test_no_precision_is_lost_in_packing():
    with gzip.open(FOLDER / "frames.extxyz.gz", "rt") as stream:
        lines = stream.read().splitlines()
    columns = next(line for line in lines if line.startswith("Si ")).split()
    assert all(len(number.split(".")[1]) == 8 for number in columns[1:])
    assert all("energy=-" in line for line in lines if line.startswith("Lattice"))


def test_gzip_header_holds_no_time():
    assert (FOLDER / "frames.extxyz.gz").read_bytes()[4:8] == bytes(4)


def volume_strains(dataset):
    """Return volumes (Å³), energies (eV) and mean stresses (eV/Å³) of the isotropic strains, by volume."""
    elastic = members(dataset, "elastic")
    cells = [atoms for atoms in elastic if np.allclose(atoms.cell.array, atoms.cell[0, 0] * np.eye(3))]
    cells.sort(key=lambda atoms: atoms.get_volume())
    return (
        np.array([atoms.get_volume() for atoms in cells]),
        np.array([energy_of(atoms) for atoms in cells]),
        np.array([np.mean(stress_of(atoms)[:3]) for atoms in cells]),
    )


def test_volume_strains_give_the_reference_bulk_modulus(dataset):
    """B = dσ/d ln V at the reference volume; 3 %: the reference is an equation of state of energies."""
    reference = load_card("si-pbe").reference["diamond"].values
    volumes, _, stress = volume_strains(dataset)
    parabola = np.polyfit(np.log(volumes / reference["lattice_parameter_angstrom"] ** 3), stress, 2)
    assert parabola[1] / GPa == pytest.approx(reference["bulk_modulus_gpa"], rel=0.03)


def test_stress_is_the_derivative_of_the_energy(dataset):
    """Positive = tension: ΔE = σ ΔV (trapezoid).

    0.4 meV per atom: the plane-wave energy itself has one step of that size (see the card's notes).
    """
    volumes, energies, stress = volume_strains(dataset)
    work = (stress[1:] + stress[:-1]) / 2 * np.diff(volumes)
    np.testing.assert_allclose(work, np.diff(energies), atol=8 * 0.4e-3)
    assert np.median(np.abs(work - np.diff(energies))) < 8 * 0.03e-3


def test_smoke_subset_has_every_part():
    small = load_dataset("si-pbe", options=DataOptions(smoke=True))
    assert len(small.frames) == 30
    assert set(small.split) == {"train", "test", "ood"}


def shells(atoms, scale):
    """Return the distances of neighbours (Å), sorted and averaged over atoms, once scaled: shape (24,)."""
    cell = Atoms(
        atoms.numbers, scaled_positions=atoms.get_scaled_positions(), cell=atoms.cell * scale, pbc=True
    )
    found = find_neighbours(cell, 6.5)
    return np.mean([np.sort(found.distances[found.centres == one])[:24] for one in range(len(cell))], axis=0)


@pytest.mark.parametrize(
    "structure", ["diamond", "beta-sn", "sc", "fcc", "bcc", "hcp", "hex-diamond"], ids=str
)
def test_structures_of_references_are_in_the_groups_that_the_card_names_and_in_no_other(dataset, structure):
    """Scaled to one density, all distances agree to 2e-3 Å (digits) for the volumes of one structure only."""
    crystal = setting_of(load_card("si-pbe")).crystal
    builders = {"diamond": lambda scale: crystal.smallest(), **competing_phases(crystal)}
    reference = builders[structure](1.0)
    density = reference.get_volume() / len(reference)
    known = shells(reference, 1.0)
    found = Counter(
        group
        for atoms, group in zip(dataset.frames, dataset.groups, strict=True)
        if np.abs(shells(atoms, (density * len(atoms) / atoms.get_volume()) ** (1 / 3)) - known).max() < 2e-3
    )
    groups = load_card("si-pbe").reference[structure].groups
    assert found == {groups[0]: 8 if structure == "diamond" else 5}


def test_slabs_of_references_are_in_the_groups_that_the_card_names(dataset):
    card = load_card("si-pbe")
    setting = setting_of(card)
    held = replace(setting.crystal, lattice_parameter=setting.reference_lattice_parameter)
    for slab in setting.slabs:
        cut = build_slab(held, slab)
        near = [
            group
            for atoms, group in zip(dataset.frames, dataset.groups, strict=True)
            if len(atoms) == len(cut) and np.allclose(atoms.cell.cellpar(), cut.cell.cellpar(), rtol=3e-3)
        ]
        assert set(near) == set(card.reference[f"surface-{slab.name}"].groups)
        assert len(near) == 8


def test_no_cell_of_a_reference_is_a_frame(dataset):
    """Frames are near relatives: silicon's volumes of a phase lie between those of its equation of state."""
    crystal = setting_of(load_card("si-pbe")).crystal
    edges = [replace(crystal, lattice_parameter=a).conventional() for a in np.linspace(5.33, 5.61, 7)]
    cells = [build(x) for build in competing_phases(crystal).values() for x in np.linspace(0.95, 1.05, 7)]
    cells += [*edges, *read(FOLDER / "phonon.extxyz", ":")]
    cells += [cell.repeat(2) for cell in cells if len(cell) < 4]
    assert set(first_copies(cells, dataset.frames)) == {None}


def test_phonon_references_follow_from_the_displaced_cells():
    """Force constants of phonon.extxyz, by phonopy; the card rounds to 0.001 THz."""
    phonopy = pytest.importorskip("phonopy")
    from phonopy.structure.atoms import PhonopyAtoms

    displaced = read(FOLDER / "phonon.extxyz", ":")
    edge = displaced[0].cell[0, 0]
    unit = bulk("Si", "diamond", edge)
    model = phonopy.Phonopy(
        PhonopyAtoms(symbols=["Si", "Si"], cell=unit.cell.array, positions=unit.positions),
        supercell_matrix=np.array(CUBE["diamond"]).T,
        primitive_matrix=np.eye(3),
    )
    still = displaced[0].positions.copy()
    still[0, 0] -= displaced[0].info["displacement"]
    apart = still[None] - model.supercell.positions[:, None]
    order = np.linalg.norm(apart - edge * np.rint(apart / edge), axis=2).argmin(axis=1)
    model.dataset = {
        "natom": 8,
        "first_atoms": [
            {
                "number": int(np.flatnonzero(order == 0)[0]),
                "displacement": np.array([atoms.info["displacement"], 0.0, 0.0]),
                "forces": (atoms.get_forces() - atoms.get_forces().mean(axis=0))[order],
            }
            for atoms in displaced
        ],
    }
    model.produce_force_constants()
    model.run_qpoints([POINTS["diamond"][point] for point in ("gamma", "x")])
    frequencies = dict(zip(("gamma", "x"), np.sort(model.qpoints.frequencies, axis=1), strict=True))
    for name, value in load_card("si-pbe").reference["phonon"].values.items():
        point, branch, _ = name.split("_")
        assert frequencies[point][int(branch) - 1] == pytest.approx(value, abs=6e-4)
