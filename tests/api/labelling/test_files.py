"""Pools in files: what was in them is kept, and where every chosen frame came from is written."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest
from ase.io import read, write
from crossprune.harness.errors import DataError, StudyError
from crossprune.labelling import blocks
from crossprune.labelling.selection import KEYS


@pytest.fixture
def file(pool, tmp_path):
    """Write the pool by hand where its text is odd, so that what is kept can be compared by letter."""
    write(tmp_path / "pool.extxyz", pool)
    lines = (tmp_path / "pool.extxyz").read_text().splitlines()
    lines[1] += ' dft_energy=-1.2345678901234567 comment="it\'s {odd}" matrix="1 2 3 4 5 6 7 8 9"'
    lines[2] = lines[2].replace("Cu ", "Cu  ", 1)
    (tmp_path / "pool.extxyz").write_text("\n".join(lines) + "\n")
    return tmp_path / "pool.extxyz"


def texts(path):
    lines, found = path.read_text().splitlines(), []
    while lines:
        n = int(lines[0]) + 2
        found.append(lines[:n])
        lines = lines[n:]
    return found


def test_frames_of_extended_xyz_are_copied_by_letter(file, tmp_path, chosen):
    selection = chosen(file, "all")
    selection.write(tmp_path / "out.extxyz")
    before, after = texts(file), texts(tmp_path / "out.extxyz")
    for order, (index, score) in enumerate(zip(selection.indices, selection.table["score"], strict=True)):
        head, *atoms = after[order][1:]
        assert atoms == before[index][2:]
        assert head.startswith(before[index][1])
        info = read(tmp_path / "out.extxyz", order).info
        assert info["selection_order"] == order
        assert info["selection_frame"] == index
        assert info["selection_file"] == str(file)
        assert info["selection_score"] == pytest.approx(score)


def test_a_second_choice_replaces_what_the_first_said(file, tmp_path, chosen):
    chosen(file, 9).write(tmp_path / "one.extxyz")
    chosen(tmp_path / "one.extxyz", 4, seed=5).write(tmp_path / "two.extxyz")
    for order, head in enumerate(one[1] for one in texts(tmp_path / "two.extxyz")):
        assert head.count("selection_order=") == head.count("selection_file=") == 1
        assert f"selection_order={order} " in head
        assert f"selection_file={tmp_path / 'one.extxyz'}" in head


def frames_in(path):
    if path.suffix == ".extxyz":
        return read(path, ":")
    import ase.db

    with ase.db.connect(path) as database:
        return [row.toatoms(add_additional_information=True) for row in database.select()]


@pytest.mark.parametrize("kind", ["extxyz", "db", "json", "gz", "memory"])
def test_what_frames_carry_is_kept(pool, tmp_path, kind, chosen):
    from ase.calculators.emt import EMT

    for one in pool[:3]:
        one.calc = EMT()
        one.get_stress()
    ending = {"gz": "xyz.gz"}.get(kind, kind)
    source = pool if kind == "memory" else tmp_path / f"pool.{ending}"
    if kind == "gz":
        write(tmp_path / "pool.xyz", pool, format="extxyz")
        with (tmp_path / "pool.xyz").open("rb") as plain, gzip.open(source, "wb") as packed:
            shutil.copyfileobj(plain, packed)
    elif kind in ("db", "json"):
        import ase.db

        with ase.db.connect(source) as database:
            for one in pool:
                database.write(one, key_value_pairs=dict(one.info), data={"site": one.arrays["site"]})
    elif kind != "memory":
        write(source, pool)
    selection = chosen(source, 30)
    outputs = [tmp_path / "out.extxyz", tmp_path / "out.db", tmp_path / "out.json"]
    for path in outputs:
        selection.write(path)
        for index, atoms in zip(selection.indices, frames_in(path), strict=True):
            row = {**atoms.info, **atoms.info.get("key_value_pairs", {}), **atoms.info.get("data", {})}
            np.testing.assert_allclose(atoms.positions, pool[index].positions, atol=1e-8)
            np.testing.assert_allclose(atoms.get_momenta(), pool[index].get_momenta(), atol=1e-8)
            assert row["config_type"] == pool[index].info["config_type"]
            assert row["note"] == f"frame {index}"
            sites = atoms.arrays["site"] if "site" in atoms.arrays else row["site"]
            assert np.asarray(sites).tolist() == [0, 1, 2, 3]
            assert row["selection_frame"] == index
            if index < 3:
                assert atoms.get_potential_energy() == pytest.approx(pool[index].get_potential_energy())
                np.testing.assert_allclose(atoms.get_forces(), pool[index].get_forces(), atol=1e-7)


def test_a_table_says_where_frames_are(pool, file, tmp_path, chosen, rattled):
    others = [rattled(seed) for seed in range(50, 54)]
    write(tmp_path / "more.extxyz", others)
    selection = chosen([file, tmp_path / "more.extxyz", pool[:0] or [rattled(90)]], "all")
    selection.write(tmp_path / "out.csv")
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table) == ["order", "score", "file", "frame", "group", "n_atoms", "index"]
    counts = table.groupby("file")["frame"].agg(["count", "max"]).loc[str(tmp_path / "more.extxyz")]
    assert counts.tolist() == [4, 3]
    by_index = table.set_index("index")["file"]
    assert by_index[33] == str(tmp_path / "more.extxyz")
    assert by_index[34] == "frames 2"


def test_frames_of_a_data_set_have_its_numbers(tmp_path, require_adapter, chosen):
    from crossprune.harness.data.cards import load_dataset

    require_adapter("snap")
    dataset = load_dataset("si-pbe")
    selection = chosen("si-pbe", 40)
    assert set(selection.table["frame"]) <= set(dataset.indices("train"))
    for number, atoms in zip(selection.table["frame"], selection.frames, strict=True):
        np.testing.assert_array_equal(atoms.positions, dataset.frames[number].positions)
        assert atoms.get_potential_energy() == dataset.frames[number].get_potential_energy()
    assert KEYS[0] not in dataset.frames[selection.table["frame"][0]].info


def test_an_interrupted_call_goes_on(file, tmp_path, monkeypatch, chosen):
    from crossprune.labelling import sources

    monkeypatch.setattr(sources, "MOST_FRAMES", 5)

    def stop(what, done, total):
        if what.startswith("described") and done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        chosen(file, 5, folder=tmp_path / "work", on_progress=stop)
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}
    assert sum(name.startswith("described") for name in done) >= 3
    called = []
    describe = blocks.describe_block
    monkeypatch.setattr("crossprune.labelling.pool.describe_block", lambda *a: called.append(describe(*a)))
    found = chosen(file, 5, folder=tmp_path / "work")
    assert len(called) == 6 - sum(name.startswith("described") for name in done)
    assert all((tmp_path / "work" / name).stat().st_mtime_ns == when for name, when in done.items())
    np.testing.assert_array_equal(found.indices, chosen(file, 5).indices)


def test_workers_choose_what_one_process_does(file, chosen):
    np.testing.assert_array_equal(chosen(file, 7, workers=2).indices, chosen(file, 7).indices)


def test_a_file_that_changed_meanwhile_is_refused_and_nothing_written(file, tmp_path, chosen, rattled):
    selection = chosen(file, "all")
    write(file, [rattled(seed) for seed in range(12)])
    (tmp_path / "out.extxyz").write_text("as it was")
    with pytest.raises(DataError, match="has changed since it was read"):
        selection.write(tmp_path / "out.extxyz")
    assert (tmp_path / "out.extxyz").read_text() == "as it was"
    assert not list(tmp_path.glob("*part*"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("out.cif", "give it an ending"), ("no/out.csv", "no folder"), ("pool.extxyz", "is read")],
)
def test_outputs_that_cannot_be_are_refused(file, tmp_path, name, says, chosen):
    with pytest.raises(StudyError, match=says):
        chosen(file, 2).write(tmp_path / name)


def test_a_cut_off_file_is_named(file, chosen):
    file.write_text(file.read_text()[:-40])
    with pytest.raises(DataError, match="frame 29"):
        chosen(file, 2)


ODD = {
    "comment": "a comment, it's odd",
    "quoted": 'note="see selection_order=3 there" selection_frame="7 8"',
    "open": "note={1 2",
    "vectors": "anything = 'goes",
    "values": "data=5 key_value_pairs=2 ключ=1 id=3",
}


@pytest.mark.parametrize("kind", ODD)
def test_marks_are_read_back_from_odd_headers(tmp_path, kind, chosen):
    vectors = "VEC1 6 0 0\nVEC2 0 6 0\nVEC3 0 0 6\n" if kind == "vectors" else ""
    file = tmp_path / "pool.extxyz"
    text = "".join(f"2\n{ODD[kind]}\nCu 0 0 0\nCu 0 0 2.{n}\n{vectors}" for n in range(2, 6))
    file.write_text(text)
    selection = chosen(file, "all")
    selection.write(tmp_path / "out.extxyz")
    selection.write(tmp_path / "out.db")
    for order, (index, after) in enumerate(
        zip(selection.indices, read(tmp_path / "out.extxyz", ":"), strict=True)
    ):
        before = read(file, index)
        assert [after.info.pop(name) for name in KEYS[::3]] == [order, index]
        assert {name: str(after.info[name]) for name in before.info if name not in KEYS} == {
            name: str(value) for name, value in before.info.items() if name not in KEYS
        }
        assert np.array_equal(before.positions, after.positions)
        assert np.array_equal(before.cell, after.cell)
        assert np.array_equal(before.pbc, after.pbc)


def test_values_that_no_database_holds_are_written_as_text(pool, tmp_path, chosen):
    for one in pool:
        one.info |= {"id": np.int64(3), "where": tmp_path, "inner": {"a": np.float32(1)}, "data": 4}
    for kind in ("db", "json"):
        chosen(pool, 2).write(tmp_path / f"out.{kind}")
        assert frames_in(tmp_path / f"out.{kind}")[0].info["data"]["where"] == str(tmp_path)


def test_a_folder_is_no_file_to_write(pool, tmp_path, chosen):
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(StudyError, match="is a folder"):
        chosen(pool, 2).write(tmp_path / "out.csv")


def test_a_file_named_twice_is_refused(file, chosen):
    with pytest.raises(StudyError, match="named twice"):
        chosen([file, str(file)], 2)


def test_a_file_is_no_folder_to_work_in(file, chosen):
    with pytest.raises(StudyError, match="cannot be made a folder"):
        chosen(file, 2, folder=file)


@pytest.mark.parametrize("kind", ["structures", "described"])
def test_blocks_that_were_cut_off_are_made_again(file, tmp_path, chosen, kind):
    whole = chosen(file, 5, folder=tmp_path / "work").indices
    for block in (tmp_path / "work").glob(f"{kind}-*.npz"):
        block.write_bytes(block.read_bytes()[:200])
    assert chosen(file, 5, folder=tmp_path / "work").indices.tolist() == whole.tolist()


def test_frames_of_a_file_that_has_changed_are_not_written(file, pool, tmp_path, chosen):
    selection = chosen(file, 3)
    write(file, pool[::-1])
    with pytest.raises(DataError, match="has changed since"):
        selection.write(tmp_path / "out.extxyz")
