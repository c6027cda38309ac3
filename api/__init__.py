"""Whose descriptor should choose the training data of a machine-learned interatomic potential?

Everything below is imported when it is first used, so that ``import crossprune`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crossprune.choosing import Selection, Selector, select
    from crossprune.describing import Description, describe
    from crossprune.evaluating import evaluate
    from crossprune.exporting import Exported, export_potential
    from crossprune.frames import export_frames, load_frames
    from crossprune.levels import compare_levels, transfer_of_run
    from crossprune.potentials import Model, fit, load_potential
    from crossprune.rows import results
    from crossprune.running import Run, run
    from crossprune.softness import Softening, softening
    from crossprune.softness_of_runs import RunSoftening, softening_of_run
    from crossprune.tuning import reweight, tune

__version__: str
_HOMES: dict[str, str] = {
    "Description": "describing",
    "Exported": "exporting",
    "Model": "potentials",
    "Run": "running",
    "RunSoftening": "softness_of_runs",
    "Selection": "choosing",
    "Selector": "choosing",
    "Softening": "softness",
    "compare_levels": "levels",
    "describe": "describing",
    "evaluate": "evaluating",
    "export_frames": "frames",
    "export_potential": "exporting",
    "fit": "potentials",
    "load_frames": "frames",
    "load_potential": "potentials",
    "results": "rows",
    "reweight": "tuning",
    "run": "running",
    "select": "choosing",
    "softening": "softness",
    "softening_of_run": "softness_of_runs",
    "transfer_of_run": "levels",
    "tune": "tuning",
}
"""Module of each public name."""
__all__ = [
    "Description",
    "Exported",
    "Model",
    "Run",
    "RunSoftening",
    "Selection",
    "Selector",
    "Softening",
    "__version__",
    "compare_levels",
    "describe",
    "evaluate",
    "export_frames",
    "export_potential",
    "fit",
    "load_frames",
    "load_potential",
    "results",
    "reweight",
    "run",
    "select",
    "softening",
    "softening_of_run",
    "transfer_of_run",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module; the version is looked up when it is asked for, too."""
    if name == "__version__":
        from importlib.metadata import version

        return version("crossprune")
    if name not in _HOMES:
        raise AttributeError(f"module 'crossprune' has no attribute {name!r}; it has: {', '.join(_HOMES)}")
    return getattr(import_module(f"crossprune.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
