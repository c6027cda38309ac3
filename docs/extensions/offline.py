"""Refuse a guide that loads anything from elsewhere: it must work from a disk, without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LOADED = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*""")
IN_STYLES = re.compile(r"""(?:url\(|@import )["']?(?:https?:)?//[^)"']*""")


def loaded_from_elsewhere(folder: Path) -> list[str]:
    """Return what pages and styles of a built guide would load from another host."""
    found = []
    for path in sorted(folder.rglob("*")):
        pattern = {".html": LOADED, ".css": IN_STYLES}.get(path.suffix)
        if pattern is not None:
            matches = pattern.findall(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(folder)}: {match}" for match in matches]
    return found


def check(app: Sphinx, error: Exception | None) -> None:
    """Warn, which makes the build fail."""
    from sphinx.util.logging import getLogger

    for one in () if error else loaded_from_elsewhere(Path(app.outdir)):
        getLogger(__name__).warning("is loaded from elsewhere: %s", one)


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at the pages when they are written."""
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
