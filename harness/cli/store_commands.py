"""Commands that look after a store: ``crossprune store verify | repair | gc | merge | export``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from crossprune.harness.errors import StudyError
from rich.console import Console
from rich.progress import Progress as Bar

if TYPE_CHECKING:  # imported when a command needs them, so that --help is quick
    from crossprune.harness.store.objects import Store
    from crossprune.harness.store.upkeep import Progress

BROKEN = 1
SHOWN = 20
"""Lines of a long list that are shown."""
HOUR_S = 3600.0
console = Console()
app = typer.Typer(name="store", help="Look after a store of results.", no_args_is_help=True)

StoreFolder = Annotated[Path, typer.Argument(help="Folder of the store.")]
StudyOption = Annotated[list[Path] | None, typer.Option("--study", help="Study file (repeatable).")]


@app.command()
def verify(store: StoreFolder) -> None:
    """Check that every record and artefact can be read and is complete.

    Example: `crossprune store verify mo`

    Exit code 0: all is whole; 1: something is broken (the list says what).
    """
    from crossprune.harness.store import upkeep

    with _progress("artefacts") as show:
        found = upkeep.verify(_open(store), show)
    console.print(f"{found.n_records} records, {found.n_artefacts} artefacts", highlight=False)
    _list("broken", found.broken)
    _list(
        "no record refers to; the study's next run takes up what it needs, gc removes the rest", found.orphans
    )
    _list("temporary, of runs that go on or were killed", found.leftovers)
    if found.n_unsealed:
        console.print(f"{found.n_unsealed} artefacts of an earlier version have no digests", highlight=False)
    if found.broken:
        line = f"crossprune store repair {store}, then run the study again: what is gone is computed anew"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
        sys.exit(BROKEN)
    console.print("all is whole")


@app.command()
def repair(store: StoreFolder) -> None:
    """Save what can be read, and remove what is damaged: the next run computes it again.

    Example: `crossprune store repair mo`, then `crossprune run mo.toml --store mo`
    """
    from crossprune.harness.store import repair as repairs

    with _progress("artefacts") as show:
        done = repairs.repair(_open(store), show)
    _list("damaged, removed", done.removed)
    _list("moved aside", [str(path) for path in done.aside])
    console.print(f"{done.n_records} records are whole", highlight=False)
    if done.forgotten:
        console.print(f"{done.forgotten} records rested on what is gone", highlight=False)
    if done.forgotten or done.removed or done.aside:
        again = "run the study again: it takes up what is whole and computes the rest; gc only after that"
        console.print(again, highlight=False)


@app.command()
def gc(
    store: StoreFolder,
    study: StudyOption = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove it; without this, only say what.")] = False,
    min_age_h: Annotated[
        float,
        typer.Option(
            "--min-age", help="Keep artefacts that are younger, in hours: a run may still need them."
        ),
    ] = 24.0,
) -> None:
    """Say, and with --delete remove, what no record refers to.

    With --study, only the cells of these studies count; the records of all others go, too.

    Example: `crossprune store gc mo`, then `crossprune store gc mo --delete`
    """
    from crossprune.harness.store import upkeep

    opened = _open(store)
    cells, needed = _needs(opened, study) if study else (None, ())
    waste = upkeep.find_waste(opened, cells, needed, min_age_s=min_age_h * HOUR_S)
    _list("artefacts", [f"{stage} {key}: {size / 1e6:.3f} MB" for (stage, key), size in waste.artefacts])
    _list("leftovers", [f"{path.name}: {size / 1e6:.3f} MB" for path, size in waste.leftovers])
    young = f"; artefacts younger than {min_age_h:g} h (--min-age) stay, records do not"
    summary = f"{len(waste.artefacts)} artefacts, {len(waste.records)} records, {waste.size / 1e6:.3f} MB"
    if not delete:
        console.print(f"would remove {summary}{young}; --delete does it", highlight=False, soft_wrap=True)
        return
    with _progress("artefacts") as show:
        upkeep.remove(opened, waste, show)
    console.print(f"removed {summary}", highlight=False)


@app.command()
def merge(
    store: StoreFolder,
    other: Annotated[Path, typer.Argument(help="Folder of the store to bring in; it stays as it is.")],
) -> None:
    """Bring the artefacts and records of another store in; where both have one, this store's stays.

    Example: `crossprune store merge mo mo-from-cluster`

    Exit code 0: no conflict; 1: the two stores disagree somewhere (the list says where).
    """
    from crossprune.harness.store import upkeep

    target, source = _open(store), _open(other)
    if target.root == source.root:
        raise StudyError(f"{store} and {other} are the same store")
    with _progress("artefacts") as show:
        merged = upkeep.merge(target, source, show)
    console.print(f"brought in {merged.n_artefacts} artefacts, {merged.n_records} records", highlight=False)
    _list("conflicts (what was here stays)", merged.conflicts)
    if merged.conflicts:
        sys.exit(BROKEN)


@app.command()
def export(
    store: StoreFolder,
    target: Annotated[Path, typer.Argument(help="File to write: .parquet or .csv.")],
    study: Annotated[Path | None, typer.Option("--study", help="Only the cells of this study.")] = None,
    indices: Annotated[
        Path | None, typer.Option("--indices", help="Also the chosen frames of each cell, as Parquet.")
    ] = None,
    artefacts: Annotated[
        Path | None, typer.Option("--artefacts", help="Also the study's artefacts, as one tar file.")
    ] = None,
) -> None:
    """Write the results of all cells, or of one study, as one table.

    Example: `crossprune store export mo all.csv` or `crossprune store export mo mo.parquet --study mo.toml`
    """
    import itertools

    from crossprune.harness.engine import archive
    from crossprune.harness.engine import loop as engine
    from crossprune.harness.engine.study import read_study
    from crossprune.harness.engine.trials.published import stored_published

    opened = _open(store)
    if artefacts is not None and study is None:
        raise StudyError("--artefacts needs --study: which study's artefacts?")
    cells = archive.recorded_cells(opened)
    if study is not None:
        asked = read_study(study)
        cells = itertools.chain(engine.stored_cells(asked, opened), stored_published(asked, opened))
    with _progress("cells") as show:
        count = archive.export_results(opened, target, cells, show)
    console.print(f"{count} cells: {target.resolve()}", soft_wrap=True, highlight=False)
    keys, needed = _needs(opened, [study]) if study else (None, ())
    if indices is not None:
        count = archive.export_indices(opened, indices, keys)
        console.print(f"{count} chosen sets: {indices.resolve()}", soft_wrap=True, highlight=False)
    if artefacts is not None:
        with _progress("artefacts") as show:
            count = archive.export_artefacts(opened, artefacts, needed, show)
        console.print(f"{count} artefacts: {artefacts.resolve()}", soft_wrap=True, highlight=False)


def _needs(store: Store, studies: list[Path]) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the keys of the cells of studies, and the artefacts that these need or made."""
    from crossprune.harness.engine.study import read_study
    from crossprune.harness.engine.trials.published import needs
    from crossprune.harness.store.upkeep import refers_to

    cells: set[str] = set()
    needed: set[tuple[str, str]] = set()
    for path in studies:
        keys, planned = needs(read_study(path), store)
        cells |= keys
        needed |= planned
    for record in store.read(list(cells)):
        needed |= refers_to(record)
    return cells, needed


def _open(folder: Path) -> Store:
    from crossprune.harness.store.objects import Store

    if not (folder / "objects").is_dir():
        raise StudyError(f"{folder} is no store; give the folder of a run (--store of crossprune run)")
    return Store(folder)


def _list(title: str, lines: list[str] | tuple[str, ...]) -> None:
    if not lines:
        return
    console.print(f"{len(lines)} {title}:", highlight=False, markup=False)
    for line in lines[:SHOWN]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"  and {len(lines) - SHOWN} more", highlight=False)


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show a bar on a terminal."""
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
