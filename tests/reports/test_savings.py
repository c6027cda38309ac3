"""The slider's data are the table's, and what is not known is said to be so."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crossprune.harness.analysis.answer import statistics_of
from crossprune.reports.findings.savings import BELOW, savings
from crossprune.reports.page import write_report
from crossprune.reports.tables import data_kept


def falling(chooser: str, fraction: float, seed: int, model: str) -> float:
    knee = 0.05 if chooser == "gap" else 0.4
    return 0.2 * (1 + 0.01 * seed * (fraction < 1)) * max(1.0, (knee / fraction) ** 0.5)


def test_every_rung_of_the_table_is_in_the_data(make_results, tmp_path):
    results = make_results(falling, models=("snap",))
    table = statistics_of(tmp_path / "none", results)["enough"]
    shown = savings(table, data_kept(results))
    known = shown.data["outcomes"]["force:test"]["sets"]["mlearn-Mo"]
    assert known["ways"][0] == "random"
    assert known["smallest"] == 0.1
    assert known["full"] == 200 * 163
    assert set(shown.data["outcomes"]) == {"force:test", "energy:test"}
    force = table[(table["metric"] == "force") & (table["split"] == "test")]
    for way, chooser in (("random", "random"), ("gap · fps", "gap"), ("snap · fps", "snap")):
        rows = force[force["chooser"] == chooser]
        expected = rows["fraction"].replace(-np.inf, BELOW).tolist()
        np.testing.assert_allclose(known["cells"]["snap"][way]["f"], expected, rtol=1e-3)
    gap = known["cells"]["snap"]["gap · fps"]
    assert gap["f"][3:] == gap["n"][3:] == [BELOW] * 7, "as good as the full set from the start"
    assert gap["least"] == [20, 20 * 163]
    assert shown.table["fraction"].tolist().count(-np.inf) == 2  # gap, by force and energy
    assert len(shown.table) == 6


def test_the_page_has_the_table_without_a_script(make_results, tmp_path):
    text = write_report(make_results(falling), tmp_path, {"study": "x"}).read_text()
    assert 'data-name="enough"' in text
    before, _, after = text.partition('id="enough-plain"')
    assert "How much data is good enough?" in before
    assert "to 5 %; −inf: less than the study&#39;s smallest" in after


def test_a_study_without_the_full_set_has_no_slider(make_results, tmp_path):
    text = write_report(make_results(falling, fractions=(0.1, 0.3)), tmp_path, {"study": "x"}).read_text()
    assert 'id="enough"' not in text
    assert savings(pd.DataFrame(), pd.DataFrame()) is None
