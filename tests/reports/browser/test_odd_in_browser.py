"""What careful and hostile people meet: odd addresses, long names, budgets, and nothing but a keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.reports.page import write_report
from playwright.sync_api import expect

PHONE = (390, 844)
COVERED = """[...document.querySelectorAll("h2 + .view-link")].flatMap((button) => {
  const box = button.getBoundingClientRect();
  const words = document.createRange();
  words.selectNodeContents(button.previousElementSibling);
  const isBelow = (one) => one.right > box.left && one.bottom > box.top + 1 && one.top < box.bottom - 1;
  return [...words.getClientRects()].some(isBelow) ? [button.ariaLabel] : [];
})"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def by_labels(make_results, tmp_path_factory):
    """Write the page of a study of one seed whose fractions are of labels, so that random says so."""
    rng = np.random.default_rng(0)
    table = make_results(lambda *_: 0.2 * np.exp(rng.normal(0, 0.1)), seeds=(0,)).assign(budget="labels")
    return write_report(table, tmp_path_factory.mktemp("labels"), {"study": "labels"})


def test_random_of_another_budget_is_beside_a_cell(by_labels, open_page):
    page = open_page(by_labels, "#way=snap+·+fps,+labels+budget&model=gap&open=cell")
    cell = page.locator("dialog#cell[open]")
    expect(cell.locator(".legendtext", has_text="random, mean")).to_have_count(1)
    expect(page.locator("#beside p").first).to_contain_text("(1 pair)")
    page.locator("dialog#cell select[name=way]").select_option("random · random, labels budget")
    expect(cell.locator(".meaning")).to_contain_text("This is random data")


@pytest.mark.parametrize("name", ["constructor", "__proto__", "toString"])
def test_an_address_of_no_cell_says_so(small, open_page, name):
    page = open_page(small, f"#open=cell&model=snap&way={name}")
    expect(page.locator("dialog#cell[open]")).to_contain_text("The study has no such cell")


def test_the_focus_returns_to_the_matrix_though_it_was_drawn_anew(small, open_page):
    page = open_page(small)
    chosen = page.locator('#picture [aria-pressed="true"]')
    chosen.focus()
    page.keyboard.press("Enter")
    page.locator("dialog#cell select[name=fraction]").select_option("0.5")
    expect(page.locator("dialog#cell h2")).to_contain_text("50 %")
    page.keyboard.press("Escape")
    expect(chosen).to_be_focused()


def test_the_keyboard_goes_on_where_a_link_led(small, open_page):
    page = open_page(small)
    expect(page.locator("#first .view-link")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#first")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#first .view-link")).to_be_focused()
    page.get_by_role("link", name="Curves").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#curves .view-link")).to_be_focused()


@pytest.mark.parametrize("size", [(1280, 800), PHONE], ids=["desktop", "phone"])
def test_no_heading_lies_below_its_button(small, open_page, size):
    page = open_page(small, size=size)
    expect(page.locator("#first .view-link")).to_be_visible()
    assert page.evaluate(COVERED) == []


def test_long_names_of_groups_wrap(demo, open_page):
    page = open_page(demo, size=PHONE)
    name = page.locator("#composition .legend span").first
    name.evaluate("(one) => one.append('x'.repeat(200))")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_the_first_curve_is_whole_on_paper(small, open_page):
    page = open_page(small)
    expect(page.locator("#beside .main-svg").first).to_be_visible()
    page.emulate_media(media="print")
    page.locator("#first").evaluate("(one) => (one.style.width = '703px')")  # A4 less its margins
    both = "[...document.querySelectorAll('#beside, #beside .main-svg')]"
    beside, *drawn = page.evaluate(f"{both}.map((one) => one.getBoundingClientRect().right)")
    assert max(drawn) <= beside + 1


def test_what_is_not_drawn_when_it_is_printed_says_so_and_is_drawn_for_the_next(small, open_page):
    page = open_page(small)
    expect(page.locator("#first .matrix")).to_be_visible()
    figure = page.locator("#curves .panel:not([hidden]) .figure").last
    page.emulate_media(media="print")
    assert "next print" in figure.evaluate("(one) => getComputedStyle(one, '::before').content")
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(figure.locator(".main-svg").first).to_be_attached()
    page.emulate_media(media="print")
    assert figure.evaluate("(one) => getComputedStyle(one, '::before').content") == "none"
