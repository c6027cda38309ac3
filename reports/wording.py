"""Numbers and comparisons in words: no more digits and no more confidence than the data carry."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.comparisons import PRIMARY, SQUARE
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from markupsafe import Markup

KNOWN_PROVENANCE = ("command", "toml")
"""Keys of the provenance that are shown as text blocks."""
LABELS = {"study": "Study", "date": "Date", "n_cells": "Cells", "commit": "Commit", "versions": "Versions"}
SPLIT_NAMES = {"test": "test set", "ood": "held-out groups (ood)"}
NAMES = {
    "own / random": ("Data chosen by the model's own descriptor", "random data"),
    "other / random": ("Data chosen by another model's descriptor", "random data"),
    "own / other": ("Data chosen by the model's own descriptor", "data chosen by another's"),
}
NOT_OWNERSHIP = (
    " This is not ownership: the study is no square of choosers and models, so that a chooser that is good "
    "for every model cannot be told from one that is good for its own."
)
OUTCOMES = {"survival": "survival times", "survival_temperature": "survival temperatures"}
"""What is lower or higher, where it is no error."""
MOST = 100.0
"""Ratio beyond which a percentage says nothing."""
HERE, BEYOND, OPEN = "here", "beyond", "open"
"""How far a difference reaches: nothing is known of other data sets, they have it as well, or it is open."""
SCOPES = {
    HERE: " on the data sets of this study, which are too few to speak of others",
    BEYOND: ", also beyond the data sets of this study",
    OPEN: " on the data sets of this study; for others it is open",
}
TOLD_AT_END = 0.01
"""Values on an end of their scale, as a share, from which on it is said."""
TOLD_LABELS = 0.01
"""Labels that one side had more of than the other, as a share, from which on it is said."""
UNDECIDED = {
    "all alike": "no repeat tells one from the other",
    "too few seeds": "undecided, repeats that differ are needed",
    "needs pools": "undecided, only pools can tell how it scatters: pools = 4",
}
"""What is said of comparisons without an interval."""
VERDICTS = {
    "lower": "lower errors",
    "higher": "higher errors",
    "none found": "no difference found",
    "too few seeds": "undecided: too few repeats",
    "needs pools": "undecided: only pools can tell",
    "all alike": "all alike",
    "no pairs": "no pairs to compare",
}


def is_unasked(row: Mapping[Hashable, Any]) -> bool:
    """Say whether a comparison has no pairs because the study has none: no chooser of another's, say."""
    return str(row["verdict"]) == "no pairs" and int(row["n_missing"]) == 0


def split_name(split: str) -> str:
    """Return a split's name for people."""
    return SPLIT_NAMES.get(split, split)


def chooser_name(chooser: str, method: str) -> str:
    """Name a way of choosing: ``random``, ``snap · fps``."""
    return chooser if chooser == method else f"{chooser} · {method}"


def fraction_label(fraction: float, n_configurations: float) -> str:
    """Return ``10 % · 19 configurations``."""
    kept = "" if np.isnan(n_configurations) else f" · {n_configurations:.0f} configurations"
    return f"{100 * fraction:g} %{kept}"


def measured(mean: float, standard_error: float) -> str:
    """Return ``0.2070 ± 0.0042``: decimals that show two digits of the error, at most four of the mean.

    Where there is one seed, or all agree, nothing is known of the scatter, and no error is shown.
    """
    if math.isnan(mean):
        return "–"
    if math.isinf(mean):
        return f"{mean:.0f}"
    scale = standard_error if math.isfinite(standard_error) and standard_error else mean
    digits = 2 if scale == mean else 1
    wanted = digits - math.floor(math.log10(abs(scale))) if scale else 0
    ceiling = 3 - math.floor(math.log10(abs(mean))) if mean else wanted
    decimals = max(0, min(wanted, ceiling))
    error = f" ± {standard_error:.{decimals}f}" if standard_error > 0 else ""
    return f"{mean:.{decimals}f}{error}"


def rounded(value: object) -> str:
    """Return a number for a table: integers as they are, others with three digits, – for NaN."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if math.isnan(value):
        return "–"
    if math.isinf(value) or float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def exact(value: object) -> Markup:
    """Return the attribute by which a table sorts a number that `rounded` shows with fewer digits.

    Examples
    --------
    >>> exact(0.12345), exact(0.123), exact("mean")
    (Markup(' data-order="0.12345"'), Markup(''), Markup(''))
    """
    if not isinstance(value, float) or not math.isfinite(value) or float(rounded(value)) == value:
        return Markup("")
    return Markup(' data-order="{:.6g}"').format(value)


def answer(rows: Sequence[Mapping[Hashable, Any]]) -> list[str]:
    """Say in one sentence per comparison what the numbers allow to say, the primary one first."""
    return [_sentence(row) for row in sorted(rows, key=lambda row: row["role"] != PRIMARY)]


def comparison_rows(table: pd.DataFrame) -> list[Sequence[str]]:
    """Return a comparison table as text: comparison, verdict, ratio, interval, p, pairs, seeds, lost."""
    return [
        (
            str(row["comparison"]) + ("" if row["model"] == EVERY_MODEL else f", model {row['model']}"),
            _found(row),
            "–" if np.isnan(row["ratio"]) else ratio_text(row["ratio"]),
            interval(row["low"], row["high"]),
            rounded(float(row["p"])),
            *(str(row[count]) for count in ("n_pairs", "n_units", "n_missing")),
        )
        for row in table.to_dict("records")
    ]


def _found(row: Mapping[Hashable, Any]) -> str:
    noun = OUTCOMES.get(str(row.get("metric")))
    verdict = str(row["verdict"])
    return f"{verdict} {noun}" if noun and verdict in ("lower", "higher") else VERDICTS[verdict]


def provenance_rows(results: pd.DataFrame, provenance: Mapping[str, object]) -> list[tuple[str, str]]:
    """List what the caller knows of the run and what the cells themselves recorded."""
    rows = [
        (LABELS.get(key, key.replace("_", " ").capitalize()), _text(value))
        for key, value in provenance.items()
        if key not in KNOWN_PROVENANCE
    ]
    if "settings" in results.columns:
        said = results.loc[results["settings"].fillna("") != "", ["model", "dataset", "settings"]]
        for model, one in said.drop_duplicates().groupby("model"):
            texts = dict(zip(one["dataset"], one["settings"], strict=True))
            shown = (f"{name}: {text}" if len(texts) > 1 else text for name, text in texts.items())
            rows.append((f"Options of {model}", " | ".join(shown)))
    for column in ("crossprune_version", "commit", "versions", "hardware"):
        if column in results.columns:
            values = sorted({str(value) for value in results[column].dropna()} - {""})
            name = f"{column.replace('_', ' ')} recorded by the cells"
            several = f"{len(values)} different: " if len(values) > 1 else ""
            rows.append((name[0].upper() + name[1:], several + " | ".join(values)))
    return [(name, text) for name, text in rows if text]


def _sentence(row: Mapping[Hashable, Any]) -> str:
    first, second = NAMES[str(row["comparison"])]
    verdict, ratio = str(row["verdict"]), float(row["ratio"])
    role = f"{str(row['role']).capitalize()}: "
    if verdict == "no pairs":
        return f"{role}{first} against {second}: no pairs to compare."
    known = f"95 % interval {interval(row['low'], row['high'])}, p {rounded(float(row['p']))}"
    if math.isnan(row["low"]):
        known = "no interval"
    numbers = f"ratio {ratio_text(ratio)}, {known}, {_pairs(row)}"
    labels = float(row.get("label_ratio", np.nan))
    if abs(labels - 1.0) > TOLD_LABELS:
        numbers += f"; from {labels:.2f} times as many labels"
    if (share := float(row.get("at_end", np.nan))) > TOLD_AT_END:
        numbers += f"; {100 * share:.0f} % of the values are at an end of their scale, where differences hide"
    confounded = NOT_OWNERSHIP if row["design"] != SQUARE and row["comparison"] == "own / other" else ""
    if verdict in UNDECIDED:
        return f"{role}{first} against {second}: {UNDECIDED[verdict]} ({numbers})."
    if verdict == "none found":
        found = f"No difference found between {first[0].lower()}{first[1:]} and {second}"
        return f"{role}{found} ({numbers}).{confounded}"
    noun = OUTCOMES.get(str(row.get("metric")), "errors")
    change = f"{100 * abs(ratio - 1):.1f} %" if ratio < MOST else "many times"
    return (
        f"{role}{first} gives {change} {verdict} {noun} than {second}{SCOPES[reach(row)]} "
        f"({numbers}).{confounded}"
    )


def interval(low: float, high: float, form: str = ".3f") -> str:
    """Return ``0.902 to 0.993``, – for none; an end beyond a factor of a thousand tells nothing."""
    if math.isnan(low):
        return "–"
    ends = [
        "<0.001" if 0 < one < 1e-3 else ">1000" if 1e3 < one < math.inf else f"{one:{form}}"
        for one in (low, high)
    ]
    return " to ".join(ends)


def reach(row: Mapping[Hashable, Any]) -> str:
    """Say how far a difference reaches: `BEYOND` only if the interval of other data sets excludes 1 too."""
    low, high = float(row["low_anywhere"]), float(row["high_anywhere"])
    if np.isnan(low):
        return HERE
    return BEYOND if low > 1 or high < 1 else OPEN


def _pairs(row: Mapping[Hashable, Any]) -> str:
    pools = float(row.get("n_pools", np.nan))
    units = _count(row["n_units"], "seed")
    if not math.isnan(pools):
        units = f"{_count(pools, str(row.get('repeat', 'pool')))} with {units}"
    text = f"{_count(row['n_pairs'], 'pair')}, {units}"
    return f"{text}; {row['n_missing']} more lost to cells without a value" if row["n_missing"] else text


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


def ratio_text(ratio: float) -> str:
    """Return a ratio with three decimals; beyond a factor of a thousand it tells nothing."""
    return interval(ratio, ratio).split(" to ")[0]


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {one}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(str(one) for one in value)
    return str(value)
