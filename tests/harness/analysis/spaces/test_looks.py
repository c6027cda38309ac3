"""Findings, leakage and worth of spaces: of published splits, of a store, and computed now."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse
from crossprune.harness.analysis.spaces import looks
from crossprune.harness.analysis.spaces.described import before_choosing
from crossprune.harness.analysis.spaces.looks import Structures, fresh_looks
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import resolve
from crossprune.harness.store.objects import Store

PLAIN = [("atoms", "mean", "standard")]
OPTIONS = {"snap": {"twojmax": 6, "cutoff": 4.9}, "ace": {"max_degrees": [6, 4, 3]}}


def described(structures, chooser, axes=PLAIN, options=OPTIONS):
    return before_choosing(fresh_looks(structures, resolve(chooser, options), axes))


def published(name, **options):
    if not load_card(name).available:
        pytest.skip(f"data set {name} is not here; name its folder in CROSSPRUNE_DATA")
    return Structures.of(load_dataset(name, options=DataOptions(**options)), name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), [("mlearn-Si", 3), ("si-pbe", 2)])
@pytest.mark.parametrize("chooser", ["snap", "ace", "nnp"])
def test_the_meter_finds_the_copies_of_published_splits(require_adapter, name, expected, chooser):
    """Copies by symmetry are told by energies and distances of neighbours, twins by the descriptor alone."""
    require_adapter(chooser)
    structures = published(name)
    assert int(structures.copies[structures.parts == "test"].sum()) == expected
    row = described(structures, chooser)["leakage"].set_index("part").loc["test"]
    assert (row["twins"], row["copies"], row["level"]) == (expected, expected, "warning")
    assert f"{expected} of {row['n_tested']} have a copy by symmetry in train" in row["remark"]
    dropped = published(name, duplicates="drop")
    assert described(dropped, chooser)["leakage"].set_index("part").loc["test"]["twins"] == 0


def test_held_out_groups_lie_farther_than_a_random_draw():
    rows = described(published("si-pbe"), "mean", [("atoms", "mean_std", "standard")])["leakage"]
    ood = rows.set_index("part").loc["ood"]
    assert ood["nearer"] < ood["redrawn_low"]
    assert ood["of_group_split"] == 1.0


STUDY = """
[study]
name = "spaces"
datasets = ["si-pbe"]
models = []
choosers = ["composition", "mean"]
poolings = ["mean", "mean_std"]
fractions = [0.25]
seeds = [0]
pools = 2
[data.si-pbe]
smoke = true
"""


def test_a_store_is_described_as_its_data_sets_are(tmp_path):
    study = parse_study(tomllib.loads(STUDY), "x")
    run(study, Store(tmp_path), SerialExecutor()).write(tmp_path / "results.parquet")
    (tmp_path / "provenance.json").write_text(json.dumps({"toml": STUDY}))
    found = analyse(tmp_path)
    assert set(found["leakage"]["dataset"]) == {"si-pbe, pool 0", "si-pbe, pool 1"}
    assert set(found["worth"]["dataset"]) == {"si-pbe, pool 0"}, "pools of the same frames agree"
    for name in ("findings", "leakage", "worth"):
        pd.testing.assert_frame_equal(found[name], pd.read_parquet(tmp_path / "analysis" / f"{name}.parquet"))
    structures = published("si-pbe", smoke=True)
    axes = [("atoms", pooling, "standard") for pooling in ("mean", "mean_std")]
    fresh = described(structures, "mean", axes)
    for name, table in fresh.items():
        stored = found[name][(found[name]["chooser"] == "mean") & found[name]["dataset"].str.endswith("0")]
        stored = stored.assign(dataset="si-pbe").reset_index(drop=True)
        pd.testing.assert_frame_equal(stored, table, check_dtype=False)


def test_more_than_memory_holds_is_a_sample_and_says_so(monkeypatch):
    dataset = load_dataset("si-pbe")
    structures = Structures.of(dataset, "si-pbe")
    n_bytes = 8 * int(dataset.sizes.sum()) * 2
    monkeypatch.setattr(looks, "MOST_BYTES", n_bytes // 3)
    found = described(structures, "mean")
    assert found["leakage"]["remark"].str.contains(r"of a sample of \d+ of 352").all()
    assert found["worth"]["n"].item() < 0.5 * len(dataset.indices("train"))
    part = structures.some(50, np.random.default_rng(0))
    assert {one: int((part.parts == one).sum()) for one in ("train", "test", "ood")} == {
        "train": 37,
        "test": 9,
        "ood": 5,
    }


def test_what_a_family_cannot_describe_is_one_error():
    structures = published("si-pbe", smoke=True)
    with pytest.raises(StudyError, match="has no design rows"):
        described(structures, "mean", [("rows", "mean", "standard")])
    with pytest.raises(
        StudyError, match="pooling 'std': the chooser describes each configuration by one vector"
    ):
        described(structures, "composition", [("atoms", "std", "standard")])


def test_without_labels_there_is_one_pool_and_nothing_to_leak():
    frames = [atoms.copy() for atoms in load_dataset("si-pbe").frames[:60]]
    found = described(Structures.unlabelled(frames, "bare"), "mean")
    assert found["leakage"].empty
    assert found["worth"]["n"].item() == 60
    assert len(found["findings"])
