"""Pages in a real browser, Debian's Chromium driven by Playwright; none may say a word in the console."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from crossprune.reports.page import write_report
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DESKTOP, PHONE = (1280, 800), (390, 844)
PATIENCE_MS = 30_000
"""Beside other tests, on two cores, a page takes seconds for what takes tenths alone."""
SMALLER = {"choosers": '["snap", "mean"]', "models": '["snap", "mean"]', "fractions": "[0.25, 1.0]"}
"""The demo without the family that takes minutes."""
ATTACK = "<img src=x onerror=alert(1)> & 50% of a_b"
"""A model's name that would be HTML, LaTeX and Markdown if nothing escaped it."""
SCROLL_THROUGH = """async () => {
  for (let y = 0; y < document.documentElement.scrollHeight; y += innerHeight / 2) {
    scrollTo(0, y);
    await new Promise((done) => setTimeout(done, 50));
  }
}"""
UNDRAWN = """[...document.querySelectorAll(".panel:not([hidden]) .figure")]
  .filter((one) => one.checkVisibility() && !one.querySelector(".main-svg")).length"""
SOFTWARE_DRAWING = "GL Driver Message (OpenGL, Performance"
"""Chromium says so of itself where no graphics card draws a structure."""
OpenPage = Callable[..., Page]


@pytest.fixture(scope="module")
def browser(absent) -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        absent("browser", "no Chromium or Chrome is installed (Debian and Ubuntu: apt install chromium)")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root, as which a container of the CI does.
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Return ``open_page(path, fragment="", size=, dark=, script=)``; the test fails if a page complains."""
    complaints: list[str] = []
    contexts = []

    def open_page(
        path: Path,
        fragment: str = "",
        *,
        size: tuple[int, int] = DESKTOP,
        dark: bool = False,
        script: bool = True,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            has_touch=size == PHONE,
            permissions=["clipboard-read", "clipboard-write"],
            reduced_motion="reduce",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend(said(message.text)))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: complaints.extend(from_outside(request.url)))
        page.goto(path.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def said(text: str) -> list[str]:
    return [] if SOFTWARE_DRAWING in text else [f"console: {text}"]


def from_outside(address: str) -> list[str]:
    return [] if address.startswith(("file:", "data:", "blob:")) else [f"loads {address}"]


@pytest.fixture(scope="session")
def draw_all() -> Callable[[Page], None]:
    """Return ``draw_all(page)``: bring everything into view once and wait until it is drawn."""

    def draw_all(page: Page) -> None:
        page.evaluate(SCROLL_THROUGH)
        try:
            page.wait_for_function(f"{UNDRAWN} === 0")
        except Error:
            pytest.fail(f"{page.evaluate(UNDRAWN)} figures are not drawn")
        page.evaluate("scrollTo(0, 0)")

    return draw_all


@pytest.fixture(scope="session")
def small(make_results, tmp_path_factory) -> Path:
    """Write the page of a made-up table: three choosers, two models of which one has an evil name."""
    rng = np.random.default_rng(0)

    def error(chooser: str, fraction: float, seed: int, model: str) -> float:
        if chooser == "gap" and seed == 2 and model == "snap":
            return np.nan
        return 0.2 * (0.9 if chooser == model else 1.0) * np.exp(rng.normal(0, 0.03)) / fraction**0.3

    results = make_results(error, models=("snap", ATTACK), seeds=range(4), reason="RuntimeError: 50% & <b>")
    provenance = {"study": "made up", "toml": "[study]\nname = 'x'", "command": "crossprune run x.toml"}
    return write_report(results, tmp_path_factory.mktemp("small"), provenance)


@pytest.fixture(scope="session")
def demo(require_adapter, tmp_path_factory) -> Path:
    """Run the demo study at its smoke size through the command line, and return its page."""
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
