"""Take the pictures of the guide from a finished run: python docs/screenshots.py STORE (needs Chromium).

The printed page needs pdftoppm (poppler-utils); without it that picture stays as it is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 800), (390, 844)
SECTIONS = {"report-fronts.png": "#fronts", "report-map.png": "#map"}
"""Pictures at desktop width, by the section they show; the first screen is `report-answer.png`."""
CELL = "#way=snap · fps&model=gap&open=cell"
STRUCTURE = "#frame=si-pbe/5"
SOFTWARE_DRAWING = "GL Driver Message (OpenGL, Performance"
"""Chromium says so of itself where no graphics card draws a structure."""
MAX_HEIGHT = 1100
MAX_BYTES = 300_000
UNDRAWN = """[...document.querySelectorAll(".figure")].filter((one) => {
  const place = one.getBoundingClientRect();
  const inView = one.checkVisibility() && place.top < innerHeight && place.bottom > 0;
  return inView && !one.querySelector(".main-svg");
}).length"""


def main() -> None:
    """Write the pictures beside this file."""
    report = Path(sys.argv[1]).resolve() / "report.html"
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None or not report.is_file():
        raise SystemExit(f"needs Chromium and {report}")
    folder = Path(__file__).with_name("images")
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        with opened(browser, report, DESKTOP) as page:
            page.screenshot(path=folder / "report-answer.png")
            for name, selector in SECTIONS.items():
                picture(page, folder / name, selector)
            print_pages(page, folder)
        with opened(browser, report, DESKTOP, fragment=CELL) as page:
            page.screenshot(path=folder / "report-cell.png")
        with opened(browser, report, DESKTOP, fragment=STRUCTURE, dark=True) as page:
            page.wait_for_selector("#structure canvas")
            page.wait_for_timeout(1000)
            page.screenshot(path=folder / "report-structure.png")
        with opened(browser, report, PHONE) as page:
            page.screenshot(path=folder / "report-phone.png")
            picture(page, folder / "report-phone-map.png", "#map")
        browser.close()
    for found in folder.glob("report-*.png"):
        if found.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{found.name} is larger than {MAX_BYTES} bytes")


@contextmanager
def opened(
    browser: Browser, report: Path, size: tuple[int, int], *, fragment: str = "", dark: bool = False
) -> Iterator[Page]:
    """Open the page in a window of this size (pixels); end if its console says anything."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
    )
    said: list[str] = []
    page.on(
        "console", lambda message: said.append(message.text) if SOFTWARE_DRAWING not in message.text else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri() + fragment)
    page.wait_for_function(f"{UNDRAWN} === 0")
    yield page
    page.close()
    if said:
        raise SystemExit("the console says: " + "\n".join(said))


def picture(page: Page, path: Path, selector: str) -> None:
    """Save one section, cut at the largest height, once all of it is drawn."""
    section = page.locator(selector)
    section.evaluate("(one) => one.scrollIntoView()")
    page.wait_for_timeout(500)
    page.wait_for_function(f"{UNDRAWN} === 0")
    box = section.bounding_box()
    size = page.viewport_size
    if box is None or size is None:
        raise SystemExit(f"{selector} is not shown")
    top = box["y"] + page.evaluate("scrollY")
    clip = {"x": 0, "y": top, "width": size["width"], "height": min(box["height"] + 12, MAX_HEIGHT)}
    page.screenshot(path=path, clip=clip, full_page=True)


def print_pages(page: Page, folder: Path) -> None:
    """Print the report and draw its first page."""
    if shutil.which("pdftoppm") is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        paper = Path(scratch) / "report.pdf"
        page.pdf(path=paper, format="A4", print_background=True)
        call = ["pdftoppm", "-png", "-r", "70", "-f", "1", "-l", "1", "-singlefile"]
        subprocess.run([*call, paper, folder / "report-print"], check=True)


if __name__ == "__main__":
    main()
