"""What pages of several runs share with the report: style, scripts, and figures that are drawn when seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossprune.harness.store.objects import write_file
from crossprune.reports.definitions import WORDS
from crossprune.reports.embedding import TABLES, environment, packed, script, source, styles

SCRIPTS = (
    *("shared/base", "shared/state", "structure", "shared/files", "shared/draw"),
    *("view", "panels"),
    *("words", "formats", "filters", "tables", "links", "several"),
)
"""Of the report's scripts, those that such a page runs."""


def write_page(path: Path, template: str, **shown: Any) -> Path:
    """Render a template of the folder ``several`` into a file that opens offline; return the file."""
    from plotly.offline import get_plotlyjs

    text = (
        environment()
        .get_template(f"several/{template}.html.jinja")
        .render(
            style=styles(),
            script=script(SCRIPTS),
            libraries={"plotly": packed(get_plotlyjs()), "tables": packed(source(TABLES))},
            words=WORDS,
            **shown,
        )
    )
    write_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
