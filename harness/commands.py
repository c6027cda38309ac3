"""Commands that look at one thing: data sets, adapters, checks, potentials, their properties."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from crossprune.harness.errors import MissingPackage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ALL_DONE, SOME_FAILED = 0, 1
console = Console()


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
