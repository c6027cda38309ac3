"""Own-versus-other plot, Pareto fronts, maps, parity and overlaps: what is drawn is what was measured."""

from __future__ import annotations

import base64
import gzip
import re

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.details.artefacts import N_BINS, LatentMap, Parity
from crossprune.reports import tables
from crossprune.reports.drawing import figures
from crossprune.reports.drawing.evidence import map_data, overlaps, parity_figures
from crossprune.reports.drawing.forest import forest_plot
from crossprune.reports.drawing.fronts import COSTS, cell_costs, front_figure, pareto
from crossprune.reports.embedding import compact, packed
from crossprune.reports.matrices import blocks_of
from crossprune.reports.tables import METRICS


def comparison(name="own / other", model="all", ratio=0.8, low=0.7, high=0.9, verdict="lower"):
    return {"comparison": name, "model": model, "ratio": ratio, "low": low, "high": high, "verdict": verdict}


def numbers(pattern: str, text: str) -> list[float]:
    return [float(one) for one in re.findall(pattern, text)]


def test_an_interval_below_one_lies_left_of_the_line():
    svg = str(
        forest_plot(pd.DataFrame([comparison(), comparison(model="gap", ratio=1.25, low=1.1, high=1.4)]), "")
    )
    (line,) = numbers(r'class="one" x1="([\d.]+)"', svg)
    first, second = numbers(r'<circle cx="([\d.]+)"', svg)
    assert first < line < second
    assert line - first == pytest.approx(second - line, abs=0.11)  # 0.8 and 1/0.8, drawn to 0.1


def test_no_interval_is_no_bar_and_no_ratio_is_no_row():
    rows = [comparison(low=np.nan, high=np.nan), comparison(ratio=np.nan, low=np.nan, high=np.nan)]
    svg = str(forest_plot(pd.DataFrame(rows), ""))
    assert svg.count("<circle") == 1
    assert str(forest_plot(pd.DataFrame(rows[1:]), "")) == ""


def test_names_in_a_plot_are_escaped():
    assert "<b>" not in str(forest_plot(pd.DataFrame([comparison(model="<b>")]), "<b>"))


def test_nothing_is_below_the_front():
    rng = np.random.default_rng(0)
    costs, errors = rng.random((2, 200))
    costs[3] = np.nan
    front = pareto(costs, errors)
    for index in range(200):
        beaten = any(costs[one] <= costs[index] and errors[one] <= errors[index] for one in front)
        assert beaten or index == 3
    assert np.all(np.diff(costs[front]) > 0)
    assert np.all(np.diff(errors[front]) < 0)


def test_equal_costs_leave_the_better_one_on_the_front():
    assert pareto(np.array([1.0, 1.0, 2.0]), np.array([0.5, 0.4, 0.4])) == [1]


@pytest.fixture
def drawn(make_results):
    results = make_results(lambda chooser, fraction, seed, model: 0.2 / fraction**0.3)
    table = tables.summary(results, METRICS[0].column).merge(cell_costs(tables.cells(results)), how="left")
    block = blocks_of(table)[0]
    return [
        *(front_figure(table, METRICS[0], cost) for cost in COSTS),
        figures.learning_curve(tables.curves_of(table), METRICS[0], "snap", ["random", "gap", "snap"]),
        figures.heat_map(
            block.errors, block.ways, block.models, METRICS[0], block.label, ratio=False, span=1.0
        ),
        *parity_figures([parity()])["x", "test"],
    ]


def parity() -> Parity:
    counts = np.zeros((N_BINS, N_BINS), dtype=np.int64)
    counts[3, 5] = 7
    energies = np.array([[-1.0, -1.1], [-2.0, -2.0]])
    return Parity(
        "x", "test", "snap", "random", 0.1, 0, np.arange(len(energies)), energies, (-1.0, 1.0), counts, 2
    )


def test_plotly_knows_every_key(drawn):
    from plotly.graph_objects import Figure

    for one in drawn:
        data = [
            {key: trace[key] for key in trace.keys() - {"filled", "counts", "n"}} for trace in one["data"]
        ]
        Figure({"data": data, "layout": one["layout"]})  # raises for what plotly does not know


def test_a_histogram_names_its_filled_bins(drawn):
    trace = drawn[-1]["data"][0]
    assert [divmod(index, trace["n"]) for index in trace["filled"]] == [(3, 5)]  # label, prediction
    assert trace["counts"] == [7]
    assert trace["x0"] == pytest.approx(-1 + 1 / N_BINS)


def test_a_front_holds_every_pair_of_every_fraction(drawn):
    assert sum(len(trace["x"]) for trace in drawn[0]["data"] if trace["mode"] == "markers") == 18


def test_a_mask_has_a_bit_for_every_configuration():
    chosen = {("snap · fps", 0.5): np.array([0, 5, 8])}
    one = LatentMap(
        "x", "snap", np.zeros((9, 2)), (0.5, 0.2), np.arange(9), ("a", "b", "a") * 3, chosen, 0, 20
    )
    ((_, data),) = map_data([one])
    digits = data["sets"][0]["mask"]
    bits = [int(digits[index >> 2], 16) >> (3 - (index & 3)) & 1 for index in range(9)]  # as page.js does
    assert np.flatnonzero(bits).tolist() == [0, 5, 8]
    assert [data["groups"][index] for index in data["group"][:3]] == ["a", "b", "a"]


def test_overlap_is_tinted_above_chance_only():
    rows = [("x", 0.1, "gap · fps", "random", 0.04, 0.05), ("x", 0.1, "gap · fps", "snap · fps", 1.0, 0.05)]
    rows.append(("x", 0.1, "random", "snap · fps", 0.06, 0.05))
    names = ["dataset", "fraction", "first", "second", "jaccard", "jaccard_by_chance"]
    (one,) = overlaps(pd.DataFrame(rows, columns=names))
    assert one.ways == ["random", "gap · fps"]
    assert one.rows == [("gap · fps", [("0.04", 0)]), ("snap · fps", [("0.06", 1), ("1.00", 55)])]
    assert one.chance == "0.05"


def test_numbers_are_short_and_packing_is_the_same_every_day():
    assert compact({"x": (1 / 3, float("nan"), 200.0, 7)}) == {"x": [0.33333, None, 200, 7]}
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed("</script>"))
    assert gzip.decompress(base64.b64decode(packed("é"))).decode() == "é"
