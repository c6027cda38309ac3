"""Take results out of a store: tables of records, chosen indices, and a study's artefacts in one file."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from crossprune.harness.engine.grid import Cell, Choice
from crossprune.harness.engine.results import pieces_of
from crossprune.harness.engine.stored import SUBSET, stored_subset
from crossprune.harness.errors import StudyError
from crossprune.harness.store.damage import Artefact
from crossprune.harness.store.objects import Store, write_file
from crossprune.harness.store.records import Record
from crossprune.harness.store.tables import write_csv, write_pieces
from crossprune.harness.store.upkeep import Progress, quiet

ROWS = 5000
"""Cells per piece, so that a large store does not have to fit into memory."""
UNKNOWN = {"dataset": "", "chooser": "", "method": "", "fraction": float("nan"), "seed": -1}
"""Axes of a cell that a version without them recorded."""


def export_results(
    store: Store, target: Path, cells: Iterable[tuple[int, Cell, Record]], on_progress: Progress = quiet
) -> int:
    """Write the results of cells as Parquet or CSV, by the name of ``target``; return their number.

    Raises
    ------
    StudyError
        If ``target`` has another ending, or its folder cannot be made.
    DiskFull
        If it cannot be written.
    """
    if target.suffix not in (".parquet", ".csv"):
        raise StudyError(f"cannot export to {target}; allowed endings: .parquet, .csv")
    count = 0

    def counted() -> Iterator[tuple[int, Cell, Record]]:
        nonlocal count
        for one in cells:
            count += 1
            if count % ROWS == 0:
                on_progress(count, count)
            yield one

    make_folder_of(target)
    write = write_csv if target.suffix == ".csv" else write_pieces
    write(pieces_of(counted(), ROWS), target)
    on_progress(count, count)
    return count


def recorded_cells(store: Store) -> Iterator[tuple[int, Cell, Record]]:
    """Read all cells of a store with the axes under which they were first run; no trials."""
    for place, record in enumerate(store.read()):
        if not record.facts.get("trial"):
            axes: dict[str, Any] = {**UNKNOWN, **record.facts.get("axes", {})}
            model = str(axes.pop("model", ""))
            yield place, Cell(Choice(**axes), model), record


def export_indices(store: Store, target: Path, keys: Iterable[str] | None = None) -> int:
    """Write the chosen frames of each cell as Parquet: ``cell``, ``fit_key``, ``indices``."""
    rows = []
    for record in store.read(None if keys is None else list(keys)):
        if record.status == "done" and not record.facts.get("trial") and "fit_key" in record.facts:
            key = str(record.facts["fit_key"])
            if (store.path("fit", key) / SUBSET).is_file():
                rows.append((record.key, key, stored_subset(store.root, key)))
    table = pd.DataFrame(rows, columns=["cell", "fit_key", "indices"])
    make_folder_of(target)
    write_file(target, lambda path: table.to_parquet(path, index=False))
    return len(rows)


def export_artefacts(
    store: Store, target: Path, artefacts: Iterable[Artefact], on_progress: Progress = quiet
) -> int:
    """Write artefacts into one tar file, under the names they have in the store."""
    found = sorted({one for one in artefacts if store.has(*one)})

    def write(path: Path) -> None:
        with tarfile.open(path, "w") as archive:
            for number, one in enumerate(found):
                folder = store.path(*one)
                archive.add(folder, str(folder.relative_to(store.root)))
                on_progress(number + 1, len(found))

    make_folder_of(target)
    write_file(target, write)
    return len(found)


def make_folder_of(target: Path) -> None:
    """Make the folder of a file that is about to be written.

    Raises
    ------
    StudyError
        If that cannot be done, as where a part of the path is a file.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"cannot write {target}: {error}; give another place") from None
