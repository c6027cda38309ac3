"""The study that repeats one cell, cut out of the study of a run: a piece for each of its axes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd
from crossprune.harness.data.cards import list_cards
from crossprune.harness.data.names import is_one_of
from crossprune.harness.engine.study import Study, as_toml, to_toml
from crossprune.harness.selection.methods import RANDOM

AXES = {
    "method": "methods",
    "mask": "masks",
    "space": "spaces",
    "scaling": "scalings",
    "pooling": "poolings",
}
"""Columns of the results table to the lists of a study, the chooser aside."""
SHARED = ("given", "budget", "seeds", "pools", "ood", "tune")


def head_of(study: Study, source: str) -> str:
    """Return the first lines of a study of one data set: all but chooser, fraction and model."""
    axes: dict[str, Any] = {name: getattr(study, name) for name in SHARED}
    place = study.labels.get(source, source)
    lines = ["[study]", 'name = "cell"', f"datasets = {as_toml([place])}"]
    lines += [f"{name} = {as_toml(value)}" for name, value in axes.items() if value not in ((), "")]
    return "\n".join(lines) + "\n"


def lines_of_way(row: Mapping[str, Any]) -> str:
    """Return the lines that choose as a row of the results table did; what plays no part is left out."""
    chooser = str(row["chooser"])
    lines = [f"choosers = {as_toml([] if chooser == RANDOM else [chooser])}"]
    for column, axis in AXES.items():
        value = str(row.get(column, ""))
        if value and chooser != RANDOM:
            lines.append(f"{axis} = {as_toml([value])}")
    return "\n".join(lines) + "\n"


def tail_of(
    document: Mapping[str, Any], study: Study, source: str, used: Collection[str], groups: Collection[str]
) -> str:
    """Return the line of the model, and the tables behind the axes that the data set and the model need.

    Parameters
    ----------
    document
        Of the run's study: its tables as they were written.
    study
        The same, parsed.
    source
        Which data set.
    used
        The model, and the choosers whose options are kept beside its own.
    groups
        Those of the data set: weights of others are an error where it stands alone.
    """
    model, *_ = used
    place, cards = study.labels.get(source, source), list_cards()
    keep = {
        "options": lambda name: name in used,
        "weights": lambda name: name in groups,
        "data": lambda name: is_one_of(name, [place, *filter(None, [study.transfer.source])], cards),
    }
    written = {**document, "options": {**document.get("options", {}), **_added(document, study)}}
    tables: dict[str, Any] = {
        table: {name: one for name, one in written.get(table, {}).items() if wanted(name)}
        for table, wanted in keep.items()
    }
    if study.transfer.source:
        tables["transfer"] = {name: getattr(study.transfer, name) for name in ("source", "target")}
    for name in ("limits", "properties", "md"):
        table = document.get(name, {})
        asked = table.get("models") or [model]
        tables[name] = (
            {**table, **({"models": [model]} if "models" in table else {})} if model in asked else {}
        )
    return f"models = {as_toml([model])}\n" + "".join(
        "\n" + to_toml({name: table}) for name, table in tables.items() if table
    )


def _added(document: Mapping[str, Any], study: Study) -> dict[str, Any]:
    """Return the tables of models that ``[transfer]`` added."""
    known = document.get("options", {})
    return {name: dict(one) for name, one in study.options.items() if name not in known}


def options_of(study: Study | None, label: str) -> str:
    """Return the options that a study gives to a family, as TOML; empty if it leaves all as they are."""
    table = {} if study is None else study.options.get(label, {})
    return to_toml(table).rstrip("\n") if table else ""


def ways_in(results: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return one row of the results for each way of choosing, with its column ``way``."""
    columns = [name for name in ("way", "chooser", *AXES) if name in results]
    rows = results[columns].drop_duplicates("way").to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]
