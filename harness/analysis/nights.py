"""Snapshots of a study night after night, and exactly what changed between two of them."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.data.names import pool_name
from crossprune.harness.engine.results import AXES, NUMBER_AXES, TEXT_AXES
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.damage import set_aside
from crossprune.harness.store.objects import write_file
from crossprune.harness.store.tables import UNREADABLE, Columns, first_line, load_table, write_table

FOLDER = "nights"
TABLE, INPUTS = "results.parquet", "inputs.json"
KEPT = "kept_s"
"""Name, beside a night's inputs, of the time at which it was kept (seconds since 1970)."""
WATCHED = ("energy_mae_mev_per_atom", "force_mae_ev_per_angstrom")
KEY = [*AXES, "split"]
COLUMNS = Columns(
    (*TEXT_AXES, "split", "group", "status", "reason", "cell"),
    (*NUMBER_AXES, *WATCHED),
    optional=("pool", "held_out", "mask", "given", "space"),
)
"""Columns that a comparison reads; nights of earlier versions lack some."""
RELATIVE_NOISE = 1e-3
"""Changes of an error below this are the noise of linear-algebra libraries, not a finding (ours)."""


@dataclass(frozen=True)
class Night:
    """The results of one night and what they rest on."""

    name: str
    table: pd.DataFrame
    inputs: Mapping[str, Any]
    kept_s: float = 0.0
    """When it was kept, seconds since 1970."""


@dataclass(frozen=True)
class Comparison:
    """What changed from one night to the next.

    ``causes`` are sentences about options, code, versions and data; the tables hold one row per cell
    and split (``better``, ``worse``: with metric, before, after and their ratio) or per cell (the others).
    """

    causes: tuple[str, ...]
    worse: pd.DataFrame
    better: pd.DataFrame
    newly_failing: pd.DataFrame
    newly_done: pd.DataFrame
    added: int
    removed: int
    unchanged: int

    @property
    def alarm(self) -> bool:
        """Whether somebody should look: an error rose beyond the seed spread, or a cell newly fails."""
        return bool(len(self.newly_failing) or (len(self.worse) and self.worse["beyond_spread"].any()))


def save_night(root: Path, name: str, table: pd.DataFrame, inputs: Mapping[str, Any]) -> Path:
    """Keep a night's table and inputs, and the time, in the store's folder; return where."""
    folder = root / FOLDER / name
    if folder.is_file():
        set_aside(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**inputs, KEPT: time.time()}, indent=1, sort_keys=True, default=str)
    write_file(folder / INPUTS, lambda path: path.write_text(text))
    write_table(table, folder / TABLE)
    return folder


def load_nights(root: Path, on_damaged: Callable[[str], object] = lambda line: None) -> list[Night]:
    """Load all complete nights that can be read, oldest first.

    Parameters
    ----------
    root
        Folder of the store.
    on_damaged
        Called with a line for each night that is left out because it cannot be read.
    """
    nights = []
    for table in (root / FOLDER).glob(f"*/{TABLE}"):
        try:
            nights.append(load_night(table.parent))
        except UNREADABLE as error:
            on_damaged(
                f"left out: {table.parent} is no readable night: {first_line(error)}; remove the folder"
            )
    return sorted(nights, key=lambda night: (night.kept_s, night.name))


def load_night(folder: Path) -> Night:
    """Load a night; what it raises if that cannot be done is `UNREADABLE`."""
    inputs = json.loads((folder / INPUTS).read_bytes())
    if not _are_inputs(inputs):
        raise ValueError(f"{INPUTS} does not say what it rests on")
    kept_s = inputs.pop(KEPT, None)
    if not (isinstance(kept_s, float) and math.isfinite(kept_s)):  # of an earlier version
        kept_s = (folder / TABLE).stat().st_mtime
    table = load_table(folder / TABLE, COLUMNS)
    table = table if "pool" in table else table.assign(pool=0, held_out="")
    added = {"mask": "none", "given": ""}
    table = table.assign(**{name: one for name, one in added.items() if name not in table})
    table = table if "space" in table else table.assign(space=np.where(table["scaling"] == "", "", "atoms"))
    return Night(folder.name, table, inputs, kept_s)


def _are_inputs(inputs: object) -> bool:
    """Tell whether this is laid out as the inputs of a run, which `causes` reads."""
    if not isinstance(inputs, dict):
        return False
    adapters, datasets = inputs.get("adapters"), inputs.get("datasets")
    return (
        isinstance(adapters, dict)
        and isinstance(datasets, dict)
        and all(isinstance(one, dict) and {"adapter", "code"} <= one.keys() for one in adapters.values())
        and all(
            isinstance(one.get(part), dict) for one in adapters.values() for part in ("options", "versions")
        )
    )


def compare(before: Night, after: Night) -> Comparison:
    """Say what changed from ``before`` to ``after``, and why."""
    old, new = _cells(before.table), _cells(after.table)
    both = old.add_suffix("_before").join(new.add_suffix("_after"), how="inner")
    was_done, is_done = both["status_before"] == "done", both["status_after"] == "done"
    moved = _moves(before.table, after.table)
    changed = moved[(moved["ratio"] - 1).abs() > RELATIVE_NOISE]
    return Comparison(
        causes=tuple(causes(before.inputs, after.inputs)),
        worse=changed[changed["ratio"] > 1].sort_values("ratio", ascending=False, ignore_index=True),
        better=changed[changed["ratio"] < 1].sort_values("ratio", ignore_index=True),
        newly_failing=both[was_done & ~is_done].reset_index(),
        newly_done=both[~was_done & is_done].reset_index(),
        added=len(new.index.difference(old.index)),
        removed=len(old.index.difference(new.index)),
        unchanged=len(both) - int((was_done != is_done).sum()) - changed.drop_duplicates(list(AXES)).shape[0],
    )


def causes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """List the differences of what two nights rest on, one sentence each."""
    found = []
    old, new = before["adapters"], after["adapters"]
    for label in sorted({*old, *new}):
        if label not in old or label not in new:
            found.append(f"{label}: {'new' if label in new else 'no longer'} in the study")
            continue
        for part, word in (("options", "option "), ("versions", "")):
            found += [f"{label}: {word}{change}" for change in _changes(old[label][part], new[label][part])]
        if old[label]["adapter"] != new[label]["adapter"]:
            found.append(f"{label}: adapter {old[label]['adapter']} → {new[label]['adapter']}")
        elif old[label]["code"] != new[label]["code"]:
            found.append(f"{label}: code changed")
    old, new = before["datasets"], after["datasets"]
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            found.append(f"data set {name}: {'new' if name in new else 'no longer'} in the study")
        elif old[name] != new[name]:
            found.append(f"data set {name}: content or split changed")
    return found


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    pairs = {key: (old.get(key, "absent"), new.get(key, "absent")) for key in sorted({*old, *new})}
    return [f"{key} {before} → {after}" for key, (before, after) in pairs.items() if before != after]


def history(nights: list[Night]) -> pd.DataFrame:
    """Follow each model's mean test errors over nights.

    Returns
    -------
    pandas.DataFrame
        One row per night × data set × chooser × model × fraction: means over seeds of the watched
        metrics, and the number of cells that are done and not done.
    """
    keys = [axis for axis in AXES if axis != "seed"]
    parts = []
    for night in nights:
        cells = night.table[(night.table["split"] == "test") & (night.table["group"] == ALL)]
        means = cells.groupby(keys)[list(WATCHED)].mean()
        means["done"] = cells["status"].eq("done").groupby([cells[key] for key in keys]).sum()
        means["not_done"] = cells["status"].ne("done").groupby([cells[key] for key in keys]).sum()
        parts.append(means.reset_index().assign(night=night.name))
    return pd.concat(parts, ignore_index=True)


def to_markdown(name: str, comparison: Comparison | None, previous: str = "") -> str:
    """Word a comparison as a short Markdown summary."""
    if comparison is None:
        return f"# Night {name}\n\nThe first night: nothing to compare with.\n"
    lines = [f"# Night {name}, compared with {previous}", ""]
    lines.append("**Look at this.**" if comparison.alarm else "Nothing alarming.")
    lines += ["", "## What the results rest on", ""]
    lines += [f"- {cause}" for cause in comparison.causes] or [
        "- no change of options, code, versions or data"
    ]
    lines += ["", "## Cells", ""]
    lines.append(
        f"- unchanged {comparison.unchanged}, new {comparison.added}, gone {comparison.removed}, "
        f"newly failing {len(comparison.newly_failing)}, newly done {len(comparison.newly_done)}"
    )
    for row in comparison.newly_failing.head(20).to_dict("records"):
        reason = str(row["reason_after"]).strip().splitlines() or [""]
        lines.append(f"- newly {row['status_after']}: {_name(row)}: {reason[-1]}")
    for title, table in (("worse", comparison.worse), ("better", comparison.better)):
        if len(table):
            lines += ["", f"## Errors that got {title} ({len(table)})", ""]
            lines += [
                "| cell | metric | before | after | ratio | beyond the seed spread |",
                "|---|---|---|---|---|---|",
            ]
            lines += [_table_line(row) for row in table.head(20).to_dict("records")]
            if len(table) > 20:
                lines.append(f"\n… and {len(table) - 20} more")
    return "\n".join(lines) + "\n"


def _table_line(row: Mapping[Any, Any]) -> str:
    return (
        f"| {_name(row)}, {row['split']} | {row['metric']} | {row['before']:.5g} | {row['after']:.5g} "
        f"| {row['ratio']:.3f} | {'yes' if row['beyond_spread'] else 'no'} |"
    )


def _name(row: Mapping[Any, Any]) -> str:
    return (
        f"{pool_name(row['dataset'], row['pool'])}, {row['model']} on {row['fraction']:.0%} chosen by "
        f"{row['chooser']} ({row['method']}, seed {row['seed']})"
    )


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop_duplicates(list(AXES)).set_index(list(AXES))[["status", "reason", "cell"]]


def _moves(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Pair the watched errors of two tables; ``beyond_spread``: the change exceeds the spread over seeds."""
    old, new = (table[(table["group"] == ALL) & (table["status"] == "done")] for table in (before, after))
    repeats = [key for key in KEY if key != "seed"]
    parts = []
    for metric in WATCHED:
        spread = old.groupby(repeats)[metric].std().fillna(0.0).rename("spread").reset_index()
        pairs = old[[*KEY, metric]].merge(new[[*KEY, metric]], on=KEY, suffixes=("_before", "_after"))
        pairs = pairs.merge(spread, on=repeats, how="left")
        pairs = pairs.rename(columns={f"{metric}_before": "before", f"{metric}_after": "after"})
        pairs["metric"] = metric
        pairs["ratio"] = np.where(
            pairs["before"] > 0, pairs["after"] / pairs["before"].where(pairs["before"] > 0), 1.0
        )
        pairs["beyond_spread"] = (pairs["after"] - pairs["before"]).abs() > pairs["spread"]
        parts.append(pairs)
    return pd.concat(parts, ignore_index=True)
