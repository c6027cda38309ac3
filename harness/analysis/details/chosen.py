"""What each way of choosing kept, by group, beside the pool that it chose from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.engine.stored import stored_dataset

BY = ["source", "way", "fraction", "group"]


def kept_of_groups(root: Path, subsets: pd.DataFrame) -> pd.DataFrame:
    """Count the configurations that were picked of each group, means over seeds and pools.

    Parameters
    ----------
    root
        The store.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`.

    Returns
    -------
    pd.DataFrame
        `BY`, ``n_chosen`` and ``n_pool``, what could be picked; a row for every group of the pool.
    """
    tables = []
    for row in subsets.to_dict("records"):
        names, numbers = stored_dataset(root, str(row["dataset_key"])).numbered_groups
        chosen, there = (np.bincount(numbers[row[one]], minlength=len(names)) for one in ("picked", "free"))
        is_there = there > 0
        head = {name: row[name] for name in BY[:3]}
        counts = {"group": np.array(names)[is_there], "n_chosen": chosen[is_there], "n_pool": there[is_there]}
        tables.append(pd.DataFrame({**counts, **head}))
    if not tables:
        return pd.DataFrame(columns=[*BY, "n_chosen", "n_pool"])
    return pd.concat(tables).groupby(BY, sort=True)[["n_chosen", "n_pool"]].mean().reset_index()
