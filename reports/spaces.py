"""What is known of latent spaces before anything is chosen, laid out for the page."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from crossprune.harness.analysis.spaces.errors import profile_of
from crossprune.harness.analysis.spaces.leakage import LEAKS
from crossprune.harness.analysis.spaces.looks import SPACE

CAPTIONS = {
    "worth": "Is the pool worth pruning, and to what fraction (keep, with its 95 % interval)?",
    "leakage": "Does the split leak? How near what is tested lies to training: twins (the same for this "
    "space), copies (by symmetry, whatever the space), how often a tested configuration is nearer than a "
    "training one (random draws lie between the next two), and its distance over that of a split by groups",
    "findings": "What is wrong with each latent space: share of the squared distances that is of these "
    "columns, and share of a tenth chosen by farthest points that is another without them (changed)",
}
"""Captions of the tables, in their order."""
ERRORS = {
    "errors_by_force": "Mean absolute errors of force components (eV/Å) by fifths of the tested atoms, from "
    "the smallest reference force to the largest; at the fraction nearest to a tenth, mean over ways",
    "errors_by_distance": "The same by fifths of the distance of an atom's environment to the nearest one "
    "that was chosen, in each space; own: the space is the model's own",
    "mechanism": "Does error follow distance? Spearman's rank correlation over the atoms of a chosen set "
    "(within, mean over sets), and of mean error and mean distance over the sets of a fraction (between)",
}
"""Captions of the tables of where errors are."""
LEVELS = ("error", "warning", "note")


def notices(spaces: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say what a reader must know before any number: splits that leak, and spaces that are not themselves."""
    found = []
    for (dataset, part), here in _with_level(spaces, "leakage", "warning").groupby(
        ["dataset", "part"], sort=False
    ):
        telling = here[here["tells"].astype(bool)]
        n, copies = (int(here[name].fillna(0).max()) for name in ("n_tested", "copies"))
        twins = int(telling["twins"].max()) if len(telling) else 0
        words = [f"{copies} of {n} have a copy by symmetry in train"] if copies else []
        if twins > copies:
            words.append(f"up to {twins} of {n} are as good as in train for a space")
        near = telling[telling["of_group_split"] < telling["by_chance"].clip(upper=LEAKS)]
        if len(near):
            low, high = (f"{one:.2g}" for one in (near["of_group_split"].min(), near["of_group_split"].max()))
            times = low if low == high else f"{low} to {high}"
            who = ", ".join(dict.fromkeys(near["chooser"]))
            words.append(
                f"{times} times as far from train as with their groups held out ({who}): errors are of "
                "interpolation within groups"
            )
        found.append(f"{dataset}: the part {part} leaks: {'; '.join(words) or here['remark'].iloc[0]}.")
    for (dataset, chooser), here in _with_level(spaces, "findings", "error").groupby(["dataset", "chooser"]):
        n_spaces, why = len(here[SPACE].drop_duplicates()), "; ".join(dict.fromkeys(here["remark"]))
        what = f"{n_spaces} of the spaces of {chooser}"
        found.append(f"{dataset}: in {what} a choice is not about the descriptor: {why}.")
    return found


def _with_level(spaces: Mapping[str, pd.DataFrame], name: str, level: str) -> pd.DataFrame:
    table = spaces.get(name, pd.DataFrame(columns=[*SPACE, "part", "level"]))
    return table[table["level"] == level]


def errors_of(spaces: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return name, caption and rows of each table of where errors are, as people read it."""
    known = [(name, spaces[name]) for name in ERRORS if len(spaces.get(name, ()))]
    return [(name, ERRORS[name], one if name == "mechanism" else profile_of(one)) for name, one in known]


def tables_of(spaces: Mapping[str, pd.DataFrame]) -> list[tuple[str, str, pd.DataFrame]]:
    """Return name, caption and rows of each table that has some; errors and warnings come first."""
    found = []
    for name, caption in CAPTIONS.items():
        table = spaces.get(name)
        if table is None or table.empty:
            continue
        if "level" in table:
            order = table["level"].map(LEVELS.index)
            table = table.assign(order=order).sort_values("order", kind="stable").drop(columns="order")
        shown = table.drop(columns="remark") if name == "worth" else table
        found.append((name, caption, shown))
    return found
