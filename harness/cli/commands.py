"""Commands that look at one thing: data sets, adapters, checks, potentials, their properties."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from crossprune.harness.errors import MissingPackage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # imported when a command needs them, so that --help is quick
    import pandas as pd
    from ase import Atoms
    from crossprune.harness.data.frames import DataSet

ALL_DONE, SOME_FAILED = 0, 1
EXTXYZ = (".xyz", ".extxyz")
"""Endings that mean extended XYZ; families add formats of their own."""
DASHES = ("–",) * 5
FOR_TESTS = "broken"
"""The family that is of no use but to tests."""
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


def adapters() -> None:
    """List the adapters, what each can do, and what is missing to use it.

    Example: `crossprune adapters`

    `broken`, which fails on purpose, is for tests of the harness, and is not listed.
    """
    from crossprune.harness.lookup import broken_families, families

    view = Table("name", "chooses", "fits", "stress", "alloys", "masks", "about")
    view.caption = (
        "chooses: has a descriptor; fits: can be retrained; masks: to the forces of some atoms; "
        "–: not known before it can be imported"
    )
    lines = []
    for name, family in sorted(families().items()):
        if name == FOR_TESTS:
            continue
        marks, problem = _look_at(name)
        view.add_row(name, *marks, escape(family.about.partition("\n")[0]))
        lines += [f"{name}: {problem}"] if problem else []
    lines += [f"{one.name}: broken: {one.reason} (package {one.package})" for one in broken_families()]
    console.print(view)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(lines)} cannot be used as things are" if lines else "all can be used")


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

    Example: `crossprune new-adapter mtp` in a checkout, or `crossprune new-adapter mtp --outside my-mtp`
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
    from crossprune.harness.cli.console import print_notes
    from crossprune.harness.data.names import is_file
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.lookup import file_formats

    endings = {"extxyz": EXTXYZ, **{name: one.endings for name, one in file_formats().items()}}
    if is_file(Path(source)) and output.exists() and output.samefile(source):
        raise StudyError(
            f"{output} is the file that is read, and not all of it is written; give another name"
        )
    known = [name for name, ends in endings.items() if output.name.endswith(ends)]
    if style is None and not known:
        allowed = ", ".join(one for ends in endings.values() for one in ends)
        raise StudyError(f"{output}: the format is not clear; give --format, or an ending of {allowed}")
    if style is not None and style not in endings:
        raise StudyError(unknown_name("format", style, endings))
    cell: dict[str, str | float | int | None] = {"dataset": data, "pool": pool, "chooser": chooser}
    cell |= {"method": method, "fraction": fraction, "seed": seed}
    wanted = {name: value for name, value in cell.items() if value is not None}
    keys = given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    if is_file(Path(source) / "results.parquet"):
        if keys:
            raise StudyError(f"{', '.join(keys)}: for a file; a run's frames have their labels")
        if split is not None:
            raise StudyError("--split is for a data set; a run's chosen set is a part of its training set")
        dataset, frames = _chosen_by(Path(source), wanted)
    elif wanted:
        options = ", ".join(f"--{'data' if name == 'dataset' else name}" for name in wanted)
        raise StudyError(f"{options}: for the folder of a finished run, and {source!r} is none")
    else:
        dataset, frames = _part_of(source, split, keys)
        print_notes(console, {source: dataset.notes})
    _write_frames(output, style or known[0], frames, dataset)
    console.print(f"wrote {len(frames)} frames: {output}", highlight=False, soft_wrap=True)


def _part_of(source: str, split: str | None, keys: Mapping[str, str]) -> tuple[DataSet, list[Atoms]]:
    """Load a data set and one part's frames, or all, with their part in ``info``."""
    from crossprune.harness.data.cards import DataOptions, load_dataset
    from crossprune.harness.data.frames import SPLITS
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.tables import from_table

    if split is not None and split not in SPLITS:
        raise StudyError(unknown_name("split", split, SPLITS))
    dataset = load_dataset(source, options=from_table(DataOptions, keys, "options"))
    if split is not None and split not in dataset.split:
        raise StudyError(f"{source} has no {split!r} part")
    for atoms, part in zip(dataset.frames, dataset.split, strict=True):
        atoms.info["split"] = part
    pairs = zip(dataset.frames, dataset.split, strict=True)
    return dataset, [atoms for atoms, part in pairs if split in (None, part)]


def _chosen_by(root: Path, wanted: dict[str, str | float | int]) -> tuple[DataSet, list[Atoms]]:
    """Load the one chosen set of a run that fits the description."""
    import numpy as np
    from crossprune.harness.analysis.answer import read_results
    from crossprune.harness.analysis.cells import labelled
    from crossprune.harness.analysis.spaces.chosen import chosen_subsets
    from crossprune.harness.engine.stored import stored_dataset
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.harness.store.objects import Store

    axes = ["dataset", "pool", "chooser", "method", "fraction", "seed"]
    results = read_results(root)
    table = labelled(results)
    table = table if "pool" in table else table.assign(pool=0)
    table = table[table["status"] == "done"].drop_duplicates(axes)
    found, heads = table, table["method"].map(lambda text: text.split(", ")[0])
    for name, value in wanted.items():
        known = set(table[name])
        if name in ("dataset", "chooser", "method") and value not in (known | set(heads)):
            words = unknown_name("data set" if name == "dataset" else name, value, known)
            raise StudyError(f"{root}: {words}")
        is_head = name == "method" and value not in known
        same = np.isclose(found[name], value) if name == "fraction" else found[name] == value
        found = found[heads[found.index] == value if is_head else same]
    if len(found) != 1:
        raise StudyError(
            f"{len(found)} chosen sets of {root} fit; {_values(table if found.empty else found)}"
        )
    row, store = found.iloc[0], Store(root)
    if "atoms mask" in row["method"]:
        raise StudyError(f"{root}: {row['method']} chose single atoms, and files hold whole configurations")
    dataset = stored_dataset(store.root, str(row["dataset_key"]))
    if row["fraction"] == 1.0:
        return dataset, [dataset.frames[index] for index in dataset.indices("train")]
    sets = chosen_subsets(root, results.loc[[found.index[0]]])
    if sets.empty:
        raise StudyError(f"{root}: this chosen set is no longer stored; run the study again into this folder")
    return dataset, [dataset.frames[index] for index in sets["subset"].iloc[0]]


def _values(table: pd.DataFrame) -> str:
    """Say what there is to choose from."""
    axes = {"dataset": "--data", "pool": "--pool", "chooser": "--chooser", "method": "--method"}
    axes |= {"fraction": "--fraction", "seed": "--seed"}
    lists = {option: sorted(table[name].unique()) for name, option in axes.items()}
    return "; ".join(
        f"{option}: {', '.join(_quoted(str(one)) for one in values)}"
        for option, values in lists.items()
        if len(values) > 1
    )


def _quoted(value: str) -> str:
    """Quote a value that the shell, or a reader of a list, would cut in two."""
    return f'"{value}"' if " " in value else value


def _write_frames(path: Path, style: str, frames: list[Atoms], dataset: DataSet) -> None:
    from ase.io import write
    from crossprune.harness.engine.archive import make_folder_of
    from crossprune.harness.errors import StudyError
    from crossprune.harness.lookup import frame_writer
    from crossprune.harness.store.objects import write_file

    make_folder_of(path)
    try:
        if style == "extxyz":
            named = [_with_readable_group(atoms) for atoms in frames]
            write_file(path, lambda temporary: write(temporary, named, format="extxyz"))
        else:
            writer, known = frame_writer(style), dataset.isolated_atom_energies
            write_file(path, lambda temporary: writer(temporary, frames, known))
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise
        raise StudyError(f"cannot write {path}: {error.strerror}; give another place") from None


def _with_readable_group(atoms: Atoms) -> Atoms:
    """Return a copy whose group extended XYZ gives back as it is."""
    from crossprune.harness.data.files.extxyz import as_written
    from crossprune.harness.data.frames import GROUP, group_of

    frame: Atoms = atoms.copy()
    frame.calc = atoms.calc
    frame.info[GROUP] = as_written(group_of(atoms))
    return frame
