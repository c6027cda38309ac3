"""Whose descriptor should choose the training data of a machine-learned interatomic potential?

Everything below is imported when it is first used, so that ``import crossprune`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossprune.tuning import reweight, tune

__version__ = version("crossprune")
_HOMES: dict[str, str] = {"reweight": "tuning", "tune": "tuning"}
"""Module of each public name."""
__all__ = ["__version__", "reweight", "tune"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'crossprune' has no attribute {name!r}; it has: {', '.join(_HOMES)}")
    return getattr(import_module(f"crossprune.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
