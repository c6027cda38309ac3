"""Cells of a results table as logarithms of errors: labels, ways of choosing, and whose descriptor chose."""

from __future__ import annotations

import numpy as np
import pandas as pd
from crossprune.harness.engine.grid import OTHER, OWN
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import clipped, exploded
from crossprune.harness.selection.methods import RANDOM, SHARES

SETTING = ["dataset", "fraction", "model", "method"]
"""Cells of one setting differ in chooser and seed only."""
UNKNOWN_OVERLAP = 0.25
"""Test over training configurations where a table does not say: one in five is for test, by default."""
NOBODY = "nobody"
"""Stands beside `OWN`, `KIN` and `OTHER` for a way that looks at no descriptor and is not random."""
CONTROL = f"@{SHARES}"
DEFAULTS = {
    "mask": ("none", ""),
    "given": ("", ""),
    "space": ("atoms", ""),
    "scaling": ("standard", ""),
    "pooling": ("mean", ""),
    "budget": ("configurations", ""),
}
"""Values that go without saying in a method's label; empty where an axis plays no part."""
NOUNS = {
    "mask": " mask",
    "given": " given",
    "space": " space",
    "scaling": " scaling",
    "pooling": " pooling",
    "budget": " budget",
}
"""What follows such a value in a label."""


def labelled(results: pd.DataFrame) -> pd.DataFrame:
    """Fold mask, space, scaling, pooling and budget into ``method``: ``fps, max pooling``; defaults aside.

    The columns are dropped, so that labelling twice changes nothing.
    """
    method = results["method"].astype(str)
    for column, silent in DEFAULTS.items():
        if column in results.columns:
            spoken = ~results[column].isin(silent)
            word = results[column].astype(str).map(lambda text, of=column: f", {text}{NOUNS[of]}")
            method = method + word.where(spoken, "")
    return results.drop(columns=list(DEFAULTS), errors="ignore").assign(method=method)


def way_of(table: pd.DataFrame) -> pd.Series[str]:
    """Name each row's way of choosing: ``random``, ``snap · fps``."""
    alone = table["chooser"] == table["method"]
    return table["chooser"].where(alone, table["chooser"] + " · " + table["method"])


def is_random(method: str) -> bool:
    """Say whether a labelled method is the random base line, of whatever budget."""
    return method.split(", ")[0] == RANDOM


def is_control(method: str) -> bool:
    """Say whether a labelled method copies the shares of groups of another, and nothing else of it."""
    return method.split(", ")[0].endswith(CONTROL)


def uncontrolled(method: str) -> str:
    """Return the labelled method of which a control copies the shares; any other as it is."""
    head, *rest = method.split(", ")
    return ", ".join([head.removesuffix(CONTROL), *rest])


def unmasked(method: str) -> str:
    """Return a labelled method without its mask."""
    return ", ".join(one for one in method.split(", ") if not one.endswith(NOUNS["mask"]))


def budget_of(method: str) -> str:
    """Return what a labelled method says of what is chosen and counted, mask and budget; empty by default."""
    said = (NOUNS["mask"], NOUNS["given"], NOUNS["budget"])
    return ", ".join(one for one in method.split(", ") if one.endswith(said))


def relation_of(table: pd.DataFrame) -> pd.Series[str]:
    """Say of each row of a `labelled` table whose descriptor chose: own, kin, other, nobody, or random.

    The column ``relation`` says it (see `crossprune.harness.engine.plan.Plan.relation`); a table without
    one is matched by name, and there is no kin. A control is random but for its shares of groups, and
    masks stand beside the wholes of a study, not among them: both are nobody's.
    """
    blind = np.where(table["method"].astype(str).map(is_random), RANDOM, NOBODY)
    found = np.where(table["chooser"] == table["model"], OWN, OTHER)
    if "relation" in table.columns:
        said = table["relation"].astype(str).to_numpy(dtype=object)
        found = np.where(said == "", found, said)
    methods = table["method"].astype(str)
    is_masked = methods.map(unmasked) != methods
    has_wholes = bool((~is_masked & (table["chooser"] != RANDOM)).any())
    aside = methods.map(is_control) | is_masked if has_wholes else methods.map(is_control)
    found = np.where(aside, NOBODY, found)
    return pd.Series(np.where(table["chooser"] == RANDOM, blind, found), table.index, dtype="str")


def partial_errors(results: pd.DataFrame, metric: str, split: str) -> pd.DataFrame:
    """Return every planned cell below the full set with the logarithm of its error.

    Columns of `SETTING`, ``chooser``, ``seed``, ``relation``, ``budget`` (mask, and what a fraction
    counts), ``source`` (the data set that a pool was drawn from), ``held_out`` (the group, if so), ``cell``,
    ``fit_key``, ``split``, ``overlap`` (test over training configurations, NaN if not known),
    ``log_labels`` (logarithm of the labels that were chosen, NaN if not known), ``log_error``, NaN where
    the cell is not done, and ``at_end`` (1 where that is an end of the scale, 0 elsewhere), in an order of
    their own; exploded fits are `clipped`. The full set is left out: all choosers agree there.
    """
    table = labelled(clipped(results)).assign(at_end=exploded(results).astype("float64"))
    table = table.assign(relation=relation_of(table))
    keys = [*SETTING, "chooser", "seed"]
    if "fit_key" not in table.columns:
        table = table.assign(fit_key="")
    if "source" not in table.columns:
        table = table.assign(source=table["dataset"])
    for name in ("held_out", "cell"):
        if name not in table.columns:
            table = table.assign(**{name: ""})
    below = table["fraction"] < 1.0 - 1e-9
    cells = (
        table.loc[below, [*keys, "relation", "source", "held_out", "cell"]]
        .drop_duplicates(keys)
        .sort_values(keys)
    )
    done = (table["status"] == "done") & (table["split"] == split) & (table["group"] == ALL)
    labels = table["n_labels"].astype("float64") if "n_labels" in table.columns else np.nan
    table = table.assign(overlap=_overlap(results), log_labels=np.log(labels))
    found = table.loc[done, [*keys, "fit_key", "overlap", "log_labels", "at_end", metric]].drop_duplicates(
        keys
    )
    errors = cells.merge(found, on=keys, how="left")
    values = errors.pop(metric).astype(float)
    budget = errors["method"].map(budget_of)
    at_end = errors["at_end"].fillna(0.0)
    log_error = np.log(values.where(values > 0))
    return errors.assign(split=split, budget=budget, at_end=at_end, log_error=log_error)


def overlaps(errors: pd.DataFrame) -> pd.Series[float]:
    """Return test over training configurations of each data set's pools, `UNKNOWN_OVERLAP` if not known."""
    return errors.groupby("source")["overlap"].median().fillna(UNKNOWN_OVERLAP)


def _overlap(table: pd.DataFrame) -> pd.Series[float]:
    """Return the test configurations over those that could be chosen; NaN where a table does not say.

    A mask takes atoms from more configurations than its fraction, and what is given comes on top.
    """
    sizes = ("n_eval_configurations", "n_configurations")
    if not set(sizes) <= set(table.columns):
        return pd.Series(np.nan, table.index)
    n_test, n_chosen = (table[name].astype("float64") for name in sizes)
    whole = pd.Series(data=True, index=table.index)
    for column in {"mask", "given"} & set(table.columns):
        whole &= table[column].isin(DEFAULTS[column])
    return n_test * table["fraction"] / n_chosen.where((n_chosen > 0) & whole)
