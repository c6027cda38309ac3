"""The questions that people ask after the first, each with what the tables answer in a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from crossprune.harness.analysis.comparisons import SHOWN
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.primary import OF_NO_PART, Asked
from crossprune.harness.analysis.units import TREND
from crossprune.reports.wording import interval, ratio_text

Tables = Mapping[str, pd.DataFrame]
CAPTIONS = {
    "fractions": "Own, other and random choosers at each fraction, all models; trend: the factor on the "
    "ratio when data are doubled. Intervals hold for all rows together",
    "outcomes": "Own / other by every outcome: errors on the test set and held-out groups (ood), properties, "
    "dynamics. The ratio is of errors, of survival times or temperatures; better says which direction is. "
    "Intervals hold for all rows together",
    "outcomes_by_fraction": "The same at each fraction; intervals hold for the rows of one outcome together",
    "ood_groups": "Own / other on each held-out group; in rows of all groups a group is one repeat, however "
    "many frames it has. Intervals hold for all rows of a metric together",
    "tradeoffs": "Is a cell that is accurate on the test set also good elsewhere? Rank correlations over "
    "cells of equal data, or over choosers of one model; 1: the same order, below 0: a trade-off",
    "scope": "Does it matter which descriptor is whose? p: share of all assignments of descriptors to models "
    "whose own / other is as far from 1; low to high: where one more descriptor is to be expected (95 %)",
    "ranks": "Average rank of each way of choosing over data sets, 1 is best; two ways differ if their ranks "
    "do by more than the critical difference (Friedman, Nemenyi); one data set has no test",
    "efficiency": "Fraction that is as good as the full set, to 5 %, and how many times as much data random "
    "needs for equal errors (data ratio), with 95 % intervals; −inf and inf lie beyond the study's fractions",
    "sizes": "Chance of this study to find an effect of 5 or 10 % (power), and the seeds, test "
    "configurations or data sets that find it in 80 of 100 studies if nothing else is enlarged; inf: out of "
    "reach",
}
"""Captions of the tables."""
ENOUGH_POWER = 0.8


@dataclass(frozen=True)
class Question:
    """A question, its answer in a sentence, and the tables that it is read off."""

    name: str
    """Also the element's id on the page."""
    title: str
    finding: str
    tables: Sequence[tuple[str, str, pd.DataFrame]]
    """Name, caption, table."""


def questions(tables: Tables, asked: Asked) -> list[Question]:
    """Answer what people ask after the primary comparison, in their order, as far as there are tables.

    Parameters
    ----------
    tables
        Of `crossprune.harness.analysis.answer.statistics_of`.
    asked
        What the study asks: findings speak of its outcome and part.
    """
    found = []
    for name, title, of_tables, say in ASKED:
        shown = [(one, CAPTIONS[one], shown_columns(tables[one])) for one in of_tables if _has(tables, one)]
        if shown:
            found.append(Question(name, title, say(tables, asked), shown))
    return found


def shown_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the columns of a comparison that only its file has."""
    if "outcome" in table:
        table = table[table["comparison"] == "own / other"].drop(columns=["model", "comparison", "role"])
    return table[[name for name in table if name in SHOWN]] if "verdict" in table else table


def _has(tables: Tables, name: str) -> bool:
    return name in tables and not tables[name].empty


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"


def _of_asked(table: pd.DataFrame, asked: Asked) -> pd.DataFrame:
    """Return the rows of the outcome and part that were asked for, or of the first that there is."""
    is_asked = (table["metric"] == asked.primary.outcome) & (table["split"] == asked.primary.split)
    if is_asked.any():
        return table[is_asked]
    return table[(table[["metric", "split"]] == table[["metric", "split"]].iloc[0]).all(axis=1)]


def _head(table: pd.DataFrame) -> str:
    """Name what a sentence is about: ``force, test``."""
    metric = str(table["metric"].iloc[0])
    return OF_NO_PART.get(metric, f"{metric}, {table['split'].iloc[0]}")


def verdicts_in_words(table: pd.DataFrame) -> str:
    """Count how often the first side is better, worse, or not told from the second.

    Parameters
    ----------
    table
        Rows of a comparison, with ``verdict`` and, where higher may be better, ``better``.
    """
    better = table["better"] if "better" in table else pd.Series("lower", table.index)
    is_told = table["verdict"].isin(["lower", "higher"])
    gains = int((is_told & (table["verdict"] == better)).sum())
    losses = int(is_told.sum()) - gains
    n, same = len(table), int(table["verdict"].isin(["none found", "all alike"]).sum())
    if same == n:
        return f"no difference found in any of {n}" if n > 1 else "no difference found"
    unknown = n - gains - losses - same
    parts = [(gains, "better"), (losses, "worse"), (same, "no difference found"), (unknown, "not testable")]
    return ", ".join(f"{word} in {count} of {n}" for count, word in parts if count)


def _by_fraction(tables: Tables, asked: Asked) -> str:
    table = _of_asked(tables["fractions"], asked)
    table = table[(table["comparison"] == asked.primary.comparison) & (table["model"] == EVERY_MODEL)]
    is_trend = table["fraction"].astype(str) == TREND
    text = f"{asked.primary.comparison}, {_head(table)}: " if len(table) else "Not known: "
    text += f"{verdicts_in_words(table[~is_trend])} fractions" if (~is_trend).any() else "no fraction"
    for row in table[is_trend].to_dict("records"):
        if math.isnan(row["low"]):
            continue
        known = f"{ratio_text(row['ratio'])} ({interval(row['low'], row['high'])})"
        told = "" if row["verdict"] in ("lower", "higher") else ", no trend found"
        text += f"; when data are doubled the ratio changes by a factor of {known}{told}"
    return f"{text}."


def _by_outcome(tables: Tables, asked: Asked) -> str:
    table = tables["outcomes"] if _has(tables, "outcomes") else tables["outcomes_by_fraction"]
    return f"Own against other: {verdicts_in_words(_own_other(table))} outcomes."


def _own_other(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["comparison"] == "own / other") & (table["model"] == EVERY_MODEL)]


def _by_group(tables: Tables, asked: Asked) -> str:
    table = _own_other(tables["ood_groups"])
    single = table[table["group"] != EVERY_MODEL]
    return f"Own against other: {verdicts_in_words(single)} (group and metric)."


def _by_model(tables: Tables, asked: Asked) -> str:
    table = _of_asked(tables["answer"], asked)
    parts = []
    for name in ("own / random", "other / random"):
        here = table[(table["comparison"] == name) & (table["model"] == EVERY_MODEL)]
        parts += [
            f"{name} {ratio_text(row['ratio'])} ({interval(row['low'], row['high'])})"
            for row in here.to_dict("records")
            if not math.isnan(row["ratio"])
        ]
    single = table[(table["model"] != EVERY_MODEL) & (table["comparison"] == "own / random")]
    by_model = f"; own against random by model: {verdicts_in_words(single)}" if len(single) else ""
    return f"{_head(table)}: {', '.join(parts) or 'nothing to compare'}{by_model}."


def _whose(tables: Tables, asked: Asked) -> str:
    table = _of_asked(tables["scope"], asked)
    whole = table[table["dataset"] == EVERY_MODEL]
    row = (whole if len(whole) else table).iloc[0].to_dict()
    told = "It does here" if row["p"] < 0.05 else "Not told"
    text = (
        f"{told}: {_percent(row['p'])} % of all ways to say whose a descriptor is give an own / other as far "
        f"from 1 as the true one ({_head(table)}; at least {_percent(row['p_smallest'])} % with "
        f"{row['n_descriptors']} descriptors)"
    )
    if math.isnan(row["low_descriptor"]):
        return f"{text}."
    return f"{text}; one more descriptor's is to be expected within " + (
        f"{interval(row['low_descriptor'], row['high_descriptor'])}."
    )


def _which_chooser(tables: Tables, asked: Asked) -> str:
    parts = []
    if _has(tables, "choosers"):
        table = _of_asked(tables["choosers"], asked)
        every = table[(table["model"] == EVERY_MODEL) & table["comparison"].str.endswith(" / random")]
        names = every["comparison"].str.removesuffix(" / random")
        good = ", ".join(names[every["verdict"] == "lower"])
        bad = ", ".join(names[every["verdict"] == "higher"])
        said = good or "none"
        parts.append(f"of {len(every)}, better than random over all models ({_head(table)}): {said}")
        parts += [f"worse: {bad}"] if bad else []
    if _has(tables, "ranks"):
        ranked = _of_asked(tables["ranks"], asked)
        first = ranked.iloc[0].to_dict()
        sure = "one data set, no test" if math.isnan(first["p"]) else f"all alike: p {first['p']:.2g}"
        parts.append(f"first in rank {first['way']} ({first['rank']:.1f} of {len(ranked)}; {sure})")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _saved(tables: Tables, asked: Asked) -> str:
    table = _of_asked(tables["efficiency"], asked)
    known = table[table["data_ratio_low"].notna()]
    if known.empty:
        return "Not known: no interval of how much data random needs for equal errors."
    saves = int((known["data_ratio_low"] > 1).sum())
    costs = int((known["data_ratio_high"] < 1).sum())
    text = (
        f"In {saves} of {len(known)} pairs of way and model ({_head(table)}) random needs more data for "
        f"equal errors, in {costs} less; in the others the interval contains 1"
    )
    finite = known.loc[known["data_ratio"].between(0, math.inf, inclusive="neither"), "data_ratio"]
    return f"{text}" + (f" (median {finite.median():.2f} times as much)." if len(finite) else ".")


def _large_enough(tables: Tables, asked: Asked) -> str:
    table = _of_asked(tables["sizes"], asked)
    table = table[table["comparison"] == asked.primary.comparison].sort_values("effect", ascending=False)
    if table.empty:
        return "Not known: nothing tells how far it scatters."
    rows = table.to_dict("records")
    parts = [f"{100 * (1 - row['effect']):.0f} % in {100 * row['power']:.0f}" for row in rows]
    text = f"Such a study finds a difference of {', one of '.join(parts)} of 100 cases"
    row = rows[0]
    if row["power"] >= ENOUGH_POWER:
        return f"{text}."
    needed = [
        f"{row[name]:.0f} {name.replace('_', ' ')}"
        for name in ("seeds", "pools", "test_configurations", "data_sets")
        if math.isfinite(row[name])
    ]
    if not needed:
        return f"{text}; no one size alone makes it enough."
    return f"{text}; for {100 * (1 - row['effect']):.0f} % in 80 it takes {' or '.join(needed)}."


def _together(tables: Tables, asked: Asked) -> str:
    table = tables["tradeoffs"]
    known = table[table["correlation"].notna()]
    alike, against = int((known["low"] > 0).sum()), int((known["high"] < 0).sum())
    n = len(known)
    open_ = n - alike - against
    return f"Of {n} pairs of outcomes {alike} go together, {against} are a trade-off, {open_} open."


Say = Callable[[Tables, Asked], str]
ASKED: Sequence[tuple[str, str, Sequence[str], Say]] = (
    ("by-fraction", "Is it the same at every fraction?", ("fractions",), _by_fraction),
    ("by-outcome", "By every outcome?", ("outcomes", "outcomes_by_fraction"), _by_outcome),
    ("by-group", "On every held-out group?", ("ood_groups",), _by_group),
    ("whose", "Does it matter whose descriptor it is?", ("scope",), _whose),
    ("which-chooser", "Which chooser is good for every model?", ("ranks",), _which_chooser),
    ("saved", "How much data does it save?", ("efficiency",), _saved),
    ("large-enough", "Was the study large enough?", ("sizes",), _large_enough),
    ("together", "Is what is accurate also good elsewhere?", ("tradeoffs",), _together),
)
"""Element id, title, tables and what is said, in the order in which people ask."""


def against_random(tables: Tables, asked: Asked) -> str:
    """Say what own and other data are worth against random, over all models and by model."""
    return _by_model(tables, asked) if _has(tables, "answer") else ""
