"""What kinds of structures a way of choosing takes, beside those that there are."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from crossprune.harness.data.cards import card_of
from crossprune.harness.data.names import is_file
from crossprune.harness.engine.loading import data_options
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.engine.study import Study
from crossprune.harness.store.objects import Store

AXES = ["chooser", "method", "space", "pooling", "scaling", "budget", "fraction", "seed"]
COLUMNS = ["dataset", *AXES, "category", "n_chosen", "share", "share_in_pool"]
Rules = Mapping[str, Sequence[str]]
"""Category to patterns of groups."""


def composition(root: Path, subsets: pd.DataFrame, rules: Mapping[str, Rules]) -> pd.DataFrame:
    """Count the configurations of each category in each chosen set.

    Parameters
    ----------
    root
        The store.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`.
    rules
        Of each data set; where there are none, its groups are the categories.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`, a row for every category of the training part: ``share`` of the chosen configurations, and
        ``share_in_pool`` of those that could be chosen. What is given counts in neither.
    """
    store, rows = Store(root), []
    kinds: dict[tuple[str, str, str], tuple[list[str], Counter[str]]] = {}
    for row in subsets.to_dict("records"):
        name, source, key = str(row["dataset"]), str(row["source"]), str(row["dataset_key"])
        given = str(row["given"])
        if (source, key, given) not in kinds:
            dataset, own = stored_dataset(store.root, key), rules.get(source, {})
            names = [category_of(group, own) for group in dataset.groups]
            kinds[source, key, given] = names, Counter(names[index] for index in row["free"])
        names, there = kinds[source, key, given]
        chosen = Counter(names[index] for index in row["picked"])
        axes = [row[one] for one in AXES]
        axes[1] = str(axes[1]).split(", ")[0]  # the axes stand beside it
        total, n_pool = sum(chosen.values()), sum(there.values())
        rows += [
            (name, *axes, one, chosen[one], chosen[one] / total, count / n_pool)
            for one, count in sorted(there.items())
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def shares_of(table: pd.DataFrame, fraction: float = 0.1) -> pd.DataFrame:
    """Lay a composition out for people: a row per way, a column per category, at the nearest fraction.

    Shares in %, mean over seeds; the first row of a data set is its pool.
    """
    distance = (table["fraction"] - fraction).abs()
    here = table[distance == distance.min()]
    axes = here[["chooser", "method", "space", "pooling", "scaling"]]
    names = axes.apply(lambda row: " ".join(dict.fromkeys(one for one in row if one)), axis=1)
    here = here.assign(way=names)
    keys = ["dataset", "fraction", "way"]
    chosen = here.pivot_table(index=keys, columns="category", values="share", sort=False)
    pool = here.assign(way="the pool").pivot_table(index=keys, columns="category", values="share_in_pool")
    found: pd.DataFrame = 100.0 * pd.concat([pool, chosen]).sort_index(
        level="dataset", sort_remaining=False, kind="stable"
    )
    return found.round(1).reset_index()


def rules_of(study: Study) -> dict[str, Rules]:
    """Return the categories of each data set: the study's own, or its card's; none if neither has any."""
    rules: dict[str, Rules] = {}
    for name, source in study.labels.items():
        options = data_options(study, name)
        own = options.categories
        is_gone = options.card is not None and not is_file(Path(options.card))  # a store seen from elsewhere
        card = {} if is_gone else card_of(source, options).categories
        rules[name] = card if own is None else own
    return rules


def category_of(group: str, rules: Rules) -> str:
    """Return the first category with a pattern that fits a group; the group itself if there is none."""
    for category, patterns in rules.items():
        if any(fnmatch.fnmatchcase(group, pattern) for pattern in patterns):
            return category
    return group
