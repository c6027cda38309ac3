"""Whether the models of a finished run are soft, by what the store holds of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crossprune.softness import checked

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunSoftening:
    """What the predictions and properties of a run say of softness."""

    table: pd.DataFrame
    """A row per cell, ``split`` and ``group``: the axes of the results table, and the columns of
    `Softening.table` and, after ``excess_``, of `Softening.energies`."""
    summary: pd.DataFrame
    """Medians and ranges over seeds and pools, and how many cells are soft."""
    histogram: pd.DataFrame
    """``n_slopes`` and ``n_scales`` from ``low`` to below ``high``, over all seeds and pools."""
    curvature: pd.DataFrame
    """Of each cell and ``kind`` of property, value over reference: median, lowest, highest; empty where
    the study computed none."""
    curvature_summary: pd.DataFrame
    """The same over seeds and pools."""
    notes: Sequence[str]
    """Which cells are left out, and why."""


def softening_of_run(
    store: str | Path,
    *,
    split: str | None = None,
    force_window: tuple[float, float] | None = None,
    groups: Sequence[str] = (),
    resamples: int | None = None,
    seed: int = 0,
) -> RunSoftening:
    """Say of every model of a finished run whether it is soft, hard or neither.

    Nothing is predicted or fitted: the store holds what each model predicted for the frames of test and ood.
    What is asked for by default is kept in the store's folder ``analysis``.

    Parameters
    ----------
    store
        Folder of the run.
    split
        ``test`` or ``ood``; default: both.
    force_window, groups, resamples, seed
        As in `softening`.

    Raises
    ------
    StudyError, DataError
        If the folder holds no finished run, if an option is wrong, or no cell tells of softness.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> study = {"study": {"name": "t", "datasets": ["si-pbe"], "models": ["uf3"], "fractions": [1.0],
    ...                    "seeds": [0]}, "options": {"uf3": {"resolution_3b": 0}},
    ...          "data": {"si-pbe": {"smoke": True}}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = crossprune.run(study, store=folder, workers=0)
    ...     found = crossprune.softening_of_run(folder, split="test")
    >>> found.table.loc[0, ["model", "split", "group", "verdict"]].tolist()
    ['uf3', 'test', 'all', 'neither']
    """
    from crossprune.harness.analysis.outcomes.curvature import curvature_of
    from crossprune.harness.analysis.outcomes.softening import Looked, softening_of
    from crossprune.harness.engine.study import PARTS
    from crossprune.harness.errors import StudyError, unknown_name

    n_resamples = checked(force_window, resamples, seed)
    if split is not None and split not in PARTS:
        raise StudyError(f"of a run: {unknown_name('split', split, PARTS)}")
    parts = PARTS if split is None else (split,)
    root = Path(store)
    found = softening_of(root, Looked(force_window, tuple(groups), parts, n_resamples, seed))
    notes = found["softening_notes"]["note"].tolist()
    if force_window is not None:
        low, high = force_window
        notes.append(f"only atoms whose reference force is from {low:g} to below {high:g} eV/Å")
    curved = curvature_of(root)
    return RunSoftening(
        found["softening"],
        found["softening_summary"],
        found["softening_histogram"],
        curved["curvature"],
        curved["curvature_summary"],
        notes,
    )
