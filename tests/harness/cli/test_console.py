from __future__ import annotations

import io
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.cli.console import print_analysis, print_matrix
from crossprune.harness.cli.trials import print_assessment, print_properties
from crossprune.harness.engine.results import md_table, properties_table
from crossprune.harness.engine.trials.assessment import Assessment
from crossprune.harness.evaluation.properties import Property
from crossprune.harness.evaluation.soundness import undetermined
from rich.console import Console


@pytest.mark.parametrize(("full", "n_rows"), [(False, 20), (True, 60)])
def test_a_long_table_is_cut_to_the_fraction_nearest_to_a_tenth(full, n_rows):
    overlap = pd.DataFrame(
        {
            "fraction": [0.05, 0.12, 0.4] * 20,
            "first": [f"way{index:02d}" for index in range(60)],
            "jaccard": 0.5,
        }
    )
    output = io.StringIO()
    print_analysis(Console(file=output, width=100), {"overlap": overlap}, full=full)
    text = output.getvalue()
    assert text.count("way") == n_rows
    assert ("20 of 60 rows" in text) is not full


@pytest.mark.parametrize("n_guessed", [0, 2])
def test_guessed_energies_are_said_with_the_matrix(n_guessed):
    flag = undetermined(np.array([[1.0, 1.0]]), np.array([[1.0, 3.0]]))
    table = pd.DataFrame(
        {
            "dataset": "x",
            "pool": 0,
            "held_out": "",
            "split": "test",
            "group": "all",
            "status": "done",
            "fraction": 0.1,
            "chooser": "random",
            "method": "random",
            "model": "snap",
            "force_mae_ev_per_angstrom": [0.1, 0.2, 0.3],
            "flag": [*[flag] * n_guessed, *[""] * (3 - n_guessed)],
        }
    )
    output = io.StringIO()
    print_matrix(Console(file=output, width=200), table)
    assert ("2 of 3 fits guess energies" in output.getvalue()) is (n_guessed == 2)


def test_runs_are_counted_once_and_cut_ones_do_not_survive():
    run = {"fit_key": "full", "model": "snap", "ensemble": "nve", "temperature_k": 300.0, "n_atoms": 8}
    run |= {"status": "done", "survived": True, "survival_ps": 10.0, "planned_ps": 10.0, "velocity_seed": 0}
    cut = {"velocity_seed": 1, "survival_ps": 0.04}
    hot = {"velocity_seed": 2, "survival_ps": 1.0, "survived": False, "failure": "too_hot"}
    md = md_table({**run, "seed": seed, **change} for change in ({}, cut, hot) for seed in range(3))
    ramps = [
        {
            **run,
            "ensemble": "ramp",
            "velocity_seed": seed,
            "survived": seed > 0,
            "survival_temperature_k": kelvin,
        }
        for seed, kelvin in enumerate((900.0, 3000.0))
    ]
    md = pd.concat([md, md_table(ramps)])
    output = io.StringIO()
    print_assessment(Console(file=output, width=200), Assessment(properties_table([]), md, Counter(), 0))
    assert "model snap: 1 of 2 heated runs failed, the first at 900 K" in output.getvalue()
    assert "model snap: 1 of 3 runs survived, 1 too hot, 1 cut short by their budget" in output.getvalue()


def test_intervals_of_data_efficiency_stand_beside_their_numbers():
    numbers = {"fraction": 0.1, "low": -np.inf, "high": 0.2, "data_ratio": 2.0, "data_ratio_low": np.nan}
    table = pd.DataFrame([{"chooser": "snap", **numbers, "data_ratio_high": np.nan, "remark": "one"}])
    output = io.StringIO()
    print_analysis(Console(file=output, width=100), {"efficiency": table})
    assert "0.1 (-inf to 0.2)" in output.getvalue()
    assert "2 (–)" in output.getvalue()


@pytest.mark.parametrize("name", ["matrix", "enough"])
def test_what_the_page_draws_is_printed_if_it_is_asked_for(name):
    table = pd.DataFrame({"dataset": ["x"], "model": ["snap"], "tolerance": [0.05], "fraction": [0.2]})
    for full in (False, True):
        output = io.StringIO()
        print_analysis(Console(file=output, width=100), {name: table}, full=full)
        assert (f"{name}: " in output.getvalue()) == full


def test_the_matrix_averages_over_pools_and_not_over_their_seeds():
    shared = {
        "dataset": "x",
        "split": "test",
        "group": "all",
        "status": "done",
        "fraction": 0.1,
        "held_out": "",
    }
    table = pd.DataFrame(
        {
            **shared,
            "flag": "",
            "chooser": "random",
            "method": "random",
            "model": "snap",
            "seed": seed,
            "pool": pool,
        }
        | {"force_mae_ev_per_angstrom": 0.1 + 0.2 * pool + 0.01 * seed}
        for pool in range(2)
        for seed in (-1, 0, 1)
    )
    for n_pools, said in ((1, ("x: test", "0.1000 ± 0.0058", "over seeds")), (2, ("x, 2 pools: test",))):
        output = io.StringIO()
        print_matrix(Console(file=output, width=200), table[table["pool"] < n_pools])
        for one in said if n_pools == 1 else (*said, "0.200 ", "over pools"):
            assert one in output.getvalue()


def test_properties_are_whole_at_80_columns(capsys):
    """A table with borders cut its numbers: 123.… for 123.46."""
    name, why = "c44_clamped_at_reference_strain_gpa", "the vacancy collapsed, " * 6
    rows = [
        Property("diamond", name, -1123.45678, "done", "", 1.0),
        Property("vacancy", name, 3.0, "suspect", why, 1.0),
    ]
    print_properties(Console(width=80), rows, [(120.1, "DFT"), (math.nan, "")])
    output = capsys.readouterr().out
    assert max(map(len, output.splitlines())) <= 80
    assert {"-1123.5", "120.1", "-1243.6"} <= set(output.split())
    assert f"[1] {' '.join(why.split())}" in " ".join(output.split())
