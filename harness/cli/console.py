"""What a terminal shows: progress of a run, tables, and the words at its end."""

from __future__ import annotations

import functools
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TypeVar

import pandas as pd
from crossprune.harness.analysis.cells import is_random, labelled
from crossprune.harness.analysis.spaces.composition import shares_of
from crossprune.harness.analysis.spaces.errors import profile_of
from crossprune.harness.cli.layout import TITLES, WIDTH, lines_of
from crossprune.harness.engine import loop as engine
from crossprune.harness.engine.results import not_held_out
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.soundness import EXPLODED, UNDETERMINED, clipped
from crossprune.harness.names import printable
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

QUIET_INTERVAL_S = 10.0
T = TypeVar("T")


@contextmanager
def progress_display(console: Console, what: str = "cells") -> Iterator[Callable[[engine.Progress], None]]:
    """Show what is done, failed and left: a live bar on a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        yield _Lines(console, what)
        return
    columns = (
        TextColumn(f"[bold]{what}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, state="loading data")

        def show(progress: engine.Progress) -> None:
            bar.update(
                task,
                total=progress.total,
                completed=progress.total - progress.left,
                state=f"{_failed(progress)}· {', '.join(progress.running) or 'finishing'}",
            )

        yield show


class _Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, console: Console, what: str) -> None:
        self._console = console
        self._what = what
        self._last = time.monotonic()

    def __call__(self, progress: engine.Progress) -> None:
        now = time.monotonic()
        if now - self._last >= QUIET_INTERVAL_S:
            self._last = now
            ended = progress.total - progress.left
            running = ", ".join(progress.running)
            self._console.print(
                f"{ended}/{progress.total} {self._what} {_failed(progress)}· {running}", highlight=False
            )


def _failed(progress: engine.Progress) -> str:
    return f"· {progress.failed} failed " if progress.failed else ""


def print_notes(console: Console, notes: Mapping[str, Sequence[str]]) -> None:
    """Say what loading the data sets left out, changed or warns of."""
    for name, lines in notes.items():
        for line in lines:
            style = "bold yellow" if line.startswith("warning:") else ""
            console.print(f"{name}: {line}", style=style, markup=False, highlight=False, soft_wrap=True)


def healed(console: Console, work: Callable[[], T]) -> T:
    """Do what a run does, and again where an artefact is damaged; say so."""
    from crossprune.harness.store import repair

    say = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
    return repair.healed(work, say)


def print_summary(console: Console, result: engine.RunResult) -> None:
    """Say how the cells ended and what was computed."""
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(result.statuses.items()))
    computed = ", ".join(f"{count} {stage}" for stage, count in sorted(result.computed.items()) if count)
    if not computed:
        is_all = 0 < result.reused == result.statuses.total()
        computed = "nothing, all was in the store" if is_all else "nothing"
    console.print(f"cells: {statuses or 'none'}; computed: {computed}", highlight=False)
    for line in result.healed:
        console.print(f"  damaged, computed again: {line}", highlight=False, markup=False, soft_wrap=True)
    failures = result.overall[result.overall["status"] != "done"].drop_duplicates("cell")
    for (status, model, chooser), group in failures.groupby(["status", "model", "chooser"]):
        reason = str(group["reason"].iloc[0]).strip().splitlines() or [""]
        who = f"model {model}, data chosen by {chooser}" if model else f"choice by {chooser}"
        console.print(f"  {len(group)} {status}: {who}: {reason[-1]}", markup=False)
    if len(failures) and not result.left:
        console.print(
            "  their rows say why; run them again with --retry failed (or timeout, crashed, …)", markup=False
        )


def print_held(console: Console, result: engine.RunResult, root: Path) -> None:
    """Show a run that had nothing to compute in a store that cannot be written."""
    print_summary(console, result)
    print_matrix(console, result.overall)
    console.print(f"{root} cannot be written: tables and report in it stay as they are", soft_wrap=True)


def print_matrix(console: Console, table: pd.DataFrame, published: pd.DataFrame | None = None) -> None:
    """Print the answer at the smallest fraction: who chose the data against which model was retrained.

    ``published`` holds the rows of published potentials, which follow the matrix of their data set.
    """
    table = clipped(table)
    done = table[(table["status"] == "done") & (table["split"] == "test") & (table["group"] == ALL)]
    done = not_held_out(done)
    done = done[done["model"] != ""]
    for dataset, part in done.groupby("dataset"):
        fraction = part["fraction"].min()
        cells = part[part["fraction"] == fraction]
        pools = "" if (n_pools := cells["pool"].nunique()) == 1 else f", {n_pools} pools"
        title = f"{dataset}{pools}: test force MAE (eV/Å), {fraction:.0%} of the training set"
        models = sorted(cells["model"].unique())
        for first in range(0, len(models), MOST_MODELS):
            console.print(_square(cells, models[first : first + MOST_MODELS], title if not first else None))
        if published is not None:
            _print_published(console, published[published["dataset"] == dataset])
    if n_gone := int(done["flag"].str.startswith(EXPLODED).sum()):
        console.print(f"{n_gone} fits exploded: their errors count as those of `mean`; see the column flag")
    if n_guessed := int(done["flag"].str.contains(UNDETERMINED, regex=False).sum()):
        console.print(
            f"{n_guessed} of {len(done)} fits guess energies of compositions that the chosen frames do not "
            "determine; see the column flag"
        )
    if len(done):
        from crossprune.harness.analysis.scope import warning  # the report imports it anyway

        if words := warning(done):
            console.print(words, highlight=False)
        over = "seeds ± standard error, where seeds differ"
        if done["pool"].any():
            over = "pools and seeds; how far pools scatter, which share frames, only the report can say"
        console.print(f"mean over {over}; intervals and all fractions are in the report", highlight=False)


def _square(cells: pd.DataFrame, models: Sequence[str], title: str | None) -> Table:
    """Lay out who chose against some models."""
    view = Table(title=title, title_justify="left")
    view.add_column("data chosen by")
    for model in models:
        view.add_column(f"model {model}", justify="right")
    for (chooser, method), group in labelled(cells).groupby(["chooser", "method"]):
        of_model = (group[group["model"] == model] for model in models)
        errors = [mine.groupby("pool")["force_mae_ev_per_angstrom"] for mine in of_model]
        label = str(method) if is_random(str(method)) else f"{chooser} ({method})"
        view.add_row(label, *(_mean(each.mean(), each.sem()) for each in errors))
    return view


def _print_published(console: Console, rows: pd.DataFrame) -> None:
    """Print a line for each published potential, or why it has no error."""
    for source, part in rows.groupby("model"):
        errors = part.loc[part["split"] == "test", "force_mae_ev_per_angstrom"].dropna()
        reason = (str(part["reason"].iloc[0]).strip().splitlines() or [""])[-1]
        said = f"{errors.mean():.4f}" if len(errors) else f"{part['status'].iloc[0]}: {reason}"
        line = f"published {source}: {said} (what it was fitted to is not known)"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _mean(means: pd.Series[float], errors: pd.Series[float]) -> str:
    """Return ``0.2070 ± 0.0042``, as the report does; of several pools only the mean of their means."""
    from crossprune.reports.wording import measured  # what it imports takes a while

    return measured(float(means.mean()), float(errors.iloc[0]) if len(errors) == 1 else float("nan"))


MAIN_OUTCOMES = ("force", "energy", "properties", "survival_temperature")
"""Those whose fractions are printed without being asked for."""
TOLD_LABELS = 0.05
"""Labels that one side had more of than the other, as a share, from which on tables have a column of them."""
PICTURES = ("matrix", "enough")
"""Tables that the page draws; too long for a terminal unless they are asked for."""
READABLE_ROWS = 30
"""Tables up to this length are printed whole."""
MOST_MODELS = 8
"""Models beside each other in one table of a terminal."""
COLUMNS = (
    "way",
    "outcome",
    "group",
    "n_groups",
    "comparison",
    "model",
    "fraction",
    "ratio",
    "labels",
    "interval",
    "p",
    "verdict",
    "pairs",
    "seeds",
    "lost",
)
"""Of a comparison, as they are printed."""


def print_analysis(console: Console, tables: Mapping[str, pd.DataFrame], *, full: bool = False) -> None:
    """Print tables as plain text of `WIDTH` columns; of long ones only a digest, unless ``full``."""
    for name, whole in tables.items():
        title = f"{name}: {TITLES[name]}"
        if name in PICTURES and not full:
            continue
        if whole.empty:
            print_text(console, f"{title}: nothing to compare")
            continue
        table = whole if full else _digest(name, whole)
        print_text(console, title)
        shared = [one for one in ("metric", "split", "source") if one in table]
        if full and {"outcome", "comparison"} <= set(table):
            shared.append("comparison")
        for key, part in table.groupby(shared, sort=False) if shared else [((), table)]:
            head = [", ".join(str(one) or "properties and dynamics" for one in key)] if shared else []
            print_lines(console, head + lines_of(_texts(part.drop(columns=shared))))
        if (name == "composition" or name.startswith("errors_by")) and not full:
            console.print("at one fraction; --full prints every fraction and seed", highlight=False)
        elif len(table) < len(whole):
            console.print(f"{len(table)} of {len(whole)} rows; --full prints all", highlight=False)


def print_lines(console: Console, lines: Sequence[str]) -> None:
    """Print lines as they are, without what could steer a terminal."""
    for line in lines:
        console.print(printable(line.rstrip()), highlight=False, markup=False, soft_wrap=True)


def print_text(console: Console, text: str) -> None:
    """Print a paragraph in lines of `WIDTH`, after an empty one."""
    print_lines(console, ["", *textwrap.wrap(text, WIDTH)])


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """Lay a table out for people: numbers short, an interval in one column."""
    if "verdict" in table:
        if ((table["label_ratio"] - 1.0).abs() > TOLD_LABELS).any():
            table = table.assign(labels=table["label_ratio"])
        table = table.assign(interval=_intervals(table["low"], table["high"]))
        table = table.rename(columns={"n_pairs": "pairs", "n_units": "seeds", "n_missing": "lost"})
        hidden = {"model"} if "fraction" in table else set()
        if "group" in table:
            hidden |= {"model", "comparison", "pairs", "seeds"}
        if "outcome" in table:
            higher = table["better"] == "higher"
            table = table.assign(outcome=table["outcome"] + higher.map({True: " ↑", False: ""}))
            hidden |= {"model", "comparison", "pairs", "seeds"}
        if "way" in table:
            hidden -= {"model"}
        hidden |= set() if table["lost"].any() else {"lost"}
        table = table[[one for one in COLUMNS if one in table and one not in hidden]]
    ends_of: tuple[tuple[str, str, str], ...] = (("fraction", "low", "high"), ("correlation", "low", "high"))
    ends_of += (("keep", "low", "high"),)
    for name, low, high in (*ends_of, ("data_ratio", "data_ratio_low", "data_ratio_high")):
        if {name, low, high} <= set(table):
            ends = _intervals(table[low], table[high])
            texts = [f"{_short(one)} ({end})" for one, end in zip(table[name], ends, strict=True)]
            table = table.assign(**{name: texts}).drop(columns=[low, high])
    if "redrawn_low" in table:
        ends = _intervals(table.pop("redrawn_low"), table.pop("redrawn_high"))
        table.insert(list(table.columns).index("nearer") + 1, "random_draws", ends)
    return table.map(_short).rename(columns=lambda column: str(column).replace("_", " "))


def _intervals(lows: pd.Series[float], highs: pd.Series[float]) -> list[str]:
    from crossprune.reports.wording import interval

    return [interval(low, high, ".3g") for low, high in zip(lows, highs, strict=True)]


def _digest(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Keep of a long table: all models together, what comes first, the fraction nearest to a tenth."""
    if name == "composition":
        return shares_of(table)
    if name.startswith("errors_by"):
        return profile_of(table)
    if name == "findings" and len(table) > READABLE_ROWS:
        return table[table["level"] != "note"]
    if name in ("outcomes", "outcomes_by_fraction"):
        main = table["outcome"].isin(MAIN_OUTCOMES) | (name == "outcomes")
        return table[(table["comparison"] == "own / other") & main]
    if len(table) <= READABLE_ROWS or name == "answer":
        return table
    if name == "tradeoffs":
        return table[(table["first"] == "force, test") & (table["over"] == "cells")]
    if "model" in table and (table["model"] == "all").any():
        table = table[table["model"] == "all"]
    if name in ("efficiency", "ranks", "sizes", "scope", "fractions"):  # what was asked comes first
        first = table.iloc[0]
        table = table[(table["metric"] == first["metric"]) & (table["split"] == first["split"])]
    if name in ("overlap", "chosen"):
        distance = (table["fraction"] - 0.1).abs()
        table = table[distance == distance.min()]
    if name == "overlap" and len(table) > READABLE_ROWS:  # the pairs that agree most, beyond chance
        beyond = table["jaccard"] - table["jaccard_by_chance"]
        table = table.loc[beyond.sort_values(ascending=False, kind="stable").index[:READABLE_ROWS]]
    return table


def _short(value: object) -> str:
    if isinstance(value, float):
        return "–" if isnan(value) else f"{value:.3g}"
    return str(value)
