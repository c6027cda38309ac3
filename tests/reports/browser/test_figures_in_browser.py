"""Figures are saved on white, zoom and reset; every section has a link to what it shows."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

PIL_IMAGE = pytest.importorskip("PIL.Image")  # comes with matplotlib, which tests need
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
LIGHT = 0.75
"""Mean of a colour's channels from which on text on white is hard to read."""


def figure_of(page: Page, section: str) -> Locator:
    """Bring the first figure of a section into view, and wait until it is drawn."""
    figure = page.locator(f"#{section} .panel:not([hidden]) .figure").first
    figure.scroll_into_view_if_needed()
    expect(figure.locator(".main-svg").first).to_be_visible()
    return figure


def saved(page: Page, button: Locator) -> tuple[str, bytes]:
    with page.expect_download() as found:
        button.click()
    return found.value.suggested_filename, found.value.path().read_bytes()


def from_plotly(page: Page, figure: Locator, form: str) -> tuple[str, bytes]:
    figure.hover()
    return saved(page, figure.locator(f'[data-title="Save as {form}"]'))


def colours_of_texts(drawing: ElementTree.Element) -> list[str]:
    texts = [
        one for one in drawing.iter("{http://www.w3.org/2000/svg}text") if "".join(one.itertext()).strip()
    ]
    assert texts
    found = [re.search(r"fill:\s*rgb\((\d+), (\d+), (\d+)\)", one.get("style", "")) for one in texts]
    return [",".join(one.groups()) for one in found if one is not None]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_plots_are_saved_with_dark_text_on_white(small, open_page, dark):
    page = open_page(small, dark=dark)
    figure = figure_of(page, "curves")
    name, text = from_plotly(page, figure, "SVG")
    assert re.fullmatch(r"curves-mlearn-Mo-.*\.svg", name)
    drawing = ElementTree.fromstring(text)
    assert "mlearn-Mo · Force MAE" in "".join(drawing.itertext())
    assert all(
        np.mean([int(one) for one in rgb.split(",")]) < 255 * LIGHT for rgb in colours_of_texts(drawing)
    )
    name, content = from_plotly(page, figure, "PNG")
    assert name.endswith(".png")
    assert_has_dark_text_on_white(content, least_width=900)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_drawings_are_saved_with_their_title_on_white(small, open_page, dark):
    page = open_page(small, dark=dark)
    figure = page.locator("figure:has(svg.forest)").first
    name, text = saved(page, figure.get_by_role("button", name="as SVG"))
    assert name.endswith("Force-MAE-test-set.svg")
    drawing = ElementTree.fromstring(text)
    assert "Force MAE, test set" in "".join(drawing.itertext())
    assert "class" not in drawing.attrib
    assert "var(" not in text.decode()
    _, content = saved(page, figure.get_by_role("button", name="as PNG"))
    assert_has_dark_text_on_white(content, least_width=1500)


def test_drawings_of_choices_are_saved_with_their_legend(demo, open_page):
    page = open_page(demo)
    figure = page.locator("#composition figure").first
    _, text = saved(page, figure.get_by_role("button", name="as SVG"))
    names = page.locator("#composition .panel .legend").first.locator("span").all_inner_texts()
    written = "".join(ElementTree.fromstring(text).itertext())
    assert names
    assert all(one.strip() in written for one in names)


def assert_has_dark_text_on_white(content: bytes, *, least_width: int) -> None:
    image = PIL_IMAGE.open(io.BytesIO(content))
    assert image.width >= least_width
    pixels = np.asarray(image.convert("RGB"), dtype=float).mean(axis=2)
    assert pixels[0, 0] == 255
    assert (pixels == 255).mean() > 0.6
    assert (pixels < 80).mean() > 0.002


def test_a_box_zooms_and_a_double_click_resets(small, open_page):
    page = open_page(small)
    figure = figure_of(page, "fronts")
    ends = "(box) => [...box._fullLayout.xaxis.range, ...box._fullLayout.yaxis.range]"
    before = figure.evaluate(ends)
    box = figure.locator(".nsewdrag").first.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 0.4 * box["width"], y + 0.4 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)
    zoomed = figure.evaluate(ends)
    assert abs(zoomed[1] - zoomed[0]) < 0.6 * abs(before[1] - before[0])
    page.mouse.dblclick(x, y)
    page.wait_for_timeout(400)
    assert figure.evaluate(ends) == pytest.approx(before)


def test_every_section_has_a_link_to_what_it_shows(small, open_page):
    page = open_page(small)
    page.get_by_label("Outcome").select_option("energy:test")
    section = page.locator("#fronts")
    section.locator(".view-link").click()
    expect(page.locator("#said")).to_contain_text("Copied")
    address = page.evaluate("navigator.clipboard.readText()")
    assert address.startswith(small.as_uri())
    again = open_page(small, "#" + address.partition("#")[2])
    expect(again.get_by_label("Outcome")).to_have_value("energy:test")
    expect(again.locator("#fronts h2")).to_be_in_viewport()
    n_named = page.locator("main section[id]:has(h2)").count()
    assert page.locator("main section .view-link").count() == n_named
