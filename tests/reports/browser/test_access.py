"""The page for everyone: axe finds no serious fault, the keyboard is enough, paper begins with the answer."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

DESKTOP, PHONE = (1280, 800), (390, 844)
GRAVE = ("serious", "critical")
OPTIONS = {"resultTypes": ["violations"]}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def grave_faults(page: Page) -> list[str]:
    """Return what axe calls serious or critical: rule, element, and what is wrong."""
    found = Axe().run(page, options=OPTIONS).response
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


@pytest.mark.parametrize(
    ("size", "dark"),
    [(DESKTOP, False), (PHONE, True)],
    ids=["desktop-light", "phone-dark"],
)
def test_axe_finds_no_serious_fault(demo, open_page, draw_all, size, dark):
    page = open_page(demo, size=size, dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    draw_all(page)
    assert grave_faults(page) == []


def test_axe_finds_no_serious_fault_in_menus(small, open_page):
    page = open_page(small, "#at=by-fraction")
    page.locator('table[data-name="fractions"]').scroll_into_view_if_needed()
    for name in ("Columns", "LaTeX, Markdown"):
        page.locator("#by-fraction .tools").get_by_role("button", name=name).click()
        expect(page.locator(".menu:popover-open")).to_have_count(1)
        assert grave_faults(page) == []
        page.keyboard.press("Escape")
        expect(page.locator(".menu:popover-open")).to_have_count(0)


def test_axe_sees_a_fault(small, open_page):
    page = open_page(small)
    page.evaluate("document.querySelector('main').append(new Image(20, 20))")
    assert [one for one in grave_faults(page) if one.startswith("image-alt")]


def test_the_keyboard_sorts_filters_and_saves(small, open_page):
    page = open_page(small, "#at=by-fraction")
    table = page.locator('table[data-name="fractions"]')
    table.scroll_into_view_if_needed()
    tools = page.locator('.tabled:has(table[data-name="fractions"]) .tools')
    search = tools.get_by_role("searchbox")
    search.focus()
    page.keyboard.type("own / other")
    expect(tools.locator("output")).to_contain_text(" of ")
    page.keyboard.press("Tab")
    expect(tools.get_by_role("button", name="Columns")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="metric").locator("visible=true")).to_be_focused()
    page.keyboard.press("Space")
    expect(table.locator("thead th", has_text="metric")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(tools.get_by_role("button", name="Columns")).to_be_focused()


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_paper_begins_with_the_answer(demo, open_page, absent, tmp_path, size):
    if shutil.which("pdftotext") is None:
        absent("browser", "pdftotext is not installed (Debian and Ubuntu: apt install poppler-utils)")
    page = open_page(demo, size=size)
    expect(page.locator("#first .matrix")).to_be_visible()
    answer = page.locator("#first h2").inner_text()
    (tmp_path / "report.pdf").write_bytes(page.pdf(format="A4", print_background=True))
    call = ["pdftotext", "-f", "1", "-l", "1", tmp_path / "report.pdf", "-"]
    first = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    assert " ".join(answer.split())[:40] in " ".join(first.split())
    assert "ratio to random" in " ".join(first.split())


def test_axe_finds_no_serious_fault_in_an_opened_cell(demo, open_page):
    page = open_page(demo, "#open=cell&way=snap%20·%20fps&model=snap")
    cell = page.locator("dialog#cell[open]")
    expect(cell.locator(".figure .main-svg").first).to_be_visible()
    assert grave_faults(page) == []
