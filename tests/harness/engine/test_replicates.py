"""Pools of a study: computed once what no split concerns, paired with nothing of another pool, no leaks."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.adapters.mean import MeanPotential
from crossprune.harness.cli import main as cli
from crossprune.harness.data.cards import DataOptions, load_pools
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import VOLATILE, by_pool
from crossprune.harness.engine.stored import data_of_fit, stored_potential, stored_subset
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.gathering import gather
from crossprune.harness.store.objects import Store
from typer.testing import CliRunner


def study(**changes):
    axes = {
        "name": "test",
        "datasets": ["si-pbe"],
        "choosers": ["mean"],
        "fractions": [0.25, 1.0],
        "seeds": [0, 1],
        "models": ["mean"],
    }
    data = changes.pop("data", {"si-pbe": {"smoke": True}})
    return parse_study({"study": {**axes, **changes}, "data": data}, "test")


@pytest.fixture
def serial(tmp_path):
    def go(given, folder="store", **settings):
        return run(given, Store(tmp_path / folder), SerialExecutor(), **settings)

    return go


def stable(table):
    return table.drop(columns=list(VOLATILE)).reset_index(drop=True)


def test_all_pools_share_features_and_what_is_prepared(serial):
    said = {}
    result = serial(study(pools=4), on_notes=said.update)
    assert result.computed["features"] == result.computed["prepare"] == 1
    assert result.computed["selection"] == 4 * 2 * 2, "pools choose each for itself"
    assert set(result.statuses) == {"done"}
    once = "4 pools of 16 train, 12 test, 2 ood frames; computed once for all of them: 1 features, 1 prepare"
    assert said["si-pbe"][-1] == once
    sizes = result.overall[result.overall["split"] == "test"].groupby("pool")["n_eval_configurations"]
    assert sizes.unique().map(list).to_dict() == {pool: [12.0] for pool in range(4)}


def test_more_pools_extend_fewer_and_pool_0_is_the_study_without(serial):
    alone, two = serial(study(), "alone"), serial(study(pools=2))
    four = serial(study(pools=4))
    assert four.computed["fit"] == two.computed["fit"], "two pools more, and nothing again"
    assert not four.computed["features"] + four.computed["prepare"]
    own = four.table[four.table["pool"] == 0]
    assert (alone.table["pool"] == 0).all()
    assert stable(own).equals(stable(alone.table)), "keys of cells and fits included"
    assert stable(four.table[four.table["pool"] < 2]).equals(stable(two.table))
    assert four.table.groupby("pool")["dataset_key"].nunique().eq(1).all()
    assert four.table["dataset_key"].nunique() == 4


def test_a_fit_is_judged_on_the_parts_of_its_own_pool(serial, tmp_path):
    serial(study(pools=3))
    result = serial(study(pools=3))
    assert not +result.computed
    pools = load_pools("si-pbe", 3, options=DataOptions(smoke=True))
    rows = result.overall[(result.overall["split"] == "test") & (result.overall["fraction"] == 1.0)]
    for row in rows.to_dict("records"):
        dataset = pools[row["pool"]]
        potential = stored_potential(tmp_path / "store", row["fit_key"])
        off = []
        for index in dataset.indices("test"):
            atoms = dataset.frames[index]
            off.append(abs(potential.predict(atoms).energy - atoms.get_potential_energy()) / len(atoms))
        assert row["energy_mae_mev_per_atom"] == pytest.approx(1e3 * np.mean(off), rel=1e-9)
        subset = stored_subset(tmp_path / "store", row["fit_key"])
        assert np.array_equal(subset, dataset.indices("train"))


def copper(path, moved=None):
    """Write 40 frames; ``moved`` gets another energy and other forces."""
    rng, made = np.random.default_rng(3), []
    for index in range(40):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, (4, 3))
        energy, forces = float(rng.normal()), rng.normal(0, 0.1, (4, 3))
        if index == moved:
            energy, forces = energy + 0.7, forces + 0.3
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        atoms.info["group"] = "ab"[index % 2]
        made.append(atoms)
    write(path, made)
    return str(path)


def test_a_test_label_changes_no_fit_of_its_pool(serial, tmp_path):
    path = tmp_path / "in.xyz"
    data = {str(path): {"ood_groups": []}}
    settings = {"datasets": [copper(path)], "fractions": [1.0], "pools": 4, "data": data}
    before, pools = serial(study(**settings), "one").overall, load_pools(path, 4)
    moved = int(pools[1].indices("test")[0])
    copper(path, moved)
    after = serial(study(**settings), "two").overall
    is_tested = [pool.split[moved] == "test" for pool in pools]
    assert is_tested[1]
    assert not all(is_tested)
    for pool in range(4):
        one, two = (
            stored_potential(tmp_path / folder, table.loc[table["pool"] == pool, "fit_key"].iloc[0])
            for folder, table in (("one", before), ("two", after))
        )
        assert isinstance(one, MeanPotential)
        assert isinstance(two, MeanPotential)
        assert (one.energies == two.energies) == is_tested[pool]


def test_a_latent_space_is_scaled_by_the_training_part_of_its_pool_only():
    for dataset in load_pools("si-pbe", 3, options=DataOptions(smoke=True)):
        train = dataset.indices("train")
        atoms = np.repeat(np.arange(len(dataset.frames)), dataset.sizes)
        features = np.random.default_rng(0).normal(size=(len(atoms), 3))
        other = features + 100.0 * ~np.isin(atoms, train)[:, None]
        one, two = (gather(dataset, train, values) for values in (features, other))
        assert np.array_equal(one.environments(), two.environments())
        assert np.array_equal(one.points(), two.points())


def test_tables_name_pools_as_what_shares_a_test_set(serial):
    table = serial(study(pools=2)).table
    named = by_pool(table)
    assert set(named["dataset"]) == {"si-pbe, pool 0", "si-pbe, pool 1"}
    assert by_pool(named).equals(named)
    assert by_pool(table[table["pool"] == 0])["dataset"].eq("si-pbe").all()
    without = table.drop(columns="pool")
    assert by_pool(without) is without


def test_groups_are_held_out_in_turn_beside_the_pools(serial, tmp_path):
    data = {"si-pbe": {"ood_groups": ["bcc"]}}
    plain = serial(study(pools=2, data=data))
    result = serial(study(pools=2, data=data, ood="each"))
    assert result.computed["features"] + result.computed["prepare"] == 0
    table = result.table
    groups = {group for dataset in load_pools("si-pbe", 1) for group in dataset.groups}
    assert set(table["held_out"]) == {"", *groups}
    assert stable(table[table["held_out"] == ""]).equals(stable(plain.table))
    one = table[(table["held_out"] == "vacancy") & (table["split"] == "ood")]
    assert "vacancy" in set(one["group"])
    assert set(by_pool(one)["dataset"]) == {"si-pbe"}, "alone it needs no name"
    named = by_pool(table)
    assert {"si-pbe, pool 0", "si-pbe, pool 1", "si-pbe without vacancy"} <= set(named["dataset"])
    assert named.groupby("dataset")["dataset_key"].nunique().eq(1).all()


@pytest.mark.parametrize(
    ("pools", "match"),
    [
        (0, r"pools is 0; give 1 \(the data set's own split\) to 1000"),
        (1001, "pools is 1001"),
        ("3", "pools: expected int, got '3'"),
        (True, "pools: expected int, got True"),
        (2.0, "pools: expected int, got 2.0"),
    ],
)
def test_wrong_numbers_of_pools_are_refused(pools, match):
    with pytest.raises(StudyError, match=match):
        study(pools=pools)


def test_another_word_for_ood_is_refused():
    with pytest.raises(StudyError, match="unknown value 'eech'; did you mean 'each'"):
        study(ood="eech")


STUDY = """
[study]
name = "t"
datasets = ["in.xyz"]
models = ["mean"]
fractions = [0.5, 1.0]
seeds = [0]
pools = 3
"""


@pytest.fixture
def finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copper(tmp_path / "in.xyz")
    (tmp_path / "t.toml").write_text(STUDY)
    assert call("run", "t.toml", "--store", "store", "--workers", "0").exit_code == 0
    return tmp_path / "store"


def call(*words):
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, list(map(str, words)))


@pytest.mark.slow
def test_evaluate_calls_parts_as_the_pool_does(finished):
    import pandas as pd

    table = pd.read_parquet(finished / "results.parquet")
    row = table[(table["pool"] == 2) & (table["split"] == "test") & (table["group"] == "all")].iloc[0]
    potential = Store(finished).path("fit", row["fit_key"]) / "potential"
    fit = data_of_fit(potential)
    assert fit.dataset.split == load_pools("in.xyz", 3)[2].split
    for words in ((), ("--data", "in.xyz")):
        output = call("evaluate", potential, "--split", "test", *words).output
        assert "fitted to 16 frames of in.xyz, pool 2" in output
        printed = next(line for line in output.splitlines() if line.startswith("│ all"))
        numbers = [one.strip() for one in printed.split("│")[2:4]]
        assert numbers == ["8", f"{row['energy_mae_mev_per_atom']:.2f}"]


@pytest.mark.slow
def test_export_asks_which_pool(finished):
    words = ("export", finished, "--fraction", 0.5, "--output", finished / "out.extxyz")
    with pytest.raises(StudyError, match=r"3 chosen sets .* fit; --pool: 0, 1, 2"):
        CliRunner().invoke(cli.app, list(map(str, words)), catch_exceptions=False)
    assert call(*words, "--pool", 1).exit_code == 0
    train = load_pools("in.xyz", 3)[1]
    known = {train.frames[index].positions.tobytes() for index in train.indices("train")}
    assert {atoms.positions.tobytes() for atoms in read(finished / "out.extxyz", ":")} <= known
