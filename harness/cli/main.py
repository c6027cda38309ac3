"""The command line: ``crossprune``."""

from __future__ import annotations

import datetime
import errno
import os
import shlex
import signal
import sqlite3
import sys
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from crossprune.harness import cli
from crossprune.harness.cli import (
    analysis,
    commands,
    describe,
    evaluation,
    properties,
    select,
    softening,
    store_commands,
    tuning,
)
from crossprune.harness.engine.outcome import warnings_of_others_shown
from crossprune.harness.errors import DiskFull, MissingPackage, NoWorkers, UserError
from crossprune.harness.names import shortened
from crossprune.harness.store.disk import is_full
from crossprune.harness.store.readonly import is_denied
from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:  # imported when a command needs them, so that --help is quick
    from crossprune.harness.engine.loop import RunResult
    from crossprune.harness.engine.trials.published import Published
    from crossprune.harness.store.objects import Store
    from crossprune.running import Work

CORES = os.cpu_count() or 1
ALL_DONE, SOME_FAILED, WRONG_CALL, INTERRUPTED = 0, 1, 2, 130
OTHERS = (
    "results.parquet had {} cells that this study does not ask for; they stay in the store: crossprune store "
    "export {} all.csv writes all, and their own study, run into it again, its table and report: nothing is "
    "computed anew"
)
app = typer.Typer(
    name="crossprune",
    help="Whose descriptor should choose the training data of a machine-learned interatomic potential?",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
MemoryOption = Annotated[
    float | None,
    typer.Option("--memory-gb", min=0.01, help="Memory of a task; default: the study's, or what there is."),
]
DataOption = Annotated[
    list[str] | None, typer.Option("--data", help="Data set or file, instead of the study's.")
]


def main() -> NoReturn:
    """Run the command line; errors of the user's end in one line and exit code 2."""
    vars(sys.modules["__main__"]).pop("__file__", None)  # else every worker would import the command line
    try:
        with warnings_of_others_shown():
            app()
    except (UserError, MissingPackage) as error:
        _fail(str(error))
    except NoWorkers as error:
        Console(stderr=True).print(
            f"[bold red]no workers:[/] {escape(str(error))}; the same command goes on from here",
            highlight=False,
            soft_wrap=True,
        )
        sys.exit(SOME_FAILED)
    except (DiskFull, OSError, sqlite3.OperationalError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _fail(f"a name is too long for the file system: {shortened(str(error.filename))}")
        if is_denied(error):
            _fail(f"{error}; give a folder that can be written, or make a copy of the store and name that")
        if not is_full(error):
            raise
        Console(stderr=True).print(
            f"[bold red]disk full:[/] {escape(str(error))}", highlight=False, soft_wrap=True
        )
        sys.exit(SOME_FAILED)
    sys.exit(ALL_DONE)


def _fail(message: str) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(WRONG_CALL)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=commands.print_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Take what comes before a command; the help is that of the program."""


@app.command()
def run(
    study: Annotated[Path | None, typer.Argument(help="Study file (TOML); default: the demo study.")] = None,
    store: StoreOption = None,
    workers: WorkersOption = CORES,
    retry: RetryOption = None,
    data: DataOption = None,
    executor: ExecutorOption = "local",
    memory_gb: MemoryOption = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
) -> None:
    """Run every cell of a study that the store does not hold; write table and report.

    Example: `crossprune run mo.toml --store mo --workers 2`

    Exit code 0: all cells done; 1: some failed, the table is complete (or the disk is full: it says so, and
    the same command goes on); 2: the call or the study is wrong.
    """
    keys = commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    if study is None:
        with as_file(files(cli) / "demo.toml") as path:
            _run(path, store, workers, retry, data, executor, memory_gb, keys)
    else:
        _run(study, store, workers, retry, data, executor, memory_gb, keys)


@app.command()
def demo(store: StoreOption = None, workers: WorkersOption = CORES) -> None:
    """Run the main job on the embedded silicon data with SNAP and GAP: a few minutes on two cores.

    Example: `crossprune demo --workers 2`
    """
    run(None, store, workers)


def _run(
    path: Path,
    folder: Path | None,
    workers: int,
    retry: list[str] | None,
    data: list[str] | None,
    where: str,
    memory_gb: float | None,
    keys: dict[str, str],
) -> NoReturn:
    from crossprune.harness.cli.console import healed, print_matrix

    def work() -> RunResult:
        ready, result, published = _execute(path, folder, workers, retry, data, where, memory_gb, keys)
        print_matrix(console, result.overall, published.overall)
        _write_report(ready.store.root, ready.provenance(result, _command()))
        return result

    result = healed(console, work)
    sys.exit(ALL_DONE if set(result.statuses) <= {"done", "skipped"} else SOME_FAILED)


def _execute(*given: Any) -> tuple[Work, RunResult, Published]:
    """Run a study and write its table; leave the program if the run is interrupted, by Ctrl-C or SIGTERM."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _execute_all(*given)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _execute_all(
    path: Path,
    folder: Path | None,
    workers: int,
    retry: list[str] | None,
    data: list[str] | None,
    where: str,
    memory_gb: float | None = None,
    keys: dict[str, str] | None = None,
) -> tuple[Work, RunResult, Published]:
    from crossprune.harness.analysis.primary import asked
    from crossprune.harness.cli import console as shown
    from crossprune.harness.cli.trials import print_assessment
    from crossprune.running import MODELS, PUBLISHED, Work

    work = Work.begin(
        path,
        store=folder,
        workers=workers,
        retry=retry or (),
        data=data or (),
        loading=keys,
        executor=where,
        memory_gb=memory_gb,
    )
    with shown.progress_display(console) as show:
        result = work.cells(show, lambda notes: shown.print_notes(console, notes))
    with shown.progress_display(console, PUBLISHED) as show:
        published = work.published(result, show)
    if work.is_held(result, published):
        work.executor.shutdown()
        _say_what_is_held(work.store, result)
    others = work.write(result, published)
    shown.print_summary(console, result)
    if others:
        _print_line(OTHERS.format(others, shlex.quote(str(work.store.root))))
    if changed := asked(work.store.root).changed:
        console.print(f"the report will be exploratory: {changed}", highlight=False, markup=False)
    left = {"cells": result.left, PUBLISHED: published.left}
    with shown.progress_display(console, MODELS) as show:
        tried = work.trials(result, published, show)
    if tried is not None:
        print_assessment(console, tried)
        left[MODELS] = tried.left
    work.executor.shutdown(cancel_futures=any(left.values()))
    for unit, count in left.items():
        if count:
            console.print(f"interrupted: {count} {unit} left; the same command goes on from here")
            sys.exit(INTERRUPTED)
    return work, result, published


def _say_what_is_held(store: Store, result: RunResult) -> NoReturn:
    """End a run that had nothing to compute in a store that cannot be written."""
    from crossprune.harness.cli.console import print_held

    print_held(console, result, store.root)
    sys.exit(ALL_DONE if set(result.statuses) <= {"done", "skipped"} else SOME_FAILED)


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
    from crossprune.harness.analysis import nights
    from crossprune.harness.cli.console import healed
    from crossprune.harness.errors import StudyError
    from crossprune.harness.names import fault_of_name
    from crossprune.harness.store.objects import write_file
    from crossprune.reports.several.history import write_history

    if night is not None and (fault := fault_of_name(night)):
        raise StudyError(f"--night: {fault}")
    given = (study, store, workers, retry, None, executor)
    work, result, _ = healed(console, lambda: _execute(*given))
    kept = work.store
    name = night or datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S")
    earlier = [one for one in nights.load_nights(kept.root, _print_line) if one.name != name]
    tonight = nights.load_night(nights.save_night(kept.root, name, result.table, result.inputs))
    comparison = nights.compare(earlier[-1], tonight) if earlier else None
    summary = nights.to_markdown(name, comparison, earlier[-1].name if earlier else "")
    write_file(kept.root / "nightly.md", lambda path: path.write_text(summary))
    _write_report(kept.root, work.provenance(result, _command()))
    write_history([*earlier, tonight], kept.root)
    console.print(summary, markup=False, highlight=False)
    sys.exit(SOME_FAILED if comparison is not None and comparison.alarm else ALL_DONE)


def _print_line(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _command() -> str:
    return shlex.join(["crossprune", *sys.argv[1:]])


def _write_report(folder: Path, provenance: dict[str, object] | None) -> None:
    from crossprune.running import write_report

    page = write_report(folder, provenance, _print_line)
    table = folder / "results.parquet"
    console.print(f"table:  {table.resolve()}", soft_wrap=True, highlight=False)
    console.print(f"report: {page.resolve()}", soft_wrap=True, highlight=False)
    console.print(f"answer: crossprune analyze {shlex.quote(str(folder))}", soft_wrap=True, highlight=False)


@app.command()
def report(store: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the report of a finished run again, from its table.

    Example: `crossprune report mo`
    """
    _write_report(store, None)


for command in (
    commands.datasets,
    commands.adapters,
    commands.check,
    describe.describe,
    describe.levels,
    analysis.transfer,
    select.select,
    evaluation.evaluate,
    softening.softening,
    commands.export,
    properties.properties,
    analysis.analyze,
    analysis.compare,
    tuning.tune,
):
    app.command()(command)
app.command("new-adapter")(commands.new_adapter)
app.command("export-potential")(commands.export_potential)
app.add_typer(store_commands.app)

if __name__ == "__main__":
    main()
