"""Look after a store: verify it, remove what nothing refers to, and merge another one in."""

from __future__ import annotations

import filecmp
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossprune.harness.store import leases, manifest
from crossprune.harness.store.damage import Artefact, delete, faults_of
from crossprune.harness.store.manifest import Fault
from crossprune.harness.store.objects import Store, is_used
from crossprune.harness.store.records import Record
from crossprune.harness.store.tables import faults_of_tables

Progress = Callable[[int, int], None]
"""Called with what is done and what there is."""
MUST_BE_THERE = ("fit", "dataset", "md")
"""Stages whose artefacts a record needs after it was made."""
VOLATILE = ("fit_s", "predict_s", "peak_memory_mb", "crossprune_version", "commit", "versions", "hardware")
"""Facts that differ between two runs of the same cell."""
BATCH = 1000


def quiet(done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Verdict:
    """What a look at every record and artefact found."""

    n_records: int
    n_artefacts: int
    broken: tuple[str, ...]
    """A line for each thing that cannot be read, is not complete or is missing."""
    orphans: tuple[str, ...]
    """Artefacts that no record refers to; harmless, ``gc`` removes them."""
    leftovers: tuple[str, ...]
    """Temporary folders."""
    n_unsealed: int = 0
    """Artefacts without digests, of earlier versions: what changed in a plain array is not seen."""


def verify(store: Store, on_progress: Progress = quiet) -> Verdict:
    """Read every artefact, record and table, and compare them with the digests they were written with."""
    faults = store.faults()
    broken = [f"cells.sqlite: {fault}" for fault in faults]
    referred: set[Artefact] = set()
    must_be_there: set[Artefact] = set()
    n_records = 0
    if not faults:
        for record in store.read():
            n_records += 1
            referred |= refers_to(record)
            must_be_there |= needed_by(record)
    artefacts = list(store.artefacts())
    present = {(stage, key) for stage, key, _ in artefacts}
    unsealed = 0
    for number, (stage, key, folder) in enumerate(artefacts):
        broken += [worded(stage, key, fault) for fault in faults_of(stage, folder)]
        unsealed += not (folder / manifest.NAME).exists()
        on_progress(number + 1, len(artefacts))
    lost = sorted(must_be_there - present)
    broken += [f"{stage} {key}: a record refers to it, and it is not there" for stage, key in lost]
    broken += [f"{path.relative_to(store.root)} is a file, not a folder" for path in store.misplaced()]
    broken += [f"{name}: {fault}" for name, fault in faults_of_tables(store.root)]
    orphans = [] if faults else [f"{stage} {key}" for stage, key in sorted(present - referred)]
    leftovers = [folder.name for folder in store.temporary_folders()]
    return Verdict(n_records, len(artefacts), tuple(broken), tuple(orphans), tuple(leftovers), unsealed)


def refers_to(record: Record) -> set[Artefact]:
    """List the artefacts that a record rests on."""
    found = {(stage, key) for stage, key in record.facts.get("rests_on", ())}
    found |= {(stage, record.facts[f"{stage}_key"]) for stage in ("fit", "dataset") if _has(record, stage)}
    if "trajectory" in record.facts:
        found.add(("md", Path(record.facts["trajectory"]).parent.name))
    return found


def needed_by(record: Record) -> set[Artefact]:
    """List the artefacts that a record needs after it was made; of a cell that only chooses, its order."""
    stages = (
        MUST_BE_THERE if record.status != "done" or _has(record, "fit") else (*MUST_BE_THERE, "selection")
    )
    return {one for one in refers_to(record) if one[0] in stages}


def _has(record: Record, stage: str) -> bool:
    return bool(record.facts.get(f"{stage}_key"))


def worded(stage: str, key: str, fault: Fault) -> str:
    """Word what is wrong with an artefact: stage, key, file and fault."""
    return f"{stage} {key}: {' '.join(filter(None, fault))}"


@dataclass(frozen=True)
class Waste:
    """What may be removed from a store."""

    artefacts: tuple[tuple[Artefact, int], ...]
    """Stage, key and size in bytes."""
    records: tuple[str, ...]
    leftovers: tuple[tuple[Path, int], ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in (*self.artefacts, *self.leftovers))


def find_waste(
    store: Store,
    wanted: Collection[str] | None = None,
    needed: Collection[Artefact] = (),
    *,
    min_age_s: float = 0.0,
) -> Waste:
    """List what nothing refers to.

    Parameters
    ----------
    store
        The store.
    wanted
        Keys of the cells to keep; None for all. Trials (properties, dynamics) are kept with their fit.
    needed
        Artefacts to keep whether a record refers to them or not.
    min_age_s
        Artefacts and leftovers younger than this, s, are kept: a run may be about to record them.
    """
    kept: set[Artefact] = set(needed)
    trials: list[tuple[str, str, set[Artefact]]] = []
    dropped = []
    for record in store.read():
        if record.facts.get("trial"):
            trials.append((record.key, record.facts["fit_key"], refers_to(record)))
        elif wanted is None or record.key in wanted:
            kept |= refers_to(record)
        else:
            dropped.append(record.key)
    for key, fit, artefacts in trials:
        if wanted is None or ("fit", fit) in kept:
            kept |= artefacts
        else:
            dropped.append(key)
    newest = time.time() - min_age_s
    artefacts_found = tuple(
        ((stage, key), _size(folder))
        for stage, key, folder in store.artefacts()
        if (stage, key) not in kept and folder.stat().st_mtime <= newest
    )
    leftovers = (
        folder
        for folder in store.temporary_folders()
        if folder.stat().st_mtime <= newest and not is_used(folder)
    )
    return Waste(artefacts_found, tuple(dropped), tuple((folder, _size(folder)) for folder in leftovers))


def remove(store: Store, waste: Waste, on_progress: Progress = quiet) -> None:
    """Remove waste: records first, then artefacts, each moved out of its place before it is deleted.

    Raises
    ------
    StudyError
        If a run uses the store: it may reuse what nothing refers to yet.
    """
    with leases.hold(store.root, leases.UPKEEP):
        _remove(store, waste, on_progress)


def _remove(store: Store, waste: Waste, on_progress: Progress) -> None:
    for start in range(0, len(waste.records), BATCH):
        store.forget(waste.records[start : start + BATCH])
    for number, ((stage, key), _) in enumerate(waste.artefacts):
        store.discard(stage, key)
        on_progress(number + 1, len(waste.artefacts))
    for folder, _ in waste.leftovers:
        delete(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Merged:
    """What came in, and where the two stores disagree; what was here stays then."""

    n_artefacts: int
    n_records: int
    conflicts: tuple[str, ...]


def merge(store: Store, other: Store, on_progress: Progress = quiet) -> Merged:
    """Bring the artefacts and records of ``other`` in; files are linked where the file system allows it."""
    artefacts = list(other.artefacts())
    conflicts, brought = [], 0
    left_out: set[Artefact] = set()
    with leases.hold(store.root, leases.RUN):
        for number, (stage, key, folder) in enumerate(artefacts):
            if not store.has(stage, key):
                if fault := other.fault(stage, key):
                    conflicts.append(f"{worded(stage, key, fault)}; left out: repair {other.root} first")
                    left_out.add((stage, key))
                else:
                    store.write(stage, key, lambda place, folder=folder: _link(folder, place))  # type: ignore[misc]
                    brought += 1
            elif differ := _different(folder, store.path(stage, key)):
                conflicts.append(f"{stage} {key}: {', '.join(differ)}")
            on_progress(number + 1, len(artefacts))
        n_records = 0
        for batch in _batched(one for one in other.read() if left_out.isdisjoint(refers_to(one))):
            here = store.records([record.key for record in batch])
            new = [one for one in batch if one.key not in here or _better(one, here[one.key])]
            both = [(one, here[one.key]) for one in batch if one.key in here]
            conflicts += [f"record {one.key}: other numbers" for one, ours in both if _unlike(one, ours)]
            store.put(new)
            n_records += len(new)
    return Merged(brought, n_records, tuple(conflicts))


def _better(one: Record, here: Record) -> bool:
    return one.status == "done" and here.status != "done"


def _unlike(one: Record, other: Record) -> bool:
    """Tell whether a cell is done in both and differs in more than times, machines and versions."""
    if not one.status == other.status == "done":
        return False

    def essence(record: Record) -> str:
        facts = {name: value for name, value in record.facts.items() if name not in VOLATILE}
        return json.dumps([record.rows, facts], sort_keys=True)

    return essence(one) != essence(other)


def _different(one: Path, other: Path) -> list[str]:
    """List the arrays of two artefacts that differ; other files carry times and names."""
    names = {path.relative_to(one) for path in one.rglob("*.np[yz]")}
    names |= {path.relative_to(other) for path in other.rglob("*.np[yz]")}
    same, _, _ = filecmp.cmpfiles(one, other, list(map(str, names)), shallow=False)
    return sorted({*map(str, names)} - set(same))


def _link(source: Path, place: Path) -> None:
    shutil.copytree(source, place, copy_function=_link_or_copy, dirs_exist_ok=True)


def _link_or_copy(source: str, place: str) -> Any:
    try:
        os.link(source, place)
    except OSError:
        return shutil.copy2(source, place)
    return place


def _batched(records: Iterable[Record]) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := list(itertools.islice(iterator, BATCH)):
        yield batch
