"""``crossprune describe``: latent spaces, splits and pools before anything is run or chosen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands, evaluation
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from collections.abc import Mapping

    import pandas as pd

console = Console()


def describe(
    source: Annotated[str, typer.Argument(help="Data set, file with structures, or study (TOML).")],
    chooser: Annotated[
        list[str] | None,
        typer.Option("--chooser", help="Family whose space is looked at (repeatable); default: the study's."),
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option("--space", help="atoms, rows or force_rows (repeatable).")
    ] = None,
    pooling: Annotated[
        list[str] | None, typer.Option("--pooling", help="mean, sum, max, std, mean_std (repeatable).")
    ] = None,
    scaling: Annotated[
        list[str] | None,
        typer.Option("--scaling", help="none, standard, standard_all, whitened, pca:K, model (repeatable)."),
    ] = None,
    split_method: evaluation.SplitMethodOption = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", help="group, or trajectory: each one a group of its own.")
    ] = None,
    split_key: evaluation.SplitKeyOption = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Describe latent spaces before anything is run or chosen: faults, leaks of the split, worth of pruning.

    Example: `crossprune describe si-pbe --chooser snap --chooser chimes --space atoms --space rows`

    Example: `crossprune describe frames.extxyz --chooser snap --pooling mean --pooling mean_std --json`

    Example: `crossprune describe studies/composition-mlearn-si.toml --chooser snap`

    Nothing is fitted, and labels play no part: a file may have none, and is one pool then. Options of
    families are those of the study; spaces of a store are described by `crossprune analyze STORE`.
    """
    from crossprune.describing import describe as look
    from crossprune.harness.cli.console import print_analysis, print_notes, print_text

    keys: dict[str, Any] = dict(
        commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    )
    how = {"split": split_method, "group_by": group_by, "split_key": split_key}
    keys |= {name: value for name, value in how.items() if value is not None}
    found = look(
        source,
        choosers=chooser or (),
        spaces=space or (),
        poolings=pooling or (),
        scalings=scaling or (),
        loading=keys,
    )
    if as_json:
        print(json.dumps(_document(found.tables, found.notes), indent=1, allow_nan=False))
        return
    print_notes(console, found.notes)
    worth = found.tables["worth"].drop(columns="remark")  # its sentences follow
    print_analysis(console, {**found.tables, "worth": worth})
    for line in found.sentences:
        print_text(console, line)


def _document(tables: Mapping[str, pd.DataFrame], notes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay everything out as JSON; what is not a number is null."""
    from crossprune.harness.cli.analysis import plain

    records = {name: table.to_dict("records") for name, table in tables.items()}
    document: dict[str, Any] = plain({"notes": {k: list(v) for k, v in notes.items()}, "tables": records})
    return document
