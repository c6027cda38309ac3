"""The page at both widths: all is drawn, nothing too wide; it prints, and works without scripts."""

from __future__ import annotations

import pandas as pd
import pytest
from playwright.sync_api import expect

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
WIDER = """[...document.querySelectorAll("body *")]
  .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > innerWidth + 1)
  .filter((one) => !one.closest(".scroll, svg, nav, .skip"))
  .map((one) => one.outerHTML.slice(0, 80))"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_all_is_drawn_and_nothing_is_wider_than_the_window(demo, open_page, draw_all, size, dark):
    page = open_page(demo, size=size, dark=dark)
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    assert page.evaluate(WIDER) == []
    sections = page.evaluate("[...document.querySelectorAll('section')].map((one) => one.id)")
    assert {"first", "matrix", "curves", "fronts", "parity", "map", "overlap", "properties"} <= set(sections)


def test_switches_show_another_outcome_and_another_space(demo, open_page):
    page = open_page(demo)
    page.get_by_label("Outcome").select_option("energy:test")
    shown = "[...document.querySelectorAll('#matrix .panel:not([hidden])')].map((one) => one.dataset.metric)"
    assert page.evaluate(shown) == ["energy_mae_mev_per_atom"]
    page.locator("#map .map").scroll_into_view_if_needed()
    title = page.locator("#map .gtitle")
    expect(title).not_to_contain_text("random")
    page.locator("#map").get_by_label("chosen by").select_option("random")
    expect(title).to_contain_text("random")


def test_every_csv_is_a_table(demo, open_page):
    page = open_page(demo)
    links = page.locator("a.csv[download$='.csv']")
    assert links.count() > 10
    assert links.count() == len(set(links.evaluate_all("(all) => all.map((one) => one.download)")))
    read = "(all) => Promise.all(all.map((one) => fetch(one.href).then((found) => found.text())))"
    for text in links.evaluate_all(read):
        head, *rows = text.strip().splitlines()
        assert "," in head
        assert rows
    assert len(pd.read_csv(demo.with_name("results.csv"))) > 0


def test_without_scripts_the_answer_and_the_tables_are_there(demo, open_page):
    page = open_page(demo, script=False)
    expect(page.locator("#first h2")).to_be_visible()
    expect(page.locator("#matrix .matrix").first).to_contain_text("× random")
    assert page.locator("svg.forest").count() > 0
    page.get_by_text("What the words in the headings mean").click()
    expect(page.locator("#word-own")).to_contain_text("the model's own descriptor")


def test_it_prints_with_every_section_open(demo, open_page, draw_all):
    page = open_page(demo)
    draw_all(page)
    printed = page.pdf(format="A4", print_background=True)
    assert len(printed) > 100_000
    assert page.locator("details:not([open])").count() == 0


def test_paper_has_what_was_never_in_view(open_page, demo):
    """Printing waits for nothing: what is shown has been read before, and is drawn when it begins."""
    page = open_page(demo)
    page.wait_for_function("window.Plotly")
    page.wait_for_timeout(2000)
    undrawn = """() => {
      dispatchEvent(new Event("beforeprint"));
      const boxes = [...document.querySelectorAll(".panel:not([hidden]) .figures > .figure")];
      const left = () => boxes.filter((one) => !one.querySelector(".main-svg")).length;
      return new Promise((done) => setTimeout(() => done(left()), 0));
    }"""
    assert page.evaluate(undrawn) == 0


def test_sections_that_stand_in_for_an_outcome_say_so(open_page, demo):
    page = open_page(demo, "#outcome=properties")
    notes = page.locator(".stands-in:visible")
    expect(notes).to_have_count(3)
    expect(notes.first).to_contain_text("Not drawn for Properties: this section shows Force MAE, test set")
    page.select_option("#switches select[name=outcome]", "force:test")
    expect(notes).to_have_count(0)
