"""Time of the store: looking up a study, reading and appending records."""

from __future__ import annotations

import tempfile
from pathlib import Path

from crossprune.harness.store.objects import Store
from crossprune.harness.store.records import Record

METRICS = {f"metric_{number}": 0.1 + number / 7 for number in range(7)}
ROWS = [{"split": "test", "group": str(group), **METRICS} for group in range(10)]


class Records:
    """A store of cells with ten rows each."""

    params = (1_000, 20_000)
    param_names = ("cells",)
    timeout = 600

    def setup(self, cells: int) -> None:
        """Fill a store."""
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name))
        self.keys = [f"{number:032x}" for number in range(cells)]
        self.store.put(Record(key, "done", "", ROWS, {}) for key in self.keys)

    def teardown(self, cells: int) -> None:
        """Remove it."""
        self.folder.cleanup()

    def time_look_up(self, cells: int) -> None:
        """Look up how all cells ended."""
        self.store.statuses(self.keys)

    def time_read(self, cells: int) -> None:
        """Read all records."""
        for _ in self.store.read(self.keys):
            pass

    def time_append_500(self, cells: int) -> None:
        """Append 500 records in one transaction."""
        self.store.put(Record(f"new {number}", "done", "", ROWS, {}) for number in range(500))

    def track_bytes_per_record(self, cells: int) -> float:
        """Size of the file per record."""
        return (self.store.root / "cells.sqlite").stat().st_size / cells

    track_bytes_per_record.unit = "bytes"
