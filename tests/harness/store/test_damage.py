"""Every kind of file of a store × every kind of damage × every command: found, named and healed."""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import json
import random
import shutil
import sqlite3
import sys

import pandas as pd
import pytest
from ase.io import write
from crossprune.harness.cli.main import main
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.results import VOLATILE
from crossprune.harness.store.objects import Store

STUDY = """
[study]
name = "kept"
datasets = ["{data}"]
choosers = ["mean"]
fractions = [0.5]
seeds = [0]
models = ["mean"]
"""
TRIALS = """
[data.si-pbe]
smoke = true
[properties]
enabled = true
names = ["lattice"]
[md]
enabled = true
ensembles = ["nve"]
melting_fractions = [0.5]
steps = 5
repeat = 1
n_velocities = 1
"""
FILES = (
    "objects/dataset/*/*/frames.npz",
    "objects/dataset/*/*/dataset.json",
    "objects/features/*/*/features.npy",
    "objects/prepare/*/*/counts.npy",
    "objects/selection/*/*/order.npy",
    "objects/fit/*/*/predictions.npz",
    "objects/fit/*/*/facts.json",
    "objects/fit/*/*/subset.npy",
    "objects/fit/*/*/potential/potential.json",
    "objects/fit/*/*/potential/mean.json",
    "objects/md/*/*/trajectory.extxyz",
    "objects/fit/*/*/manifest.json",
    "objects/prepare/*/*/manifest.json",
    "objects/md/*/*",
    "objects/features",
    "cells.sqlite",
    "cells.sqlite-journal",
    "results.parquet",
    "properties.parquet",
    "md.parquet",
    "provenance.json",
    "report.html",
    "analysis",
    "analysis/answer.parquet",
    "analysis/statistics.json",
    "tmp",
    "tmp/left",
    "leases",
    "leases/run-left.lock",
)
SILENT = (
    "objects/dataset",
    "objects/features",
    "objects/prepare",
    "objects/selection",
    "objects/fit",
    "objects/md",
)
LIKE_NEVER_STORED = (
    ("objects/features", "missing"),
    ("objects/features", "directory"),
    ("objects/fit/*/*/manifest.json", "missing"),
    ("objects/prepare/*/*/manifest.json", "missing"),
)
"""Nothing says that there was something; a run makes it when it is needed."""
OF_TRIALS = ("objects/md", "properties", "md.parquet", "cells.sqlite")
TIMES = {"wall_s", "ms_per_atom_step", *VOLATILE}


def crossprune(*words):
    """Run a command as the shell does; a traceback is a failure of the test."""
    said, argv = io.StringIO(), sys.argv
    sys.argv = ["crossprune", *map(str, words)]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            main()
    except SystemExit as end:
        return end.code, said.getvalue()
    finally:
        sys.argv = argv


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return ``finished(trials)``: a folder with a study and its store, of a few frames, or with trials."""
    return functools.cache(lambda trials: _finished(tmp_path_factory.mktemp("whole"), trials))


def _finished(folder, trials):
    data, more = ("si-pbe", TRIALS) if trials else (folder / "few.xyz", "")
    (folder / "study.toml").write_text(STUDY.format(data=data) + more)
    if not trials:
        frames = load_dataset("si-pbe", options=DataOptions(smoke=True)).frames[:14]
        for number, atoms in enumerate(frames):
            atoms.info = {"config_type": "a", "split": "test" if number % 3 == 0 else "train"}
        write(data, frames, format="extxyz")
    assert crossprune("run", folder / "study.toml", "--store", folder / "s", "--workers", 0)[0] == 0
    assert crossprune("analyze", folder / "s")[0] == 0
    (folder / "s" / "cells.sqlite-journal").write_bytes(b"")
    (folder / "s" / "tmp" / "left").write_bytes(b"left" * 9)
    (folder / "s" / "leases" / "run-left.lock").write_bytes(b'{"host": "elsewhere", "pid": 1}')
    return folder


@pytest.fixture
def whole(finished, pattern):
    return finished(pattern.startswith(OF_TRIALS))


@pytest.fixture
def store(whole, tmp_path):
    return shutil.copytree(whole / "s", tmp_path / "s")


def flipped(content):
    content, draw = bytearray(content), random.Random(3)
    for place in draw.sample(range(8 * len(content)), min(20, len(content))):
        content[place // 8] ^= 1 << place % 8
    return bytes(content)


def newer(path):
    """Write as a later version might."""
    if path.name == "cells.sqlite":
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA user_version = 99")
    elif path.suffix == ".json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "layout": 99}))
    else:
        path.write_bytes(b"layout 99\n" + path.read_bytes())


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def replaced(path, content):
    remove(path)
    path.write_bytes(content)


DAMAGE = {
    "missing": remove,
    "empty": lambda path: replaced(path, b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": lambda path: path.write_bytes(flipped(path.read_bytes())),
    "garbage": lambda path: replaced(path, random.Random(1).randbytes(1000)),
    "directory": lambda path: (remove(path), path.mkdir()),
    "newer": newer,
}


def damaged(store, pattern, damage):
    path = sorted(store.glob(pattern))[0]
    if path.is_dir() and damage not in ("missing", "empty", "garbage", "directory"):
        pytest.skip("a folder has no bytes")
    DAMAGE[damage](path)


def tables(store):
    """Read what a run wrote, without times."""
    paths = {name: store / f"{name}.parquet" for name in ("results", "properties", "md")}
    found = {name: pd.read_parquet(path) for name, path in paths.items() if path.exists()}
    return {name: one.drop(columns=list(TIMES & set(one.columns))) for name, one in found.items()}


def assert_same(found, expected):
    for name, table in expected.items():
        pd.testing.assert_frame_equal(found[name], table)


def run(whole, store):
    return crossprune("run", whole / "study.toml", "--store", store, "--workers", 0)


def cases():
    """Give the product; one kind of damage a file is tried each time, the others on request."""
    for (place, pattern), (number, damage) in itertools.product(enumerate(FILES), enumerate(DAMAGE)):
        marks = [pytest.mark.slow] if (number - place) % 7 == 0 else [pytest.mark.slow, pytest.mark.long]
        yield pytest.param(pattern, damage, marks=marks)


CASES = list(cases())


@pytest.mark.parametrize(("pattern", "damage"), CASES)
def test_damage_is_found_and_repaired(whole, store, tmp_path, pattern, damage):
    damaged(store, pattern, damage)
    for words in (
        ("store", "export", store, tmp_path / "x.csv", "--indices", tmp_path / "i.parquet"),
        ("analyze", store),
    ):
        code, said = crossprune(*words)
        assert code == 0 or (code == 2 and said.count("error:") == 1), said
    assert crossprune("report", store)[0] in (0, 2)
    assert crossprune("store", "gc", store, "--min-age", 0)[0] in (0, 2)
    code, said = crossprune("store", "verify", store)
    is_newer = (pattern, damage) == ("cells.sqlite", "newer")
    if is_newer:
        assert code == 2
        assert "newer crossprune (layout 99)" in said
        assert "newer crossprune (layout 99)" in crossprune("store", "repair", store)[1]
        assert "newer crossprune (layout 99)" in run(whole, store)[1]
        return
    if pattern.startswith(SILENT) and (pattern, damage) not in LIKE_NEVER_STORED:
        assert code == 1, said
    code, said = crossprune("store", "repair", store)
    assert code == 0, said
    code, said = crossprune("store", "verify", store)
    assert code == 0, said
    code, said = run(whole, store)
    assert code == 0, said
    assert_same(tables(store), tables(whole / "s"))
    assert crossprune("store", "verify", store)[0] == 0


@pytest.mark.parametrize(("pattern", "damage"), CASES)
def test_a_run_heals_or_says_what_to_do(whole, store, pattern, damage):
    if pattern.startswith("objects"):  # a run that reads it
        Store(store).forget(set(Store(store).statuses()))
        if not pattern.startswith("objects/fit"):
            shutil.rmtree(store / "objects" / "fit")
    damaged(store, pattern, damage)
    code, said = run(whole, store)
    if code == 2:
        assert said.count("error:") == 1
        assert "crossprune store repair" in said or "newer" in said
        assert pattern.startswith("cells.sqlite")
        return
    assert code == 0, said
    assert_same(tables(store), tables(whole / "s"))


def forged(path):
    key = "../../../etc"
    pd.read_parquet(path).assign(fit_key=key, dataset_key=key).to_parquet(path, index=False)


def lacking(name):
    return lambda path: pd.read_parquet(path).drop(columns=name).to_parquet(path, index=False)


def holding(name, value):
    return lambda path: pd.read_parquet(path).assign(**{name: value}).to_parquet(path, index=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "change", "said"),
    [
        ("results.parquet", lacking("model"), "it lacks the column model"),
        ("results.parquet", holding("seed", "0"), "the column seed does not hold numbers"),
        ("results.parquet", holding("fit_s", True), "the column fit_s does not hold numbers"),
        ("results.parquet", holding("dataset", 5), "the column dataset does not hold texts"),
        ("results.parquet", holding("status", None), "the column status does not hold texts"),
        ("results.parquet", forged, "../../../etc' is no artefact"),
        ("properties.parquet", lacking("structure"), "it lacks the column structure"),
        ("properties.parquet", holding("value", "x"), "the column value does not hold numbers"),
        ("md.parquet", lacking("survived"), "it lacks the column survived"),
        ("md.parquet", holding("survived", "x"), "the column survived does not hold truth values"),
    ],
)
def test_a_table_that_is_another_is_named(whole, store, tmp_path, pattern, change, said):
    change(store / pattern)
    commands = [("report", store)]
    if pattern == "results.parquet":
        commands += [("analyze", store), ("export", store, "-o", tmp_path / "x.xyz", "--chooser", "random")]
    for words in commands:
        code, text = crossprune(*words)
        assert code == 2, text
        assert text.count("error:") == 1
        assert said in text
        assert f"crossprune run STUDY.toml --store {store} writes" in text
    code, text = run(whole, store)
    assert code == 0, text
    assert crossprune("report", store)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["provenance.json"])
@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"toml": ' * 100_000, "5", '{"toml": {}}', '{"study": [[1]]}']
)
def test_provenance_that_is_none_is_named(whole, store, pattern, content):
    (store / pattern).write_text(content)
    code, said = crossprune("report", store)
    assert code == 0, said
    line = "provenance.json cannot be read, so the report does not say what it rests on; crossprune run STUDY"
    assert line in said
    assert crossprune("analyze", store)[0] == 0
    assert "provenance.json: cannot be read" in crossprune("store", "verify", store)[1]
