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
from crossprune.harness.selection.gathering import Pool, given_in
from crossprune.harness.store.objects import Store

AXES = {name: silent for name, (silent, _) in DEFAULTS.items()}
"""Of the latent space and of what a fraction counts, to what goes without saying in older tables."""


def chosen_subsets(root: Path, results: pd.DataFrame) -> pd.DataFrame:
    """List the chosen sets of whole configurations below the full one that are stored, each once.

    Columns dataset, chooser, method (labelled), fraction, seed, source, those of `AXES`, ``way``, ``subset``
    (indices in the data set), ``picked`` (those of them that were not given) and ``n_train`` (what could be
    picked); no rows where the store holds neither fits nor orders.
    """
    keys = ["dataset", "chooser", "method", "fraction", "seed"]
    if "source" not in results.columns:
        results = results.assign(source=results["dataset"])
    given = [*keys, "source", *AXES, "fit_key", "selection_key", "dataset_key"]
    if "fit_key" not in results.columns or not (root / "objects").is_dir():
        return pd.DataFrame(columns=[*given, "way", "subset", "picked", "n_train"])
    store = Store(root)
    silent = {**AXES, "selection_key": ""}
    table = results.assign(**{name: one for name, one in silent.items() if name not in results.columns})
    table = labelled(table).assign(**{name: table[name] for name in AXES})
    table = table[(table["status"] == "done") & (table["fraction"] < 1 - 1e-9) & (table["mask"] == "none")]
    sets = table.drop_duplicates(keys)[given].reset_index(drop=True)
    held = {key for key in set(sets["dataset_key"]) if store.has("dataset", key)}
    pools: dict[tuple[str, ...], Pool] = {}
    rows = sets.to_dict("records")
    known = [_subset(store, row, pools) if row["dataset_key"] in held else None for row in rows]
    sets["way"], sets["subset"] = way_of(sets), pd.Series(known, sets.index, dtype=object)
    sets = sets[sets["subset"].notna()].reset_index(drop=True)
    each = list(zip(sets["dataset_key"], sets["given"], strict=True))
    known_free = {one: _free(store, *one) for one in dict.fromkeys(each)}
    free = [known_free[one] for one in each]
    picked = [np.intersect1d(one, few) for one, few in zip(sets["subset"], free, strict=True)]
    return sets.assign(picked=pd.Series(picked, sets.index, dtype=object), n_train=[len(one) for one in free])


def _free(store: Store, key: str, given: str) -> IntArray:
    """Return the frames that could be picked."""
    dataset = stored_dataset(store.root, str(key))
    return np.setdiff1d(dataset.indices("train"), given_in(dataset, str(given)))


def _subset(store: Store, row: Mapping[Hashable, Any], pools: dict[tuple[str, ...], Pool]) -> IntArray | None:
    """Return what a fit was fitted to, or what an order of picking begins with; None if neither is stored."""
    if row["fit_key"] and store.has("fit", str(row["fit_key"])):
        return stored_subset(store.root, str(row["fit_key"]))
    order = stored_selection(store, str(row["selection_key"])) if row["selection_key"] else None
    if order is None:
        return None
    key, budget, given = (str(row[name]) for name in ("dataset_key", "budget", "given"))
    if (key, budget, given) not in pools:
        pools[key, budget, given] = Pool.of(stored_dataset(store.root, key), budget, given)
    return pools[key, budget, given].subset(order, float(row["fraction"]))
