from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.engine.results import MD, MD_LATER, md_table, properties_table
from crossprune.reports.page import render
from crossprune.reports.properties import property_errors, ramps, survival

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


def md_row(velocities, survived, failure="", **changes):
    row = {**CELL, "seed": 0, "ensemble": "nve", "temperature_k": 300.0, "velocity_seed": velocities}
    row |= {"status": "done", "reason": failure, "failure": failure, "survived": survived, "n_atoms": 8}
    row |= {"survival_ps": 1.0 if survived else 0.1, "length_ps": 1.0, "planned_ps": 1.0}
    return {**row, "ms_per_atom_step": 0.1, **changes}


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


def test_columns_say_whether_the_reference_was_seen_in_training():
    def row(name, word, seed):
        return {**property_row(name, 110.0, 100.0, seed=seed), "reference_seen": word}

    words = {
        "c11_gpa": ("chosen", "chosen"),
        "c12_gpa": ("chosen", "pool"),
        "c44_gpa": ("held out", "not in the data"),
        "bulk_modulus_gpa": ("", ""),
    }
    rows = [row(name, word, seed) for name, both in words.items() for seed, word in enumerate(both)]
    (found,) = property_errors(properties_table(rows)).to_dict("records")
    assert {name for name in found if name.endswith("(%)")} == {
        "diamond c11_gpa, in every training set (%)",
        "diamond c12_gpa, in some training sets (%)",
        "diamond c44_gpa, in no training set (%)",
        "diamond bulk_modulus_gpa (%)",
    }
    assert found["references in the fit"] == pytest.approx(50.0)


def test_a_table_of_an_earlier_version_has_no_marks():
    table = properties_table([property_row("c11_gpa", 110.0, 100.0)])
    old = table.drop(columns=["reference_seen", "n_reference_chosen", "n_reference_pool"])
    assert list(property_errors(old).columns) == list(property_errors(table).columns)
    assert "references in the fit" not in property_errors(old).columns


def test_phonon_error_counts_equivalent_points():
    rows = [("gamma_4_thz", 15.4, 15.0), ("x_1_thz", 5.0, 4.2), ("lowest_thz", 0.0, np.nan)]
    table = properties_table([property_row(*row, structure="phonon") for row in rows])
    (row,) = property_errors(table).to_dict("records")
    assert row["phonon MAE (THz)"] == pytest.approx((1 * 0.4 + 3 * 0.8) / 4)


def test_survival_counts_runs_and_says_why_not():
    skipped = {**md_row(3, None), "status": "skipped"}
    lost = {**md_row(4, None), "status": "timeout"}
    rows = [md_row(0, True), md_row(1, True), md_row(2, False, "too_hot"), skipped, lost]
    (row,) = survival(md_table(rows)).to_dict("records")
    assert row["runs"] == "3 of 1 model"
    assert (row["failed"], row["cut"], row["survive"]) == (1, 0, pytest.approx(2 / 3))
    assert row["95 % interval"] == "0.21 to 0.94"  # Wilson
    assert row["mean survival (ps)"] == pytest.approx(0.7)
    assert row["of (ps)"] == 1.0
    assert row["remark"] == "1 too hot; 1 without a result are left out; intervals are of runs of one model"


def test_starts_stand_apart_and_ramps_are_left_out():
    rows = [md_row(0, True, start="crystal"), md_row(0, False, "too_hot", start="vacancy:7")]
    ramp = md_row(0, False, "too_hot", start="crystal", ensemble="ramp", survival_temperature_k=900.0)
    found = survival(md_table([*rows, ramp])).set_index("start")
    assert found["survive"].to_dict() == {"crystal": 1.0, "vacancy:7": 0.0}
    assert set(found["ensemble"]) == {"nve"}
    assert survival(md_table([ramp])).empty


def test_tables_of_earlier_versions_are_still_read():
    old = md_table([md_row(0, True), md_row(1, False, "too_hot")]).drop(columns=["start", *MD_LATER])
    MD.check(old.assign(pool=0, held_out=""))
    (row,) = survival(old).to_dict("records")
    assert (row["start"], row["survive"]) == ("crystal", 0.5)


def test_a_run_cut_by_its_budget_is_no_survivor():
    cut = md_row(0, True, survival_ps=0.04, length_ps=0.04, planned_ps=10.0)
    (row,) = survival(md_table([cut])).to_dict("records")
    assert (row["cut"], row["95 % interval"]) == (1, "–")
    assert np.isnan(row["survive"])
    assert "followed for 0.04 of 10 ps: nothing is known of the rest" in row["remark"]


def test_cells_that_share_a_fit_share_its_run():
    cells = [md_row(0, True, seed=seed, fit_key="full") for seed in range(3)]
    (row,) = survival(md_table(cells)).to_dict("records")
    assert row["runs"] == "1 of 1 model"
    assert row["95 % interval"] == "0.21 to 1"
    fits = [md_row(0, True, seed=seed, fit_key=str(seed)) for seed in range(3)]
    (row,) = survival(md_table(fits)).to_dict("records")
    assert (row["runs"], row["95 % interval"], row["remark"]) == ("3 of 3 models", "0.44 to 1", "")


def test_radial_distributions_are_those_of_survivors_with_their_number():
    rows = [md_row(0, True, rdf_error=0.1), md_row(1, True, rdf_error=0.3), md_row(2, False, "too_hot")]
    (row,) = survival(md_table(rows)).to_dict("records")
    assert row["RDF error of survivors"] == pytest.approx(0.2)
    assert row["survivors compared"] == 2


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


def test_heated_runs_have_a_table_of_their_own_and_count_once():
    def heated(velocities, kelvin, **changes):
        failed = "" if kelvin == 5000.0 else "too_hot"
        facts = {"ensemble": "ramp", "temperature_k": 5000.0, "survival_temperature_k": kelvin}
        return md_row(velocities, not failed, failed, start="crystal", **facts, **changes)

    shared = heated(0, 800.0, seed=1)  # another cell of the same fit
    table = md_table([heated(0, 800.0), shared, heated(1, 5000.0), md_row(2, False, "too_hot")])
    (row,) = ramps(table).to_dict("records")
    assert (row["runs"], row["failed"], row["remark"]) == (2, 1, "1 too hot")
    assert (row["lowest (K)"], row["highest (K)"], row["of (K)"]) == (800.0, 5000.0, 5000.0)
    assert row["mean (K)"] == pytest.approx(2000.0)
    assert ramps(md_table([md_row(0, True)])).empty
