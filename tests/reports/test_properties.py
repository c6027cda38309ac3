from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.engine.results import md_table, properties_table
from crossprune.reports.page import render
from crossprune.reports.properties import property_errors, survival

CELL = {
    "dataset": "si-pbe",
    "model": "snap",
    "chooser": "random",
    "method": "random",
    "fraction": 0.1,
    "cell": "c",
    "fit_key": "f",
}


def property_row(name, value, reference, seed=0, structure="diamond", status="done", reason=""):
    row = {**CELL, "seed": seed, "structure": structure, "property": name, "value": value}
    return {**row, "reference": reference, "status": status, "reason": reason, "wall_s": 0.1}


def md_row(seed, survived, failure=""):
    row = {**CELL, "seed": 0, "ensemble": "nve", "temperature_k": 300.0, "velocity_seed": seed}
    row |= {"status": "done", "reason": failure, "failure": failure, "survived": survived}
    return {**row, "survival_ps": 1.0 if survived else 0.1, "length_ps": 1.0, "ms_per_atom_step": 0.1}


def test_errors_are_sizes_averaged_over_seeds():
    table = properties_table(
        [
            property_row("c11_gpa", 110.0, 100.0, seed=0),
            property_row("c11_gpa", 80.0, 100.0, seed=1, status="suspect", reason="unstable"),
            property_row("shear_modulus_gpa", 50.0, np.nan, seed=0),
            property_row("shear_modulus_gpa", np.nan, np.nan, seed=1, status="failed", reason="lost"),
        ]
    )
    assert table["error"].tolist()[:2] == [10.0, -20.0]
    (row,) = property_errors(table).to_dict("records")
    assert row["diamond c11_gpa (%)"] == pytest.approx(15.0)
    assert (row["without value"], row["suspect"]) == (25.0, 25.0)
    assert "diamond shear_modulus_gpa (%)" not in row


def test_phonon_error_counts_equivalent_points():
    rows = [("gamma_4_thz", 15.4, 15.0), ("x_1_thz", 5.0, 4.2), ("lowest_thz", 0.0, np.nan)]
    table = properties_table([property_row(*row, structure="phonon") for row in rows])
    (row,) = property_errors(table).to_dict("records")
    assert row["phonon MAE (THz)"] == pytest.approx((1 * 0.4 + 3 * 0.8) / 4)


def test_survival_counts_runs_and_says_why_not():
    skipped = {**md_row(3, None), "status": "skipped"}
    (row,) = survival(
        md_table([md_row(0, True), md_row(1, True), md_row(2, False, "too_hot"), skipped])
    ).to_dict("records")
    assert row["survived"] == "2 of 3"
    assert row["95 % interval"] == "0.21 to 0.94"  # Wilson
    assert row["why not"] == "1 too hot"
    assert row["survival (ps)"] == 1.0


def test_empty_tables_give_no_section(make_results):
    page = render(make_results(lambda *cell: 1.0), {}, {}, properties=properties_table([]), md=md_table([]))
    assert 'id="properties"' not in page
    assert 'id="stability"' not in page


def test_the_page_has_both_sections(make_results):
    page = render(
        make_results(lambda *cell: 1.0),
        {},
        {},
        properties=properties_table([property_row("c11_gpa", 110.0, 100.0)]),
        md=md_table([md_row(0, False, "too_close")]),
    )
    assert "diamond c11 gpa (%)" in page
    assert "1 too close" in page


def test_tables_survive_parquet(tmp_path):
    table = md_table([md_row(0, True), md_row(1, None)])
    table.to_parquet(tmp_path / "md.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "md.parquet"), table)
