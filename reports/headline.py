"""The first screen in words: what was asked, what was found, how sure that is, and what cannot be settled."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from crossprune.harness.analysis.comparisons import SQUARE
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.primary import Asked, sentence
from crossprune.harness.analysis.scope import FEW
from crossprune.reports.wording import (
    BEYOND,
    HERE,
    MOST,
    OPEN,
    OUTCOMES,
    VERDICTS,
    interval,
    is_unasked,
    ratio_text,
    reach,
)

SIDES = {
    "own / other": ("data that their own descriptor chose", "on data that another's chose"),
    "own / random": ("data that their own descriptor chose", "on random data"),
    "other / random": ("data that another's descriptor chose", "on random data"),
}
"""What models are trained on, and what beside, in a sentence."""
UNKNOWN = {
    "all alike": "no repeat tells one choice from the other",
    "too few seeds": "it takes repeats that differ to tell",
    "needs pools": "only several pools can tell (pools = 4)",
    "no pairs": "no cell that is compared has ended",
}
REACHES = {
    HERE: "It speaks of the data of this study alone.",
    BEYOND: "It holds beyond the data sets of this study.",
    OPEN: "It speaks of the data sets of this study; for others it is open.",
}
NUMBERS = ("No descriptor", "One descriptor", "Two descriptors", "Three descriptors")


@dataclass(frozen=True)
class Headline:
    """Sentences for the top of the page."""

    question: str
    finding: str
    sureness: str
    beside: str
    """What choosing by a descriptor is worth against random."""
    limits: tuple[str, ...]
    """Why the finding does not settle the question."""


def headline(table: pd.DataFrame | None, question: Asked, n_owners: int) -> Headline:
    """Say in plain words what a study found.

    Parameters
    ----------
    table
        ``answer`` of the statistics; None if nothing could be compared.
    question
        What the study asks.
    n_owners
        Descriptors that choose for models of their own.
    """
    rows = [] if table is None else _of_question(table, question)
    known = {str(row["comparison"]): row for row in rows}
    asked = known.get(question.primary.comparison)
    limits = [_too_few(n_owners)] if question.primary.comparison == "own / other" else []
    limits = [f"{one} {_by_model(table, question)}".strip() for one in limits if one]
    if asked is not None and _is_confounded(asked):
        limits.append(
            "The study is no square of choosers and models: what is good in a chooser for every model "
            "is counted in."
        )
    if question.changed:
        limits.append(f"Everything here is exploratory: {question.changed}.")
    return Headline(
        question="Whose descriptor should choose the training data?",
        finding=_finding(asked, question.primary.comparison),
        sureness=_sureness(asked, question),
        beside=_beside(known, question.primary.comparison),
        limits=tuple(one for one in limits if one),
    )


def _of_question(table: pd.DataFrame, question: Asked) -> list[dict[Hashable, Any]]:
    here = (table["metric"] == question.primary.outcome) & (table["model"] == EVERY_MODEL)
    here &= table["split"] == question.primary.split
    return table[here].to_dict("records")


def _by_model(table: pd.DataFrame | None, question: Asked) -> str:
    """Say for whom own data came out better in this study, sure or not."""
    if table is None:
        return ""
    here = (table["metric"] == question.primary.outcome) & (table["split"] == question.primary.split)
    here &= (table["comparison"] == question.primary.comparison) & (table["model"] != EVERY_MODEL)
    rows = table[here & table["ratio"].notna()]
    if len(rows) < 2:
        return ""
    is_better = (rows["ratio"] < 1) == (rows["better"] == "lower")
    sides = (("better", is_better), ("worse", ~is_better))
    parts = [f"{word} for {' and '.join(rows['model'][side])}" for word, side in sides if side.any()]
    sure = rows["verdict"].isin(["lower", "higher"])
    doubt = ", none of it beyond chance" if not sure.any() else ", not all of it beyond chance"
    return f"Here own data came out {', '.join(parts)}{'' if sure.all() else doubt}."


def _is_confounded(row: Mapping[Hashable, Any]) -> bool:
    return row["comparison"] == "own / other" and row["design"] != SQUARE and not is_unasked(row)


def _finding(row: Mapping[Hashable, Any] | None, comparison: str) -> str:
    first, second = SIDES[comparison]
    verdict = "no pairs" if row is None else str(row["verdict"])
    if row is not None and is_unasked(row):
        return (
            f"Not decided: do models do better on {first} than {second}? This study does not tell: "
            "it has no model with data of both kinds."
        )
    if row is None or verdict in UNKNOWN:
        return f"Not decided: do models do better on {first} than {second}? Here {UNKNOWN[verdict]}."
    if verdict == "none found":
        return f"No difference found in {_noun(row)} between models on {first} and {second}."
    better = (verdict == "lower") == (row.get("better", "lower") == "lower")
    return (
        f"Models do {'better' if better else 'worse'} on {first} than {second}: "
        f"{_change(float(row['ratio']))} {_noun(row)}."
    )


def _noun(row: Mapping[Hashable, Any]) -> str:
    metric = str(row["metric"])
    return OUTCOMES.get(metric, f"{metric.partition('_')[0]} errors")


def _change(ratio: float) -> str:
    size = f"{100 * abs(ratio - 1):.1f} %" if 1 / MOST < ratio < MOST else "many times"
    return f"{size} {'lower' if ratio < 1 else 'higher'}"


def _sureness(row: Mapping[Hashable, Any] | None, question: Asked) -> str:
    """Say how wide the interval is, in percent, and how far it reaches."""
    if row is None or math.isnan(row["ratio"]):
        return ""
    named = "Primary comparison" if not question.changed else "Compared"
    said = f"{named}: {sentence(question.primary)}. Ratio {ratio_text(row['ratio'])}"
    if math.isnan(row["low"]):
        return f"{said}, without an interval."
    low, high = float(row["low"]), float(row["high"])
    said += f"; with 95 % confidence it is within {interval(low, high)}"
    if row["verdict"] == "none found":
        said += ", so that a difference of that size may still be there"
    return f"{said}. {REACHES[reach(row)]}"


def _beside(known: Mapping[str, Mapping[Hashable, Any]], asked: str) -> str:
    """Say what the two kinds of choosers do against random."""
    parts = []
    for name, whose in (("own / random", "own"), ("other / random", "another's")):
        row = known.get(name)
        if row is None or name == asked or math.isnan(row["ratio"]):
            continue
        sure = "" if math.isnan(row["low"]) else f" ({interval(row['low'], row['high'])})"
        open_ = "" if row["verdict"] in ("lower", "higher") else f", {VERDICTS[str(row['verdict'])]}"
        parts.append(f"{whose} {ratio_text(row['ratio'])}{sure}{open_}")
    noun = _noun(known["own / random"]) if "own / random" in known else ""
    return f"Against random data, ratios of {noun}: {'; '.join(parts)}." if parts else ""


def _too_few(n_owners: int) -> str:
    if not 0 < n_owners < FEW:
        return ""
    chance = math.factorial(n_owners)
    by_chance = (
        f": own data come out best for every model in 1 of {chance} studies by chance alone"
        if n_owners > 1
        else ", because nothing tells it from what is good in this descriptor"
    )
    return f"{NUMBERS[n_owners]} cannot settle whose should choose{by_chance}."


def title_of(datasets: Sequence[str], study: str) -> str:
    """Name data sets and study: ``si-pbe · study demo``."""
    shown = ", ".join(datasets[:4]) + (f" and {len(datasets) - 4} more" if len(datasets) > 4 else "")
    return f"{shown} · study {study}" if shown else f"study {study}"
