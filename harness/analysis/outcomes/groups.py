"""Transfer to kinds of structures that no model has seen: own / other by held-out group, groups as units."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.cells import labelled, partial_errors
from crossprune.harness.analysis.comparisons import estimate, inferred, laid_out, of_all_models
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.outcomes.compared import OWN_OTHER
from crossprune.harness.analysis.units import Case
from crossprune.harness.engine.results import RESULTS, by_pool, held_out_or_all, refits
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.tables import read_pieces


def held_out_rows(root: Path, results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of single held-out groups, and those of cells that are not done.

    Parameters
    ----------
    root
        A store, whose table has the rows of groups, or a table without one.
    results
        Rows of the table; those of groups may have been left out.

    Raises
    ------
    StudyError
        If the store's table is not as it was written.
    """
    path = root / "results.parquet"
    all_here = (results["group"] != ALL).any() or not path.is_file()
    pieces = [results] if all_here else read_pieces(path, RESULTS)
    kept = [
        piece[((piece["split"] == "ood") & (piece["group"] != ALL)) | (piece["status"] != "done")]
        for piece in pieces
    ]
    return by_pool(labelled(refits(pd.concat(kept, ignore_index=True))))


def compare_groups(rows: pd.DataFrame, metrics: Mapping[str, str]) -> pd.DataFrame:
    """Compare own with other choosers on each held-out group, and over groups.

    Two groups are two, however many frames they have: in rows of all groups (``group`` is ``all``) a group is
    one repeat, and the interval is over groups, corrected for the training frames that they share as pools
    are. In other rows it is over seeds and pools.

    Parameters
    ----------
    rows
        Of `held_out_rows`.
    metrics
        Metric to column.

    Returns
    -------
    pd.DataFrame
        ``metric``, ``source`` (the data set), ``group``, ``n_groups`` and
        `crossprune.harness.analysis.comparisons.COLUMNS` of own / other over all models. Intervals hold for
        the rows of one metric together.
    """
    rows = held_out_or_all(rows)
    own = (rows["held_out"] if "held_out" in rows.columns else pd.Series("", rows.index)).to_numpy()
    done = (rows["status"] == "done").to_numpy()
    rows = rows[~done | (own == "") | (own == rows["group"].to_numpy())]
    rows = rows.assign(source=rows["source"] if "source" in rows.columns else rows["dataset"])
    tables = []
    for metric, column in metrics.items():
        if column not in rows.columns or rows.loc[rows["status"] == "done", column].isna().all():
            continue
        case, known, heads = [Case(EVERY_MODEL, OWN_OTHER)], [], []
        for source, part in _planned(rows).groupby("source"):
            groups = sorted(set(part["group"]))
            wanted = [(name, part[part["group"] == name]) for name in groups]
            if len(groups) > 1:
                wanted.insert(0, (ALL, part))
            for name, some in wanted:
                contrasts, design = of_all_models(_cells(some, column, over_groups=name == ALL))
                known.append(estimate(contrasts, case, None))
                heads.append((metric, str(source), name, len(groups) if name == ALL else 1, design))
        names = ("metric", "source", "group", "n_groups")
        for one, found, head in zip(known, inferred(known), heads, strict=True):
            table = laid_out(one, found).assign(design=head[-1])
            for place, name in enumerate(names):
                table.insert(place, name, head[place])
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _planned(rows: pd.DataFrame) -> pd.DataFrame:
    """Give cells that are not done a row for each group that they were to be tested on."""
    done, lost = rows[rows["status"] == "done"], rows[rows["status"] != "done"].drop(columns="group")
    groups = done[["source", "group"]].drop_duplicates()
    if "held_out" in rows.columns:
        plain = lost[lost["held_out"] == ""].merge(groups, on="source")
        lost = pd.concat([plain, lost[lost["held_out"] != ""].assign(group=lambda one: one["held_out"])])
    else:
        lost = lost.merge(groups, on="source")
    return pd.concat([done, lost.drop_duplicates()], ignore_index=True)


def _cells(rows: pd.DataFrame, column: str, *, over_groups: bool) -> pd.DataFrame:
    """Lay out cells as pools of one data set: its groups, or its pools on one group."""
    cells = rows.assign(held_out=rows["group"], split="ood", group=ALL)
    if over_groups:
        seed = rows.groupby(["dataset", "seed"]).ngroup()
        cells = cells.assign(dataset=rows["source"] + " · " + rows["group"], seed=seed)
    return partial_errors(cells, column, "ood")
