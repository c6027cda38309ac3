"""Take the pictures of the guide from a finished run: python docs/screenshots.py STORE (needs Chromium)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"report-desktop.png": (1280, 1800), "report-phone.png": (500, 1400)}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> None:
    """Write the pictures beside this file."""
    page = Path(sys.argv[1]).resolve() / "report.html"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or not page.is_file():
        raise SystemExit(f"needs Chromium and {page}")
    folder = Path(__file__).with_name("images")
    folder.mkdir(exist_ok=True)
    for name, (width, height) in SIZES.items():
        with tempfile.TemporaryDirectory() as profile:
            size = [
                f"--window-size={width},{height}",
                f"--user-data-dir={profile}",
                f"--screenshot={folder / name}",
            ]
            subprocess.run([browser, *FLAGS, *size, page.as_uri()], check=True, capture_output=True)


if __name__ == "__main__":
    main()
