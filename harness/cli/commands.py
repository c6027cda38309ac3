"""Commands that look at one thing: data sets, adapters, checks, potentials, their properties."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from crossprune.harness.cli.options import show_options
from crossprune.harness.errors import MissingPackage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

ALL_DONE, SOME_FAILED = 0, 1
DASHES = ("–",) * 5
NEXT = (
    "next: crossprune check {name}; make test says what is missing still:",
    "- in pyproject.toml, the contract 'no family imports another'",
    "- tests/adapters/regression/{name}.json: its numbers, which the test of them prints",
    "- if it needs packages: `requires` in adapters/__init__.py; an extra in pyproject.toml and in 'all';",
    "  the word in tox.ini (adapter-{{...}}, extras, commands) and in .github/workflows/tests.yml",
)
"""What remains to be done for an adapter in a checkout."""
console = Console()

EnergyKeyOption = Annotated[str | None, typer.Option("--energy-key", help="Of a file: key of the energies.")]
ForcesKeyOption = Annotated[str | None, typer.Option("--forces-key", help="Of a file: key of the forces.")]
StressKeyOption = Annotated[
    str | None, typer.Option("--stress-key", help="Of a file: key of the stress (eV/Å³, positive = tension).")
]
VirialKeyOption = Annotated[
    str | None, typer.Option("--virial-key", help="Of a file: key of the virial (eV, -volume × stress).")
]
GroupKeyOption = Annotated[str | None, typer.Option("--group-key", help="Of a file: key of the group.")]


def given_keys(
    energy: str | None, forces: str | None, stress: str | None, virial: str | None, group: str | None
) -> dict[str, str]:
    """Gather the names of labels that were given, as options of `DataOptions`."""
    keys = {"energy_key": energy, "forces_key": forces, "stress_key": stress, "virial_key": virial}
    return {option: key for option, key in {**keys, "group_key": group}.items() if key is not None}


def print_version(asked: bool) -> None:
    """Print the version, with the commit of a checkout, and end, if so asked."""
    if asked:
        from crossprune.harness.engine.results import code_version

        version, commit = code_version().values()
        console.print(f"crossprune {version}" + (f" ({commit})" if commit else ""), highlight=False)
        raise typer.Exit


def datasets() -> None:
    """List the data sets.

    Example: `crossprune datasets`
    """
    from crossprune.harness.data.cards import list_cards, load_card

    view = Table("name", "elements", "title", "licence")
    for name in list_cards():
        card = load_card(name)
        view.add_row(name, ", ".join(card.elements), card.title, card.licence)
    console.print(view)
    console.print("also: any extended-XYZ file or ASE database by its path (--data, or in a study)")


def adapters(
    name: Annotated[str | None, typer.Argument(help="Show the options of this one.")] = None,
) -> None:
    """List the adapters, what each can do, and what is missing to use it; or the options of one.

    Example: `crossprune adapters`, `crossprune adapters snap`

    `broken`, which fails on purpose, is for tests of the harness, and is not listed.
    """
    from crossprune.harness.lookup import FOR_TESTS, broken_families, families

    if name is not None:
        show_options(console, name)
        return
    view = Table("name", "chooses", "fits", "stress", "alloys", "masks", "about")
    view.caption = (
        "chooses: has a descriptor; fits: can be retrained; masks: to the forces of some atoms; "
        "–: not known before it can be imported"
    )
    lacking = []
    for name, family in sorted(families().items()):
        if name == FOR_TESTS:
            continue
        marks, problem = _look_at(name)
        view.add_row(name, *marks, escape(family.about.partition("\n")[0]))
        lacking += [f"{name}: {problem}"] if problem else []
    broken = [f"{one.name}: broken: {one.reason} (package {one.package})" for one in broken_families()]
    console.print(view)
    for line in lacking + broken:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if broken:
        console.print(f"{len(lacking + broken)} cannot be used as things are")
    else:
        console.print(
            f"{len(lacking)} not installed, all others can be used" if lacking else "all can be used"
        )


def _look_at(name: str) -> tuple[tuple[str, ...], str]:
    """Return what a family can do, as far as it can be imported, and why it cannot be used, if so."""
    from crossprune.harness.errors import StudyError
    from crossprune.harness.lookup import adapter_class, require_packages

    marks: tuple[str, ...] = DASHES
    try:
        cls = adapter_class(name)
        can = cls.capabilities
        marks = tuple(
            "yes" if one else "no"
            for one in (can.describes, can.fits, can.stress, can.multi_element, can.masks)
        )
        require_packages(name)
        cls(["Si"])
    except MissingPackage as error:
        return marks, str(error)
    except StudyError as error:
        return marks, f"broken: {error}"
    except (Exception, SystemExit) as error:  # a family from outside may do anything when it is made
        return marks, f"broken: {type(error).__name__}: {error}".splitlines()[0]
    return marks, ""


def check(
    adapter: Annotated[
        str, typer.Argument(help="Name of an adapter, built in or from an installed package.")
    ],
) -> None:
    """Run the contract's checks on an adapter: invariances, derivatives, refits, saving.

    Example: `crossprune check snap`
    """
    from crossprune.harness.checks import run_checks
    from crossprune.harness.lookup import adapter_class, require_packages

    require_packages(adapter)
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

    Example: `crossprune new-adapter eam` in a checkout, or `crossprune new-adapter eam --outside my-eam`
    """
    from crossprune.harness.cli import scaffold

    paths = scaffold.inside(name, Path()) if outside is None else scaffold.outside(name, outside)
    for path in paths:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if outside is not None:
        console.print(f"next: pip install -e {outside}, then crossprune check {name}", highlight=False)
        return
    for line in NEXT:
        console.print(line.format(name=name), markup=False, highlight=False, soft_wrap=True)


def export(
    source: Annotated[str, typer.Argument(help="Data set or file, or the folder of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    style: Annotated[
        str | None,
        typer.Option(
            "--format", help="extxyz, or a family's own, such as pacemaker; default: by the file's ending."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Of a data set: train, test or ood; default: all.")
    ] = None,
    data: Annotated[str | None, typer.Option("--data", help="Of a run: data set.")] = None,
    chooser: Annotated[str | None, typer.Option("--chooser", help="Of a run: who chose.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Of a run: how.")] = None,
    fraction: Annotated[float | None, typer.Option("--fraction", help="Of a run: kept fraction.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of a run: repetition.")] = None,
    pool: Annotated[int | None, typer.Option("--pool", help="Of a run: number of the pool.")] = None,
    energy_key: EnergyKeyOption = None,
    forces_key: ForcesKeyOption = None,
    stress_key: StressKeyOption = None,
    virial_key: VirialKeyOption = None,
    group_key: GroupKeyOption = None,
) -> None:
    """Write a data set, or the set that a study chose, as extended XYZ or as pacemaker's data frame.

    Example: `crossprune export mlearn-Mo --split train --output mo.pckl.gzip`

    Example: `crossprune export mo --chooser ace --method fps --fraction 0.25 --seed 0 --output chosen.extxyz`
    """
    from crossprune import frames
    from crossprune.harness.cli.console import print_notes

    chosen = frames.format_of(Path(source), output, style)
    cell = {"dataset": data, "pool": pool, "chooser": chooser, "method": method, "fraction": fraction}
    keys = given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    found = frames.gather(source, split, keys, {**cell, "seed": seed})
    if not found.is_chosen:
        print_notes(console, {source: found.dataset.notes})
    frames.write_frames(output, chosen, found)
    console.print(f"wrote {len(found.frames)} frames: {output}", highlight=False, soft_wrap=True)


def export_potential(
    store: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; made if not there.")],
    model: Annotated[str | None, typer.Option("--model", help="Which model.")] = None,
    chooser: Annotated[str | None, typer.Option("--chooser", help="Who chose its data.")] = None,
    fraction: Annotated[float | None, typer.Option("--fraction", help="Kept fraction.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Repetition.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="How the data were chosen.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="Data set.")] = None,
    pool: Annotated[int | None, typer.Option("--pool", help="Number of the pool.")] = None,
    style: Annotated[
        str,
        typer.Option("--format", help="lammps: files and an input that runs them; ase: a folder; native."),
    ] = "lammps",
) -> None:
    """Write the potential of a row of a run's table, with the lines that run it in LAMMPS and in Python.

    Example: `crossprune export-potential mo --model ace --chooser ace --fraction 0.25 -o mo-ace`

    Only the options are needed that tell rows apart; if several rows fit, they are listed.
    """
    from crossprune import exporting, rows

    cell = {"dataset": data, "pool": pool, "model": model, "chooser": chooser, "method": method}
    wanted = {**cell, "fraction": fraction, "seed": seed}
    row = rows.one_row(store, {name: one for name, one in wanted.items() if one is not None})
    found = exporting.export_potential(row, output, format=style)
    blocks = {"wrote": found.files, "LAMMPS, in this folder": found.lammps, "Python": (found.python,)}
    for title, lines in {**blocks, "note": found.notes}.items():
        if any(lines):
            console.print(f"{title}:", markup=False, highlight=False)
        for line in filter(None, map(str, lines)):
            console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
