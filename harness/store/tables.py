"""Tables of a store as Parquet files, with checksums of their pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
from crossprune.harness.errors import StudyError
from crossprune.harness.store.manifest import Fault
from crossprune.harness.store.objects import write_file

TABLES = ("results.parquet", "properties.parquet", "md.parquet")
PROVENANCE = "provenance.json"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, pa.ArrowException)
"""What readers of Parquet and JSON raise on garbage."""


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet, atomically."""
    write_file(path, lambda place: table.to_parquet(place, index=False, write_page_checksum=True))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that a run wrote.

    Raises
    ------
    StudyError
        If it is not as it was written; running the study writes it again.
    """
    try:
        return _read(path)
    except UNREADABLE as error:
        raise StudyError(
            f"{path} is damaged: {_first_line(error)}; "
            f"crossprune run STUDY.toml --store {path.parent} writes it again"
        ) from None


def read_provenance(path: Path) -> dict[str, object] | None:
    """Read what a run wrote about itself; None if it cannot be read."""
    try:
        facts = json.loads(path.read_bytes())
    except UNREADABLE:
        return None
    return facts if isinstance(facts, dict) else None


def faults_of_tables(root: Path) -> Iterator[Fault]:
    """Say which tables, and provenance, that a run left cannot be read."""
    for name in TABLES:
        if (root / name).exists():
            try:
                _read(root / name)
            except UNREADABLE as error:
                yield name, f"cannot be read: {_first_line(error)}"
    if (root / PROVENANCE).exists() and read_provenance(root / PROVENANCE) is None:
        yield PROVENANCE, "cannot be read"


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise OSError("it is no file")
    table: pd.DataFrame = pd.read_parquet(path, page_checksum_verification=True)
    return table


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
