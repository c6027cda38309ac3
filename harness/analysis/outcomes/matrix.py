"""Every cell of the matrix chooser × model against random, by every outcome, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.comparisons import Estimated, estimate, inferred, laid_out
from crossprune.harness.analysis.contrasts import pairs_with_random
from crossprune.harness.analysis.outcomes.scales import UNTESTED, Outcome
from crossprune.harness.analysis.units import Case, TestErrors

NUMBERS = ["ratio", "low", "high", "p", "verdict", "n_pairs", "n_units", "n_missing", "label_ratio", "at_end"]
COLUMNS = [
    *("outcome", "split", "better", "source", "fraction", "way", "chooser", "method", "model", "relation"),
    *("value", *NUMBERS),
]
"""Columns of `matrix`."""
WHOLE = (
    *("force", "energy", "properties", "survival", "survival_temperature", "stress"),
    *("properties_seen", "properties_unseen", "rdf", "adf", "force_rmse", "energy_rmse"),
)
"""Outcomes that have a matrix, as people ask for them; percentiles, worst groups and single properties are in
other tables."""


def matrix(
    outcomes: Sequence[Outcome], tests: Mapping[tuple[str, str], Mapping[str, TestErrors]]
) -> pd.DataFrame:
    """Compare every way of choosing with random, cell by cell of the matrix.

    Parameters
    ----------
    outcomes
        What is compared; those of `WHOLE` are.
    tests
        As in `crossprune.harness.analysis.outcomes.compared.compare_outcomes`.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`; a row for each outcome, data set (``source``: its pools are its repeats), fraction, way of
        choosing and model, random among them. ``value`` is the geometric mean of the outcome (errors in the
        unit of their column, properties in tolerances), ``ratio`` that of its ratio to random; ``low`` to
        ``high`` is the 95 % interval, which holds for all cells of one outcome, data set and fraction
        together, as does ``p``. Other columns as in `crossprune.harness.analysis.comparisons.compare`.
    """
    found = [table for one in outcomes if one.name in WHOLE for table in _of_outcome(one, tests)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def _of_outcome(
    one: Outcome, tests: Mapping[tuple[str, str], Mapping[str, TestErrors]]
) -> Iterator[pd.DataFrame]:
    known = tests.get((one.name, one.part))
    pooled = bool(tests) and one.name in UNTESTED
    for (source, fraction), cells in one.cells.groupby(["source", "fraction"], sort=True):
        here = cells.reset_index(drop=True)
        pairs = pairs_with_random(here)
        of_frames = None if known is None else {name: known[name] for name in set(here["dataset"])}
        names = pairs.table[["model", "comparison"]].drop_duplicates().itertuples(index=False)
        cases = [Case(str(model), str(comparison)) for model, comparison in names]
        table = _values(here)
        if cases:
            found = _compared(estimate(pairs, cases, of_frames, pooled=pooled))
            table = table.merge(found, how="left", on=["comparison", "model"])
        head = {"outcome": one.name, "split": one.part, "better": one.better, "source": str(source)}
        yield table.assign(**head, fraction=float(str(fraction))).reindex(columns=COLUMNS)


def _values(cells: pd.DataFrame) -> pd.DataFrame:
    """Average the logarithms of each way and model over pools and seeds."""
    by = ["chooser", "method", "model", "relation"]
    table = cells.groupby(by, sort=True)["log_error"].mean().reset_index()
    named = table["chooser"] + " · " + table["method"] + " / random"
    return table.assign(value=np.exp(table["log_error"]), way=way_of(table), comparison=named)


def _compared(some: Estimated) -> pd.DataFrame:
    return laid_out(some, inferred([some])[0])[["comparison", "model", *NUMBERS]]
