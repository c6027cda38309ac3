"""The command line: ``crossprune``."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from crossprune.harness.errors import MissingPackage, UserError

if TYPE_CHECKING:  # imported when a command needs them, so that --help is quick
    from concurrent.futures import Executor

    from crossprune.harness.engine import RunResult
    from crossprune.harness.store import Store
    from crossprune.harness.study import Study
from rich.console import Console
from rich.markup import escape
from rich.table import Table

CORES = os.cpu_count() or 1
ALL_DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
app = typer.Typer(
    name="crossprune",
    help="Whose descriptor should choose the training data of a machine-learned interatomic potential?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console()

StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Folder for results; default: crossprune-NAME.")
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, help="Processes; 0 runs in this one (to debug).")
]
RetryOption = Annotated[
    list[str] | None,
    typer.Option("--retry", help="Run cells of this status again: failed, timeout, crashed, … (repeatable)."),
]
ExecutorOption = Annotated[
    str, typer.Option("--executor", help="local: processes here; parsl:FILE: a cluster (docs/clusters.md).")
]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="Data set or file, instead of the study's.")
]


def main() -> NoReturn:
    """Run the command line; errors of the user's end in one line and exit code 2."""
    try:
        app()
    except (UserError, MissingPackage) as error:
        Console(stderr=True).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(WRONG_CALL)
    sys.exit(ALL_DONE)


@app.command()
def run(
    study: Annotated[Path | None, typer.Argument(help="Study file (TOML); default: the demo study.")] = None,
    store: StoreOption = None,
    workers: WorkersOption = CORES,
    retry: RetryOption = None,
    data: DataOption = None,
    executor: ExecutorOption = "local",
) -> None:
    """Run every cell of a study that the store does not hold; write table and report.

    Example: `crossprune run mo.toml --store mo --workers 2`

    Exit code 0: all cells done; 1: some failed, the table is complete; 2: the call or the study is wrong.
    """
    if study is None:
        with as_file(files("crossprune.harness") / "demo.toml") as path:
            _run(path, store, workers, retry, data, executor)
    else:
        _run(study, store, workers, retry, data, executor)


@app.command()
def demo(store: StoreOption = None, workers: WorkersOption = CORES) -> None:
    """Run the main job on the embedded silicon data with SNAP and GAP: a few minutes on two cores.

    Example: `crossprune demo --workers 2`
    """
    run(None, store, workers)


def _run(
    path: Path, folder: Path | None, workers: int, retry: list[str] | None, data: list[str] | None, where: str
) -> NoReturn:
    from crossprune.harness.console import print_matrix

    study, store, result = _execute(path, folder, workers, retry or [], data, where)
    print_matrix(console, result.table)
    _write_report(store.root, _provenance(study.name, path.read_text(), result.table))
    sys.exit(ALL_DONE if set(result.statuses) <= {"done", "skipped"} else SOME_FAILED)


def _execute(
    path: Path, folder: Path | None, workers: int, retry: list[str], data: list[str] | None, where: str
) -> tuple[Study, Store, RunResult]:
    """Run a study and write its table; leave the program if the run is interrupted."""
    import dataclasses

    from crossprune.harness import engine
    from crossprune.harness.assessment import assess
    from crossprune.harness.console import print_assessment, print_summary, progress_display
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.results import write_table
    from crossprune.harness.store import STATUSES, Store
    from crossprune.harness.study import read_study

    for status in retry:
        if status not in STATUSES or status == "done":
            raise StudyError(unknown_name("status", status, set(STATUSES) - {"done"}))
    study = read_study(path)
    if data:
        study = dataclasses.replace(study, datasets=tuple(data))
    store = Store(folder or Path(f"crossprune-{study.name}"))
    store.remove_leftovers()
    executor = _executor(where, workers, study.limits.timeout_s)
    with progress_display(console) as show:
        result = engine.run(study, store, executor, retry=retry, on_progress=show)
    write_table(result.table, store.root / "results.parquet")
    print_summary(console, result)
    unit = "cells"
    if not result.left and (study.properties.enabled or study.md.enabled):
        with progress_display(console, "trials of models") as show:
            tried = assess(study, store, executor, result.table, retry=retry, on_progress=show)
        write_table(tried.properties, store.root / "properties.parquet")
        write_table(tried.md, store.root / "md.parquet")
        print_assessment(console, tried)
        result, unit = dataclasses.replace(result, left=tried.left), "trials of models"
    executor.shutdown(cancel_futures=bool(result.left))
    if result.left:
        console.print(f"interrupted: {result.left} {unit} left; the same command goes on from here")
        sys.exit(INTERRUPTED)
    return study, store, result


def _executor(where: str, workers: int, timeout_s: float) -> Executor:
    from crossprune.harness.errors import StudyError
    from crossprune.harness.pool import LocalPool, SerialExecutor

    if where == "local":
        return LocalPool(workers, timeout_s) if workers else SerialExecutor()
    kind, _, path = where.partition(":")
    if kind != "parsl" or not path:
        raise StudyError(f"unknown executor {where!r}; allowed: local, parsl:FILE.py, parsl:FILE.toml")
    from crossprune.harness.clusters import executor_from

    return executor_from(Path(path), timeout_s)


@app.command()
def nightly(
    study: Annotated[Path, typer.Argument(help="Study file (TOML).")],
    store: StoreOption = None,
    workers: WorkersOption = CORES,
    retry: RetryOption = None,
    executor: ExecutorOption = "local",
    night: Annotated[
        str | None, typer.Option("--night", help="Name of this night; default: the time.")
    ] = None,
) -> None:
    """Run what is missing, say what changed since the last night, and keep this night.

    Example: `crossprune nightly studies/nightly.toml --store nights --workers 2`

    Writes report.html, nightly.md (a summary) and nights.html (errors over nights) into the store.

    Exit code 0: nothing alarming; 1: a cell newly fails, or an error rose beyond the seed spread;
    2: the call or the study is wrong.
    """
    from crossprune.harness.nights import compare, load_nights, save_night, to_markdown
    from crossprune.harness.store import write_file
    from crossprune.reports.history import write_history

    settings, kept, result = _execute(study, store, workers, retry or [], None, executor)
    name = night or datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S")
    earlier = [one for one in load_nights(kept.root) if one.name != name]
    save_night(kept.root, name, result.table, result.inputs)
    nights = load_nights(kept.root)
    tonight = next(one for one in nights if one.name == name)
    comparison = compare(earlier[-1], tonight) if earlier else None
    summary = to_markdown(name, comparison, earlier[-1].name if earlier else "")
    write_file(kept.root / "nightly.md", lambda path: path.write_text(summary))
    _write_report(kept.root, _provenance(settings.name, study.read_text(), result.table))
    write_history(nights, kept.root)
    console.print(summary, markup=False, highlight=False)
    sys.exit(SOME_FAILED if comparison is not None and comparison.alarm else ALL_DONE)


def _provenance(name: str, text: str, table: Any) -> dict[str, object]:
    from crossprune.harness.results import code_version

    return {
        "study": name,
        "toml": text,
        "command": shlex.join(["crossprune", *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "hardware": "; ".join(sorted(set(table["hardware"]) - {""})),
        "versions": "; ".join(sorted({one for text in table["versions"] for one in text.split("; ") if one})),
        "cells": int(table["cell"].nunique()),
        **code_version(),
    }


def _write_report(folder: Path, provenance: dict[str, object] | None) -> None:
    import json

    import pandas as pd
    from crossprune.harness.errors import StudyError
    from crossprune.harness.store import write_file
    from crossprune.reports.page import write_report

    results, facts = folder / "results.parquet", folder / "provenance.json"
    if provenance is None:
        if not results.is_file() or not facts.is_file():
            raise StudyError(f"{folder} holds no finished run: crossprune run STUDY.toml --store {folder}")
        provenance = json.loads(facts.read_text())
    else:
        text = json.dumps(provenance, indent=1)
        write_file(facts, lambda temporary: temporary.write_text(text))
    assessed = {
        name: pd.read_parquet(folder / f"{name}.parquet")
        for name in ("properties", "md")
        if (folder / f"{name}.parquet").is_file()
    }
    page = write_report(pd.read_parquet(results), folder, provenance, **assessed)
    console.print(f"table:  {results.resolve()}", soft_wrap=True, highlight=False)
    console.print(f"report: {page.resolve()}", soft_wrap=True, highlight=False)


@app.command()
def report(store: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the report of a finished run again, from its table.

    Example: `crossprune report mo`
    """
    _write_report(store, None)


@app.command()
def analyze(store: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Print the statistics that answer the question, and describe the latent spaces.

    Example: `crossprune analyze mo`

    Tables with all columns are written to STORE/analysis as Parquet.
    """
    from crossprune.harness.analysis import analyse
    from crossprune.harness.console import print_analysis

    print_analysis(console, analyse(store))
    console.print(f"tables: {(store / 'analysis').resolve()}", soft_wrap=True, highlight=False)


@app.command()
def datasets() -> None:
    """List the data sets.

    Example: `crossprune datasets`
    """
    from crossprune.harness.cards import list_cards, load_card

    view = Table("name", "elements", "title", "licence")
    for name in list_cards():
        card = load_card(name)
        view.add_row(name, ", ".join(card.elements), card.title, card.licence)
    console.print(view)
    console.print("also: any extended-XYZ file or ASE database by its path (--data, or in a study)")


@app.command()
def adapters() -> None:
    """List the adapters, what each can do, and what is missing to use it.

    Example: `crossprune adapters`
    """
    from crossprune.harness.lookup import adapter_class, adapter_table

    view = Table("name", "chooses", "fits", "stress", "alloys", "about", "state")
    for name in sorted(adapter_table()):
        cls = adapter_class(name)
        can = cls.capabilities
        try:
            cls(["Si"])
            state = "ready"
        except MissingPackage as error:
            state = escape(str(error))
        marks = ["yes" if one else "no" for one in (can.describes, can.fits, can.stress, can.multi_element)]
        view.add_row(name, *marks, (cls.__doc__ or "").strip().splitlines()[0], state)
    console.print(view)


@app.command()
def check(
    adapter: Annotated[
        str, typer.Argument(help="Name of an adapter, built in or from an installed package.")
    ],
) -> None:
    """Run the contract's checks on an adapter: invariances, derivatives, refits, saving.

    Example: `crossprune check snap`
    """
    from crossprune.harness.checks import run_checks
    from crossprune.harness.lookup import adapter_class

    results = run_checks(adapter_class(adapter))
    colours = {"passed": "green", "failed": "bold red", "skipped": "yellow"}
    for one in results:
        console.print(f"[{colours[one.outcome]}]{one.outcome:8}[/] {one.name}", highlight=False)
        if one.detail:
            console.print(f"         {one.detail}", markup=False, highlight=False)
    failed = sum(one.outcome == "failed" for one in results)
    console.print(f"{len(results)} checks, {failed} failed")
    sys.exit(SOME_FAILED if failed else ALL_DONE)


@app.command("new-adapter")
def new_adapter(
    name: Annotated[str, typer.Argument(help="Name of the model family: lower-case letters and digits.")],
    outside: Annotated[
        Path | None, typer.Option("--outside", help="Make a package of its own in this folder.")
    ] = None,
) -> None:
    """Start an adapter from a worked example (a pair-distance histogram with ridge) that passes all checks.

    Example: `crossprune new-adapter mtp` in a checkout, or `crossprune new-adapter mtp --outside my-mtp`
    """
    from crossprune.harness import scaffold

    paths = scaffold.inside(name, Path()) if outside is None else scaffold.outside(name, outside)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if outside is not None:
        console.print(f"next: pip install -e {outside}, then crossprune check {name}", highlight=False)
        return
    console.print(
        f"next: crossprune check {name}; then pin its numbers (the test of them says how): make test"
    )
    console.print("if it needs packages: an extra in pyproject.toml, EXTRAS in adapters/__init__.py, tox.ini")


@app.command()
def evaluate(
    potential: Annotated[str, typer.Argument(help="Folder of a saved potential, or lammps:STYLE:NAME.")],
    data: Annotated[str, typer.Option("--data", help="Data set or file.")],
    split: Annotated[str, typer.Option("--split", help="Part to evaluate on: test, ood or train.")] = "test",
) -> None:
    """Evaluate a saved or published potential on labelled data.

    Example: `crossprune evaluate lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`
    """
    import numpy as np
    from crossprune.harness.cards import load_dataset
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.frames import SPLITS
    from crossprune.harness.lookup import load_potential
    from crossprune.harness.metrics import METRICS, errors_by_group, labels_of

    if split not in SPLITS:
        raise StudyError(unknown_name("split", split, SPLITS))
    model = load_potential(potential)
    dataset = load_dataset(data)
    frames = [dataset.frames[index] for index in dataset.indices(split)]
    if not frames:
        raise StudyError(f"{data} has no {split!r} part")
    sizes = np.array([len(atoms) for atoms in frames])
    groups = [dataset.groups[index] for index in dataset.indices(split)]
    rows = errors_by_group(
        model.predict_many(frames), labels_of(frames), sizes, groups, np.arange(len(frames))
    )
    view = Table("group", "frames", "energy MAE", "energy RMSE", "force MAE", "force RMSE", "stress MAE")
    for row in rows:
        values = [float(row[name]) for name in METRICS]
        energy, force = (f"{value:.2f}" for value in values[:2]), (f"{value:.4f}" for value in values[2:4])
        stress = "" if np.isnan(values[4]) else f"{values[4]:.3f}"
        view.add_row(str(row["group"]), str(row["n_eval_configurations"]), *energy, *force, stress)
    view.caption = "energies meV/atom, forces eV/Å per component, stress GPa"
    console.print(f"{potential} on {data}, part {split!r}", highlight=False)
    console.print(view)


@app.command()
def properties(
    potential: Annotated[str, typer.Argument(help="Folder of a saved potential, or lammps:STYLE:NAME.")],
    data: Annotated[str, typer.Option("--data", help="Data set whose card names crystal and references.")],
    names: Annotated[
        list[str] | None, typer.Option("--name", help="Property (repeatable); default: all but migration.")
    ] = None,
) -> None:
    """Compute the physical properties of a saved or published potential.

    Example: `crossprune properties lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`
    """
    from crossprune.harness.cards import load_card
    from crossprune.harness.console import print_properties
    from crossprune.harness.errors import StudyError
    from crossprune.harness.lookup import load_potential
    from crossprune.harness.properties import PropertyOptions, compute_properties
    from crossprune.harness.references import reference_of, setting_of

    card = load_card(data)
    try:
        options = PropertyOptions(names=tuple(names)) if names else PropertyOptions()
    except ValueError as error:
        raise StudyError(str(error)) from None
    rows = compute_properties(load_potential(potential).calculator(), setting_of(card), options)
    print_properties(console, rows, [reference_of(card, row.structure, row.name) for row in rows])


if __name__ == "__main__":
    main()
