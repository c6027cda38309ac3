"""The slider, the questions, the supplement and the pages of several runs, as people use them."""

from __future__ import annotations

import json
import re

import pytest
from crossprune.harness.analysis.nights import load_nights, save_night
from crossprune.reports.several.history import write_history
from crossprune.reports.several.stores import write_comparison
from playwright.sync_api import expect

DESKTOP, PHONE = (1280, 800), (390, 844)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def part_of(table) -> float:
    """Return the percentage that random needs."""
    return float(re.search(r"[\d.]+", table.locator("td.part").first.inner_text())[0])


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_slider_says_what_is_enough_and_what_it_costs(small, open_page, size):
    page = open_page(small, "#model=snap", size=size)
    slider = page.locator("#accept")
    slider.scroll_into_view_if_needed()
    expect(page.locator("#enough output[for=accept]")).to_have_text("5 %")
    expect(page.locator("#enough-plain")).to_be_hidden()
    table = page.locator("#enough-view table")
    assert table.locator("tbody th").all_inner_texts() == ["random", "gap · fps", "snap · fps"]
    before = part_of(table)
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("#enough output[for=accept]")).to_have_text("100 %")
    assert slider.get_attribute("aria-valuetext") == "100 % above the error of the full set"
    assert "accept=100" in page.url
    assert part_of(table) < before
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    page.keyboard.press("Home")
    expect(page.locator("#enough output[for=accept]")).to_have_text("0 %")
    expect(table.locator("caption")).to_contain_text("at most 0 % above the full set, model snap")


def test_a_link_keeps_what_is_accepted_and_the_switches_are_followed(small, open_page):
    page = open_page(small, "#model=snap&accept=20&outcome=energy:test&at=enough")
    caption = page.locator("#enough-view caption")
    expect(caption).to_contain_text("Energy MAE, test set: at most 20 % above the full set, model snap")
    expect(page.locator("#enough")).to_be_in_viewport()
    page.locator("#enough .slider select").select_option("")
    expect(page.locator("#enough-view thead th")).to_have_count(3)
    page.get_by_label("Outcome").select_option("force:test")
    expect(caption).to_contain_text("Force MAE")


def test_a_fraction_that_is_shown_is_that_of_the_table(small, open_page):
    page = open_page(small, "#model=snap&accept=5")
    texts = page.locator("#enough-view td.part").all_inner_texts()
    plain = open_page(small, script=False).locator("#enough-plain tbody tr")
    rows = [row.locator("td").all_inner_texts() for row in plain.all()]
    known = {row[4]: float(row[5].replace("−", "-")) for row in rows if row[1:4] == ["force", "test", "snap"]}
    shown = [float(re.search(r"[\d.]+", one)[0]) for one in texts]
    expected = [100 * known[way] for way in ("random", "gap · fps", "snap · fps")]
    assert shown == pytest.approx(expected, rel=0.06)  # two digits on the page, three in the table


def test_links_open_the_question_that_they_lead_to(small, open_page):
    page = open_page(small, "#at=saved")
    question = page.locator("details#saved")
    expect(question).to_have_attribute("open", "")
    expect(question.locator('table[data-name="efficiency"]')).to_be_visible()
    expect(page.locator("details#large-enough")).not_to_have_attribute("open", "")
    question.get_by_role("link", name="How much data is good enough?").click()
    expect(page.locator("#enough")).to_be_in_viewport()


def test_the_bibtex_of_a_study_is_copied_and_saved(small, open_page):
    page = open_page(small)
    section = page.locator("#supplement")
    section.get_by_role("button", name="Copy BibTeX").click()
    text = page.evaluate("navigator.clipboard.readText()")
    assert "@article{thompson2015," in text
    with page.expect_download() as download:
        section.get_by_role("link", name="references.bib").click()
    assert download.value.path().read_text() == text
    assert download.value.suggested_filename == "references.bib"


@pytest.fixture
def stores(make_results, tmp_path):
    """Make two finished runs; the second has snap 20 % worse."""
    roots = []
    for name, factor in (("before", 1.0), ("after", 1.2)):
        root = tmp_path / name
        root.mkdir()

        def error(chooser, fraction, seed, model, factor=factor):
            return (0.2 + 0.01 * seed) / fraction**0.3 * (factor if model == "snap" else 1.0)

        make_results(error).to_parquet(root / "results.parquet")
        (root / "provenance.json").write_text(json.dumps({"study": "x", "versions": f"lammps {factor}"}))
        roots.append(root)
    return roots


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_two_runs_side_by_side(stores, open_page, draw_all, tmp_path, size, dark):
    write_comparison(*stores, tmp_path / "compared.html")
    page = open_page(tmp_path / "compared.html", size=size, dark=dark)
    draw_all(page)
    expect(page.locator(".found")).to_contain_text("rose and 0 fell beyond what their seeds tell")
    expect(page.get_by_text("lammps: 1.0 → 1.2")).to_be_visible()
    assert page.locator(".panel:visible").count() == 1
    page.get_by_label("Outcome").select_option("energy:test")
    expect(page.locator(".panel:visible h3")).to_contain_text("Energy MAE")
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_nights_have_the_reports_dress(make_results, open_page, draw_all, tmp_path):
    results = make_results(lambda chooser, fraction, seed, model: 0.2)
    axes = {"pool": 0, "held_out": "", "mask": "none", "given": "", "space": "", "scaling": "", "pooling": ""}
    table = results.assign(**axes, budget="configurations", cell="")
    inputs = {"adapters": {}, "datasets": {}}
    for night in ("1", "2"):
        save_night(tmp_path, night, table, inputs)
    page = open_page(write_history(load_nights(tmp_path), tmp_path), size=PHONE)
    draw_all(page)
    expect(page.get_by_text("2 nights, the last 2.")).to_be_visible()
    expect(page.get_by_text("no change of options, code, versions or data")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
