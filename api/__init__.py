"""Whose descriptor should choose the training data of a machine-learned interatomic potential?"""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("crossprune")
