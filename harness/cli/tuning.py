"""``crossprune tune``: options or group weights of a model by cross-validation on training labels."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from crossprune.harness.cli import commands
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from crossprune.validation.search import Tuned
    from crossprune.validation.weights import Reweighted

INTERRUPTED = 130
console = Console()


def tune(
    model: Annotated[str, typer.Argument(help="Name of an adapter, such as snap.")],
    data: Annotated[
        str, typer.Option("--data", help="Data set or file, or a study (TOML) of one: its training part.")
    ],
    weights: Annotated[
        bool, typer.Option("--weights", help="Choose group weights of a linear model, not options.")
    ] = False,
    folds: Annotated[int, typer.Option("--folds", min=2, help="Parts that are predicted in turn.")] = 5,
    store: Annotated[
        Path | None, typer.Option("--store", help="Folder for fits; default: crossprune-tune-MODEL.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=0, help="Processes; 0 runs in this one.")] = (
        os.cpu_count() or 1
    ),
    option: Annotated[
        list[str] | None,
        typer.Option("--option", help="An option that stays as it is: NAME=VALUE in TOML (repeatable)."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the table, to paste into a study.")
    ] = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
) -> None:
    """Choose a model's options by cross-validation on the training part; test errors have no part in it.

    Example: `crossprune tune snap --data si-pbe --workers 2 -o options.toml`

    For a study of your own data give the study: its split decides what is tested, and stays out of this.
    Prints every point that was tried, and the best as the table [options.MODEL] of a study. The same command
    goes on from where it was interrupted. With --weights it chooses the weights of each group's energies and
    forces, and prints them as the tables [weights.GROUP].
    """
    from crossprune import tuning
    from crossprune.harness.cli.console import progress_display
    from crossprune.harness.tables import parse_toml

    fixed = parse_toml("\n".join(option or []).encode(), "--option")
    keys = commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    if weights:
        found: Reweighted | Tuned = tuning.reweight(
            model, data, store=store, folds=folds, options=fixed, loading=keys
        )
        console.print(_weights_table(found))  # type: ignore[arg-type]
    else:
        with progress_display(console, "fits") as show:
            found = tuning.tune(
                model,
                data,
                store=store,
                folds=folds,
                workers=workers,
                options=fixed,
                loading=keys,
                on_progress=show,
            )
        console.print(_tried_table(found))
        if found.left:
            console.print(f"interrupted: {found.left} fits left; the same command goes on from here")
            sys.exit(INTERRUPTED)
    text = found.to_toml()
    console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
    if output is not None:
        output.write_text(text)


def _tried_table(found: Tuned) -> Table:
    """Lay out what was tried; options that all points share are said once."""
    from crossprune.validation.search import ENERGY, FORCE

    points = found.points
    shared = {k: v for k, v in points[0].items() if all(k in one and one[k] == v for one in points)}
    view = Table("options", "energy MAE", "force MAE", "score", title=f"{found.model} on {found.dataset}")
    for row, point in zip(found.tried.to_dict("records"), points, strict=True):
        own = {name: value for name, value in point.items() if name not in shared}
        shown = ", ".join(f"{name} {json.dumps(value)}" for name, value in own.items()) or "as by default"
        if row["is_default"] and own:
            shown += " (the defaults)"
        if row["score"] != row["score"]:
            view.add_row(escape(shown), escape(row["status"]), "", "")
            continue
        energy = f"{row[ENERGY]:.2f} ± {row[f'{ENERGY}_spread']:.2f}"
        force = f"{row[FORCE]:.4f} ± {row[f'{FORCE}_spread']:.4f}"
        view.add_row(escape(shown), energy, force, f"{row['score']:.4f}")
    in_all = f"; in all: {escape(json.dumps(shared))}" if shared else ""
    view.caption = (
        "meV/atom and eV/Å on left-out folds of the training part, mean and deviation over folds; score: "
        f"√(energy × force){in_all}"
    )
    return view


def _weights_table(found: Reweighted) -> Table:
    """Lay out weights, and the validation errors with and without them."""
    view = Table("group", "energies", "forces", title=f"weights for {found.model} on {found.dataset}")
    for group, one in found.weights.items():
        view.add_row(escape(group), f"{one.energy:.4g}", f"{one.forces:.4g}")
    (energy, force), (new_energy, new_force) = found.before, found.after
    view.caption = (
        f"left-out folds: {energy:.2f} meV/atom, {force:.4f} eV/Å with equal weights, "
        f"{new_energy:.2f}, {new_force:.4f} with these; search {found.search_s:.1f} s"
    )
    return view
