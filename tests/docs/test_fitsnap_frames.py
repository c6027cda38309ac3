"""Frames of FitSNAP: units, sign of the stress, groups, and what is refused."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from ase.io import read

SCRIPT = Path(__file__).parents[2] / "docs" / "fitsnap_frames.py"
FRAME = {
    "Positions": [[0, 0, 0], [1.6, 1.6, 1.6]],
    "Lattice": [[3.2, 0, 0], [0, 3.3, 0], [0.1, 0, 3.4]],
    "AtomTypes": ["Ta", "Ta"],
    "Energy": -23.5,
    "Forces": [[0.1, 0, -0.2], [-0.1, 0, 0.2]],
    "Stress": [[1602176.565, 10, 20], [10, 40, 30], [20, 30, 60]],
}


@pytest.fixture(scope="module")
def script():
    return run_path(str(SCRIPT))


def text(**dataset):
    return "# a comment\n" + json.dumps({"Dataset": {"Data": [FRAME], **dataset}})


def test_units_and_signs_are_those_of_ase(script):
    (atoms,) = script["frames_of"](text(), "a.json", "Bulk")
    np.testing.assert_array_equal(atoms.cell.array, FRAME["Lattice"])
    np.testing.assert_array_equal(atoms.get_forces(), FRAME["Forces"])
    assert atoms.get_potential_energy() == -23.5
    expected = -np.array([1602176.565, 40, 60, 30, 20, 10]) / 1602176.565  # xx yy zz yz xz xy
    np.testing.assert_allclose(atoms.get_stress(), expected, rtol=1e-14)
    assert atoms.pbc.all()


def test_kilobars_are_a_thousand_bars(script):
    (bars,), (kilobars,) = (
        script["frames_of"](text(StressStyle=unit), "a.json", "x") for unit in ("bar", "kB")
    )
    np.testing.assert_allclose(kilobars.get_stress(), 1000 * bars.get_stress(), rtol=1e-14)


def test_cells_are_lower_triangular_and_labels_turned_with_them(script):
    """Distances, and what labels say along bonds and lattice vectors, do not change."""
    frame = {**FRAME, "Lattice": [[3.2, 0.4, -0.3], [0.2, 3.3, 0.5], [0.1, -0.6, 3.4]]}
    (atoms,) = script["frames_of"](text(Data=[frame]), "a.json", "Bulk")
    before, after = np.array(frame["Lattice"]), atoms.cell.array
    np.testing.assert_allclose(after[np.triu_indices(3, 1)], 0, atol=1e-12)
    for one, other, turned in (
        (before, frame["Positions"], atoms.positions),
        (before, frame["Forces"], atoms.get_forces()),
    ):
        np.testing.assert_allclose(after @ turned.T, one @ np.transpose(other), atol=1e-12)
    tension = -np.array(frame["Stress"]) / 1602176.565
    xx, yy, zz, yz, xz, xy = atoms.get_stress()
    turned = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(after @ turned @ after.T, before @ tension @ before.T, atol=1e-12)


INPUT = """
[BISPECTRUM]
type = In P
bzeroflag = 1
[ESHIFT]
P = 4.5
[GROUPS]
group_sections = name training_size testing_size eweight fweight vweight
group_types = str float float float float float
smartweights = 0
random_sampling = 0
aIn =   1.0 0.0 592.5 4.25  1.0e-12  # of antisites
Bulk =  1.0 0.0 7.0 0 1
"""


def test_an_input_becomes_tables_of_a_study(script):
    """FitSNAP adds its shifts to energies, so that those of isolated atoms are their negatives."""
    tables = tomllib.loads("\n".join(script["tables_of"](INPUT, "InP.extxyz.gz")))
    assert tables["data"] == {"InP.extxyz.gz": {"isolated_atom_energies": {"In": 0.0, "P": -4.5}}}
    assert tables["weights"] == {
        "aIn": {"energy": 592.5, "forces": 4.25, "stress": 1e-12},
        "Bulk": {"energy": 7.0, "forces": 0.0, "stress": 1.0},
    }
    fitted = "\n".join(script["tables_of"](INPUT.replace("bzeroflag = 1", "bzeroflag = 0"), "InP.extxyz.gz"))
    assert set(tomllib.loads(fitted)) == {"weights"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[PATH]", "no weights of groups .*GROUPS"),
        (INPUT.replace("eweight", "energy"), "no weights of groups .*eweight"),
        (INPUT.replace("smartweights = 0", "smartweights = 1"), "smartweights or BOLTZ is on"),
    ],
)
def test_what_is_wrong_with_an_input_is_said(content, says, script):
    with pytest.raises(ValueError, match=says):
        list(script["tables_of"](content, "InP.extxyz.gz"))


def test_a_folder_becomes_a_file_with_groups(script, tmp_path, monkeypatch, capsys):
    for group in ("Bulk", "Surface"):
        (tmp_path / "JSON" / group).mkdir(parents=True)
        (tmp_path / "JSON" / group / "a.json").write_text(text(StressStyle="bar"))
    target = tmp_path / "Ta.extxyz.gz"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "JSON"), str(target)])
    script["main"]()
    frames = read(target, ":")
    assert [atoms.info["group"] for atoms in frames] == ["Bulk", "Surface"]
    assert "2 frames of 2 groups" in capsys.readouterr().out
    (expected,) = script["frames_of"](text(), "a.json", "Bulk")
    np.testing.assert_allclose(frames[0].get_stress(), expected.get_stress(), atol=1e-8)  # 8 digits


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (text(StressStyle="GPa"), "a.json: StressStyle 'GPa', expected 'bar' or 'kB'"),
        (text(EnergyStyle="hartree"), "a.json: EnergyStyle 'hartree', expected 'electronvolt'"),
        (text(Data=[{}]), "a.json: 'Lattice' is missing"),
        ("# a comment\n{", "a.json: Expecting property name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content, says, script):
    with pytest.raises(ValueError, match=says):
        list(script["frames_of"](content, "a.json", "Bulk"))
