"""Two finished runs side by side: what differs, and what the errors of their common cells did."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.answer import read_results
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.nights import RELATIVE_NOISE
from crossprune.harness.analysis.outcomes.scales import ERRORS
from crossprune.harness.analysis.statistics import CONFIDENCE
from crossprune.harness.engine.results import by_pool
from crossprune.harness.engine.study import PARTS
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped
from crossprune.harness.store.tables import PROVENANCE, read_provenance
from crossprune.harness.tables import parse_toml
from scipy import stats

SETTING = ["dataset", "chooser", "method", "fraction", "model"]
"""Cells of one setting differ in their seed."""
OUTCOMES = ("force", "energy", "stress")
NUMBERS = ["before", "after", "ratio", "low", "high", "scatter", "verdict", "n_seeds"]
CHANGES = ["metric", "split", *SETTING, *NUMBERS]
SAME, LOWER, HIGHER, UNTOLD, ONE_SEED = "same", "lower", "higher", "within the seeds", "one seed"
"""Verdicts."""
FACTS = ("crossprune_version", "commit", "python", "hardware")
"""What a run says of itself in one word each."""


@dataclass(frozen=True)
class Finished:
    """A finished run."""

    name: str
    table: pd.DataFrame
    """Rows over all groups."""
    facts: Mapping[str, object]
    """Its provenance; empty where that cannot be read."""


@dataclass(frozen=True)
class Changes:
    """What changed from one run to another."""

    causes: Sequence[str]
    """Differences of study, versions and data, a phrase each."""
    errors: pd.DataFrame
    """`CHANGES`: a row for each metric, part and common setting."""
    only_before: pd.DataFrame
    only_after: pd.DataFrame
    """`SETTING` and the number of seeds, of settings that one run has."""
    newly_failing: pd.DataFrame
    newly_done: pd.DataFrame
    """`SETTING`, seed, both statuses and the reason, of common cells."""

    @property
    def is_none(self) -> bool:
        """Whether the runs have the same cells with the same errors."""
        others = (self.only_before, self.only_after, self.newly_failing, self.newly_done)
        return all(one.empty for one in others) and bool((self.errors["verdict"] == SAME).all())


def read_finished(root: Path) -> Finished:
    """Read what a finished run left.

    Raises
    ------
    StudyError
        If there is none, or its table is not as it was written.
    """
    results = read_results(root)
    facts = read_provenance(root / PROVENANCE) or {}
    return Finished(root.resolve().name, results[results["group"] == ALL], facts)


def compare_runs(before: Finished, after: Finished) -> Changes:
    """Compare the errors of common cells seed by seed, and say what else is different.

    Parameters
    ----------
    before, after
        Runs whose studies have cells in common.

    Returns
    -------
    Changes
        ``ratio`` is the geometric mean over common seeds of the errors after over those before, ``low`` to
        ``high`` its 95 % interval over seeds (Student's t of paired logarithms), ``scatter`` the standard
        deviation of the logarithm over the seeds before. Exploded fits count as `mean`.

    Raises
    ------
    StudyError
        If no cell is in both.
    """
    old, new = (by_pool(labelled(clipped(one.table))) for one in (before, after))
    cells = [table.drop_duplicates([*SETTING, "seed"]) for table in (old, new)]
    both = cells[0].merge(cells[1], on=[*SETTING, "seed"], suffixes=("_before", "_after"))
    if both.empty:
        raise StudyError(
            f"{before.name} and {after.name} have no cell in common: data sets {_names(old, 'dataset')} and "
            f"{_names(new, 'dataset')}, models {_names(old, 'model')} and {_names(new, 'model')}; compare "
            "two runs of one study"
        )
    parts = [one for name in OUTCOMES for split in PARTS for one in _changes(old, new, name, split)]
    errors = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CHANGES)
    was, is_now = both["status_before"] == "done", both["status_after"] == "done"
    shown = [*SETTING, "seed", "status_before", "status_after", "reason_after"]
    return Changes(
        causes=tuple(causes(before, after)),
        errors=errors,
        only_before=_settings(_without(cells[0], cells[1])),
        only_after=_settings(_without(cells[1], cells[0])),
        newly_failing=both.loc[was & ~is_now, shown].reset_index(drop=True),
        newly_done=both.loc[~was & is_now, shown].reset_index(drop=True),
    )


def _names(table: pd.DataFrame, column: str) -> str:
    return ", ".join(sorted(set(table[column].astype(str))))


def _without(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    keys = [*SETTING, "seed"]
    known = pd.MultiIndex.from_frame(other[keys])
    return table[~pd.MultiIndex.from_frame(table[keys]).isin(known)]


def _settings(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.groupby(SETTING)["seed"].size().rename("n_seeds").reset_index()


def _changes(old: pd.DataFrame, new: pd.DataFrame, name: str, split: str) -> Iterator[pd.DataFrame]:
    """Yield the changes of one metric and part, if both runs have some."""
    column = ERRORS[name]
    if column not in old or column not in new:
        return
    logs = []
    for table in (old, new):
        here = table[(table["status"] == "done") & (table["split"] == split) & (table[column] > 0)]
        logs.append(here.assign(log=np.log(here[column]))[[*SETTING, "seed", "log"]])
    pairs = logs[0].merge(logs[1], on=[*SETTING, "seed"], suffixes=("_before", "_after"))
    if pairs.empty:
        return
    pairs["change"] = pairs["log_after"] - pairs["log_before"]
    groups = pairs.groupby(SETTING)
    found = groups.agg(
        before=("log_before", "mean"),
        after=("log_after", "mean"),
        ratio=("change", "mean"),
        error=("change", "sem"),
        most=("change", lambda one: one.abs().max()),
        n_seeds=("change", "size"),
    )
    found["scatter"] = logs[0].groupby(SETTING)["log"].std()
    quantiles = stats.t.isf((1 - CONFIDENCE) / 2, (found["n_seeds"] - 1).clip(lower=1))
    half = (quantiles * found["error"]).to_numpy()
    centre = found["ratio"].to_numpy()
    found = found.assign(low=np.exp(centre - half), high=np.exp(centre + half))
    found[["before", "after", "ratio"]] = np.exp(found[["before", "after", "ratio"]])
    found["verdict"] = _verdicts(found)
    yield found.reset_index().assign(metric=name, split=split)[CHANGES]


def _verdicts(found: pd.DataFrame) -> Any:
    """Say of each setting what its seeds tell."""
    is_same = found["most"] <= math.log1p(RELATIVE_NOISE)
    return np.select(
        [is_same, found["n_seeds"] < 2, found["high"] < 1, found["low"] > 1],
        [SAME, ONE_SEED, LOWER, HIGHER],
        UNTOLD,
    )


def causes(before: Finished, after: Finished) -> Iterator[str]:
    """Say how two runs differ in study, program versions, machine and data."""
    yield from _differences(_flat(_study(before.facts)), _flat(_study(after.facts)))
    old, new = (_versions(one.facts) for one in (before, after))
    yield from _differences(old, new)
    facts = [
        {key.replace("_", " "): one.facts[key] for key in FACTS if key in one.facts}
        for one in (before, after)
    ]
    yield from _differences(*facts)
    if {"dataset_key"} <= set(before.table) & set(after.table):
        data = [dict(by_pool(one.table)[["dataset", "dataset_key"]].to_numpy()) for one in (before, after)]
        for name in sorted(data[0].keys() & data[1].keys()):
            if data[0][name] != data[1][name]:
                yield f"data set {name}: content or split changed"


def _study(facts: Mapping[str, object]) -> Mapping[str, Any]:
    try:
        return parse_toml(str(facts.get("toml", "")).encode(), PROVENANCE)
    except StudyError:
        return {}


def _flat(table: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return the values of nested tables by their dotted names; the study's own name does not count."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            found |= _flat(value, name)
        elif name != "study.name":
            found[name] = value
    return found


def _versions(facts: Mapping[str, object]) -> dict[str, str]:
    pairs = (one.split(maxsplit=1) for one in str(facts.get("versions", "")).split(";") if one.strip())
    return {name: version[0] if version else "" for name, *version in pairs}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            yield f"{key}: {old.get(key, 'not said')} → {new.get(key, 'not said')}"
