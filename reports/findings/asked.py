"""The comparison that a study was run for: its row, and what limits it, beside the number."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from crossprune.harness.analysis.comparisons import SQUARE
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.primary import Asked
from crossprune.harness.analysis.scope import FEW, too_few
from crossprune.reports.wording import (
    TOLD_AT_END,
    TOLD_LABELS,
    UNDECIDED,
    comparison_rows,
    interval,
    is_unasked,
    ratio_text,
)

Row = Mapping[Hashable, Any]


class Limit(NamedTuple):
    """Something that a number rests on, or that limits it."""

    name: str
    text: str
    is_pitfall: bool


@dataclass(frozen=True)
class Primary:
    """What the page shows of the comparison that was asked for."""

    sentence: str
    rows: Sequence[Sequence[str]]
    """As `comparison_rows`: one."""
    limits: Sequence[Limit]


def primary_of(
    table: pd.DataFrame | None, question: Asked, n_owners: int, *, per_configuration: bool
) -> Primary | None:
    """Lay out the primary comparison; None if the table ``answer`` has no such row.

    Parameters
    ----------
    table
        ``answer`` of the statistics.
    question
        What the study asks.
    n_owners
        Descriptors that choose for models of their own.
    per_configuration
        Whether the errors on single test configurations are known.
    """
    row = row_of(table, question)
    if table is None or row is None:
        return None
    here = table.loc[[int(str(row["place"]))]]
    limits = _descriptors(row, n_owners)
    if not is_unasked(row):
        limits = [
            *_repeats(row, per_configuration=per_configuration),
            *limits,
            _lost(row),
            *_unequal(row),
            _reach(row),
        ]
    return Primary(plain_sentence(row), comparison_rows(here), limits)


def row_of(table: pd.DataFrame | None, question: Asked) -> Row | None:
    """Return the row that a study asks for, over all models, with its ``place`` in the table."""
    if table is None:
        return None
    asked = question.primary
    here = (table["metric"] == asked.outcome) & (table["split"] == asked.split)
    here &= (table["model"] == EVERY_MODEL) & (table["comparison"] == asked.comparison)
    found = table[here]
    return None if found.empty else {"place": found.index[0], **found.iloc[0].to_dict()}


def plain_sentence(row: Row) -> str:
    """Say what the interval of a ratio allows to say, in one sentence without numbers beyond it."""
    first, second = (one.strip() for one in str(row["comparison"]).split("/"))
    verdict, ratio = str(row["verdict"]), float(row["ratio"])
    if is_unasked(row):
        return f"{first} / {second} is open: no model of this study has data of both kinds."
    if verdict in UNDECIDED or math.isnan(ratio):
        return f"{first} / {second} is open: {UNDECIDED.get(verdict, 'no cell that is compared has ended')}."
    ends = interval(row["low"], row["high"])
    if verdict == "none found":
        return (
            f"Between {first} and {second} no difference was found: the ratio is {ratio_text(ratio)}, and "
            f"anything from {ends} fits the data."
        )
    gain = (verdict == "lower") == (row.get("better", "lower") == "lower")
    return (
        f"{first.capitalize()} data are {'better' if gain else 'worse'} than {second}: the ratio is "
        f"{ratio_text(ratio)}, and anything from {ends} fits the data."
    )


def _repeats(row: Row, *, per_configuration: bool) -> list[Limit]:
    units, sets = int(row["n_units"]), float(row["n_data_sets"])
    text = f"{_count(units, 'seed')} of {_count(sets, 'data set')}"
    pools = float(row["n_pools"])
    if not math.isnan(pools):
        text = f"{_count(pools, str(row['repeat']))} with {text}"
    few = units < 3 * max(sets, 1)
    text += ": with so few, intervals are wide" if few else ""
    found = [Limit("Repeats", f"{text}.", few)]
    n_test = float(row["n_test"])
    if not per_configuration or math.isnan(n_test):
        lacking = (
            "The interval is over seeds alone and too narrow: errors on single test configurations, which "
            "all seeds share, are not stored beside the table."
        )
        return [*found, Limit("Test frames", lacking, is_pitfall=True)]
    shared = "shared by all seeds; the interval holds for other frames of the same kind"
    return [*found, Limit("Test frames", f"{n_test:.0f}, {shared}.", n_test < 20)]


def _descriptors(row: Row, n_owners: int) -> list[Limit]:
    if row["comparison"] != "own / other":
        return []
    if not n_owners:
        return [Limit("Descriptors", "None chooses for a model of its own here.", is_pitfall=True)]
    text = too_few(n_owners) or (
        f"{n_owners} choose for models of their own: of {math.factorial(n_owners)} ways to say whose, one is "
        "the true one."
    )
    found = [Limit("Descriptors", text, n_owners < FEW)]
    if row["design"] != SQUARE and not is_unasked(row):
        confounded = (
            "The study is no square of choosers and models: a chooser that is good for every model cannot be "
            "told from one that is good for its own."
        )
        found.append(Limit("Not ownership", confounded, is_pitfall=True))
    return found


def _lost(row: Row) -> Limit:
    lost, known = int(row["n_missing"]), int(row["n_pairs"])
    if not lost:
        return Limit("Lost", f"None of {_count(known, 'pair')}.", is_pitfall=False)
    text = f"{lost} of {lost + known} pairs have a cell without a value; the ratio is over the others."
    return Limit("Lost", text, is_pitfall=True)


def _unequal(row: Row) -> list[Limit]:
    found = []
    labels, at_end = float(row["label_ratio"]), float(row["at_end"])
    if abs(labels - 1.0) > TOLD_LABELS:
        text = (
            f"The first side had {labels:.2f} times as many labels from as many configurations; "
            'budget = "labels" makes them equal.'
        )
        found.append(Limit("Labels", text, is_pitfall=True))
    if at_end > TOLD_AT_END:
        text = f"{100 * at_end:.0f} % of the values are at an end of their scale, where differences hide."
        found.append(Limit("Ends of scale", text, is_pitfall=True))
    return found


def _reach(row: Row) -> Limit:
    low, high = float(row["low_anywhere"]), float(row["high_anywhere"])
    if math.isnan(low):
        return Limit("Other data", "Of other data sets nothing can be said from so few.", is_pitfall=True)
    text = f"For data sets like these the ratio is to be expected within {interval(low, high)}"
    return Limit("Other data", f"{text}.", is_pitfall=low <= 1 <= high)


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"
