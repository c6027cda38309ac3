"""A user's own alloy, from files to properties and dynamics in the table and in the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from crossprune.harness.cli.main import app
from typer.testing import CliRunner

STUDY = """
[study]
name = "alloy"
datasets = ["train.extxyz"]
models = ["ace"]
fractions = [1.0]
seeds = [0]
[options.ace]
max_degrees = [6, 4]
cutoff = 4.5
[data."train.extxyz"]
name = "Cu-Au by EMT"
test = "test.extxyz"
{crystal}
[properties]
enabled = true
names = ["lattice", "vacancy"]
[md]
enabled = true
ensembles = ["nve"]
ramp = {ramp}
ramp_steps = 20
steps = 20
repeat = 1
n_velocities = 1
"""
CRYSTALS = """
[data."train.extxyz".protocol]
prototype = "fcc"
lattice_parameter_angstrom = 3.84
temperatures_k = [300, 600]
[data."train.extxyz".crystals.Cu]
prototype = "fcc"
elements = ["Cu"]
lattice_parameter_angstrom = 3.59
melting_temperature_k = 1000
[data."train.extxyz".reference."Cu: fcc"]
source = "EMT"
groups = ["Cu"]
values = { lattice_parameter_angstrom = 3.5899 }
"""
LATTICES = {"Cu": 3.59, "Au": 4.06, "CuAu": 3.84}


def frames(n, seed):
    """Give ``n`` rattled and strained cells of each crystal, labelled by EMT."""
    rng, found = np.random.default_rng(seed), []
    for name, edge in LATTICES.items():
        for _ in range(n):
            atoms = bulk("Au" if name == "Au" else "Cu", "fcc", edge, cubic=True)
            if name == "CuAu":
                atoms = atoms.repeat((2, 1, 1))
                atoms.symbols[:] = rng.permutation(["Cu", "Au"] * 4)
            strain = np.eye(3) + rng.uniform(-0.03, 0.03, (3, 3))
            atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            atoms.rattle(0.08, rng=rng)
            atoms.calc = EMT()
            labels = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces()}
            atoms.calc = SinglePointCalculator(atoms, **labels, stress=atoms.get_stress())
            atoms.info["group"] = name
            found.append(atoms)
    return found


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sets").mkdir()
    write(tmp_path / "sets" / "train.extxyz", frames(12, 0))
    write(tmp_path / "sets" / "test.extxyz", frames(2, 1))
    return tmp_path


def run(folder, crystal, ramp="true"):
    study = folder / "sets" / "alloy.toml"  # its paths are relative to it
    study.write_text(STUDY.format(crystal=crystal, ramp=ramp))
    words = ["run", str(study), "--store", str(folder / "out"), "--workers", "0"]
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    tables = [pd.read_parquet(folder / "out" / f"{name}.parquet") for name in ("results", "properties", "md")]
    return done.output, *tables, (folder / "out" / "report.html").read_text()


@pytest.mark.slow
def test_properties_and_dynamics_of_an_alloy(folder, require_adapter):
    require_adapter("ace")
    said, results, properties, md, report = run(folder, CRYSTALS)
    assert set(results["dataset"]) == {"Cu-Au by EMT"}
    of_test = results[(results["split"] == "test") & (results["group"] == "all")]
    assert list(of_test["n_eval_configurations"]) == [6]
    values = properties.set_index(["structure", "property"])
    lattice = values.loc[("Cu: fcc", "lattice_parameter_angstrom")]
    assert lattice["value"] == pytest.approx(3.59, abs=0.02)
    assert lattice["reference"] == 3.5899
    assert lattice["reference_seen"] == "chosen"
    assert values.loc[("fcc", "lattice_parameter_angstrom"), "value"] == pytest.approx(3.86, abs=0.06)
    assert values.loc[("vacancy", "formation_energy_ev"), "status"] == "skipped"
    assert values.loc[("Cu: vacancy", "formation_energy_ev"), "value"] > 0
    ran = md[md["survived"].notna()]
    assert set(ran["temperature_k"][ran["start"] == "crystal"]) == {300.0, 600.0}
    assert set(ran["temperature_k"][ran["start"] == "Cu: crystal"]) == {250.0, 500.0, 900.0, 1200.0, 3000.0}
    assert "2 skipped (vacancy): defined for a crystal of one element" in said
    assert (
        "1 skipped (crystal): no melting temperature is known: give melting_temperature_k, or ramp_k" in said
    )
    for words in ("Cu: fcc lattice parameter angstrom", "Stability of dynamics", "Survival temperatures"):
        assert words in report
    assert "none has a result" not in report
    assert "Of the properties and runs that were asked of the models, 3 have no result" in report


@pytest.mark.slow
def test_without_a_crystal_terminal_and_report_say_what_to_give(folder, require_adapter):
    require_adapter("ace")
    said, _, properties, md, report = run(folder, "", "false")
    assert set(properties["status"]) == set(md["status"]) == {"skipped"}
    reason = "names no crystal: give prototype and lattice_parameter_angstrom in [data.NAME.protocol]"
    assert said.count(reason) == 2
    assert reason in report
    assert "runs survived" not in said
    assert "2 have no result: see above" in report


@pytest.mark.slow
def test_properties_of_one_potential(folder, require_adapter):
    require_adapter("ace")
    run(folder, CRYSTALS)
    (potential,) = (folder / "out" / "objects" / "fit").rglob("potential")
    file, study = folder / "sets" / "train.extxyz", folder / "sets" / "alloy.toml"
    card = folder / "card.toml"
    card.write_text('[protocol]\nprototype = "fcc"\nlattice_parameter_angstrom = 3.84\n')

    def call(*words):
        done = CliRunner().invoke(app, ["properties", str(potential), "--data", str(file), *words])
        return done.output or str(done.exception)

    assert "Cu: fcc" in call("--card", str(study), "--name", "lattice")
    assert "Cu: fcc" not in (of_card := call("--card", str(card), "--name", "lattice"))
    assert "lattice_parameter_angstrom" in of_card
    assert "which names no crystal; give --card FILE" in call()


def test_a_smaller_study_says_whose_rows_it_replaces(tmp_path):
    text = '[study]\nname = "x"\ndatasets = ["si-pbe"]\nmodels = ["mean"]\nseeds = [0]\nfractions = {}\n'
    text += "[data.si-pbe]\nsmoke = true\n"
    said = []
    for fractions in ("[0.5, 1.0]", "[0.5]", "[0.5, 1.0]"):
        (tmp_path / "x.toml").write_text(text.format(fractions))
        words = ["run", str(tmp_path / "x.toml"), "--store", str(tmp_path / "x"), "--workers", "0"]
        said.append(CliRunner(env={"COLUMNS": "400"}).invoke(app, words, catch_exceptions=False).output)
    assert "results.parquet had 1 cells that this study does not ask for" in said[1]
    assert "does not ask for" not in said[0] + said[2]
    assert "computed: nothing, all was in the store" in said[1]
    assert len(pd.read_parquet(tmp_path / "x" / "results.parquet")["cell"].unique()) == 2
