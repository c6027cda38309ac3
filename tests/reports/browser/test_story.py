"""What a reader does: from the answer to a cell, a point and its structure, and back by a link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
CELL = "#first .matrix button[data-way][data-model]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("size", SIZES.values(), ids=SIZES),
]


def open_cell(page: Page) -> Locator:
    """Choose a cell of the matrix, and open what lies behind it."""
    page.locator(CELL).last.click()
    expect(page.locator(CELL).last).to_have_attribute("aria-pressed", "true")
    page.locator("button.open").click()
    cell = page.locator("dialog#cell[open]")
    expect(cell).to_be_visible()
    return cell


def draw_cell(cell: Locator) -> None:
    """Wait until all figures of an opened cell are drawn."""
    drawn = "(box) => [...box.querySelectorAll('.figure')].every((one) => one.querySelector('.main-svg'))"
    expect(cell.locator(".figure .main-svg").first).to_be_visible()
    handle = cell.element_handle()
    assert handle is not None
    cell.page.wait_for_function(drawn, arg=handle)


def test_a_cell_opens_and_a_point_of_it_its_structure(demo, open_page, size):
    page = open_page(demo, size=size)
    cell = open_cell(page)
    draw_cell(cell)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    point = cell.locator(".scatterlayer .point").last
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    structure = page.locator("dialog#structure[open]")
    expect(structure).to_contain_text(re.compile("eV"))
    expect(structure.locator("canvas").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(structure).to_have_count(0)
    expect(cell).to_be_visible()


def test_a_link_leads_to_the_same_view(demo, open_page, size):
    page = open_page(demo, size=size)
    page.get_by_label("Outcome").select_option("energy:test")
    cell = open_cell(page)
    heading = cell.locator("h2").first
    expect(heading).to_contain_text("chosen by")
    title = heading.inner_text()
    address = page.evaluate("location.hash")
    again = open_page(demo, address, size=size)
    expect(again.locator("dialog#cell[open] h2").first).to_have_text(title)
    again.keyboard.press("Escape")
    expect(again.get_by_label("Outcome")).to_have_value("energy:test")
    expect(again.locator(CELL).last).to_have_attribute("aria-pressed", "true")


def test_a_table_is_sorted_filtered_and_saved(demo, open_page, size):
    page = open_page(demo, size=size)
    table = page.locator('table[data-name="efficiency"]')
    page.locator("details:has(table)").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    table.scroll_into_view_if_needed()
    tools = page.locator('.tabled:has(table[data-name="efficiency"]) .tools')
    tools.get_by_role("searchbox").fill("snap")
    expect(tools.locator("output")).to_contain_text(" of ")
    heading = table.locator("thead th", has_text="fraction").first
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    # A pointer's click is lost where tables above become sortable, and the button moves, while it is down.
    tools.get_by_role("button", name="LaTeX, Markdown").press("Enter")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as LaTeX").locator("visible=true").click()
    assert saved.value.suggested_filename == "efficiency.tex"
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_a_figure_is_saved(demo, open_page, size):
    page = open_page(demo, size=size)
    figure = page.locator("#curves .panel:not([hidden]) .figure").first
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".main-svg").first).to_be_visible()
    figure.hover()
    with page.expect_download() as saved:
        figure.locator('[data-title="Save as SVG"]').click()
    assert saved.value.suggested_filename.endswith(".svg")


def test_accepting_more_error_needs_less_data(demo, open_page, size):
    page = open_page(demo, size=size)
    slider = page.locator("#enough input[type=range]")
    slider.scroll_into_view_if_needed()
    told, table = page.locator("#enough output"), page.locator("#enough table").first
    before = [told.inner_text(), table.inner_text()]
    slider.focus()
    page.keyboard.press("End")
    expect(told).not_to_have_text(before[0])
    expect(table).not_to_have_text(before[1])
    shown = told.inner_text()
    again = open_page(demo, page.evaluate("location.hash"), size=size)
    expect(again.locator("#enough output")).to_have_text(shown)


def test_the_keyboard_reaches_the_matrix_and_opens_a_cell(demo, open_page, size):
    page = open_page(demo, size=size)
    expect(page.locator(CELL).first).to_be_visible()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({CELL!r})"):
            break
    chosen = page.evaluate("document.activeElement.dataset.model")
    assert chosen
    page.keyboard.press("Enter")
    for _ in range(60):
        if page.evaluate("document.activeElement.matches('button.open')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    cell = page.locator("dialog#cell[open]")
    expect(cell).to_contain_text(chosen)
    page.keyboard.press("Escape")
    expect(cell).to_have_count(0)
