"""Take the pictures of the guide from a finished run: python docs/screenshots.py STORE (needs Chromium).

The printed page needs pdftoppm (poppler-utils); without it that picture stays as it is.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from browser import Page, chromium, find_browser

DESKTOP, PHONE = 1280, 390
SECTIONS = {
    "report-answer.png": "#answer",
    "report-fronts.png": "#fronts",
    "report-parity.png": "#parity",
    "report-map.png": "#map",
    "report-overlap.png": "#overlap",
}
"""Pictures at desktop width, by the section they show."""
MAX_HEIGHT = 1100
MAX_BYTES = 300_000


def main() -> None:
    """Write the pictures beside this file."""
    report = Path(sys.argv[1]).resolve() / "report.html"
    browser = find_browser()
    if browser is None or not report.is_file():
        raise SystemExit(f"needs Chromium and {report}")
    folder = Path(__file__).with_name("images")
    folder.mkdir(exist_ok=True)
    with chromium(browser) as page:
        page.open(report, width=DESKTOP, height=1000)
        for name, selector in SECTIONS.items():
            page.picture(folder / name, selector, max_height=MAX_HEIGHT)
        page.open(report, width=DESKTOP, height=1000, dark=True)
        page.picture(folder / "report-dark.png", "#matrix", max_height=MAX_HEIGHT)
        page.open(report, width=PHONE, height=844)
        page.picture(folder / "report-phone.png")
        page.picture(folder / "report-phone-map.png", "#map", max_height=MAX_HEIGHT)
        page.open(report, width=DESKTOP)
        print_pages(page, folder)
        if page.problems:
            raise SystemExit("the console says: " + "\n".join(page.problems))
    for path in folder.glob("report-*.png"):
        if path.stat().st_size > MAX_BYTES:
            raise SystemExit(f"{path.name} is larger than {MAX_BYTES} bytes")


def print_pages(page: Page, folder: Path) -> None:
    """Print the report and draw its first page."""
    if shutil.which("pdftoppm") is None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        paper = Path(scratch) / "report.pdf"
        page.pdf(paper)
        call = ["pdftoppm", "-png", "-r", "70", "-f", "1", "-l", "1", "-singlefile"]
        subprocess.run([*call, paper, folder / "report-print"], check=True)


if __name__ == "__main__":
    main()
