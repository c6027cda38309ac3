"""The page in a real browser: no complaint in the console, nothing wider than the window, all is drawn."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

DRIVER = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "browser.py"))
SMALLER = {"choosers": '["snap", "mean"]', "models": '["snap", "mean"]', "fractions": "[0.25, 1.0]"}
"""The demo without the family that takes minutes."""
WIDTHS = {"phone": 390, "desktop": 1280}
WIDER = """[...document.querySelectorAll("body *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest(".scroll, svg"))
  .map((one) => one.outerHTML.slice(0, 80))"""
UNDRAWN = """[...document.querySelectorAll(".panel:not([hidden]) .figure")]
  .filter((one) => !one.querySelector(".main-svg")).length"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def report(require_adapter, tmp_path_factory) -> Path:
    """Run the demo study at its smoke size through the command line."""
    require_adapter("snap")
    folder = tmp_path_factory.mktemp("demo")
    text = files("crossprune.harness.cli").joinpath("demo.toml").read_text()
    for name, value in SMALLER.items():
        text = re.sub(f"^{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^\[options\.gap\][^\[]*", "", text, flags=re.MULTILINE)
    (folder / "demo.toml").write_text(text + "\n[data.si-pbe]\nsmoke = true\n")
    call = [sys.executable, "-m", "crossprune.harness.cli.main", "run", "demo.toml", "--store", "demo"]
    subprocess.run([*call, "--workers", "1"], cwd=folder, check=True, capture_output=True)
    return folder / "demo" / "report.html"


@pytest.fixture(scope="module")
def browser():
    path = DRIVER["find_browser"]()
    if path is None:
        pytest.skip("no Chromium or Chrome is installed (Debian: apt install chromium)")
    with DRIVER["chromium"](path) as page:
        yield page


@pytest.fixture
def page(browser):
    browser.problems.clear()
    yield browser
    assert browser.problems == [], "the console complains"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_all_is_drawn_and_nothing_is_wider_than_the_window(report, page, width, dark):
    page.open(report, width=width, dark=dark)
    page.scroll_through()
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(WIDER) == []
    assert page.value(UNDRAWN) == 0
    sections = page.value("[...document.querySelectorAll('section')].map((one) => one.id)")
    assert {"answer", "matrix", "curves", "fronts", "parity", "map", "overlap", "properties"} <= set(sections)


def test_switches_show_another_metric_and_another_space(report, page):
    page.open(report, width=1280)
    page.value(
        "(() => { const one = document.querySelector('#switches select[name=metric]');"
        "one.value = 'energy_mae_mev_per_atom'; one.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )
    shown = "[...document.querySelectorAll('#matrix .panel:not([hidden])')].map((one) => one.dataset.metric)"
    assert page.value(shown) == ["energy_mae_mev_per_atom"]
    page.scroll_through()
    title = "document.querySelector('.map .gtitle').textContent"
    before = page.value(title)
    page.value(
        "(() => { const [, way] = document.querySelectorAll('.map select');"
        "way.value = 'random'; way.dispatchEvent(new Event('change', {bubbles: true})) })()"
    )
    page.wait()
    assert "random" in page.value(title)
    assert page.value(title) != before


def test_every_download_is_a_table(report, page):
    page.open(report, width=1280)
    n_links = page.value("document.querySelectorAll('a.csv').length")
    assert n_links > 10
    links = (
        "[...document.querySelectorAll('a.csv')].map((one) => fetch(one.href).then((found) => found.text()))"
    )
    for text in page.value(f"Promise.all({links})"):
        lines = text.strip().splitlines()
        assert len(lines) > 1
        assert "," in lines[0]
    assert len(pd.read_csv(report.with_name("results.csv"))) > 0


def test_without_scripts_the_answer_and_the_matrix_are_there(report, page):
    page.open(report, width=1280, script=False)
    text = page.value("document.body.innerText")
    assert "Data chosen by the model's own descriptor" in text or "No difference found between" in text
    assert "× random" in text
    assert page.value("document.querySelectorAll('svg.forest').length") > 0


def test_it_prints(report, page, tmp_path):
    page.open(report, width=1280)
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").stat().st_size > 100_000
    cut = "[...document.querySelectorAll('details')].filter((one) => !one.open).length"
    assert page.value(cut) == 0
    assert page.value(UNDRAWN) == 0
