"""``crossprune evaluate``: errors of a potential on frames, and what it has to do with them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    import pandas as pd

console = Console()

DataOption = Annotated[
    str | None, typer.Option("--data", help="Data set or file; default: what the store holds beside it.")
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split",
        help="Part: test, ood or train; of a study's data also remainder, chosen, new; or all frames. "
        "Default: test, or all that a study did not fit to.",
    ),
]
SplitMethodOption = Annotated[
    str | None, typer.Option("--split-method", help="given, stratified, random, blocks or groups.")
]
TestFractionOption = Annotated[
    float | None, typer.Option("--test-fraction", help="Share of the frames in the part test.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of the split.")]
SplitKeyOption = Annotated[
    str | None, typer.Option("--split-key", help="Of a file: key that holds train, test or ood.")
]


def evaluate(
    potential: Annotated[
        str, typer.Argument(help="Folder of a saved potential (STORE/objects/fit/…/potential), or SCHEME:….")
    ],
    data: DataOption = None,
    split: SplitOption = None,
    split_method: SplitMethodOption = None,
    test_fraction: TestFractionOption = None,
    seed: SeedOption = None,
    split_key: SplitKeyOption = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
) -> None:
    """Evaluate a saved or published potential on labelled data.

    Example: `crossprune evaluate lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`

    Schemes: lammps:STYLE:NAME, ace:FILE, chimes:FILE, mtp:FILE, nnp:FOLDER, pod:FILE,
    uf3:FILE, and those of installed families.

    A potential in a store is evaluated on its study's data, split as there: test, ood and remainder (of
    the training part, what was not chosen). Of other potentials nobody knows what they were fitted to.
    """
    from crossprune.evaluating import Evaluation
    from crossprune.harness.cli.console import print_notes

    labels = commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    loading = loading_of(labels, split_method, test_fraction, seed, split_key)
    found = Evaluation.of(potential, data, split=split, loading=loading)
    print_notes(console, {found.name: found.dataset_notes})
    for line in (f"{potential} on {found.name}", *found.why):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for part in found.wanted:
        errors, notes = found.errors(part)
        for line in notes:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print(_table(errors, part))


def loading_of(
    labels: Mapping[str, str],
    split_method: str | None,
    test_fraction: float | None,
    seed: int | None,
    split_key: str | None,
) -> dict[str, Any]:
    """Gather what was given of a file's labels and split, as options of `DataOptions`."""
    how = {"split": split_method, "test_fraction": test_fraction, "seed": seed, "split_key": split_key}
    return {**labels, **{name: value for name, value in how.items() if value is not None}}


def _table(errors: pd.DataFrame, part: str) -> Table:
    """Lay out the errors on a part, in all and by group."""
    from crossprune.harness.evaluation.metrics import METRICS

    view = Table("group", "frames", "energy MAE", "energy RMSE", "force MAE", "force RMSE", "stress MAE")
    view.title, view.title_justify = f"part: {part}", "left"
    for row in errors.to_dict("records"):
        values = [float(row[name]) for name in METRICS]
        energy, force = (f"{value:.2f}" for value in values[:2]), (f"{value:.4f}" for value in values[2:4])
        stress = "" if isnan(values[4]) else f"{values[4]:.3f}"
        view.add_row(escape(str(row["group"])), str(row["n_eval_configurations"]), *energy, *force, stress)
    view.caption = "energies meV/atom, forces eV/Å per component, stress GPa"
    return view
