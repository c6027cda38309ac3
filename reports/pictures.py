"""The matrix chooser × model as the page's script draws it, and the switches that say which is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.outcomes.matrix import WHOLE
from crossprune.harness.analysis.outcomes.scales import ERRORS
from crossprune.harness.engine.grid import OWN
from crossprune.harness.engine.study import Primary
from crossprune.reports.tables import METRICS, RANDOM
from crossprune.reports.wording import OUTCOMES as NOUNS
from crossprune.reports.wording import split_name


class Measure(NamedTuple):
    """What an outcome is called on the page."""

    label: str
    unit: str
    """Of its values; empty where they have none that says something."""


OTHERS = {
    "properties": Measure("Properties", "tolerances"),
    "properties_seen": Measure("Properties seen in training", "tolerances"),
    "properties_unseen": Measure("Properties not seen", "tolerances"),
    "survival": Measure("Survival time", "ps"),
    "survival_temperature": Measure("Survival temperature", "K"),
    "rdf": Measure("Radial distribution", "× noise"),
    "adf": Measure("Angular distribution", "× noise"),
}
TELLING = 0.1
"""The fraction that is shown first is the nearest to this one."""
BY_NAME = {name: one for name, column in ERRORS.items() for one in METRICS if one.column == column}
"""Errors of the page by the outcome's name in a study."""


def measure(outcome: str) -> Measure:
    """Return how an outcome is called, and its unit."""
    if (metric := BY_NAME.get(outcome)) is not None:
        return Measure(metric.label, metric.unit)
    return OTHERS[outcome]


def matrix_data(table: pd.DataFrame | None) -> dict[str, Any]:
    """Lay the table ``matrix`` of an analysis out by outcome, data set and fraction.

    Returns
    -------
    dict
        ``force:test`` → ``noun`` (errors, survival times, …), ``better``, ``unit`` and ``sets``: data set →
        fraction → ``ways``, ``models`` and lists of lists over both: ``own``, ``value``, ``ratio``, ``low``,
        ``high``, ``p``, ``verdict``, ``pairs``, ``units``, ``missing``.
    """
    found: dict[str, Any] = {}
    if table is None or table.empty:
        return found
    for (outcome, split), here in table.groupby(["outcome", "split"], sort=False):
        name, part = str(outcome), str(split)
        sets: dict[str, Any] = {}
        for (source, fraction), picture in here.groupby(["source", "fraction"]):
            sets.setdefault(str(source), {})[f"{fraction:g}"] = _picture(picture)
        known = measure(name)
        found[key_of(name, part)] = {
            "label": known.label,
            "noun": NOUNS.get(name, "errors"),
            "better": str(here["better"].iloc[0]),
            "unit": known.unit,
            "sets": sets,
        }
    return dict(sorted(found.items(), key=lambda one: _rank(one[0])))


def curves_data(
    summaries: Iterable[tuple[str, str, pd.DataFrame]],
    sources: Mapping[str, str],
    pictures: Mapping[str, Any],
) -> dict[str, Any]:
    """Lay out what every model reaches with each way of choosing at each fraction.

    Parameters
    ----------
    summaries
        Metric, split and the table of `crossprune.reports.tables.summary`.
    sources
        As in `choices`; pools of a data set are averaged.
    pictures
        Of `matrix_data`: outcomes that are no errors have their values from there.

    Returns
    -------
    dict
        Outcome → data set → model → way → ``x`` (fractions), ``y``, ``e`` (standard errors over seeds, or
        pools, null for none) and ``n`` (configurations).
    """
    names = {one.column: name for name, one in BY_NAME.items()}
    several: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for metric, split, table in summaries:
        several.setdefault((metric, split), []).append(table)
    found = {
        key_of(names[metric], split): _curves(pd.concat(tables), sources)
        for (metric, split), tables in several.items()
    }
    others = {key: one for key, one in pictures.items() if key not in found}
    return found | {key: _values(one["sets"]) for key, one in others.items()}


def _curves(table: pd.DataFrame, sources: Mapping[str, str]) -> dict[str, Any]:
    """Average pools, and lay their means out by data set, model and way."""
    table = table[table["n_seeds"] > 0]
    table = table.assign(source=table["dataset"].map(sources), way=way_of(table))
    groups = table.groupby(["source", "model", "way", "fraction"], sort=True)
    averaged = groups.agg(
        y=("mean", "mean"), n=("n_configurations", "mean"), one=("standard_error", "first"), e=("mean", "sem")
    ).reset_index()
    averaged["e"] = averaged["e"].fillna(averaged["one"])  # of one pool: over its seeds
    found: dict[str, Any] = {}
    for (source, model, way), curve in averaged.groupby(["source", "model", "way"]):
        lists = {
            name: curve[column].tolist() for name, column in zip("xyen", ("fraction", *"yen"), strict=True)
        }
        found.setdefault(str(source), {}).setdefault(str(model), {})[str(way)] = lists
    return found


def _values(sets: Mapping[str, Any]) -> dict[str, Any]:
    """Take curves out of pictures."""
    found: dict[str, Any] = {}
    for source, by_fraction in sets.items():
        for fraction in sorted(by_fraction, key=float):
            picture = by_fraction[fraction]
            for row, way in enumerate(picture["ways"]):
                for column, model in enumerate(picture["models"]):
                    if (value := picture["value"][row][column]) is None:
                        continue
                    lines = found.setdefault(source, {}).setdefault(model, {})
                    line = lines.setdefault(way, {"x": [], "y": [], "e": [], "n": []})
                    for name, one in zip("xyen", (float(fraction), value, None, None), strict=True):
                        line[name].append(one)
    return found


def key_of(outcome: str, split: str) -> str:
    """Name an outcome and its part in addresses: ``force:test``, ``survival``."""
    return f"{outcome}:{split}" if split else outcome


def _rank(key: str) -> tuple[int, bool]:
    outcome, _, split = key.partition(":")
    return WHOLE.index(outcome), split == "ood"


def _picture(cells: pd.DataFrame) -> dict[str, Any]:
    models = sorted(set(cells["model"]))
    ways = list(dict.fromkeys(cells.sort_values("chooser", key=_random_first, kind="stable")["way"]))
    shape = (len(ways), len(models))
    rows, columns = (cells[name].map(known.index) for name, known in (("way", ways), ("model", models)))

    def laid_out(values: Any, empty: object) -> list[list[Any]]:
        square = np.full(shape, empty, dtype=object)
        square[rows, columns] = values
        return square.tolist()

    names = {"pairs": "n_pairs", "units": "n_units", "missing": "n_missing"}
    return {
        "ways": ways,
        "models": models,
        "own": laid_out((cells["relation"] == OWN).astype(int), 0),
        "verdict": laid_out(cells["verdict"].astype(object).where(cells["verdict"].notna(), ""), ""),
        **{
            name: laid_out(cells[name].astype(float), None) for name in ("value", "ratio", "low", "high", "p")
        },
        **{name: laid_out(cells[column].fillna(0).astype(int), 0) for name, column in names.items()},
    }


def _random_first(choosers: pd.Series[str]) -> pd.Series[str]:
    return choosers.where(choosers != RANDOM, "")


def choices(
    sources: Mapping[str, str],
    pictures: Mapping[str, Any],
    parts: Sequence[tuple[str, str]],
    primary: Primary,
) -> dict[str, Any]:
    """List value and label of each switch of the page, what it shows first, and what an outcome's panels are.

    Parameters
    ----------
    sources
        Names of panels and maps, pools among them → the data set that they are of.
    pictures
        Of `matrix_data`.
    parts
        Metric and split of the panels that there are.
    primary
        What the study asks: it is shown first.
    """
    fractions = sorted(
        {float(share) for one in pictures.values() for known in one["sets"].values() for share in known}
    )
    asked = key_of(primary.outcome, primary.split)
    asked = asked if asked in pictures else key_of(primary.outcome, "")
    outcomes = [_outcome(key, parts) for key in pictures]
    if not outcomes:  # nothing below the full set: the panels alone
        outcomes = [
            _outcome(key_of(name, split), parts)
            for name, one in BY_NAME.items()
            for split in ("test", "ood")
            if (one.column, split) in parts
        ]
    names = [one["key"] for one in outcomes]
    shares = [(f"{one:g}", f"{100 * one:g} %") for one in fractions]
    datasets = list(dict.fromkeys(sources.values()))
    first = {
        "dataset": datasets[0] if datasets else "",
        "outcome": asked if asked in names else (names[0] if names else ""),
        "fraction": f"{min(fractions, key=lambda one: abs(one - TELLING)):g}" if fractions else "",
    }
    return {
        "dataset": [(one, one) for one in datasets],
        "outcome": [(one["key"], one["text"]) for one in outcomes],
        "fraction": shares,
        "outcomes": outcomes,
        "sources": dict(sources),
        "first": first,
    }


def _outcome(key: str, parts: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Say what an outcome is called, and which panels belong to it; of no error, those of the first."""
    name, _, split = key.partition(":")
    known = measure(name)
    text = known.label + (f", {split_name(split)}" if split else "")
    if name in BY_NAME:
        return {"key": key, "text": text, "metric": BY_NAME[name].column, "split": split, "stands": ""}
    metric, part = next(iter(parts), ("", ""))
    labels = {one.column: one.label for one in METRICS}
    stands = f"{labels[metric]}, {split_name(part)}" if metric else ""
    return {"key": key, "text": text, "metric": metric, "split": part, "stands": stands}
