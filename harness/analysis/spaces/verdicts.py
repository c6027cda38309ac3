"""Is each pool worth pruning, in each latent space? The verdicts of `worth`, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crossprune.harness.analysis.spaces.looks import SPACE, Look
from crossprune.harness.analysis.spaces.worth import MOST, verdict_on
from crossprune.harness.selection.linter import near_duplicates

COLUMNS = [
    *(*SPACE, "pruning", "keep", "low", "high", "unstructured", "effective_size", "redundancy", "n"),
    *("n_columns", "effective_dimension", "near_duplicates", "over", "remark"),
]


def row_of(look: Look) -> tuple[object, ...]:
    """Return the row, `COLUMNS`, of one space; of pools larger than `MOST` a sample is looked at."""
    known, train = look.structures, look.train
    points, groups = look.candidates(train).points(), known.groups[train]
    drawn = np.sort(np.random.default_rng(0).permutation(len(train))[:MOST])
    n_all = max(known.n_all, len(train))
    found = verdict_on(points[drawn], groups[drawn].tolist(), np.random.default_rng(0), n_all)
    values = {**vars(found), "near_duplicates": near_duplicates(points)}
    return (*look.names, *(values[name] for name in COLUMNS[len(SPACE) :]))


def sentences(table: pd.DataFrame) -> list[str]:
    """Return the verdict on each space of a table ``worth`` in a sentence."""
    names = table[SPACE].itertuples(index=False)
    return [
        f"{dataset}, {chooser} ({', '.join(axes)}): {remark}."
        for (dataset, chooser, *axes), remark in zip(names, table["remark"], strict=True)
    ]
