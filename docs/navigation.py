"""Build the navigation from the folders, so that a new note is in the guide without a list to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SECTIONS = (
    (
        "Guide",
        ("index.md", "concepts.md", "studies.md", "report.md", "data-sets.md", "nightly.md", "security.md"),
    ),
    ("Large studies", ("clusters.md", "store.md", "speed.md")),
    ("Methods", ("selection.md", "tuning.md", "statistics.md")),
    ("Model families", "families"),
    ("Metrics and properties", "metrics"),
    ("Decisions", "decisions"),
)


def on_config(config: Any) -> Any:
    """Give every page its place: the guide in its order, then folders, then what is left."""
    root = Path(config["docs_dir"])
    pages = {str(path.relative_to(root)) for path in root.rglob("*.md")}
    nav: list[dict[str, list[str]]] = []
    for title, where in SECTIONS:
        if isinstance(where, tuple):
            found = [page for page in where if page in pages]
        else:
            found = sorted(page for page in pages if page.startswith(f"{where}/"))
        pages -= set(found)
        if found:
            nav.append({title: found})
    nav.insert(1, {"Results": sorted(pages)})
    config["nav"] = nav
    return config
