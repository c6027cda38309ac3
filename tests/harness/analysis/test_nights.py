"""Simulated nights: each must say exactly what changed, and nothing else."""

from __future__ import annotations

import json
import os
import shutil

import pandas as pd
import pytest
from crossprune.harness.analysis import nights as module
from crossprune.harness.analysis.nights import Night, compare, history, load_nights, save_night, to_markdown
from crossprune.harness.cli.main import app
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.store.objects import Store
from crossprune.reports.several.history import write_history
from typer.testing import CliRunner

SNAP = {"twojmax": 4, "cutoff": 4.5}


@pytest.fixture
def live(tmp_path, require_adapter):
    require_adapter("snap")

    def night(name, **options):
        axes = {
            "name": "nightly",
            "datasets": ["si-pbe"],
            "choosers": ["snap"],
            "fractions": [0.3, 0.6],
            "seeds": [0, 1],
            "models": ["snap", "flaky"],
        }
        tables = {"snap": SNAP, "flaky": {"adapter": "mean"}, **options}
        study = parse_study({"study": axes, "options": tables, "data": {"si-pbe": {"smoke": True}}}, "x")
        result = run(study, Store(tmp_path), SerialExecutor())
        save_night(tmp_path, name, result.table, result.inputs)
        return load_nights(tmp_path)[-1]

    return night


@pytest.mark.slow
def test_nights_say_exactly_what_changed(live, tmp_path):
    first = live("1")
    quiet = compare(first, live("2"))
    assert quiet.causes == ()
    assert not quiet.alarm
    assert quiet.unchanged == 16
    assert len(quiet.worse) + len(quiet.better) + len(quiet.newly_failing) == 0

    third = live("3", snap={**SNAP, "energy_weight": 3.0})
    option = compare(first, third)
    assert option.causes == ("snap: option energy_weight 300.0 → 3.0",)
    assert set(option.worse["model"]) | set(option.better["model"]) == {"snap"}
    assert len(option.newly_failing) == 0
    energies = option.worse[option.worse["metric"] == "energy_mae_mev_per_atom"]
    assert len(energies) > len(option.better[option.better["metric"] == "energy_mae_mev_per_atom"])

    fourth = live("4", snap={**SNAP, "energy_weight": 3.0}, flaky={"adapter": "broken"})
    failing = compare(third, fourth)
    assert failing.alarm
    assert len(failing.newly_failing) == 8
    assert set(failing.newly_failing["model"]) == {"flaky"}
    assert len(failing.worse) == 0
    summary = to_markdown("4", failing, "3")
    assert "**Look at this.**" in summary
    assert "newly failing 8" in summary
    assert "the adapter 'broken' always raises" in summary
    assert "flaky: adapter mean → broken" in summary

    nights = load_nights(tmp_path)
    assert [night.name for night in nights] == ["1", "2", "3", "4"]
    followed = history(nights)
    flaky = followed[(followed["model"] == "flaky") & (followed["night"] == "4")]
    assert flaky["done"].sum() == 0
    assert flaky["not_done"].sum() == 8
    page = write_history(nights, tmp_path).read_text()
    assert "4 nights, the last 4" in page


def inputs(code="a", options=None, version="1", data="d"):
    return {
        "adapters": {
            "snap": {
                "adapter": "snap",
                "options": options or {},
                "code": code,
                "versions": {"lammps": version},
            }
        },
        "datasets": {"si-pbe": data},
    }


def table(factor=1.0, status="done"):
    rows = [
        {
            "dataset": "si-pbe",
            "pool": 0,
            "held_out": "",
            "chooser": "random",
            "method": "random",
            "scaling": "",
            "mask": "none",
            "given": "",
            "space": "",
            "pooling": "",
            "budget": "configurations",
            "fraction": 0.5,
            "seed": seed,
            "model": "snap",
            "split": "test",
            "group": "all",
            "status": status,
            "reason": "",
            "cell": f"{seed}",
            "energy_mae_mev_per_atom": 10.0 + seed,
            "force_mae_ev_per_angstrom": (0.1 + 0.01 * seed) * factor,
        }
        for seed in range(3)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("factor", "worse", "alarm"),
    [(1.0, 0, False), (1.0005, 0, False), (1.02, 3, False), (1.5, 3, True), (0.5, 0, False)],
)
def test_an_alarm_needs_more_than_the_seed_spread(factor, worse, alarm):
    found = compare(Night("1", table(), inputs()), Night("2", table(factor), inputs()))
    assert len(found.worse) == worse
    assert found.alarm is alarm


@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (inputs(version="2"), "snap: lammps 1 → 2"),
        (inputs(code="b"), "snap: code changed"),
        (inputs(options={"twojmax": 8}), "snap: option twojmax absent → 8"),
        (inputs(data="e"), "data set si-pbe: content or split changed"),
    ],
)
def test_causes_are_named(after, cause):
    assert compare(Night("1", table(), inputs()), Night("2", table(), after)).causes == (cause,)


def test_a_night_before_there_were_pools_is_compared_with_their_first(tmp_path):
    save_night(tmp_path, "1", table().drop(columns=["pool", "held_out"]), inputs())
    more = inputs()
    more["datasets"]["si-pbe, pool 1"] = "e"
    save_night(tmp_path, "2", pd.concat([table(), table(1.5).assign(pool=1)]), more)
    before, after = load_nights(tmp_path)
    found = compare(before, after)
    assert (found.unchanged, found.added, len(found.worse)) == (3, 3, 0)
    assert found.causes == ("data set si-pbe, pool 1: new in the study",)
    means = history([after]).set_index("pool")["force_mae_ev_per_angstrom"]
    assert means.to_dict() == pytest.approx({0: 0.11, 1: 0.165}), "no average goes over pools"


def test_the_last_night_is_the_one_kept_last_whatever_its_name(tmp_path, monkeypatch):
    for time, name in enumerate(["n8", "n9", "n10", "n11"]):
        monkeypatch.setattr(module.time, "time", lambda time=time: 1e9 + time)
        save_night(tmp_path, name, table(), inputs())
    nights = load_nights(tmp_path)
    assert [night.name for night in nights] == ["n8", "n9", "n10", "n11"]
    assert [night.kept_s - 1e9 for night in nights] == [0, 1, 2, 3]
    assert nights[0].inputs == inputs()
    page = write_history(nights, tmp_path).read_text()
    assert page.index(">n11<") < page.index(">n10<") < page.index(">n9<"), "the last night comes first"


def test_a_night_of_an_earlier_version_has_the_time_of_its_file(tmp_path):
    for time, name in enumerate(["n9", "n10"]):
        folder = save_night(tmp_path, name, table(), inputs())
        (folder / "inputs.json").write_text(json.dumps(inputs()))
        os.utime(folder / "results.parquet", (1e9 + time, 1e9 + time))
    assert [night.name for night in load_nights(tmp_path)] == ["n9", "n10"]


def no_fraction(path):
    table().drop(columns="fraction").to_parquet(path)


def texts_for_errors(path):
    table().assign(force_mae_ev_per_angstrom="x").to_parquet(path)


def missing_status(path):
    table().assign(status=None).to_parquet(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "harm", "said"),
    [
        ("inputs.json", "{}", "does not say what it rests on"),
        ("inputs.json", "[]", "does not say what it rests on"),
        ("inputs.json", "5", "does not say what it rests on"),
        ("inputs.json", "null", "does not say what it rests on"),
        ("inputs.json", '{"adapters": {"snap": 1}, "datasets": {}}', "does not say what it rests on"),
        ("inputs.json", '{"adapters": {"snap": {}}, "datasets": {}}', "does not say what it rests on"),
        ("inputs.json", "[" * 100_000, "recursion"),
        ("inputs.json", "{", "Expecting property name"),
        ("results.parquet", no_fraction, "lacks the column fraction"),
        ("results.parquet", texts_for_errors, "the column force_mae_ev_per_angstrom does not hold numbers"),
        ("results.parquet", missing_status, "the column status does not hold texts"),
        ("results.parquet", cut, "Parquet"),
        ("results.parquet", folder, "it is no file"),
    ],
)
def test_a_damaged_night_is_named_and_left_out(tmp_path, name, harm, said):
    kept, lines = save_night(tmp_path, "1", table(), inputs()), []
    shutil.copytree(kept, kept.parent / "2")
    if callable(harm):
        harm(kept.parent / "2" / name)
    else:
        (kept.parent / "2" / name).write_text(harm)
    assert [night.name for night in load_nights(tmp_path, lines.append)] == ["1"]
    [line] = lines
    assert line.startswith(f"left out: {kept.parent / '2'} is no readable night")
    assert said in line
    assert line.endswith("; remove the folder")


@pytest.mark.slow
def test_files_in_the_way_of_nights_are_set_aside(tmp_path):
    axes = 'name = "n"\ndatasets = ["si-pbe"]\nmodels = ["mean"]\nfractions = [1.0]\nseeds = [0]\n'
    (tmp_path / "study.toml").write_text(f"[study]\n{axes}[data.si-pbe]\nsmoke = true\n")
    words = ["nightly", tmp_path / "study.toml", "--store", tmp_path / "s", "--workers", "0", "--night"]

    def night(name):
        done = CliRunner().invoke(app, [str(word) for word in [*words, name]], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "nights").write_text("x")
    night("1")
    (tmp_path / "s" / "nights" / "2").write_text("x")
    assert "Night 2, compared with 1" in night("2")
    (tmp_path / "s" / "nights" / "2" / "inputs.json").write_text("{}")
    assert "nights/2 is no readable night" in (said := night("3"))
    assert "Night 3, compared with 1" in said


def test_the_first_night_has_nothing_to_compare():
    assert "first night" in to_markdown("1", None)
