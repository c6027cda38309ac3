"""Find the file of a module without importing anything."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A module's file as it is now."""

    content: bytes
    is_package: bool
    is_python: bool = True
    """False for compiled code: its bytes are its content, and what it imports is not known."""


def find(module: str) -> Place | None:
    """Return a module's file, or None; `importlib.util.find_spec` would import the packages above it."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), path)
        if spec is None:
            return None
        path = None if spec.submodule_search_locations is None else list(spec.submodule_search_locations)
        if path is None and end < len(parts):
            return None
    assert spec is not None
    if not spec.has_location or spec.origin is None:  # a folder without __init__
        return Place(b"", path is not None)
    return Place(Path(spec.origin).read_bytes(), path is not None, spec.origin.endswith(".py"))


def _spec(module: str, path: list[str] | None) -> ModuleSpec | None:
    loaded = sys.modules.get(module)
    if loaded is not None and loaded.__spec__ is not None:
        return loaded.__spec__
    for finder in sys.meta_path:
        spec = finder.find_spec(module, path)
        if spec is not None:
            return spec
    return None
