"""``crossprune properties``: what a saved or published potential implies, beside the reference values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from crossprune.harness.data.cards import Card, DataOptions

console = Console()


def properties(
    potential: Annotated[str, typer.Argument(help="Folder of a saved potential, or lammps:STYLE:NAME.")],
    data: Annotated[
        str, typer.Option("--data", help="Data set that names crystal and references, or file with --card.")
    ],
    card: Annotated[
        Path | None,
        typer.Option(
            "--card", help="Of a file: its card, or the study whose table names its crystal (TOML)."
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="Property (repeatable); default: all but migration and surfaces_relaxed."
        ),
    ] = None,
) -> None:
    """Compute the physical properties of a saved or published potential.

    Example: `crossprune properties lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`

    Example: `crossprune properties POTENTIAL --data frames.extxyz --card card.toml`
    """
    import dataclasses

    from crossprune.harness.cli.trials import print_properties
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.properties import PropertyOptions, compute_properties
    from crossprune.harness.evaluation.references import in_crystal, reference_of, setting_of
    from crossprune.harness.lookup import load_potential

    known = _card(data, card)
    try:
        options = PropertyOptions(names=tuple(names)) if names else PropertyOptions()
    except ValueError as error:
        raise StudyError(str(error)) from None
    settings = {label: setting_of(known, label) for label in known.every_crystal or ("",)}
    model, rows = load_potential(potential), []
    for label, setting in settings.items():
        found = compute_properties(model.calculator(), setting, options)
        rows += [dataclasses.replace(one, structure=in_crystal(label, one.structure)) for one in found]
    print_properties(console, rows, [reference_of(known, row.structure, row.name) for row in rows])


def _card(data: str, path: Path | None) -> Card:
    """Return the card of a data set; of a file what a card file, or the table of a study, says of it."""
    from crossprune.harness.data.cards import card_of, list_cards, load_card, load_dataset
    from crossprune.harness.data.names import is_file
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.references import require_fitting

    if data in list_cards() or (path is None and not Path(data).suffix):
        if path is not None:
            raise StudyError(f"--card: for a file of your own; {data} has a card")
        return load_card(data)
    if path is None and not is_file(Path(data)):
        raise StudyError(f"no such file: {data}")
    if path is None:
        raise StudyError(
            f"{data} is a file, which names no crystal; give --card FILE: a card (TOML) with the table "
            "[protocol], or the study that has it as [data.NAME.protocol]"
        )
    source, options = _table(data, path)
    dataset = load_dataset(source, options=options)
    known = card_of(source, options, dataset.elements)
    require_fitting(known, dataset, str(path))
    return known


def _table(data: str, path: Path) -> tuple[str, DataOptions]:
    """Return where a file is, and what a study or a card says of it."""
    from crossprune.harness.data.cards import DataOptions
    from crossprune.harness.data.names import is_one_of
    from crossprune.harness.engine.loading import data_options
    from crossprune.harness.engine.study import read_study
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.tables import read_toml

    if "study" not in read_toml(path):
        return data, DataOptions(card=str(path))
    study = read_study(path)
    for label, source in study.labels.items():
        if data == label or is_one_of(data, [source], ()):
            return source, data_options(study, label)
    raise StudyError(f"{path}: {unknown_name('data set', data, study.labels)}")
