"""``crossprune softening``: what it prints, as tables that fit into a terminal and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import crossprune
import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write
from crossprune.harness.cli import main as cli
from crossprune.harness.cli.layout import WIDTH
from crossprune.harness.errors import DataError, StudyError
from typer.testing import CliRunner

STORED = ("stored.extxyz", "--reference-key", "dft", "--predicted-key", "model")
ASKED = ("pooled_slope", "mae", "mae_corrected", "scale", "mae_scaled", "r2")


def call(*words):
    done = CliRunner(env={"COLUMNS": "80"}).invoke(cli.app, ["softening", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


@pytest.fixture(autouse=True)
def stored(tmp_path, monkeypatch):
    """Frames with forces of which those of one group are too small, and of the other only noisy."""
    rng, made = np.random.default_rng(0), []
    for index in range(24):
        atoms = bulk("Cu", cubic=True)
        atoms.info["config_type"] = group = ("far", "near")[index % 2]
        atoms.arrays["dft"] = rng.normal(0.0, 1.0, (4, 3))
        factor, noise = (0.8, 0.05) if group == "far" else (0.95, 0.3)
        atoms.arrays["model"] = factor * atoms.arrays["dft"] + rng.normal(0.0, noise, (4, 3))
        made.append(atoms)
    write(tmp_path / "stored.extxyz", made, format="extxyz")
    monkeypatch.chdir(tmp_path)


def test_json_has_the_whole_at_the_top_and_its_groups_below():
    document = json.loads(call(*STORED, "--json"))
    table = crossprune.softening("stored.extxyz", reference_key="dft", predicted_key="model").table
    for name in ASKED:
        assert document[name] == table.loc[0, name]
    assert document["group"] == "all"
    assert document["force_window"] is None
    assert [one["group"] for one in document["groups"]] == ["far", "near"]
    assert [one["verdict"] for one in document["groups"]] == ["soft", "neither"]
    for name in ("median_slope", "median_scale", "theil_sen", "pooled_slope", "scale"):
        assert document[f"{name}_low"] < document[name] < document[f"{name}_high"]
    assert document["other_parts"] == []
    assert sum(one["n_slopes"] for one in document["histogram"]) == 24
    assert document["histogram"][0]["low"] is None
    assert document["scale_by_prediction"] == document["median_scale"]
    assert document["slope_by_prediction"] is None


def test_the_same_call_says_the_same_and_another_seed_other_intervals():
    assert call(*STORED, "--json") == call(*STORED, "--json")
    other = json.loads(call(*STORED, "--json", "--resampling-seed", 1, "--resamples", 300))
    first = json.loads(call(*STORED, "--json"))
    assert other["median_scale_low"] != first["median_scale_low"]
    assert other["scale"] == first["scale"]


def test_tables_fit_into_a_terminal_and_have_every_group():
    said = call(*STORED)
    assert max(map(len, said.splitlines())) <= WIDTH
    assert "part all: neither: s < 1, which noise explains" in " ".join(said.split())
    for group, verdict in (("far", "soft"), ("near", "neither")):
        assert any(line.split()[:1] == [group] and line.split()[-1] == verdict for line in said.splitlines())
    counts = [
        int(line.split()[-1]) for line in said.split("slopes s of configurations:")[1].split("\n")[1:] if line
    ]
    assert sum(counts) == 24


def test_a_window_is_said():
    said = call(*STORED, "--force-window", "0.5", "2", "--group", "far")
    assert "only atoms whose reference force is from 0.5 eV/Å to below 2: " in said
    assert "by |f|" in said
    document = json.loads(call(*STORED, "--force-window", "0.5", "inf", "--json"))
    assert document["force_window"] == [0.5, None]
    assert document["scale_by_prediction_low"] < document["scale_by_prediction"]


def test_an_infinite_factor_is_shown_and_null_in_json():
    frames = read("stored.extxyz", ":")
    for atoms in frames[:18]:
        atoms.arrays["model"][:] = 0.0
    write("stored.extxyz", frames, format="extxyz")
    assert any(line.split()[:3] == ["all", "24", "inf"] for line in call(*STORED).splitlines())
    document = json.loads(call(*STORED, "--json"), parse_constant=pytest.fail)
    assert document["median_scale"] is None


def test_what_is_wrong_is_raised_before_anything_is_printed(capsys):
    with pytest.raises(DataError, match="no 'mod'"):
        call(*STORED[:-1], "mod", "--json")
    with pytest.raises(DataError, match=r"no atom has a reference force from 90 to 99 eV/Å"):
        call(*STORED, "--force-window", "90", "99")
    with pytest.raises(DataError, match=r"no 'kind' \(group_key\)"):
        call(*STORED, "--group-key", "kind")
    with pytest.raises(StudyError, match="unknown group 'fra'"):
        call(*STORED, "--group", "fra")
    with pytest.raises(StudyError, match="energy_key: for a potential"):
        call(*STORED, "--energy-key", "e")
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_a_potential_is_judged_on_the_part_that_evaluate_takes():
    said = call("lammps:sw:Si.sw", "--data", "si-pbe")
    assert "part 'test', as nothing else was asked for" in said
    assert "part test: hard" in said
    document = json.loads(call("lammps:sw:Si.sw", "--data", "si-pbe", "--split", "ood", "--json"))
    assert document["part"] == "ood"


STUDY = """
[study]
name = "t"
datasets = ["si-pbe"]
models = ["snap", "mean"]
fractions = [0.5]
seeds = [0]
[options.snap]
twojmax = 4
"""


@pytest.mark.slow
def test_a_stored_potential_is_judged_by_part_and_a_part_that_tells_nothing_is_named(require_adapter):
    require_adapter("snap")
    Path("s.toml").write_text(STUDY)
    done = CliRunner().invoke(cli.app, ["run", "s.toml", "--store", "st", "--workers", "0"])
    assert done.exit_code == 0, done.output
    folders = {
        json.loads(one.read_text())["adapter"]: one.parent for one in Path("st").rglob("potential.json")
    }
    document = json.loads(call(folders["snap"], "--json"))
    assert document["part"] == "test"
    assert [one["part"] for one in document["other_parts"]] == ["ood", "remainder"]
    assert any("fitted to" in line for line in document["notes"])
    few = json.loads(call(folders["snap"], "--group", "diamond", "--group", "hcp", "--json"))
    assert [one["group"] for one in few["groups"]] == ["diamond", "hcp"]
    with pytest.raises(DataError, match=r"test: all predicted forces are zero.*; ood: all predicted"):
        call(folders["mean"])


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a study of two models on a quarter and all of smoke data, one seed."""
    root = tmp_path_factory.mktemp("run") / "store"
    axes = {"name": "t", "datasets": ["si-pbe"], "models": ["mean", "uf3"], "fractions": [0.25, 1.0]}
    study = {"study": {**axes, "seeds": [0]}, "options": {"uf3": {"resolution_3b": 0}}}
    study |= {"data": {"si-pbe": {"smoke": True}}, "properties": {"enabled": True, "names": ["elastic"]}}
    crossprune.run(study, store=root, workers=0)
    return root


@pytest.mark.slow
def test_every_model_of_a_run_is_shown(ran):
    said = call(ran)
    assert max(map(len, said.split("every model")[1].splitlines())) <= WIDTH
    words = " ".join(said.split())
    assert "of mean left out: all predicted forces are zero" in words
    assert "of mean, uf3 left out: 1 of 2 configurations have reference forces that tell a slope" in words
    assert "in all rows: model uf3; way random; fits 1; " in words
    assert "curvature over the reference's" in words
    found = crossprune.softening_of_run(ran)
    for value in found.summary.loc[found.summary["group"] == "all", "median_scale"]:
        assert f"{value:.3f} [" in words


@pytest.mark.slow
def test_a_run_is_laid_out_as_json(ran):
    document = json.loads(call(ran, "--json"), parse_constant=pytest.fail)
    assert list(document)[2:] == ["cells", "summary", "histogram", "curvature", "curvature_summary"]
    found = crossprune.softening_of_run(ran)
    known = found.table["median_scale"].astype(object).where(found.table["median_scale"].notna(), None)
    assert [one["median_scale"] for one in document["cells"]] == known.tolist()
    assert {one["kind"] for one in document["curvature"]} == {"C11", "C12", "C44", "C44 clamped"}
    assert {"excess_slope", "excess_said", "theil_sen", "share_below_one"} <= set(document["cells"][0])


@pytest.mark.slow
def test_a_run_has_its_own_data(ran):
    with pytest.raises(StudyError, match="--data, energy_key: for a potential or a file; a run has its own"):
        call(ran, "--data", "si-pbe", "--energy-key", "e")


def test_excess_energies_stand_beside_forces():
    said = call("lammps:sw:Si.sw", "--data", "si-pbe")
    assert max(map(len, said.split("part test")[1].splitlines())) <= WIDTH
    energies = crossprune.softening("lammps:sw:Si.sw", "si-pbe").energies
    whole = energies.iloc[0]
    assert f"composition explains in each line's frames: {whole['said']}." in " ".join(said.split())
    assert f"{whole['scale']:.3f} [{whole['scale_low']:.3f}, {whole['scale_high']:.3f}]" in said
    assert "elastic: too few: 5 configurations, 6 are needed" in said
    document = json.loads(call("lammps:sw:Si.sw", "--data", "si-pbe", "--json"))
    assert document["excess"]["scale"] == whole["scale"]
    assert [one["excess"]["group"] for one in document["groups"]] == energies["group"].tolist()[1:]
    assert json.loads(call(*STORED, "--json"))["excess"] is None
    assert "excess energies" not in call(*STORED)
