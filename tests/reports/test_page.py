"""The page opens offline, escapes what it shows, and says so when there is nothing to show."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.evaluation.metrics import METRICS
from crossprune.harness.evaluation.soundness import undetermined
from crossprune.reports.page import write_report
from crossprune.reports.tables import cell_errors, cells
from crossprune.reports.wording import measured

PROVENANCE = {"study": "mo", "toml": "[study]\nname = 'mo'", "command": "crossprune run mo.toml"}
ATTACK = "Traceback\n  <img src=x>\nRuntimeError: </script><script>alert('1')</script>"


class Page(HTMLParser):
    """Collects elements, and text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.figures: list[dict[str, object]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.inside: str | None = None
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside = dict(attrs).get("type", tag) if tag in ("script", "style") else None

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "application/gzip":
            text = gzip.decompress(base64.b64decode(data)).decode()
            self.scripts.append(text)
            self.figures += json.loads(text) if text.startswith("[") else []
        elif self.inside is None:
            self.words.append(data)


def plain(chooser: str, fraction: float, seed: int, model: str) -> float:
    return 0.2 * (1 + 0.1 * seed) / fraction**0.3


def failed(chooser: str, fraction: float, seed: int, model: str) -> float:
    return np.nan


def write(results: pd.DataFrame, folder) -> tuple[str, Page]:
    text = write_report(results, folder, PROVENANCE).read_text(encoding="utf-8")
    return text, Page(text)


def test_nothing_is_loaded_from_outside(make_results, tmp_path):
    _, page = write(make_results(plain), tmp_path)
    for tag, attributes in page.elements:
        assert "src" not in attributes, tag
        target = attributes.get("href") or ""
        if tag == "a":
            assert target.startswith(("#", "data:", "results.csv", "https://doi.org/")), target
        elif target:
            assert target == "data:,"
    css = re.search(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(), re.DOTALL)
    assert css is not None
    assert "url(" not in css[1]
    assert "@import" not in css[1]


def test_all_panels_have_figures_and_own_choosers_are_framed(make_results, tmp_path):
    _, page = write(make_results(plain), tmp_path)
    heat_maps = [one for one in page.figures if one["data"][0]["type"] == "heatmap"]
    curves = [one for one in page.figures if one["data"][0].get("mode") == "lines+markers"]
    fronts = [one for one in page.figures if one["data"][0].get("name") == "Pareto front"]
    assert len(heat_maps) == 5 * 2 * 2  # metrics × fractions below 1 × (ratio, error)
    assert len(curves) == 5 * 2  # metrics × models
    assert len(fronts) == 5 * 2  # metrics × (labels, time)
    assert all(len(one["layout"]["shapes"]) == 2 for one in heat_maps)
    assert curves[0]["data"][0]["name"] == "random"


def test_pools_are_shown_apart(make_results, tmp_path):
    one = make_results(plain)
    twice = one.assign(**{metric: 2 * one[metric] for metric in METRICS if metric in one})
    _, page = write(pd.concat([one.assign(pool=0), twice.assign(pool=1)]), tmp_path)
    alone = write(one, tmp_path / "alone")[1]
    name = one["dataset"].iloc[0]
    text = (tmp_path / "report.html").read_text()
    assert all(f'data-dataset="{name}, pool {pool}"' in text for pool in (0, 1))
    assert f'data-dataset="{name}"' not in text
    first, own = (
        next(line for line in found.figures if line["data"][0].get("mode") == "lines+markers")
        for found in (page, alone)
    )
    assert first["data"][0]["y"] == own["data"][0]["y"], "no mean over the two"


def test_pools_that_hold_a_group_out_are_shown_on_ood_only(make_results, tmp_path):
    own = make_results(plain).assign(pool=0, held_out="")
    without = own.assign(pool=1001, held_out="vacancy")
    write(pd.concat([own, without, without.assign(split="ood")]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    shown = set(re.findall(r'data-dataset="([^"]*)" data-metric="[^"]*" data-split="(\w+)"', text))
    name = own["dataset"].iloc[0]
    assert shown == {(f"{name}, pool 0", "test"), (f"{name} without vacancy", "ood")}


def test_reasons_and_names_are_escaped(make_results, tmp_path):
    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        return np.nan if seed == 1 else plain(chooser, fraction, seed, model)

    name = "</script><b>evil"
    results = make_results(error, models=("snap", name), choosers=("random", name), reason=ATTACK)
    text, page = write(results, tmp_path)
    assert "alert('1')</script>" not in text
    assert not any(tag in ("img", "b") for tag, _ in page.elements)
    assert ATTACK.splitlines()[-1] in page.text
    assert any(tag == "details" for tag, _ in page.elements)


def test_all_failed_says_so_and_carries_no_plotly(make_results, tmp_path):
    text, page = write(make_results(failed, reason=ATTACK), tmp_path)
    assert "No cell finished with a test error" in page.text
    assert "54 failed" in page.text
    assert 'data-library="plotly"' not in text
    assert len(text) < 300_000


@pytest.mark.slow
def test_a_table_alone_is_enough_for_the_command(make_results, tmp_path):
    make_results(plain).to_parquet(tmp_path / "results.parquet")
    call = [sys.executable, "-m", "crossprune.harness.cli.main", "report", str(tmp_path)]
    done = subprocess.run(call, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "54 fits, one for each chooser, fraction, seed and model: 54 done" in page.text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.html",
        "results.csv",
        "results.parquet",
    ]


def test_many_failures_are_cut_on_the_page_only(make_results, tmp_path):
    _, page = write(make_results(failed, reason=ATTACK, seeds=range(15)), tmp_path)
    assert "270 cells without a result, the first 200 are shown" in page.text
    files = {attrs["download"]: attrs["href"] for _, attrs in page.elements if "download" in attrs}
    table = pd.read_csv(io.StringIO(unquote(files["failures.csv"].partition(",")[2])))
    assert len(table) == 270
    assert set(table["reason"]) == {ATTACK.splitlines()[-1]}


def test_a_table_alone_says_what_it_cannot_show(make_results, tmp_path):
    _, page = write(make_results(plain), tmp_path)
    assert (
        "predictions of this run are not stored beside the table, so there are no parity plots" in page.text
    )
    assert "so there is no map" in page.text
    assert "so there is nothing to compare" in page.text
    assert "The interval is over seeds alone and too narrow" in page.text


@pytest.mark.parametrize(
    "shape",
    [
        {"models": ("snap",), "choosers": ("random", "snap")},
        {"choosers": ("gap", "snap")},
        {"seeds": (7,)},
        {"fractions": (1.0,)},
        {"methods": ("fps", "cur")},
        {"datasets": ("mlearn-Mo", "si-pbe")},
    ],
    ids=lambda shape: next(reversed(shape)),
)
def test_odd_studies_have_a_page(make_results, tmp_path, shape):
    _, page = write(make_results(plain, **shape), tmp_path)
    assert "Learning curves" in page.text
    assert "crossprune run mo.toml" in page.text


def test_absent_stress_has_no_panel(make_results, tmp_path):
    _, page = write(make_results(plain).assign(stress_mae_gpa=np.nan), tmp_path)
    shown = {attributes.get("data-metric") for _, attributes in page.elements} - {None}
    assert "stress_mae_gpa" not in shown
    assert "force_mae_ev_per_angstrom" in shown


def test_tables_download_as_csv(make_results, tmp_path):
    results = make_results(plain)
    _, page = write(results, tmp_path)
    files = {attrs["download"]: attrs["href"] for _, attrs in page.elements if "download" in attrs}
    address = files["matrix-mlearn-Mo-force_mae_ev_per_angstrom-test.csv"]
    table = pd.read_csv(io.StringIO(unquote(address.removeprefix("data:text/csv;charset=utf-8,"))))
    first = table[(table["chooser"] == "random") & (table["fraction"] == 1.0)].iloc[0]
    assert first["mean"] == pytest.approx(0.22)
    assert len(pd.read_csv(tmp_path / "results.csv")) == len(results)


def test_names_that_look_like_formulas_are_texts_in_every_csv(make_results, tmp_path):
    name = '=HYPERLINK("http://x")'
    results = make_results(plain, models=("snap", name))
    _, page = write(results, tmp_path)
    assert set(pd.read_csv(tmp_path / "results.csv")["model"]) == {"snap", f"'{name}"}
    addresses = [
        attrs["href"] for _, attrs in page.elements if attrs.get("href", "").startswith("data:text/csv")
    ]
    tables = [unquote(one.partition(",")[2]) for one in addresses]
    assert any("'=HYPERLINK" in one for one in tables)
    assert not [one for one in tables if re.search(r'(^|[,\n])"?=', one)]


def test_headline_is_readable_without_scripts(make_results, tmp_path):
    _, page = write(make_results(plain), tmp_path)
    assert "own / other is open: no repeat tells one from the other" in page.text
    assert "0.439 ± 0.023" in page.text  # 10 %: mean 0.22, standard error 0.02/√3, both × 0.1^-0.3


def test_no_half_written_file_stays(make_results, tmp_path):
    write(make_results(plain), tmp_path)
    write(make_results(failed), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "results.csv"]


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (0.20704, 0.0042, "0.2070 ± 0.0042"),
        (5.4812, 0.13, "5.48 ± 0.13"),
        (312.7, 41.0, "313 ± 41"),
        (0.20704, np.nan, "0.207"),
        (np.nan, np.nan, "–"),
        (0.0, 0.0, "0"),
    ],
)
def test_no_more_digits_than_the_error_allows(mean, error, text):
    assert measured(mean, error) == text


def test_guessed_energies_are_said(make_results, tmp_path):
    results = make_results(lambda chooser, fraction, seed, model: 0.1, seeds=range(2))
    _, page = write(results.assign(flag=""), tmp_path / "sound")
    assert "hold guesses" not in page.text
    counts = np.array([[1.0, 1.0]]), np.array([[2.0, 2.0], [1.0, 3.0]])
    results = results.assign(flag=np.where(results["seed"] == 0, undetermined(*counts), ""))
    _, page = write(results, tmp_path / "guessed")
    n_cells = len(cells(results))
    assert f"Energy errors of {n_cells // 2} of {n_cells} cells hold guesses" in page.text


def test_exploded_fits_are_listed_and_count_as_mean(make_results, tmp_path):
    results = make_results(lambda chooser, fraction, seed, model: 0.1, seeds=range(2))
    gone = (results["seed"] == 0) & (results["model"] == results["model"].iloc[0])
    flag = "exploded: largest force (eV/Å) 1e+17, allowed 1e+03"
    results = results.assign(flag=np.where(gone, flag, ""))
    for metric in METRICS:
        results[f"mean_{metric}"] = np.where(gone, 0.8, np.nan)
    results["force_mae_ev_per_angstrom"] = results["force_mae_ev_per_angstrom"].where(~gone, 1e17)
    _, page = write(results, tmp_path)
    assert "with an exploded fit, whose errors count as those of mean on the same frames" in page.text
    assert flag in page.text
    errors = cell_errors(results, "force_mae_ev_per_angstrom", "test")["error"]
    assert errors.max() == 0.8
