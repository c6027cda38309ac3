"""Frames of FitSNAP: units, sign of the stress, groups, and what is refused."""

from __future__ import annotations

import json
import sys
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
        (text(StressStyle="kB"), "a.json: StressStyle 'kB', expected 'bar'"),
        (text(Data=[{}]), "a.json: 'AtomTypes' is missing"),
        ("# a comment\n{", "a.json: Expecting property name"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content, says, script):
    with pytest.raises(ValueError, match=says):
        list(script["frames_of"](content, "a.json", "Bulk"))
