"""Softness on the page: only what is known of it, each fit once."""

from __future__ import annotations

import re

import crossprune
import numpy as np
import pandas as pd
import pytest
from crossprune.harness.engine.results import properties_table
from crossprune.reports.drawing.softness import RED, drawn, softness_of
from crossprune.reports.page import render

CELL = {"dataset": "si-pbe", "model": "snap", "chooser": "random", "method": "random", "fraction": 0.1}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    root = tmp_path_factory.mktemp("run") / "store"
    axes = {"name": "t", "datasets": ["si-pbe"], "models": ["uf3"], "fractions": [0.25, 1.0], "seeds": [0, 1]}
    study = {"study": axes, "options": {"uf3": {"resolution_3b": 0}}, "data": {"si-pbe": {"smoke": True}}}
    crossprune.run(study, store=root, workers=0)
    return root


def section(page):
    found = re.search(r'<section id="softness">.*?</section>', page, re.DOTALL)
    return found.group() if found else ""


@pytest.mark.slow
def test_what_the_command_kept_is_on_the_page(ran):
    assert section((ran / "report.html").read_text(encoding="utf-8")) == ""
    found = crossprune.softening_of_run(ran)
    from crossprune.running import write_report

    page = section(write_report(ran, None).read_text(encoding="utf-8"))
    assert "Softness of every model" in page
    assert page.count("<tr>") == 3  # head, and two fractions
    whole = found.summary[found.summary["group"] == "all"]
    for value in whole["median_scale"]:
        assert f"{value:.3g}" in page
    assert page.count("<svg") == 1
    n_slopes = int(found.table.loc[found.table["group"].eq("all"), "n_slopes"].iloc[-1])
    counts = [int(one) for one in re.findall(r"to below \S+: (\d+)", page)]
    assert sum(counts) == n_slopes
    table = pd.read_parquet(ran / "results.parquet")
    table.loc[0, "reason"] = "another run"
    table.to_parquet(ran / "results.parquet")
    assert section(write_report(ran, None).read_text(encoding="utf-8")) == ""


def test_curvature_needs_properties_only(make_results):
    rows = [
        {**CELL, "seed": seed, "structure": "diamond", "property": "c11_gpa", "value": value}
        | {"reference": 100.0, "status": "done", "reason": "", "cell": str(seed), "fit_key": str(seed)}
        for seed, value in enumerate((80.0, 90.0))
    ]
    properties = properties_table(rows)
    found = softness_of({}, properties)
    assert found.forces.empty
    assert found.curvature["C11"].tolist() == pytest.approx([0.85])
    results = make_results(lambda chooser, fraction, seed, model: 0.1 + 0.001 * seed)
    page = render(results, {"study": "mo"}, {}, properties=properties)
    assert "Curvature over the reference" in section(page)
    assert section(render(results, {"study": "mo"}, {})) == ""


def test_bars_stand_for_counts():
    edges = np.array([-np.inf, 0.95, 1.0, 1.05, np.inf])
    counts = pd.Series([0, 2, 4, 1], pd.MultiIndex.from_arrays([edges[:-1], edges[1:]]))
    drawing = str(drawn(counts, "<snap>"))
    assert 'aria-label="&lt;snap&gt;"' in drawing
    heights = [float(one) for one in re.findall(r'<rect [^>]*height="([\d.]+)"', drawing)]
    assert heights[2] == 2 * heights[1] == 4 * heights[3]
    assert heights[0] == 0
    assert drawing.count(RED) == 2
