"""Labels: uniform over a file, used or named as unused, found where a database keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write
from crossprune.harness.data.files.formats import read_file
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.frames import energy_of, forces_of, stress_of
from crossprune.harness.errors import DataError


def copper(seed: int = 0, **results) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=np.zeros((4, 3)), **results)
    return atoms


def read(tmp_path, frames, **keys):
    write(tmp_path / "in.xyz", frames, format="extxyz")
    return read_file(tmp_path / "in.xyz", Keys(**keys))


def test_a_virial_in_the_header_is_named_with_the_option_that_uses_it(tmp_path):
    frames = [copper(seed) for seed in range(3)]
    frames[1].info["virial"] = np.eye(3)
    [note] = read(tmp_path, frames).notes
    assert note.startswith("'virial' of 1 of 3 frames is not used; to use it as stress label (eV, -volume")
    assert 'give --virial-key virial, or set virial_key = "virial" in the table [data."' in note
    used = read(tmp_path, frames, virial="virial")
    expected = -np.array([1, 1, 1, 0, 0, 0]) / frames[1].get_volume()
    np.testing.assert_allclose(stress_of(used.records[1].atoms), expected, atol=1e-10)
    assert used.notes == ("2 of 3 frames have no 'virial' and so no stress label",)


def test_a_second_stress_beside_the_one_in_use_is_no_news(tmp_path):
    frame = copper(stress=np.zeros(6))
    frame.info["virial"] = np.eye(3)
    assert read(tmp_path, [frame]).notes == ()


@pytest.mark.parametrize("kind", ["virial", "stress"])
def test_a_stress_that_some_frames_lack(tmp_path, kind):
    frames = [copper(seed) for seed in range(3)]
    frames[1].info[f"dft_{kind}"] = np.eye(3)
    reading = read(tmp_path, frames, **{kind: f"dft_{kind}"})
    assert [stress_of(one.atoms) is not None for one in reading.records] == [False, True, False]
    assert reading.notes == (f"2 of 3 frames have no 'dft_{kind}' and so no stress label",)
    with pytest.raises(DataError, match=rf"no frame has 'dft_x' \({kind}_key\); unknown key .*dft_{kind}"):
        read(tmp_path, frames, **{kind: "dft_x"})


def test_free_energies_and_energies_are_not_mixed(tmp_path):
    frames = [copper(0, free_energy=-8.0), copper(1)]
    reading = read(tmp_path, frames)
    assert [energy_of(one.atoms) for one in reading.records] == [-4.0, -4.0]
    assert reading.notes == (
        "1 of 2 frames have a free energy; the energy is used for all, so that they agree",
    )
    del frames[0].calc.results["energy"]
    with pytest.raises(
        DataError, match=r"only 1 of 2 frames have a free energy, and .*frame 0 has nothing else"
    ):
        read(tmp_path, frames)


def test_forces_in_the_data_of_a_database_row(tmp_path):
    forces = np.arange(12.0).reshape(4, 3)
    with connect(tmp_path / "in.db") as database:
        database.write(bulk("Cu", cubic=True), total=-4.0, data={"my_forces": forces})
    [record] = read_file(tmp_path / "in.db", Keys(energy="total", forces="my_forces")).records
    np.testing.assert_array_equal(forces_of(record.atoms), forces)
    with pytest.raises(DataError, match="no forces; give --forces-key my_forces, or set"):
        read_file(tmp_path / "in.db", Keys(energy="total"))


def test_half_a_database_is_refused(tmp_path):
    with connect(tmp_path / "in.db") as database:
        for seed in range(30):
            database.write(copper(seed))
    content = (tmp_path / "in.db").read_bytes()
    (tmp_path / "half.db").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"half\.db, frame 0: not readable .*truncated"):
        read_file(tmp_path / "half.db", Keys())


def slab(vacuum: float | None) -> Atoms:
    atoms = fcc111("Cu", (2, 2, 3), vacuum=vacuum)
    atoms.info.clear()
    atoms.pbc = (True, True, False)
    atoms.calc = SinglePointCalculator(atoms, energy=-4.0, forces=np.zeros((12, 3)))
    return atoms


def test_a_slab_needs_no_vector_along_its_open_direction(tmp_path):
    reading = read(tmp_path, [slab(None), slab(8.0)])
    first, second = (one.atoms for one in reading.records)
    assert first.pbc.tolist() == [True, True, False]
    assert first.cell.rank == 3
    np.testing.assert_allclose(first.cell[:2], second.cell[:2])
    assert first.cell[2, 2] > np.ptp(first.positions[:, 2])
    assert reading.notes == ("1 frames without a cell vector along an open direction were given one",)


def test_a_periodic_direction_needs_its_vector(tmp_path):
    atoms = slab(None)
    atoms.pbc = True
    with pytest.raises(
        DataError, match=r'a vector along a periodic direction is zero.*pbc="T T F" for a slab'
    ):
        read(tmp_path, [atoms])


@pytest.mark.parametrize("kind", ["virial", "stress", "calculator"])
def test_stress_of_open_frames_is_left_out_with_one_note(tmp_path, kind):
    frames = [copper(), copper(), copper()]
    for atoms, pbc in zip(frames, (True, [True, True, False], False), strict=True):
        if kind == "calculator":
            atoms.calc.results["stress"] = np.full(6, 0.1)
        else:
            atoms.info[f"dft_{kind}"] = 0.1 * np.eye(3)
        atoms.pbc = pbc
    path = tmp_path / "in.xyz"
    write(path, frames, format="extxyz")
    reading = read_file(path, Keys() if kind == "calculator" else Keys(**{kind: f"dft_{kind}"}))
    assert ["stress" in one.atoms.calc.results for one in reading.records] == [True, False, False]
    [note] = reading.notes
    assert note.startswith("stress labels of 2 of 3 frames left out: without periodicity in three directions")


def test_an_unused_virial_of_open_frames_is_no_news(tmp_path):
    molecule = copper()
    molecule.info["dft_virial"], molecule.pbc = np.eye(3), False
    path = tmp_path / "in.xyz"
    write(path, [molecule], format="extxyz")
    assert read_file(path, Keys()).notes == ()


def test_free_energies_that_were_filled_in_are_not_taken(tmp_path):
    reading = read(tmp_path, [copper(seed, free_energy=0.0) for seed in range(3)])
    assert [energy_of(one.atoms) for one in reading.records] == [-4.0] * 3
    assert reading.notes == ("the free energy of all frames is zero, so the energy is used",)
