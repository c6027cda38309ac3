"""Families, adapters and published potentials by name; adapters with their options, as studies name them."""

from __future__ import annotations

from crossprune.harness.lookup.families import (
    FOR_TESTS,
    adapter_class,
    broken_families,
    families,
    family_of,
    file_formats,
    frame_writer,
    import_named,
    load_potential,
    missing_packages,
    of_family,
    require_packages,
)
from crossprune.harness.lookup.specs import AdapterSpec, resolve

__all__ = [
    "FOR_TESTS",
    "AdapterSpec",
    "adapter_class",
    "broken_families",
    "families",
    "family_of",
    "file_formats",
    "frame_writer",
    "import_named",
    "load_potential",
    "missing_packages",
    "of_family",
    "require_packages",
    "resolve",
]
