"""``crossprune select``: files in, files out, words between."""

from __future__ import annotations

import pytest
from ase.build import bulk
from ase.io import read, write
from crossprune.harness.cli import select as module
from crossprune.harness.cli.main import app
from crossprune.harness.errors import UserError
from typer.testing import CliRunner


def cli(*words, code=0):
    done = CliRunner().invoke(app, ["select", *words], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [bulk("Cu", cubic=True) for _ in range(30)]
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.01 * seed, seed=seed)
        atoms.info["group"] = f"run{seed % 3}"
    write("pool.extxyz", frames)
    write("given.extxyz", frames[:4])
    return frames


WORDS = ("--chooser", "composition", "--workers", "1")


def test_a_choice_is_written_and_described(pool, tmp_path):
    said = cli(
        "pool.extxyz", "-n", "7", "--given", "given.extxyz", *WORDS, "-o", "one.extxyz", "-o", "one.csv"
    )
    assert "7 of 26 frames chosen (fps, composition), 28 atoms." in said
    assert "4 frames of the pool are copies of given or excluded ones" in said
    assert [atoms.info["selection_order"] for atoms in read("one.extxyz", ":")] == list(range(7))
    assert len((tmp_path / "one.csv").read_text().splitlines()) == 8
    assert not list(tmp_path.glob("*.select"))


def test_all_of_a_pool_can_be_ordered_at_random_without_a_chooser(pool):
    said = cli("pool.extxyz", "-n", "all", "--method", "random", "--workers", "1", "-o", "one.extxyz")
    assert "30 of 30 frames chosen (random)" in said
    assert len(read("one.extxyz", ":")) == 30


def test_options_of_a_study_count(pool, tmp_path, require_adapter):
    require_adapter("snap")
    (tmp_path / "study.toml").write_text('[options.small]\nadapter = "snap"\ntwojmax = 2\n')
    words = ("--options", "study.toml", "--chooser", "small", "--workers", "1")
    assert "Distance from a frame of the pool" in cli("pool.extxyz", "-n", "5", *words, "-o", "one.extxyz")


def test_an_interrupted_call_leaves_its_blocks_and_goes_on(pool, tmp_path, monkeypatch):
    from crossprune.labelling import select as labelling

    def stop(*given, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(labelling, "_select", stop)
        assert "goes on from here" in cli("pool.extxyz", "-n", "5", *WORDS, "-o", "one.extxyz", code=130)
    assert list((tmp_path / f"one.extxyz{module.WORK}").glob("described-*"))
    assert not (tmp_path / "one.extxyz").exists()
    cli("pool.extxyz", "-n", "5", *WORDS, "-o", "one.extxyz")
    assert not list(tmp_path.glob("*.select"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("-n", "many"), "give a whole number above 0, or all"),
        (("-n", "31"), "31 frames are asked for, and the pool has 30"),
        ((), "either a number of frames"),
        (("-n", "5", "--exclude", "liquid"), "is no file and fits no group"),
        (("-n", "5", "--given", "missing.extxyz"), "no such file"),
        (("-n", "5", "-o", "one.cif"), "give it an ending of"),
        (("-n", "5", "-o", "given.extxyz", "--given", "given.extxyz"), "is a file that is read"),
    ],
)
def test_wrong_calls_are_one_error_and_leave_nothing(pool, tmp_path, words, says):
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(UserError, match=says):
        cli("pool.extxyz", *words, *WORDS, "-o", "one.extxyz")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
