from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from ase.io import read, write
from crossprune.adapters.mean import MeanPotential
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.engine import stages
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import PROPERTIES, REFERENCE_SEEN, distinct_runs
from crossprune.harness.engine.stored import stored_subset
from crossprune.harness.engine.study import parse_study
from crossprune.harness.engine.trials import assessment
from crossprune.harness.engine.trials.assessment import assess
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.properties import tasks
from crossprune.harness.evaluation.references import setting_of
from crossprune.harness.store.objects import Store

SETTING = setting_of(load_card("si-pbe"))
LATTICE = {"enabled": True, "names": ["lattice"]}
SNAP = {"twojmax": 4, "cutoff": 4.5}
SMOKE = {"si-pbe": {"smoke": True}}
MD = {
    "enabled": True,
    "ensembles": ["nve"],
    "melting_fractions": [0.5],
    "steps": 20,
    "repeat": 1,
    "n_velocities": 2,
}


def study(properties=None, md=None, *, models=("snap",), fractions=(1.0,), options=SNAP, data=SMOKE, **axes):
    return parse_study(
        {
            "study": {
                "name": "test",
                "datasets": ["si-pbe"],
                "models": list(models),
                "fractions": list(fractions),
                "seeds": [0],
                **axes,
            },
            "options": {"snap": options} if "snap" in models else {},
            "data": data,
            "properties": properties or {},
            "md": md or {},
        },
        "test",
    )


@pytest.fixture
def go(tmp_path, require_adapter):
    require_adapter("snap")
    store = Store(tmp_path / "store")

    def both(given, **settings):
        results = run(given, store, SerialExecutor())
        return results, assess(given, store, SerialExecutor(), results.table, **settings)

    both.store = store
    return both


def test_tables_have_a_row_per_property_and_per_run(go):
    _, tried = go(study(LATTICE, MD))
    assert list(tried.properties["property"]) == [
        name for task in tasks(SETTING, ["lattice"]) for _, name in task.keys
    ]
    done = tried.properties.set_index("property")
    assert done.loc["lattice_parameter_angstrom", "reference"] == pytest.approx(5.4769, abs=1e-4)
    assert done.loc["lattice_parameter_angstrom", "relative_error"] == pytest.approx(0, abs=0.05)
    assert "reference.py" in done.loc["bulk_modulus_gpa", "reference_source"]
    assert list(tried.md["velocity_seed"]) == [0, 1]
    assert (tried.md["ms_per_atom_step"] > 0).all()
    assert tried.left == 0


def test_what_a_model_saw_of_a_reference_is_said_of_every_value(go):
    names = {"enabled": True, "names": ["lattice", "phases"]}
    _, tried = go(study(names, fractions=(0.2, 1.0)))
    dataset, card = load_dataset("si-pbe", options=DataOptions(smoke=True)), load_card("si-pbe")
    table = tried.properties
    assert table["fit_key"].nunique() == 2
    for row in table.to_dict("records"):
        reference = card.reference[row["structure"]]
        assert not np.isnan(row["reference"])
        chosen = [dataset.groups[index] for index in stored_subset(go.store.root, row["fit_key"])]
        pool = [dataset.groups[index] for index in dataset.indices("train")]
        n_chosen = sum(group in reference.groups for group in chosen)
        n_pool = sum(group in reference.groups for group in pool)
        word = "chosen" if n_chosen else "pool" if n_pool else "held out"
        assert (row["n_reference_chosen"], row["n_reference_pool"]) == (n_chosen, n_pool)
        assert row["reference_seen"] == word
    assert set(table["reference_seen"]) == {"chosen", "pool", "held out"}
    assert set(table.loc[table["structure"] == "bcc", "reference_seen"]) == {"held out"}


@pytest.mark.slow
def test_the_reference_of_a_group_that_a_pool_holds_out_is_transfer(go):
    _, tried = go(study({"enabled": True, "names": ["phases"]}, models=("mean",), ood="each"))
    table = tried.properties
    same = table["held_out"] == table["structure"]
    assert set(table.loc[same, "structure"]) == {"beta-sn", "sc", "fcc", "bcc", "hcp", "hex-diamond"}
    assert set(table.loc[same, "reference_seen"]) == {"held out"}
    assert set(table.loc[~same & (table["structure"] != "bcc"), "reference_seen"]) == {"chosen"}


def test_what_was_seen_is_joined_when_the_table_is_written(go, monkeypatch):
    _, tried = go(study(LATTICE))
    assert set(tried.properties["reference_seen"]) == {"chosen"}
    card = load_card("si-pbe")
    silent = {name: dataclasses.replace(one, groups=None) for name, one in card.reference.items()}
    corrected = dataclasses.replace(card, reference=silent)
    monkeypatch.setattr(assessment, "card_of", lambda *args: corrected)
    results, again = go(study(LATTICE))
    assert not results.computed
    assert not again.computed
    assert set(again.properties["reference_seen"]) == {""}
    assert again.properties["n_reference_chosen"].isna().all()


def test_of_a_fit_that_the_store_no_longer_holds_nothing_is_said(go):
    results, tried = go(study(LATTICE))
    go.store.discard("fit", tried.properties["fit_key"].iloc[0])
    again = assess(study(LATTICE), go.store, SerialExecutor(), results.table)
    assert not again.computed
    assert set(again.properties["reference_seen"]) == {""}
    assert again.properties["value"].equals(tried.properties["value"])


def test_a_table_without_these_columns_is_read(go):
    _, tried = go(study(LATTICE))
    PROPERTIES.check(tried.properties)
    PROPERTIES.check(tried.properties.drop(columns=list(REFERENCE_SEEN)))
    with pytest.raises(ValueError, match="the column n_reference_pool does not hold numbers"):
        PROPERTIES.check(tried.properties.assign(n_reference_pool="7"))


def test_the_trajectory_is_kept_with_energies(go):
    _, tried = go(study(md=MD))
    frames = read(go.store.root / tried.md["trajectory"].iloc[0], ":")
    assert len(frames) == 3
    assert np.isfinite([atoms.get_potential_energy() for atoms in frames]).all()
    assert frames[0].get_momenta().any()


def test_a_second_run_computes_nothing_and_a_new_property_no_fit(go):
    go(study(LATTICE, MD))
    results, again = go(study(LATTICE, MD))
    assert not again.computed
    results, more = go(study({**LATTICE, "names": ["lattice", "elastic"]}, {**MD, "n_velocities": 3}))
    assert not results.computed
    assert more.computed == {"properties": 1, "md": 1}


def test_the_models_of_every_pool_are_tried(go):
    _, tried = go(study(LATTICE, MD, pools=2))
    assert tried.computed == {"properties": 2, "md": 4}
    for table in (tried.properties, tried.md):
        assert set(table["pool"]) == {0, 1}
        assert table.groupby("pool")["fit_key"].nunique().eq(1).all()
    assert tried.md["fit_key"].nunique() == 2


def test_starts_are_told_apart_and_a_group_without_held_out_frames_is_skipped(go):
    md = {**MD, "ensembles": ["nvt"], "n_velocities": 1, "ramp": True, "ramp_steps": 20}
    given = study(md={**md, "starts": ["vacancy", "sc", "crystal"]})
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    held_out = {group for group, part in zip(dataset.groups, dataset.split, strict=True) if part != "train"}
    assert ("vacancy" in held_out, "sc" in held_out) == (True, False)
    _, tried = go(given)
    runs = tried.md.assign(group=tried.md["start"].str.partition(":")[0]).set_index(["group", "ensemble"])
    assert set(runs.index) == {
        (start, one) for start in ("vacancy", "sc", "crystal") for one in ("nvt", "ramp")
    }
    assert set(runs.loc["sc", "status"]) == {"skipped"}
    assert (
        "no frame of group 'sc' of two atoms or more is in test or ood" in runs.loc[("sc", "nvt"), "reason"]
    )
    assert (runs.loc[["vacancy", "crystal"], "status"] == "done").all()
    assert runs.loc[("vacancy", "nvt"), "n_atoms"] == 7
    assert runs["survival_temperature_k"].notna().to_dict() == {
        (group, one): one == "ramp" and group != "sc" for group, one in runs.index
    }
    assert len(distinct_runs(tried.md)) == 4


def test_zero_pressure_gives_a_volume_and_fit_in_the_table(go):
    md = {**MD, "ensembles": ["npt"], "n_velocities": 1, "melting_fractions": [0.2], "steps": 40}
    (row,) = go(study(md=md))[1].md.to_dict("records")
    assert (row["status"], row["failure"]) == ("done", "")
    assert row["volume_angstrom3_per_atom"] == pytest.approx(20.5, rel=0.05)  # 5.477³ / 8
    assert abs(row["pressure_gpa"]) < 10
    assert np.isnan(row["reference_pressure_gpa"])


def test_zero_pressure_without_stress_is_a_row_that_says_so(go, monkeypatch):
    class WithoutStress(MeanPotential):
        def predict(self, atoms):
            return dataclasses.replace(super().predict(atoms), stress=None)

    monkeypatch.setattr(stages, "stored_potential", lambda root, key: WithoutStress({"Si": -5.0}))
    md = {**MD, "ensembles": ["npt", "nvt"], "n_velocities": 1}
    tried = go(study(md=md, models=("mean",)))[1].md.set_index("ensemble")
    assert tried["status"].to_dict() == {"npt": "skipped", "nvt": "done"}
    assert tried.loc["npt", "reason"] == "npt needs the stress, and this model predicts none"
    assert np.isnan(tried.loc["nvt", "pressure_gpa"])
    assert len(distinct_runs(tried.reset_index())) == 1


def test_a_start_that_no_data_set_has_is_an_error_before_anything_is_fitted(go):
    with pytest.raises(StudyError, match=r"starts: unknown group 'vacancies'; did you mean 'vacancy'"):
        go(study(md={**MD, "starts": ["vacancies"], "ensembles": ["nvt"]}))


@pytest.mark.slow
def test_a_model_fitted_on_three_configurations_is_reported_and_the_run_goes_on(go):
    # almost without regularisation: with it, even three configurations give a smooth potential that survives
    loose = {"twojmax": 6, "cutoff": 4.7, "quadratic": True, "ridge": 1e-14}
    md = {**MD, "steps": 300, "melting_fractions": [1.2]}
    given = study(LATTICE, md, fractions=(3 / 16, 1.0), options=loose, seeds=[0, 1, 2])
    results, tried = go(given)
    few = results.table[results.table["fraction"] < 1]
    assert set(few["n_configurations"]) == {3.0}
    unstable = tried.md[(tried.md["fraction"] < 1) & ~tried.md["survived"]]
    assert len(unstable)
    assert (unstable["reason"] != "").all()
    assert (unstable["survival_ps"] < unstable["length_ps"]).all()
    assert set(tried.md["status"]) == {"done"}
    assert set(tried.md["fraction"]) == set(given.fractions)
    assert (tried.properties["status"].isin(["done", "suspect"]) | (tried.properties["reason"] != "")).all()


def test_a_failed_model_has_rows_that_say_so(go):
    _, tried = go(study(LATTICE, MD, models=("broken",)))
    assert set(tried.properties["status"]) == set(tried.md["status"]) == {"skipped"}
    assert tried.properties["reason"].str.contains("the model is failed").all()
    assert len(tried.md) == 2


def test_a_data_set_without_a_crystal_says_so(go, tmp_path):
    write(tmp_path / "own.extxyz", list(load_dataset("si-pbe").frames[:40]))
    own = str(tmp_path / "own.extxyz")
    _, tried = go(study(LATTICE, MD, models=("mean",), datasets=[own], data={}))
    for table in (tried.properties, tried.md):
        (reason,) = table["reason"]
        assert "names no crystal: give prototype and lattice_parameter_angstrom in [data.NAME" in reason


def test_only_cells_of_the_named_seeds_are_tried(go):
    _, tried = go(study({**LATTICE, "seeds": [1]}, {**MD, "seeds": [0]}, seeds=[0, 1], fractions=(0.5,)))
    assert set(tried.properties["seed"]) == {1}
    assert set(tried.md["seed"]) == {0}


def test_without_either_table_nothing_is_tried(go):
    _, tried = go(study())
    assert tried.properties.empty
    assert tried.md.empty
