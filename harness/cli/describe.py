"""``crossprune describe`` and ``levels``: data, spaces and splits before anything is run or chosen."""

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


OF_LEVELS = {
    "group": "group",
    "n_structures": "n",
    "shift": "shift eV/atom",
    "energy_correlation": "r(E)",
    "referenced_correlation": "referenced",
    "referenced_mae_mev_per_atom": "meV/atom",
    "force_mae_ev_per_angstrom": "forces eV/Å",
    "force_slope": "slope",
    "stress_mae_gpa": "GPa",
}
"""Columns that are printed, and their titles."""


def levels(
    data: Annotated[str, typer.Argument(help="Data set or file with the target's labels.")],
    source: Annotated[
        str, typer.Option("--source", help="Level, data set or file with the others; default: the one left.")
    ] = "",
    target: Annotated[str, typer.Option("--target", help="Level of the data set; default: its first.")] = "",
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Compare two levels of theory on the structures that both have: how far is one from the other?

    Example: `crossprune levels si-pair`

    Example: `crossprune levels si-pair --source pbe --target r2scan --json`

    Shift: target less source, energies per atom: mean (smallest to largest). r(E): correlation of energies
    per atom, then after each level's energies per element are subtracted, with the mean difference left.
    Forces and stress: mean absolute differences of components; slope of target on source forces.
    """
    from crossprune.harness.cli.analysis import plain
    from crossprune.harness.cli.console import print_lines, print_text
    from crossprune.harness.cli.layout import lines_of
    from crossprune.levels import compare_levels

    keys = commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    table = compare_levels(data, source, target, loading=keys)
    if as_json:
        print(json.dumps(plain({"levels": table.to_dict("records")}), indent=1, allow_nan=False))
        return
    shift = [
        f"{mean:.3f} ({low:.3f} to {high:.3f})"
        for mean, low, high in zip(
            table["shift_ev_per_atom"], table["shift_low"], table["shift_high"], strict=True
        )
    ]
    numbers = table.assign(shift=shift)[list(OF_LEVELS)].rename(columns=OF_LEVELS)
    texts = numbers.map(lambda one: f"{one:.3f}" if isinstance(one, float) else str(one))
    print_text(console, f"{data}: target less source, {table['n_structures'][0]} structures")
    print_lines(console, lines_of(texts))
