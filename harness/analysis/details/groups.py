"""Errors of each cell on each group of frames, means over seeds and pools."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.cells import DEFAULTS, labelled, way_of
from crossprune.harness.analysis.details.fits import PARTS
from crossprune.harness.engine.results import not_held_out
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from crossprune.harness.store.tables import read_pieces

ERRORS = ["energy_mae_mev_per_atom", "force_mae_ev_per_angstrom"]
BY = ["dataset", "way", "fraction", "model", "split", "group"]
READ = [
    *("dataset", "held_out", "chooser", "method", "fraction", "model", "split", "group", "status"),
    *(*DEFAULTS, "n_eval_configurations", *ERRORS, "flag", *(f"mean_{one}" for one in ERRORS)),
]
"""Columns that are read of the whole table."""


def errors_of_groups(results: pd.DataFrame, whole: Path | None = None) -> pd.DataFrame:
    """Average the errors of finished cells on each group of test and ood; exploded fits are clipped.

    Parameters
    ----------
    results
        The results table, if it has the rows of single groups.
    whole
        The whole table as Parquet otherwise; a piece of it is in memory at a time.

    Returns
    -------
    pd.DataFrame
        `BY` (data sets by their own name: pools are averaged like seeds), `ERRORS`, and ``n_frames`` of the
        group (mean over pools); full sets are left out.
    """
    pieces: Iterable[pd.DataFrame] = [results] if whole is None else read_pieces(whole, only=READ)
    sums = [one for piece in pieces if len(one := _sums(piece))]
    if not sums:
        return pd.DataFrame(columns=[*BY, *ERRORS, "n_frames"])
    total = pd.concat(sums).groupby(level=BY).sum()
    means = total[[*ERRORS, "n_frames"]].div(total["n_cells"], axis=0)
    return means.reset_index()


def _sums(piece: pd.DataFrame) -> pd.DataFrame:
    rows = (
        (piece["status"] == "done")
        & (piece["group"] != ALL)
        & piece["split"].isin(PARTS)
        & (piece["fraction"] < 1 - 1e-9)  # of published potentials there is none
    )
    table = labelled(not_held_out(clipped(piece[rows]))).dropna(subset=ERRORS)
    name = table["source"] if "source" in table else table["dataset"]
    sizes = table.get("n_eval_configurations", 0.0)
    table = table.assign(dataset=name, way=way_of(table), n_frames=sizes, n_cells=1)
    return table.groupby(BY)[[*ERRORS, "n_frames", "n_cells"]].sum()
