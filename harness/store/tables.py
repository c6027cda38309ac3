"""Tables of a store as Parquet files, with checksums of their pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from crossprune.harness.errors import StudyError
from crossprune.harness.store.manifest import Fault
from crossprune.harness.store.objects import write_file
from crossprune.harness.store.spreadsheet import without_formulas
from pandas.api.types import is_string_dtype
from pyarrow import csv, parquet

TABLES = ("results.parquet", "properties.parquet", "md.parquet")
PROVENANCE = "provenance.json"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException)
"""What readers of Parquet and JSON raise on garbage."""


@dataclass(frozen=True)
class Columns:
    """Columns that readers of a table rely on."""

    texts: tuple[str, ...]
    """Those of strings, of which none is missing."""
    numbers: tuple[str, ...]
    truths: tuple[str, ...] = ()
    """Those of truth values, which may be missing."""
    optional: tuple[str, ...] = ()
    """Those among them that a table may lack."""

    def check(self, table: pd.DataFrame) -> None:
        """Raise `ValueError` if a column is not there or holds something else."""
        if not table.columns.is_unique:
            raise ValueError("it has two columns of one name")
        named = [name for name in (*self.texts, *self.numbers, *self.truths) if name in table.columns]
        needed = [name for name in (*self.texts, *self.numbers, *self.truths) if name not in self.optional]
        if missing := [name for name in needed if name not in named]:
            raise ValueError(f"it lacks the column {missing[0]}")
        if table.empty:  # no value, no type
            return
        kinds = {name: column.dtype.kind for name, column in table.items()}
        for name in named:
            if name in self.numbers and kinds[name] not in "iuf":
                raise ValueError(f"the column {name} does not hold numbers")
            if name in self.truths and kinds[name] != "b":
                raise ValueError(f"the column {name} does not hold truth values")
            if name in self.texts and not _are_texts(table[name]):
                raise ValueError(f"the column {name} does not hold texts")


ANY = Columns((), ())


def _are_texts(column: pd.Series[Any]) -> bool:
    return bool(is_string_dtype(column) and column.notna().all())


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, atomically."""
    write_pieces([table], path)


def write_pieces(pieces: Iterable[pd.DataFrame], path: Path) -> None:
    """Write tables of the same columns, of which there is one at least, as one Parquet file; atomically.

    Raises
    ------
    DiskFull
        If it cannot be written.
    """
    iterator = iter(pieces)

    def write(place: Path) -> None:
        first = pa.Table.from_pandas(next(iterator), preserve_index=False)
        with parquet.ParquetWriter(place, first.schema, write_page_checksum=True) as writer:
            writer.write_table(first)
            for piece in iterator:
                writer.write_table(pa.Table.from_pandas(piece, schema=first.schema, preserve_index=False))

    write_file(path, write)


def write_csv(pieces: Iterable[pd.DataFrame], path: Path) -> None:
    """Write tables of the same columns, of which there is one at least, as one CSV file; without formulas."""

    def write(place: Path) -> None:
        writer = None
        try:
            for piece in pieces:
                table = pa.Table.from_pandas(without_formulas(piece), preserve_index=False)
                if writer is None:
                    writer = csv.CSVWriter(place, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()

    write_file(path, write)


def read_pieces(
    path: Path, columns: Columns = ANY, size: int = 20_000, *, only: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Read a table that a run wrote, some rows at a time; one without rows is one piece.

    With ``only``, read those of these columns that there are.

    Raises
    ------
    StudyError
        If it is not as it was written; running the study writes it again.
    """
    try:
        with parquet.ParquetFile(_file(path), page_checksum_verification=True) as file:
            names = None if only is None else [name for name in file.schema_arrow.names if name in only]
            batches = (pa.Table.from_batches([batch]) for batch in file.iter_batches(size, columns=names))
            for piece in batches if file.metadata.num_rows else [file.read(names)]:
                table = piece.to_pandas()
                columns.check(table)
                yield table
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def read_table(path: Path, columns: Columns = ANY) -> pd.DataFrame:
    """Read a table that a run wrote.

    Raises
    ------
    StudyError
        If it is not as it was written; running the study writes it again.
    """
    try:
        return load_table(path, columns)
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def read_provenance(path: Path) -> dict[str, object] | None:
    """Read what a run wrote about itself, names with texts and numbers; None if it cannot be read."""
    try:
        facts = json.loads(_file(path).read_bytes())
    except UNREADABLE:
        return None
    plain = isinstance(facts, dict) and all(isinstance(one, str | int | float) for one in facts.values())
    return facts if plain else None


def faults_of_tables(root: Path) -> Iterator[Fault]:
    """Say which tables, and provenance, that a run left cannot be read."""
    for name in TABLES:
        if (root / name).exists():
            try:
                load_table(root / name)
            except UNREADABLE as error:
                yield name, f"cannot be read: {first_line(error)}"
    if (root / PROVENANCE).exists() and read_provenance(root / PROVENANCE) is None:
        yield PROVENANCE, "cannot be read"


def cells_in(path: Path) -> set[str]:
    """Return the keys of the cells in a table of results; none if there is no table, or it is damaged."""
    try:
        return set(parquet.read_table(_file(path), columns=["cell"])["cell"].to_pylist())
    except UNREADABLE:
        return set()


def load_table(path: Path, columns: Columns = ANY) -> pd.DataFrame:
    """Read a table; what it raises if that cannot be done is `UNREADABLE`."""
    table: pd.DataFrame = pd.read_parquet(_file(path), page_checksum_verification=True)
    columns.check(table)
    return table


def _file(path: Path) -> Path:
    if not path.is_file():
        raise OSError("it is no file")
    return path


def _damaged(path: Path, error: Exception) -> StudyError:
    again = f"crossprune run STUDY.toml --store {path.parent} writes it again"
    return StudyError(f"{path} is damaged: {first_line(error)}; {again}")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
