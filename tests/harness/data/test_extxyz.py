"""Extended XYZ: the whole file is read, or an error says where it stops; and advice that helps."""

from __future__ import annotations

import gzip
import re
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.files.extxyz import read_frames
from crossprune.harness.errors import DataError

HEADER = 'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:3 energy=-1.5'


@pytest.fixture
def text(tmp_path):
    """Six frames of four atoms, as ASE writes them."""
    for seed in range(6):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = SinglePointCalculator(atoms, energy=-4.0 - seed, forces=np.full((4, 3), 0.1 * seed))
        write(tmp_path / "whole.xyz", atoms, format="extxyz", append=True)
    return (tmp_path / "whole.xyz").read_text()


def read(tmp_path, text, encoding="utf-8"):
    (tmp_path / "in.xyz").write_text(text, encoding=encoding)
    return [atoms for atoms, _ in read_frames(tmp_path / "in.xyz")]


@pytest.mark.parametrize("blank", ["\n", "\n\n \t\n"])
def test_blank_lines_between_frames_lose_nothing(tmp_path, text, blank):
    half = text.index("\n4\n", len(text) // 2) + 1
    assert len(read(tmp_path, text[:half] + blank + text[half:] + blank)) == 6


@pytest.mark.parametrize("blank_after", [1, 3, 5])
def test_a_blank_line_inside_a_frame_is_named(tmp_path, text, blank_after):
    lines = text.splitlines(keepends=True)
    lines.insert(12 + blank_after, "\n")
    with pytest.raises(DataError, match=r"in\.xyz, frame 2: not readable \(line.*malformed"):
        read(tmp_path, "".join(lines))


@pytest.mark.parametrize("lost", range(2, 60))
def test_no_cut_of_the_last_lines_passes(tmp_path, text, lost):
    """A cut in the last number leaves a number, but fewer digits than its column has elsewhere."""
    with pytest.raises(DataError, match=r"frame 5: not readable .*malformed"):
        read(tmp_path, text[:-lost])


def test_a_whole_file_without_a_last_line_end(tmp_path, text):
    assert len(read(tmp_path, text.rstrip("\n"))) == 6


def test_numbers_of_any_length_do_not_show_whether_the_last_is_whole(tmp_path):
    rows = "Cu 0 0 0 0.1 0.25 0.125\nCu 1 1 1 0.5 0.5 0.5"
    with pytest.raises(DataError, match=r"the last value may be cut off.*end its last line: echo >> in\.xyz"):
        read(tmp_path, f"2\n{HEADER}\n{rows}")
    assert len(read(tmp_path, f"2\n{HEADER}\n{rows}\n")) == 1


@pytest.mark.parametrize("count", ["999999999999", "9" * 30, "5"])
def test_an_absurd_number_of_atoms_ends_at_once(tmp_path, text, count):
    began = time.monotonic()
    with pytest.raises(DataError, match=r"frame 5: not readable"):
        read(tmp_path, text[: text.rindex("\n4\n")] + f"\n{count}\n" + text[text.rindex("\n4\n") + 3 :])
    assert time.monotonic() - began < 1.0


def test_an_absurd_number_of_columns_ends_at_once(tmp_path):
    with pytest.raises(DataError, match=r"1 columns?|7 columns, the header declares 1000000004"):
        read(tmp_path, f"1\n{HEADER.replace('pos:R:3', 'pos:R:1000000000')}\nCu 0 0 0 0 0 0\n")


@pytest.mark.parametrize("row", ["Cu 0 0 0 0.1 0.1", "Cu 0 0 0 0.1 0.1 0.1 0.1", "Cu 0 0 0 0.1 0.1-0.1"])
def test_rows_have_the_columns_of_the_header(tmp_path, row):
    with pytest.raises(DataError, match=r"frame 0: .*columns, the header declares 7, in line 3"):
        read(tmp_path, f"1\n{HEADER}\n{row}\n")


def test_a_cell_in_vec_lines(tmp_path):
    text = "1\n\nCu 0.0 0.0 0.0\nVEC1 3.0 0.0 0.0\nVEC2 0.0 3.0 0.0\nVEC3 0.0 0.0 3.0\n"
    frames = read(tmp_path, text * 2)
    assert [atoms.cell.volume for atoms in frames] == pytest.approx([27.0, 27.0])


@pytest.mark.parametrize(
    ("change", "encoding", "remedy"),
    [
        ("", "utf-8-sig", r"byte-order mark.*save the file as UTF-8 without BOM"),
        (("energy", "note=naïve energy"), "latin-1", r"not UTF-8.*iconv -f latin1 -t utf-8"),
        (("energy", 'stress="1 2 3 4 5 6" energy'), "utf-8", "write stress as 9 values .* by stress_key"),
        (("energy", 'virial="1 2 3 4 5 6" energy'), "utf-8", "write virial as 9 values .* by virial_key"),
        (("0.1 0.1", "0.1 1.0D-01"), "utf-8", r"frame 0.*replace D by E"),
        (("Cu 0", "D 0"), "utf-8", "name D as H"),
        (("Cu 0", "Q 0"), "utf-8", "'Q' is not a chemical element"),
        (("energy", f'x="_JSON {"[" * 20000}" energy'), "utf-8", "frame 0: not readable .*malformed"),
        (("Cu 0", "Cu \0"), "utf-8", "frame 0: not readable .*malformed"),
        (("species:S:1", "species:S:x"), "utf-8", "is no list of name:type:columns.*write the header again"),
    ],
)
def test_the_advice_fits_the_fault(tmp_path, change, encoding, remedy):
    text = f"1\n{HEADER}\nCu 0 0 0 0.1 0.1 0.1\n"
    with pytest.raises(DataError, match=remedy):
        read(tmp_path, text.replace(*change) if change else text, encoding)


def test_a_packed_file_under_a_plain_name(tmp_path, text):
    (tmp_path / "in.xyz").write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match=r"give it the ending \.xyz\.gz"):
        load_dataset(tmp_path / "in.xyz")


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (("Lattice=", "lattice="), "frame 0: .*the cell's name is 'lattice'.*rename it Lattice"),
        (("Lattice=", "Cell="), "frame 0: .*the cell's name is 'Cell'.*rename it Lattice"),
        (("energy", 'PBC="T T F" energy'), "frame 0: .*the periodicity is 'PBC'.*rename it pbc"),
    ],
)
def test_a_cell_that_would_not_be_read(tmp_path, change, remedy):
    text = f"1\n{HEADER}\nCu 0 0 0 0.1 0.1 0.1\n"
    with pytest.raises(DataError, match=remedy):
        read(tmp_path, text.replace(*change))


def test_crystals_and_clusters_in_one_file_are_named(tmp_path, text):
    bare = re.sub(r'Lattice="[^"]*" ', "", text).replace('pbc="T T T"', 'pbc="F F F"')
    (tmp_path / "in.xyz").write_text(text + bare)
    assert any(
        note.startswith("6 of 12 frames have no cell, others are periodic")
        for note in load_dataset(tmp_path / "in.xyz").notes
    )
