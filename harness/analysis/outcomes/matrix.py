"""Every cell of the matrix chooser × model against random, by every outcome, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.comparisons import Estimated, estimate, inferred, laid_out
from crossprune.harness.analysis.contrasts import Contrasts, pairs_with_random
from crossprune.harness.analysis.outcomes.scales import UNTESTED, Outcome
from crossprune.harness.analysis.units import Case, TestErrors

NUMBERS = ["ratio", "low", "high", "p", "verdict", "n_pairs", "n_units", "n_missing", "label_ratio", "at_end"]
COLUMNS = [
    *("outcome", "split", "better", "source", "fraction", "way", "chooser", "method", "model", "relation"),
    *("value", *NUMBERS),
]
"""Columns of `matrix`."""
WHOLE = (
    *("force", "energy", "stress", "force_rmse", "energy_rmse"),
    *("properties", "properties_seen", "properties_unseen", "survival", "survival_temperature", "rdf", "adf"),
)
"""Outcomes that have a matrix: percentiles, worst groups and single properties are in other tables."""


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
    for source, cells in one.cells.groupby("source", sort=True):
        here = cells.reset_index(drop=True)
        pairs = pairs_with_random(here)
        of_frames = None if known is None else {name: known[name] for name in set(here["dataset"])}
        compared = [
            _compared(estimate(pairs, cases, of_frames, pooled=pooled), fraction)
            for fraction, cases in _pictures(pairs)
        ]
        table = _values(here)
        if compared:
            table = table.merge(pd.concat(compared), how="left", on=["fraction", "comparison", "model"])
        head = {"outcome": one.name, "split": one.part, "better": one.better, "source": str(source)}
        yield table.assign(**head).reindex(columns=COLUMNS)


def _values(cells: pd.DataFrame) -> pd.DataFrame:
    """Average the logarithms of each way and model over pools and seeds."""
    by = ["fraction", "chooser", "method", "model", "relation"]
    table = cells.groupby(by, sort=True)["log_error"].mean().reset_index()
    named = table["chooser"] + " · " + table["method"] + " / random"
    return table.assign(value=np.exp(table["log_error"]), way=way_of(table), comparison=named)


def _pictures(pairs: Contrasts) -> Iterator[tuple[float, list[Case]]]:
    """Yield the cases of each fraction: one picture, whose intervals hold together."""
    for fraction, here in pairs.table.groupby("fraction", sort=True):
        names = here[["comparison", "model"]].drop_duplicates().itertuples(index=False)
        share = float(str(fraction))
        yield share, [Case(str(model), str(comparison), share) for comparison, model in names]


def _compared(some: Estimated, fraction: float) -> pd.DataFrame:
    table = laid_out(some, inferred([some])[0])[["comparison", "model", *NUMBERS]]
    return table.assign(fraction=fraction)
