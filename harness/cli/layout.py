"""Tables as plain text that fits into a terminal or a log file, with their keys beside every number."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import pandas as pd

WIDTH = 80
"""Columns of a terminal, or of a log file, that every table fits into."""
LONGEST_NAME = 26
"""Characters of a name in a table that is too wide; longer ones become numbers, which are explained below."""
KEYS = (
    *("dataset", "outcome", "group", "comparison", "way", "chooser", "method", "model", "fraction"),
    *("first", "second", "over", "space", "other", "effect", "structure", "property", "category"),
    *("pooling", "scaling", "level", "finding", "part", "pruning"),
)
"""Columns that say what a row is of: they stand beside every block of the others."""
STAY = ("ratio", "interval", "p", "verdict", "remark")
"""Columns that are looked for in every row."""

TITLES = {
    "answer": "whose data: ratio of errors (or of what was asked), first over second; 95 % intervals",
    "fractions": "the same at each fraction; trend: the factor when data are doubled",
    "scope": "does it matter which descriptor is whose (p), and what of one more descriptor",
    "choosers": "each way of choosing against random",
    "ranks": "average ranks, 1 is best (Friedman; critical difference of Nemenyi)",
    "efficiency": "fraction as good as the full set, to 5 %; data ratio: what random needs for equal errors",
    "enough": "the same for other errors above the full set's (tolerance), and the labels that it takes",
    "outcomes": "own / other by every outcome (↑: higher is better); intervals hold for all of them together",
    "matrix": "every cell chooser × model against random; intervals hold for one fraction's cells together",
    "outcomes_by_fraction": "the same at each fraction; trend: the factor when data are doubled",
    "ood_groups": "own / other on each held-out group; all: over groups, each of which counts as one",
    "tradeoffs": "is what is accurate also good elsewhere? rank correlation; below 0 is a trade-off",
    "sizes": "power, and what finds an effect in 80 of 100 studies; inf: out of reach",
    "findings": "what is wrong with each latent space: its share of the distances, and of a tenth changed",
    "leakage": "does the split leak? nearness of what is tested to training, beside random draws of it",
    "worth": "is the pool worth pruning, and to what fraction (95 % interval)? no label is looked at",
    "composition": "kinds of structures among the chosen (%), mean over seeds",
    "errors_by_force": "force errors (eV/Å) by fifths of the reference force, mean over ways of choosing",
    "errors_by_distance": "the same by fifths of an atom's distance to the chosen set, in each space",
    "mechanism": "does error follow distance? rank correlation over atoms (within a set) and over sets",
    "overlap": "overlap of chosen sets (Jaccard)",
    "chosen": "chosen sets seen in each latent space",
    "spaces": "latent spaces compared",
}
"""What each table of an analysis shows."""


def lines_of(texts: pd.DataFrame) -> list[str]:
    """Lay a table out in lines of `WIDTH`.

    What does not fit is cut into blocks of columns, each beside the keys of its rows. Before, what is the
    same in all rows goes above the table, and long names become numbers, as remarks always do.

    Parameters
    ----------
    texts
        Strings.
    """
    notes: list[str] = []
    if "remark" in texts:
        texts, notes = _numbered(texts, ["remark"], "[{}]")
        texts = texts if notes else texts.drop(columns="remark")
    above = ""
    if _width(texts) > WIDTH and len(texts) == 1:
        words = (f"{name} {value}" for name, value in texts.iloc[0].items())
        return [line for one in ("; ".join(words), *notes) for line in _wrapped(one)]
    if _width(texts) > WIDTH:
        same = [name for name in texts if texts[name].nunique() == 1 and name not in STAY]
        above = "; ".join(f"{name} {texts[name].iloc[0]}" for name in same)
        texts = texts.drop(columns=same)
    long = [name for name in texts if name in KEYS and texts[name].str.len().max() > LONGEST_NAME]
    if long and _width(texts) > WIDTH:
        texts, explained = _numbered(texts, long, "({})")
        notes += explained
    lines = textwrap.wrap(f"in all rows: {above}", WIDTH, subsequent_indent="  ") if above else []
    for block in _blocks(texts):
        lines += texts[block].to_string(index=False).splitlines()
    return lines + [line for note in notes for line in _wrapped(note)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text.replace("\t", " "), WIDTH, subsequent_indent="    ")


def _numbered(texts: pd.DataFrame, columns: Sequence[str], form: str) -> tuple[pd.DataFrame, list[str]]:
    """Replace the values of columns by numbers; return what each of them stands for."""
    values = [one for one in dict.fromkeys(texts[list(columns)].to_numpy().ravel().tolist()) if one]
    marks = {one: form.format(number) for number, one in enumerate(values, start=1)}
    replaced = {name: texts[name].map({**marks, "": ""}) for name in columns}
    return texts.assign(**replaced), [f"{mark}\t{one}" for one, mark in marks.items()]


def _blocks(texts: pd.DataFrame) -> list[list[str]]:
    """Cut columns into blocks that fit, keys first in each."""
    keys = [name for name in texts if name in KEYS]
    blocks = [list(keys)]
    for name in texts.columns.difference(keys, sort=False):
        if _width(texts[[*blocks[-1], name]]) > WIDTH and len(blocks[-1]) > len(keys):
            blocks.append(list(keys))
        blocks[-1].append(name)
    return blocks


def _width(texts: pd.DataFrame) -> int:
    """Return how many characters a row takes, a blank between columns."""
    widths = [max(len(str(name)), int(texts[name].str.len().max())) for name in texts]
    return sum(widths) + len(widths) - 1
