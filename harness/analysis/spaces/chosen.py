"""The sets that a store's ways of choosing took, whether or not anything was fitted to them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import DEFAULTS, labelled, way_of
from crossprune.harness.contract import IntArray
from crossprune.harness.engine.stored import stored_dataset, stored_selection, stored_subset
from crossprune.harness.selection.gathering import Pool
from crossprune.harness.store.objects import Store

AXES = {name: silent for name, (silent, _) in DEFAULTS.items()}
"""Of the latent space and of what a fraction counts, to what goes without saying in older tables."""


def chosen_subsets(root: Path, results: pd.DataFrame) -> pd.DataFrame:
    """List the chosen sets of whole configurations below the full one that are stored, each once.

    Columns dataset, chooser, method (labelled), fraction, seed, source, those of `AXES`, ``way``, ``subset``
    (indices in the data set), ``picked`` (those of them that were not given), ``free`` (what could be picked)
    and ``n_train``, how many these are; no rows where the store holds neither fits nor orders.
    """
    keys = ["dataset", "chooser", "method", "fraction", "seed"]
    if "source" not in results.columns:
        results = results.assign(source=results["dataset"])
    given = [*keys, "source", *AXES, "fit_key", "selection_key", "dataset_key"]
    if "fit_key" not in results.columns or not (root / "objects").is_dir():
        return pd.DataFrame(columns=[*given, "way", "subset", "picked", "free", "n_train"])
    store = Store(root)
    silent = {**AXES, "selection_key": ""}
    table = results.assign(**{name: one for name, one in silent.items() if name not in results.columns})
    table = labelled(table).assign(**{name: table[name] for name in AXES})
    table = table[(table["status"] == "done") & (table["fraction"] < 1 - 1e-9) & (table["mask"] == "none")]
    sets = table.drop_duplicates(keys)[given].reset_index(drop=True)
    held = {key for key in set(sets["dataset_key"]) if store.has("dataset", key)}
    sets = sets[sets["dataset_key"].isin(held)].reset_index(drop=True)
    axes = ["dataset_key", "budget", "given"]
    each = [tuple(map(str, one)) for one in sets[axes].itertuples(index=False)]
    pools = {one: Pool.of(stored_dataset(store.root, one[0]), *one[1:]) for one in dict.fromkeys(each)}
    mine = [pools[one] for one in each]
    known = [_subset(store, row, pool) for row, pool in zip(sets.to_dict("records"), mine, strict=True)]
    picked = [
        None if one is None else np.intersect1d(one, pool.free) for one, pool in zip(known, mine, strict=True)
    ]
    found = {"subset": known, "picked": picked, "free": [pool.free for pool in mine]}
    sets = sets.assign(
        way=way_of(sets), **{name: pd.Series(one, sets.index, dtype=object) for name, one in found.items()}
    )
    sets = sets[sets["subset"].notna()].reset_index(drop=True)
    return sets.assign(n_train=[len(one) for one in sets["free"]])


def _subset(store: Store, row: Mapping[Hashable, Any], pool: Pool) -> IntArray | None:
    """Return what a fit was fitted to, or what an order of picking begins with; None if neither is stored."""
    if row["fit_key"] and store.has("fit", str(row["fit_key"])):
        return stored_subset(store.root, str(row["fit_key"]))
    order = stored_selection(store, str(row["selection_key"])) if row["selection_key"] else None
    return None if order is None else pool.subset(order, float(row["fraction"]))
