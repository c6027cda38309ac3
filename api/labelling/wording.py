"""A selection in sentences."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from crossprune.labelling.selection import Selection


def sentences(selection: Selection) -> list[str]:
    """Say what was chosen, how well it covers the pool, and whether more or less would do."""
    n = len(selection.table)
    n_atoms = int(selection.table["n_atoms"].sum())
    found = [f"{n} of {selection.n_pool} frames chosen ({selection.how}), {n_atoms} atoms."]
    found += [f"{note[0].upper()}{note[1:]}." for note in selection.notes]
    if len(selection.coverage):
        found.append(_covered(selection))
    if selection.verdict is not None:
        found.append(_saturation(selection, n))
    if len(selection.agreement):
        found += _agreed(selection)
    found += (
        [_advised(part) for _, part in selection.advice.groupby("model")] if len(selection.advice) else []
    )
    return found


def _advised(ways: pd.DataFrame) -> str:
    best, data = ways.iloc[0], ways["data"].iloc[0]
    ends = "no interval"
    if isfinite(best["low"]) and isfinite(best["high"]):
        ends = f"{best['low']:.2f} to {best['high']:.2f}"
    words = (
        f"In refits of {best['model']} on {data}, {best['way']} chose best: {best['ratio']:.2f} ({ends}) "
        "times the force errors of random choices"
    )
    if best["verdict"] != "lower":
        words += f", which does not tell it from these ({best['verdict']})"
    others = [f"{way} {ratio:.2f}" for way, ratio in ways[["way", "ratio"]].iloc[1:].itertuples(index=False)]
    return f"{words}{'; ' if others else ''}{', '.join(others)}."


def _covered(selection: Selection) -> str:
    last = selection.coverage.iloc[-1]
    if last["largest"] == 0:
        return "Every frame of the pool is chosen, given, or a copy of one that is."
    words = []
    for name, what in (("mean", "on average"), ("largest", "at most")):
        middle = last[f"random_{name}"]
        if middle == 0:
            continue
        low, high = (last[name] / last[f"random_{name}_{end}"] for end in ("high", "low"))
        words.append(f"{last[name] / middle:.2f} ({low:.2f} to {high:.2f}) {what}")
    edges = ""
    if last["mean"] > last["random_mean_high"]:
        edges = " A ratio above 1 on average is what it takes to cover the edges."
    return (
        "Distance from a frame of the pool to the nearest chosen or given one, over that to as many chosen "
        f"at random: {'; '.join(words)}.{edges}"
    )


def _saturation(selection: Selection, n: int) -> str:
    verdict = selection.verdict
    assert verdict is not None
    words = f"The pool is {verdict.remark}."
    if verdict.pruning not in ("worth it", "not sure"):
        return words
    most = round(verdict.keep * selection.n_pool)
    return f"{words} Coverage saturates at about {most} frames; {n} are chosen."


def _agreed(selection: Selection) -> list[str]:
    table = selection.agreement
    own = table[table["second"] != "consensus"]
    low, high = 100 * own["shared"].min(), 100 * own["shared"].max()
    beside = table[table["second"] == "consensus"]
    nearest = beside.iloc[int(beside["shared"].argmax())]
    return [
        f"Choosers by themselves share {low:.0f} to {high:.0f} % of their choices, "
        f"{100 * table['by_chance'].mean():.0f} % by chance; what is chosen here is far apart for all of "
        f"them at once, and is nearest to the choice of {nearest['first']} ({100 * nearest['shared']:.0f} %)."
    ]
