"""UF3 against the package uf3: energies, forces, stress and rows of a model that it fitted and evaluated."""

from __future__ import annotations

import json

import ase.io
import numpy as np
import pytest

uf3 = pytest.importorskip("crossprune.adapters.uf3", exc_type=ImportError)


def test_energies_forces_and_stress_are_those_of_the_package(data_folder):
    folder = data_folder("uf3")
    potential = uf3.read_potential(folder / "uf3_Mo.json")
    frames = ase.io.read(folder / "uf3_Mo.reference.extxyz", index=":")
    assert [len(atoms) for atoms in frames] == [16, 8, 32, 53, 5]
    for atoms in frames:
        found, forces = potential.predict(atoms), atoms.get_forces()
        assert found.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-8)
        # Positions in the file have eight decimals.
        np.testing.assert_allclose(found.forces, forces, rtol=0, atol=1e-7 * np.abs(forces).max())
        if atoms.pbc.all():
            # The package's stress is by finite strain.
            np.testing.assert_allclose(found.stress, atoms.get_stress(), rtol=0, atol=1e-5)


def test_rows_are_those_of_the_package(data_folder):
    folder = data_folder("uf3")
    content = json.loads((folder / "uf3_Mo.json").read_text())
    model = uf3.read_potential(folder / "uf3_Mo.json").model
    frames = ase.io.read(folder / "uf3_Mo.reference.extxyz", index=":1")
    frames += ase.io.read(folder / "uf3_Mo.reference.extxyz", index="1:2")
    table = np.load(folder / "uf3_Mo.rows.npz")
    assert table["values"].shape[1] == 2 + 18 + 234
    names = [one.split(":")[0] for one in table["index"].tolist()]
    kept = len(content["coefficients"]["Mo-Mo"]) - 3  # the package has columns for trimmed functions of pairs
    assert model.n_columns == kept + 234
    for atoms, name in zip(frames, dict.fromkeys(names), strict=True):
        values = table["values"][np.array(names) == name]
        assert (values[:, 2 + kept : 2 + 18] == 0).all()
        given = np.hstack([values[:, 2 : 2 + kept], values[:, 2 + 18 :]])
        rows, n_atoms = model.rows(atoms), len(atoms)
        forces = given[1:].reshape(3, n_atoms, -1).transpose(1, 0, 2).reshape(3 * n_atoms, -1)
        np.testing.assert_allclose(rows.energy, given[0], rtol=0, atol=1e-7 * np.abs(given[0]).max())
        np.testing.assert_allclose(rows.forces, forces, rtol=0, atol=1e-7 * np.abs(forces).max())
