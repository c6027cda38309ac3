"""Repair a store: save the records that can be read, and remove what is not as it was written."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from crossprune.harness.store import leases
from crossprune.harness.store.damage import Artefact, Damaged, delete, faults_of, is_in_the_way, set_aside
from crossprune.harness.store.objects import Store
from crossprune.harness.store.readonly import can_write
from crossprune.harness.store.records import BESIDE, Record, Records, decoded, unpacked
from crossprune.harness.store.tables import PROVENANCE, TABLES, faults_of_tables
from crossprune.harness.store.upkeep import Progress, needed_by, quiet, refers_to, worded

WRITTEN = (*TABLES, PROVENANCE, "report.html", "results.csv")
"""Files that each run writes into a store again."""
T = TypeVar("T")
MOST_HEALED = 20
"""Damaged artefacts that a run removes one by one."""
FOLDERS = ("analysis", "nights")
"""Folders that commands make beside the artefacts."""


@dataclass
class Repaired:
    """What a repair did."""

    n_records: int = 0
    removed: list[str] = field(default_factory=list)
    """Artefacts and files, with what was wrong; the next run computes them again."""
    aside: list[Path] = field(default_factory=list)
    """What was moved out of the way."""
    forgotten: int = 0
    """Records of cells that rested on something that is gone; the next run makes them again."""


def repair(store: Store, on_progress: Progress = quiet) -> Repaired:
    """Make a damaged store whole: `upkeep.verify` finds nothing then, and a run computes what is missing.

    Raises
    ------
    StudyError
        If another process uses the store, or the store is of a newer version.
    """
    done = Repaired()
    with leases.hold(store.root, leases.UPKEEP):
        done.aside += clear_places(store)
        if store.faults():
            done.aside += _save_records(store)
        gone: set[Artefact] = set()
        artefacts = list(store.artefacts())
        for number, (stage, key, folder) in enumerate(artefacts):
            if found := list(faults_of(stage, folder)):
                done.removed += [worded(stage, key, fault) for fault in found]
                store.discard(stage, key)
                gone.add((stage, key))
            on_progress(number + 1, len(artefacts))
        for name, fault in list(faults_of_tables(store.root)):
            done.removed.append(f"{name}: {fault}")
            delete(store.root / name)
        done.forgotten = forget_what_rests_on(store, gone, missing_too=True)
        done.n_records = len(store.statuses())
        store.remove_leftovers()
    return done


def heal(store: Store, damaged: Damaged) -> bool:
    """Remove one damaged artefact, and forget what rests on it; False if the damage is of another kind."""
    if damaged.artefact is None:
        return False
    if store.fault(*damaged.artefact) is not None or damaged.fault.startswith("cannot be read"):
        store.discard(*damaged.artefact)
    forget_what_rests_on(store, {damaged.artefact}, missing_too=False)
    return True


def healed(work: Callable[[], T], on_line: Callable[[str], object] = lambda line: None) -> T:
    """Do what a run does, and again where it met an artefact that is damaged, which is removed first.

    Parameters
    ----------
    work
        What is done.
    on_line
        Called with a line for each artefact that is removed.

    Raises
    ------
    Damaged
        If the damage is of another kind, or there is no end to it: ``crossprune store repair`` looks at all.
    """
    for _ in range(MOST_HEALED):
        try:
            return work()
        except Damaged as error:
            if not (can_write(error.root) and heal(Store(error.root), error)):
                raise
            on_line(f"damaged, computed again: {error.file} {error.fault}")
    return work()


def forget_what_rests_on(store: Store, gone: set[Artefact], *, missing_too: bool) -> int:
    """Forget records that refer to fits, data sets or trajectories that are gone, and failures of what is.

    Parameters
    ----------
    store
        The store.
    gone
        Artefacts that were removed.
    missing_too
        Look for artefacts that are not there besides.

    Returns
    -------
    int
        Number of records.
    """
    present = {(stage, key) for stage, key, _ in store.artefacts()} if missing_too else None

    def is_lost(artefact: Artefact) -> bool:
        return artefact in gone or (present is not None and artefact not in present)

    keys = []
    spaces = {one for one in gone if one[0] == "features"}  # reports draw them: one cell has them made again
    for record in store.read():
        rests = refers_to(record)
        if made := spaces & rests:
            keys.append(record.key)
            spaces -= made
            continue
        if any(map(is_lost, needed_by(record))) or (record.status != "done" and not gone.isdisjoint(rests)):
            keys.append(record.key)
    store.forget(keys)
    return len(keys)


def clear_places(store: Store) -> list[Path]:
    """Move aside what is no file where a store has files, and no folder where it has folders."""
    root = store.root
    places = [root / name for name in (*WRITTEN, *(f"cells.sqlite{one}" for one in ("", *BESIDE)))]
    found = [set_aside(path) for path in places if is_in_the_way(path)]
    folders = [root / name for name in FOLDERS]
    found += [set_aside(path) for path in folders if os.path.lexists(path) and not path.is_dir()]
    for path in store.misplaced():
        aside = root / f"{path.name}.damaged-{uuid.uuid4().hex[:8]}"
        path.rename(aside)
        found.append(aside)
    return found


def _save_records(store: Store) -> list[Path]:
    """Write the records that can be read into a new file, and set the damaged one aside."""
    path = store.root / "cells.sqlite"
    whole = store.root / "tmp" / "cells.sqlite"
    for name in ("", *BESIDE):
        whole.with_name(f"{whole.name}{name}").unlink(missing_ok=True)
    Records(whole).put(salvaged(path))
    aside = [set_aside(one) for end in ("", *BESIDE) if (one := path.with_name(f"{path.name}{end}")).exists()]
    whole.rename(path)
    return aside


def salvaged(path: Path) -> list[Record]:
    """Read every record of a damaged file that is as it was written, by way of both of its tables."""
    if not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
        database.text_factory = lambda text: text.decode(errors="replace")
        states = {row[0]: row for row in _rows(database, "key", "key, status, body FROM states")}
        bodies = dict(_rows(database, "id", "id, body FROM bodies"))
        known = sorted({*bodies, *(number for *_, number in states.values() if isinstance(number, int))})
        for before, after in itertools.pairwise(known):
            if (
                after - before < path.stat().st_size
            ):  # more cannot be lost between two; else a number is wrong
                for number in range(before, after):
                    if number not in bodies:
                        bodies |= dict(
                            _until_damage(database, f"SELECT id, body FROM bodies WHERE id = {number}")
                        )
    found: dict[str, tuple[int, Record]] = {}
    for number, body in bodies.items():
        with contextlib.suppress(ValueError):
            if (parts := unpacked(body)) is not None:
                found[parts[0]] = number, decoded(parts[0], parts[1], body)
    for key, status, number in states.values():
        with contextlib.suppress(ValueError):
            if key not in found and number in bodies:
                found[key] = number, decoded(key, status, bodies[number])
    return [record for _, record in sorted(found.values(), key=lambda pair: pair[0])]


def _rows(database: sqlite3.Connection, column: str, what: str) -> Iterator[tuple[Any, ...]]:
    """Read a table from both its ends, as far as it can be read."""
    for direction in ("ASC", "DESC"):
        yield from _until_damage(database, f"SELECT {what} ORDER BY {column} {direction}")


def _until_damage(database: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    with contextlib.suppress(sqlite3.DatabaseError, OverflowError):
        yield from database.execute(query)
