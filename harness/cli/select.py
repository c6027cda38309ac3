"""``crossprune select``: which frames of a pool to label."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from crossprune.labelling.selection import Selection

CORES = os.cpu_count() or 1
INTERRUPTED = 130
WORK = ".select"
"""Ends the name of the folder beside the output that holds blocks until the choice is written."""
FEW = 10
"""Blocks that are not worth to be kept when a call is wrong."""
console = Console()


def select(
    pool: Annotated[
        list[str], typer.Argument(help="Files (extended XYZ, ASE database) or data sets to choose from.")
    ],
    output: Annotated[
        list[Path],
        typer.Option("--output", "-o", help="File to write: .extxyz, .xyz, .db, .json or .csv (repeatable)."),
    ],
    number: Annotated[
        str | None, typer.Option("--number", "-n", help="How many frames (or --budget): a number, or all.")
    ] = None,
    fraction: Annotated[
        float | None, typer.Option("--fraction", help="Instead of a number: which part, in (0, 1].")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--given", help="File of labelled frames to complete (repeatable).")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", help="File of frames to keep out, or pattern of groups (repeatable)."),
    ] = None,
    chooser: Annotated[
        list[str] | None,
        typer.Option(
            "--chooser", help="Family whose space is chosen in (repeatable), or all. Default: snap."
        ),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="fps, direct, d_optimal, random, … (docs/selection.md).")
    ] = "fps",
    budget: Annotated[
        str, typer.Option("--budget", help="What is counted: configurations, atoms or labels.")
    ] = "configurations",
    space: Annotated[str, typer.Option("--space", help="atoms, rows or force_rows.")] = "atoms",
    pooling: Annotated[str, typer.Option("--pooling", help="mean, sum, max, std or mean_std.")] = "mean",
    scaling: Annotated[
        str, typer.Option("--scaling", help="none, standard, standard_all, whitened, pca:K or model.")
    ] = "standard",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Breaks ties, and draws.")] = 0,
    options: Annotated[
        Path | None, typer.Option("--options", help="Study (TOML) whose [options.NAME] tables count.")
    ] = None,
    refits: Annotated[
        Path | None,
        typer.Option("--refits", help="Folder of a finished run: who chose best for which model there."),
    ] = None,
    group_key: commands.GroupKeyOption = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = CORES,
    memory_gb: Annotated[
        float, typer.Option("--memory-gb", min=0.1, help="What choosing may take, GB.")
    ] = 4.0,
) -> None:
    """Choose which frames of a pool to label; labels play no part, and need not be there.

    Example: `crossprune select si-pbe -n 20 --chooser snap -o chosen.extxyz`

    Example: `crossprune select md.extxyz --given labelled.extxyz -n 500 --chooser all -o next.extxyz`

    Every chosen frame keeps what it came with, and says when it was picked, how far it was from those before,
    and where it stood. Interrupted, the same command goes on from the folder OUTPUT.select, which is removed
    at the end.
    """
    import crossprune
    from crossprune.harness.cli.console import print_text
    from crossprune.harness.errors import StudyError, UserError
    from crossprune.harness.tables import read_toml
    from crossprune.labelling.writing import check_output

    read = [Path(one) for one in (*pool, *(given or ()), *(exclude or ()))]
    for path in output:
        check_output(path, read)
    if number is not None and number != "all" and not (number.isascii() and number.isdecimal()):
        raise StudyError(f"--number is {number!r}; give a whole number above 0, or all")
    tables: dict[str, Any] = {} if options is None else read_toml(options).get("options", {})
    work = output[0].with_name(output[0].name + WORK)
    try:
        with _progress() as show:
            selection = crossprune.select(
                list(pool),
                int(number) if number and number != "all" else number,
                fraction=fraction,
                given=given or (),
                exclude=exclude or (),
                chooser=chooser,
                method=method,
                budget=budget,
                space=space,
                scaling=scaling,
                pooling=pooling,
                seed=seed,
                options=tables,
                group_key=group_key,
                refits=refits,
                workers=workers,
                folder=work,
                memory_gb=memory_gb,
                on_progress=show,
            )
        for path in output:
            selection.write(path)
    except UserError:
        # Else so much was done that it is of use when this is mended.
        if len(list(work.glob("*.npz"))) <= FEW:
            shutil.rmtree(work, ignore_errors=True)
        raise
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        sys.exit(INTERRUPTED)
    shutil.rmtree(work, ignore_errors=True)
    for line in str(selection).splitlines():
        print_text(console, line)
    _show(selection)
    for path in output:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _show(selection: Selection) -> None:
    """Print how coverage rises with n, and how far choosers agree."""
    from rich.table import Table

    if len(selection.coverage):
        view = Table("n", "mean", "mean at random", "largest", "largest at random")
        view.title = "Distance from frames of the pool to the nearest chosen or given one, scaled features"
        for row in selection.coverage.to_dict("records"):
            cells = [str(int(row["n"]))]
            for name in ("mean", "largest"):
                low, high = (row[f"random_{name}_{end}"] for end in ("low", "high"))
                cells += [f"{row[name]:.3g}", f"{row[f'random_{name}']:.3g} ({low:.3g} to {high:.3g})"]
            view.add_row(*cells)
        console.print(view)
    if len(selection.agreement):
        view = Table("chooser", "beside", "shared", "by chance")
        for row in selection.agreement.to_dict("records"):
            shares = (f"{100 * row[name]:.0f} %" for name in ("shared", "by_chance"))
            view.add_row(row["first"], row["second"], *shares)
        console.print(view)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show how far each thing that is done to the pool is: a bar with the time left, or lines in a log."""
    from crossprune.harness.cli.console import progress_display
    from crossprune.harness.engine.loop import Progress

    shown: dict[str, Callable[[Progress], None]] = {}
    with ExitStack() as displays:

        def show(what: str, done: int, total: int | None) -> None:
            if what not in shown:
                displays.close()
                shown[what] = displays.enter_context(progress_display(console, what))
            shown[what](Progress(total or done, 0, done, 0, ("frames",)))

        yield show
