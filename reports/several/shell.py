"""What pages of several runs share with the report: style, scripts, and figures that are drawn when seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossprune.harness.store.objects import write_file
from crossprune.reports.embedding import csv_uri, environment, packed, script, styles
from crossprune.reports.wording import rounded, split_name

SCRIPTS = ("shared/base", "shared/state", "shared/draw", "view", "panels", "several")
"""Of the report's scripts, those that such a page runs."""


def write_page(path: Path, template: str, **shown: Any) -> Path:
    """Render a template of the folder ``several`` into a file that opens offline; return the file."""
    from plotly.offline import get_plotlyjs

    made = environment(csv_uri=csv_uri, rounded=rounded, split_name=split_name)
    text = made.get_template(f"several/{template}.html.jinja").render(
        style=styles(), script=script(SCRIPTS), libraries={"plotly": packed(get_plotlyjs())}, **shown
    )
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
