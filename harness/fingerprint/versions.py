"""Versions of installed packages."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def package_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, ``"absent"`` for one that is missing."""
    return {name: _version(name) for name in sorted(distributions)}


@functools.cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
